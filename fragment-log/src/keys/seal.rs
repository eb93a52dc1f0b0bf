//! Sealing and opening frames with AES-256-GCM.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::StreamId;
use bytes::Bytes;
use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};

use super::{Keyring, Secret};
use crate::format::{FRAME_HEADER_BYTES, FrameHeader, FrameKind, FrameSlot, TAG_BYTES, WriterId};
use crate::{Entry, LogError};

/// Seals entries as this start's writer. Shared by all lanes: the counter is what makes a nonce
/// unique, whatever the lane.
pub(crate) struct Seal {
    keys: Arc<Keyring>,
    counter: AtomicU64,
}

/// A frame ready to be written.
pub(crate) struct Sealed {
    pub(crate) header: FrameHeader,
    /// Header, sealed payload, tag.
    pub(crate) bytes: Vec<u8>,
    pub(crate) slot: FrameSlot,
    /// The payload in the clear, where followers are told it.
    pub(crate) told: Option<Bytes>,
}

/// The key for one writer's frames of one stream: HKDF-SHA256 of the data key, salted with the
/// writer's id. Counters of different writers thus never meet under one key.
pub(super) fn frame_key(data: &Secret, writer: WriterId) -> LessSafeKey {
    data.derive(&writer.0, b"millrace frame 1").aead()
}

fn nonce(counter: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[..8].copy_from_slice(&counter.to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}

impl Seal {
    pub(crate) fn new(keys: Arc<Keyring>) -> Self {
        Self { keys, counter: AtomicU64::new(0) }
    }

    /// Copies the entry's payload once, into the buffer that is written, and seals it there.
    pub(crate) fn seal(&self, entry: Entry) -> Result<Sealed, LogError> {
        let (key_epoch, key) = self.keys.sealing_key(entry.stream)?;
        let payload: usize = entry.payload.iter().map(Bytes::len).sum();
        let header = FrameHeader {
            kind: entry.kind,
            flags: entry.flags,
            key_epoch,
            stream: entry.stream,
            shard: entry.shard,
            count: entry.count,
            first_sequence: entry.first_sequence,
            server_time: entry.server_time,
            producer_time: entry.producer_time,
            writer: self.keys.writer,
            counter: self.counter.fetch_add(1, Ordering::Relaxed),
            payload_bytes: u32::try_from(payload).expect("append refuses larger payloads"),
        };
        let aad = header.to_bytes();
        let mut bytes = Vec::with_capacity(FRAME_HEADER_BYTES + payload + TAG_BYTES);
        bytes.extend_from_slice(&aad);
        entry.payload.iter().for_each(|part| bytes.extend_from_slice(part));
        let tag = key
            .seal_in_place_separate_tag(
                nonce(header.counter),
                Aad::from(aad),
                &mut bytes[FRAME_HEADER_BYTES..],
            )
            .expect("a frame is far below the cipher's limit of 64 GiB");
        bytes.extend_from_slice(tag.as_ref());
        let len = u32::try_from(bytes.len()).expect("append refuses larger payloads");
        let slot = FrameSlot { len, crc: crc32c::crc32c(&bytes) };
        let told = is_told(header.kind).then(|| joined(entry.payload));
        Ok(Sealed { header, bytes, slot, told })
    }
}

/// Whether followers are told the payload.
pub(crate) fn is_told(kind: FrameKind) -> bool {
    kind.is_metadata() || kind == FrameKind::Records
}

fn joined(mut parts: Vec<Bytes>) -> Bytes {
    match parts.len() {
        1 => parts.remove(0),
        _ => parts.concat().into(),
    }
}

/// Why a frame does not open.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// The stream's key was destroyed.
    NoKey,
    /// The seal is broken.
    Broken,
}

/// Opens frames one after the other. Frames of one stream mostly share a key, which is derived once.
pub(crate) struct Opener<'k> {
    keys: &'k Keyring,
    last: Option<((StreamId, u32, WriterId), Arc<LessSafeKey>)>,
}

impl Opener<'_> {
    /// [`Keyring::open_frame`].
    pub(crate) fn open(&mut self, header: &FrameHeader, frame: &mut [u8]) -> Result<(), OpenError> {
        let which = (header.stream, header.key_epoch, header.writer);
        let key = match self.last.take().filter(|(last, _)| *last == which) {
            Some((_, key)) => key,
            None => self.keys.opening_key(header).ok_or(OpenError::NoKey)?,
        };
        let opened = open(&key, header, frame);
        self.last = Some((which, key));
        opened
    }
}

impl Keyring {
    pub(crate) fn opener(&self) -> Opener<'_> {
        Opener { keys: self, last: None }
    }

    /// Opens the frame whose header is `header` and whose bytes `frame` holds from its start on. The
    /// payload is moved to the very start of `frame`; its length is the header's.
    pub(crate) fn open_frame(&self, header: &FrameHeader, frame: &mut [u8]) -> Result<(), OpenError> {
        let key = self.opening_key(header).ok_or(OpenError::NoKey)?;
        open(&key, header, frame)
    }
}

fn open(key: &LessSafeKey, header: &FrameHeader, frame: &mut [u8]) -> Result<(), OpenError> {
    key.open_within(nonce(header.counter), Aad::from(header.to_bytes()), frame, FRAME_HEADER_BYTES..)
        .map(|_| ())
        .map_err(|_| OpenError::Broken)
}
