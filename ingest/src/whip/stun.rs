//! Whom a STUN binding request is for (RFC 8489 §5, §14.3): all that the port must know of it. What
//! it is worth is for the session to check, which has the password.

/// The length of a message's header.
const HEADER: usize = 20;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const USERNAME: u16 = 0x0006;

/// Whether a datagram is STUN, of all that shares the port with it (RFC 7983 §7).
pub fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() >= HEADER && datagram[0] < 2 && datagram[4..8] == MAGIC_COOKIE
}

/// The receiver's user fragment, in the user name of a message: what stands before the colon
/// (RFC 8445 §7.2.2). `None` where it has none, or is cut off before it.
pub fn local_ufrag(datagram: &[u8]) -> Option<&str> {
    if !is_stun(datagram) {
        return None;
    }
    let mut attributes = &datagram[HEADER..];
    loop {
        let (head, rest) = attributes.split_first_chunk::<4>()?;
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = rest.get(..length)?;
        if kind == USERNAME {
            let (local, _) = std::str::from_utf8(value).ok()?.split_once(':')?;
            return Some(local);
        }
        attributes = rest.get(length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0, 1, 0, 0];
        bytes.extend_from_slice(&MAGIC_COOKIE);
        bytes.extend_from_slice(&[7; 12]);
        for (kind, value) in attributes {
            bytes.extend_from_slice(&kind.to_be_bytes());
            bytes.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
            bytes.extend_from_slice(value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    #[test]
    fn the_receivers_half_of_the_user_name_is_found() {
        let request = message(&[(0x8022, b"odd"), (USERNAME, b"ours:theirs"), (0x0008, &[0; 20])]);
        assert_eq!(local_ufrag(&request), Some("ours"));
        assert_eq!(local_ufrag(&request[..26]), None, "cut off");
        assert_eq!(local_ufrag(&message(&[(0x8022, b"odd")])), None);
        assert_eq!(local_ufrag(&message(&[(USERNAME, b"no colon")])), None);
        assert_eq!(local_ufrag(&message(&[(USERNAME, b"\xff\xfe:x")])), None);
    }

    #[test]
    fn media_and_handshakes_are_no_stun() {
        assert!(is_stun(&message(&[])));
        for first in [20, 63, 128, 191] {
            let mut other = message(&[]);
            other[0] = first;
            assert!(!is_stun(&other) && local_ufrag(&other).is_none());
        }
        assert!(!is_stun(&[0; 20]) && !is_stun(&[]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(mut bytes: Vec<u8>) {
            local_ufrag(&bytes);
            let mut framed = message(&[]);
            framed.append(&mut bytes);
            local_ufrag(&framed);
        }
    }
}
