//! The list of all settings.

use super::Config;
use super::values::Value;

/// One setting.
pub struct Setting {
    /// Its TOML key, dotted: `http.address`.
    pub key: &'static str,
    /// Its flag, without dashes. The environment variable follows from it.
    pub flag: &'static str,
    /// What its value is called in `--help`.
    pub value: &'static str,
    /// One line for people.
    pub help: &'static str,
    /// Its place in the configuration.
    pub field: fn(&mut Config) -> &mut dyn Value,
}

impl Setting {
    /// `MILLRACE_HTTP` for the flag `http`.
    pub fn variable(&self) -> String {
        format!("MILLRACE_{}", self.flag.to_ascii_uppercase().replace('-', "_"))
    }
}

const fn setting(
    key: &'static str,
    flag: &'static str,
    value: &'static str,
    help: &'static str,
    field: fn(&mut Config) -> &mut dyn Value,
) -> Setting {
    Setting { key, flag, value, help, field }
}

/// All settings, in the order of the example file: keys of one table stand together.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    setting("data", "data", "DIR",
        "The data folder: log, indexes, credentials, certificates. One process at a time.",
        |c| &mut c.data),
    setting("demo", "demo", "BOOL",
        "Run a demo camera that pushes a test picture to the stream `demo`.",
        |c| &mut c.demo),
    setting("roles", "roles", "ROLES",
        "Which parts of the family this process runs: all.",
        |c| &mut c.roles),
    setting("account", "account", "DIGITS",
        "The account in ARNs: twelve digits.",
        |c| &mut c.account),
    setting("region", "region", "REGION",
        "The region in ARNs.",
        |c| &mut c.region),
    setting("master_key_file", "master-key-file", "FILE",
        "The master key, made on the first start; keep a copy apart from the data folder. Default: \
         millrace/master.key in the configuration folder. MILLRACE_MASTER_KEY (base64 of 32 bytes) overrides it.",
        |c| &mut c.master_key_file),
    setting("master_key_command", "master-key-command", "COMMAND",
        "A program, with arguments, that keeps the master key instead, such as for a KMS: called with wrap or \
         unwrap as last argument, it turns standard input into standard output. A list, or words with spaces between.",
        |c| &mut c.master_key_command),
    setting("device_retention", "device-retention", "DURATION",
        "How long streams that a device's first push makes keep their footage.",
        |c| &mut c.device_retention),
    setting("timestamps", "timestamps", "SOURCE",
        "Which clock names producer timestamps: auto (the camera's while it is trusted), camera, server.",
        |c| &mut c.timestamps),

    setting("pull.allow", "pull-allow", "NETWORKS",
        "Networks that sources may be pulled from, as addresses with prefix lengths and commas between. Default: every \
         address but link-local ones. This server's own listeners never.",
        |c| &mut c.pull_allow),
    setting("pull.ca", "pull-ca", "FILE",
        "Certificates in PEM that sign those of rtsps sources. Default: any certificate is taken, since those of \
         cameras are signed by nobody.",
        |c| &mut c.pull_ca),

    setting("discovery.address", "discovery", "ADDRESS:PORT",
        "Where cameras are looked for (WS-Discovery): ONVIF's multicast group, or one device.",
        |c| &mut c.discovery),

    setting("outbound.allow", "outbound-allow", "NETWORKS",
        "Networks that webhooks and delivery streams may reach, as addresses with prefix lengths and commas between. \
         Default: every address but link-local ones.",
        |c| &mut c.outbound_allow),
    setting("firehose.ca", "firehose-ca", "FILE",
        "Certificates in PEM that sign those of destinations. Default: those that the system trusts.",
        |c| &mut c.firehose_ca),
    setting("firehose.memory", "firehose-memory", "BYTES",
        "Memory for what all delivery streams together are delivering; what waits is in the log.",
        |c| &mut c.firehose_memory),

    setting("storage.free_floor", "free-floor", "SHARE",
        "Free space to keep, of the disk under the data folder: below it the oldest footage that nobody holds goes. \
         A percentage, or bytes such as 50GiB.",
        |c| &mut c.free_floor),
    setting("storage.reserve", "reserve", "SHARE",
        "The last free space, for commands and the ends of segments: below it no new data is taken.",
        |c| &mut c.reserve),
    setting("storage.tail_ring", "tail-ring", "BYTES",
        "Memory for the newest records of data streams, so that who reads as they are written needs no disk; 0 for none.",
        |c| &mut c.tail_ring),

    setting("http.address", "http", "ADDRESS:PORT",
        "HTTP: AWS APIs, native API, HLS, the page. Port 0 is any free one.",
        |c| &mut c.http),
    setting("http.public_url", "http-public-url", "URL",
        "What clients call this listener, in endpoints and session URLs. Default: the bound address.",
        |c| &mut c.http_public_url),

    setting("https.address", "https", "ADDRESS:PORT",
        "The same over TLS.",
        |c| &mut c.https),
    setting("https.public_url", "https-public-url", "URL",
        "What clients call this listener. Default: the bound address, or the host's name where that is a wildcard.",
        |c| &mut c.https_public_url),

    setting("rtsp.address", "rtsp", "ADDRESS:PORT",
        "RTSP: cameras push here.",
        |c| &mut c.rtsp),

    setting("rtsps.address", "rtsps", "ADDRESS:PORT",
        "RTSP over TLS.",
        |c| &mut c.rtsps),

    setting("webrtc.address", "webrtc", "ADDRESS:PORT",
        "WebRTC media, one number for UDP and TCP: what browsers and encoders publish by WHIP comes in here.",
        |c| &mut c.webrtc),
    setting("webrtc.public_addresses", "webrtc-public-addresses", "IP,IP",
        "The addresses that ICE candidates carry. Default: the bound address, or every interface's.",
        |c| &mut c.webrtc_public_addresses),

    setting("tls.certificate", "tls-certificate", "FILE",
        "A certificate chain in PEM. Default: one of the own CA, whose certificate is tls/ca.pem in the data folder.",
        |c| &mut c.tls_certificate),
    setting("tls.key", "tls-key", "FILE",
        "The certificate's key in PEM.",
        |c| &mut c.tls_key),

    setting("log.format", "log-format", "FORMAT",
        "How log lines look: text or json.",
        |c| &mut c.log_format),
    setting("log.level", "log-level", "FILTER",
        "Which log lines there are: error, warn, info, debug, trace, or a filter such as info,ingest=debug.",
        |c| &mut c.log_level),

    setting("limits.connections", "limit-connections", "COUNT",
        "Open TCP connections per listener.",
        |c| &mut c.limits.connections),
    setting("limits.handshake", "limit-handshake", "DURATION",
        "How long a connection may take for a handshake or a request's headers, and a WebRTC session to be connected.",
        |c| &mut c.limits.handshake),
    setting("limits.json_body_bytes", "limit-json-body-bytes", "BYTES",
        "Size of a JSON request's body.",
        |c| &mut c.limits.json_body_bytes),
    setting("limits.records_body_bytes", "limit-records-body-bytes", "BYTES",
        "Size of the body of PutRecord, PutRecords and PutRecordBatch.",
        |c| &mut c.limits.records_body_bytes),
    setting("limits.put_records_bytes", "limit-put-records-bytes", "BYTES",
        "Records of one PutRecords together, partition keys included.",
        |c| &mut c.limits.put_records_bytes),
    setting("limits.put_record_batch_bytes", "limit-put-record-batch-bytes", "BYTES",
        "Records of one PutRecordBatch together.",
        |c| &mut c.limits.put_record_batch_bytes),
    setting("limits.deliveries", "limit-deliveries", "COUNT",
        "Delivery streams of the account.",
        |c| &mut c.limits.deliveries),
    setting("limits.shards", "limit-shards", "COUNT",
        "Shards of the account's data streams.",
        |c| &mut c.limits.shards),
    setting("limits.consumers", "limit-consumers", "COUNT",
        "Consumers registered on one data stream.",
        |c| &mut c.limits.consumers),
    setting("limits.rtsp_header_bytes", "limit-rtsp-header-bytes", "BYTES",
        "Size of an RTSP message's start line and headers.",
        |c| &mut c.limits.rtsp_header_bytes),
    setting("limits.rtsp_body_bytes", "limit-rtsp-body-bytes", "BYTES",
        "Size of an RTSP message's body.",
        |c| &mut c.limits.rtsp_body_bytes),
    setting("limits.rtsp_idle", "limit-rtsp-idle", "DURATION",
        "How long a publisher may send nothing.",
        |c| &mut c.limits.rtsp_idle),
    setting("limits.webrtc_sessions", "limit-webrtc-sessions", "COUNT",
        "WebRTC sessions that may be open at one time, half-made ones included.",
        |c| &mut c.limits.webrtc_sessions),
    setting("limits.frame_bytes", "limit-frame-bytes", "BYTES",
        "Size of one video or audio frame.",
        |c| &mut c.limits.frame_bytes),
    setting("limits.fragment_bytes", "limit-fragment-bytes", "BYTES",
        "Size of one fragment.",
        |c| &mut c.limits.fragment_bytes),
    setting("limits.fragment_target", "limit-fragment-target", "DURATION",
        "A fragment is cut at the first key frame after this.",
        |c| &mut c.limits.fragment_target),
    setting("limits.fragment_max", "limit-fragment-max", "DURATION",
        "A fragment is cut here even without a key frame.",
        |c| &mut c.limits.fragment_max),
    setting("limits.fragments_in_flight", "limit-fragments-in-flight", "COUNT",
        "Fragments of one publisher that may wait for the disk.",
        |c| &mut c.limits.fragments_in_flight),
    setting("limits.tracks", "limit-tracks", "COUNT",
        "Tracks of one stream.",
        |c| &mut c.limits.tracks),
    setting("limits.fragment_tags", "limit-fragment-tags", "COUNT",
        "Tags of one fragment that PutMedia takes.",
        |c| &mut c.limits.fragment_tags),
    setting("limits.put_media_connections", "limit-put-media-connections", "COUNT",
        "PutMedia connections of one stream: producers open the next one before they close the last.",
        |c| &mut c.limits.put_media_connections),
    setting("limits.put_media_life", "limit-put-media-life", "DURATION",
        "How long a PutMedia connection may last.",
        |c| &mut c.limits.put_media_life),
    setting("limits.put_media_idle", "limit-put-media-idle", "DURATION",
        "How long a PutMedia producer may send nothing.",
        |c| &mut c.limits.put_media_idle),
    setting("limits.get_media_idle", "limit-get-media-idle", "DURATION",
        "How long GetMedia waits for the next fragment before it ends.",
        |c| &mut c.limits.get_media_idle),
    setting("limits.streams", "limit-streams", "COUNT",
        "Streams of the account.",
        |c| &mut c.limits.streams),
    setting("limits.tags_per_resource", "limit-tags-per-resource", "COUNT",
        "Labels, and resource tags, of one stream.",
        |c| &mut c.limits.tags_per_resource),
    setting("limits.credentials", "limit-credentials", "COUNT",
        "Access keys and device credentials that stand.",
        |c| &mut c.limits.credentials),
];
