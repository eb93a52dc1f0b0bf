//! What can be wrong with media.

/// Media that cannot be taken or made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    /// A codec or a way of packing it that is not spoken here.
    #[error(
        "{what} is not supported: send H264, H265, AV1, VP9, VP8 or JPEG, with AAC (MPEG4-GENERIC, mode AAC-hbr), \
             OPUS, PCMU, PCMA or L16"
    )]
    Unsupported {
        /// The codec or the feature, as the sender named it.
        what: String,
    },
    /// A codec that players do not take in MP4.
    #[error("{} does not go into MP4: take it as Matroska, with GetMediaForFragmentList", codec.name())]
    NotInMp4 {
        /// The codec.
        codec: crate::CodecId,
    },
    /// Bytes that break their format's rules.
    #[error("malformed {what}: {why}")]
    Malformed {
        /// The structure, with the section that defines it.
        what: &'static str,
        /// Which rule is broken.
        why: &'static str,
    },
    /// Something larger than its limit.
    #[error("{what} is larger than the limit of {limit}")]
    TooLarge {
        /// The structure.
        what: &'static str,
        /// The limit, in the structure's own unit (bytes, entries, levels).
        limit: usize,
    },
    /// A stored fragment that is not the one its metadata describes.
    #[error("fragment {number} does not match its metadata: {why}; run `millrace verify`")]
    Mismatch {
        /// The fragment's number.
        number: base::FragmentNumber,
        /// What differs.
        why: &'static str,
    },
}
