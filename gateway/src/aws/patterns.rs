//! The patterns of the AWS models: each with its text there and what it means.

use base::{Arn, StreamName};

use super::check::Pattern;

/// StreamName, DeviceName.
pub const STREAM_NAME: Pattern = Pattern { text: "[a-zA-Z0-9_.-]+", matches: is_name };
/// ResourceARN of Kinesis Video Streams.
pub const RESOURCE_ARN: Pattern = Pattern {
    text: r"arn:[a-z\d-]+:kinesisvideo:[a-z0-9-]+:[0-9]+:[a-z]+/[a-zA-Z0-9_.-]+/[0-9]+",
    matches: is_resource_arn,
};
/// Version.
pub const VERSION: Pattern = Pattern { text: "[a-zA-Z0-9]+", matches: is_version };
/// MediaType.
pub const MEDIA_TYPE: Pattern =
    Pattern { text: r"[\w\-\.\+]+/[\w\-\.\+]+(,[\w\-\.\+]+/[\w\-\.\+]+)*", matches: is_media_types };
/// KmsKeyId.
pub const KMS_KEY: Pattern = Pattern { text: ".+", matches: is_one_line };
/// FragmentNumberString.
pub const DIGITS: Pattern = Pattern { text: "^[0-9]+$", matches: is_digits };
/// NextToken of the control plane.
pub const TOKEN: Pattern = Pattern { text: "[a-zA-Z0-9+/=]*", matches: is_token };
/// NextToken of archived media.
pub const MEDIA_TOKEN: Pattern = Pattern { text: "[a-zA-Z0-9+/]+={0,2}", matches: is_media_token };
/// TagKey.
pub const TAG_NAME: Pattern = Pattern { text: r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$", matches: is_tag_text };
/// TagValue.
pub const TAG_VALUE: Pattern = Pattern { text: r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", matches: is_tag_text };

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

fn is_resource_arn(text: &str) -> bool {
    let Ok(arn) = text.parse::<Arn>() else { return false };
    let word = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let parts: Vec<&str> = arn.resource.split('/').collect();
    let [kind, name, created] = parts[..] else { return false };
    word(&arn.partition)
        && arn.service == "kinesisvideo"
        && word(&arn.region)
        && !kind.is_empty()
        && kind.bytes().all(|b| b.is_ascii_lowercase())
        && StreamName::new(name).is_ok()
        && is_digits(created)
}

fn is_version(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn is_media_types(text: &str) -> bool {
    let word = |part: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'+');
        !part.is_empty() && part.bytes().all(allowed)
    };
    text.split(',').all(|one| one.split_once('/').is_some_and(|(kind, sub)| word(kind) && word(sub)))
}

fn is_one_line(text: &str) -> bool {
    !text.is_empty() && !text.contains(['\n', '\r'])
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_token(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='))
}

fn is_media_token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    text.len() - body.len() <= 2
        && !body.is_empty()
        && body.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
}

fn is_tag_text(text: &str) -> bool {
    // Separators (Z) are spaces and the line and paragraph separators; control characters are not.
    let separator = |c: char| c.is_whitespace() && !c.is_control();
    text.chars().all(|c| c.is_alphanumeric() || separator(c) || "_.:/=+-@".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_take_and_refuse_what_their_text_says() {
        for (pattern, good, bad) in [
            (STREAM_NAME, "front-door_1.b", "a/b"),
            (
                RESOURCE_ARN,
                "arn:aws:kinesisvideo:us-east-1:000000000000:stream/a/1",
                "arn:aws:kinesisvideo:us-east-1:000000000000:stream/a",
            ),
            (VERSION, "aB3", "a-b"),
            (MEDIA_TYPE, "video/h264,audio/aac", "video"),
            (KMS_KEY, "alias/aws/kinesisvideo", "a\nb"),
            (DIGITS, "0123", "12a"),
            (TOKEN, "ab+/==", "a b"),
            (MEDIA_TOKEN, "abc=", "abc==="),
            (TAG_NAME, "Türe 1/a@b", "a#b"),
        ] {
            assert!((pattern.matches)(good), "{} {good}", pattern.text);
            assert!(!(pattern.matches)(bad), "{} {bad}", pattern.text);
        }
    }
}
