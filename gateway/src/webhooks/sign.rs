//! Signatures of Standard Webhooks, symmetric: HMAC-SHA256 over id, time and body.
//!
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use catalog::Secret;
use ring::hmac;

/// Before a secret that is written in base64.
const PREFIX: &str = "whsec_";

/// What `webhook-signature` says. `timestamp` is in epoch seconds.
pub(super) fn signature(secret: &Secret, id: &str, timestamp: i64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key_bytes(secret).unwrap_or_default());
    let mut context = hmac::Context::with_key(&key);
    context.update(format!("{id}.{timestamp}.").as_bytes());
    context.update(body);
    format!("v1,{}", STANDARD.encode(context.sign()))
}

/// The key that a secret stands for: what follows `whsec_` in base64, any other text as it is. `None` for an
/// empty one, and for one that is not base64.
pub(crate) fn key_bytes(secret: &Secret) -> Option<Vec<u8>> {
    let text = secret.expose();
    let key = match text.strip_prefix(PREFIX) {
        Some(encoded) => STANDARD.decode(encoded).ok()?,
        None => text.as_bytes().to_vec(),
    };
    (!key.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with Python's hmac module.
    #[test]
    fn signatures_are_those_of_the_specification() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signed =
            signature(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn secrets_are_base64_behind_their_prefix_and_text_without() {
        let key = |text: &str| key_bytes(&Secret::new(text));
        assert_eq!((key("plain"), key("whsec_YQ==")), (Some(b"plain".to_vec()), Some(b"a".to_vec())));
        assert_eq!((key(""), key("whsec_"), key("whsec_!")), (None, None, None));
    }
}
