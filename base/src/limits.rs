//! Every size, count and time that bounds what a client may use, in one place.

use std::time::Duration;

/// The limits of one installation. Defaults are AWS's where a client can see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open TCP connections per listener; one more is closed at once.
    pub connections: usize,
    /// How long a connection may take for a handshake or a request's headers.
    pub handshake: Duration,
    /// Bytes of an RTSP message's start line and headers.
    pub rtsp_header_bytes: usize,
    /// Bytes of an RTSP message's body (an SDP).
    pub rtsp_body_bytes: usize,
    /// How long an RTSP publisher may send nothing before its session ends.
    pub rtsp_idle: Duration,
    /// WebRTC sessions that may be open at one time, half-made ones included.
    pub webrtc_sessions: usize,
    /// Bytes of one video or audio frame.
    pub frame_bytes: usize,
    /// Bytes of one fragment (PutMedia quota: 50 MB).
    pub fragment_bytes: usize,
    /// A fragment is cut at the first key frame after this.
    pub fragment_target: Duration,
    /// A fragment is cut here even without a key frame (PutMedia quota: 20 s).
    pub fragment_max: Duration,
    /// Fragments of one publisher that may wait for the disk before its connection is held back.
    pub fragments_in_flight: usize,
    /// Tracks of one stream (PutMedia quota: 3).
    pub tracks: usize,
    /// Tags of one fragment (PutMedia quota: 10).
    pub fragment_tags: usize,
    /// PutMedia connections of one stream: producers open the next one before they close the last.
    pub put_media_connections: usize,
    /// How long a PutMedia connection may last (45 minutes).
    pub put_media_life: Duration,
    /// How long a PutMedia producer may send nothing (30 s).
    pub put_media_idle: Duration,
    /// How long GetMedia waits for the next fragment before it ends.
    pub get_media_idle: Duration,
    /// Bytes of one JSON request body.
    pub json_body_bytes: usize,
    /// Bytes of one request body that carries records: 10 MiB of them in base64, and their keys.
    pub records_body_bytes: usize,
    /// Bytes of all records of one PutRecords, partition keys included.
    pub put_records_bytes: usize,
    /// Shards of the account.
    pub shards: usize,
    /// Consumers of one data stream (RegisterStreamConsumer: 20).
    pub consumers: usize,
    /// Delivery streams of the account (quota: 5,000).
    pub deliveries: usize,
    /// Bytes of all records of one PutRecordBatch (4 MiB).
    pub put_record_batch_bytes: usize,
    /// Streams of the account (quota: 10,000), video and data each.
    pub streams: usize,
    /// Labels or resource tags of one stream (TagsPerResourceExceededLimit: 50).
    pub tags_per_resource: usize,
    /// Access keys and device credentials that may stand at one time.
    pub credentials: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            handshake: Duration::from_secs(10),
            rtsp_header_bytes: 16 * 1024,
            rtsp_body_bytes: 64 * 1024,
            rtsp_idle: Duration::from_secs(30),
            webrtc_sessions: 2000,
            frame_bytes: 8 * 1024 * 1024,
            fragment_bytes: 50_000_000,
            fragment_target: Duration::from_secs(2),
            fragment_max: Duration::from_secs(20),
            fragments_in_flight: 4,
            tracks: 3,
            fragment_tags: 10,
            put_media_connections: 5,
            put_media_life: Duration::from_mins(45),
            put_media_idle: Duration::from_secs(30),
            get_media_idle: Duration::from_secs(30),
            json_body_bytes: 1024 * 1024,
            records_body_bytes: 16 * 1024 * 1024,
            put_records_bytes: 10 * 1024 * 1024,
            shards: 10_000,
            consumers: 20,
            deliveries: 5000,
            put_record_batch_bytes: 4 * 1024 * 1024,
            streams: 10_000,
            tags_per_resource: 50,
            credentials: 100_000,
        }
    }
}
