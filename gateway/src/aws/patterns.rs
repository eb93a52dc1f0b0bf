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
/// HubDeviceArn.
pub const HUB_DEVICE_ARN: Pattern = Pattern {
    text: r"arn:[a-z\d-]+:iot:[a-z0-9-]+:[0-9]+:thing/[a-zA-Z0-9_.-]+",
    matches: |text| is_arn_of(text, "iot", "thing/"),
};
/// MediaUriSecretArn.
pub const MEDIA_URI_SECRET_ARN: Pattern = Pattern {
    text: r"arn:[a-z\d-]+:secretsmanager:[a-z0-9-]+:[0-9]+:secret:[a-zA-Z0-9_.-]+",
    matches: |text| is_arn_of(text, "secretsmanager", "secret:"),
};
/// ScheduleExpression.
pub const SCHEDULE: Pattern = Pattern {
    text: r"[^\n]{11,100}",
    matches: |text| (11..=100).contains(&text.chars().count()) && !text.contains('\n'),
};
/// ResourceARN of the media API.
pub const MEDIA_ARN: Pattern = Pattern {
    text: r"arn:aws:kinesisvideo:[a-z0-9-]+:[0-9]+:[a-z]+/[a-zA-Z0-9_.-]+/[0-9]+",
    matches: |text| text.starts_with("arn:aws:") && is_resource_arn(text),
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
/// ContinuationToken of GetMedia.
pub const CONTINUATION_TOKEN: Pattern = Pattern { text: r"^[a-zA-Z0-9_\.\-]+$", matches: is_name };
/// NextToken of the control plane.
pub const TOKEN: Pattern = Pattern { text: "[a-zA-Z0-9+/=]*", matches: is_token };
/// NextToken of archived media.
pub const MEDIA_TOKEN: Pattern = Pattern { text: "[a-zA-Z0-9+/]+={0,2}", matches: is_media_token };
/// TagKey.
pub const TAG_NAME: Pattern = Pattern { text: r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$", matches: is_tag_text };
/// TagValue.
pub const TAG_VALUE: Pattern = Pattern { text: r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", matches: is_tag_text };

/// StreamARN of Kinesis Data Streams.
pub const DATA_STREAM_ARN: Pattern =
    Pattern { text: r"arn:aws.*:kinesis:.*:\d{12}:stream/\S+", matches: is_data_stream_arn };
/// ResourceARN of Kinesis Data Streams.
pub const DATA_RESOURCE_ARN: Pattern = Pattern {
    text: r"arn:aws.*:kinesis:.*:\d{12}:.*(stream|channel|queue)/\S+",
    matches: is_data_resource_arn,
};
/// ConsumerARN.
pub const CONSUMER_ARN: Pattern = Pattern {
    text: r"^(arn):aws.*:kinesis:.*:\d{12}:.*stream\/[a-zA-Z0-9_.-]+\/consumer\/[a-zA-Z0-9_.-]+:[0-9]+",
    matches: is_consumer_arn,
};
/// StreamId of Kinesis Data Streams.
pub const DATA_STREAM_ID: Pattern = Pattern { text: "[a-z0-9]{20}-[a-z0-9]{3}", matches: is_data_stream_id };
/// HashKey.
pub const HASH_KEY: Pattern = Pattern { text: r"^(0|([1-9]\d{0,38}))$", matches: |text| is_number(text, 39) };
/// SequenceNumber.
pub const SEQUENCE_NUMBER: Pattern =
    Pattern { text: r"^(0|([1-9]\d{0,128}))$", matches: |text| is_number(text, 129) };

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// A partition or a region.
fn is_place(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// An ARN of this service, whose resource is a name behind `kind`.
fn is_arn_of(text: &str, service: &str, kind: &str) -> bool {
    let Ok(arn) = text.parse::<Arn>() else { return false };
    is_place(&arn.partition)
        && arn.service == service
        && is_place(&arn.region)
        && arn.resource.strip_prefix(kind).is_some_and(is_name)
}

fn is_resource_arn(text: &str) -> bool {
    let Ok(arn) = text.parse::<Arn>() else { return false };
    let parts: Vec<&str> = arn.resource.split('/').collect();
    let [kind, name, created] = parts[..] else { return false };
    is_place(&arn.partition)
        && arn.service == "kinesisvideo"
        && is_place(&arn.region)
        && !kind.is_empty()
        && kind.bytes().all(|b| b.is_ascii_lowercase())
        && StreamName::new(name).is_ok()
        && is_digits(created)
}

/// An ARN of Kinesis Data Streams, whose resource is as `matches` says.
fn is_kinesis_arn(text: &str, matches: impl Fn(&str) -> bool) -> bool {
    let arn = text.parse::<Arn>();
    arn.is_ok_and(|arn| {
        arn.partition.starts_with("aws") && arn.service == "kinesis" && matches(&arn.resource)
    })
}

fn is_data_stream_arn(text: &str) -> bool {
    is_kinesis_arn(text, |resource| resource.strip_prefix("stream/").is_some_and(is_solid))
}

fn is_data_resource_arn(text: &str) -> bool {
    let kinds = ["stream/", "channel/", "queue/"];
    is_kinesis_arn(text, |resource| {
        kinds.iter().any(|kind| resource.split_once(kind).is_some_and(|(_, rest)| is_solid(rest)))
    })
}

fn is_consumer_arn(text: &str) -> bool {
    is_kinesis_arn(text, |resource| {
        let stream = resource.split_once("stream/").and_then(|(_, rest)| rest.split_once("/consumer/"));
        let consumer = stream.and_then(|(_, consumer)| consumer.split_once(':'));
        stream.is_some_and(|(name, _)| is_name(name))
            && consumer.is_some_and(|(name, made)| is_name(name) && is_digits(made))
    })
}

/// Something, and no space in it.
fn is_solid(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_whitespace)
}

fn is_data_stream_id(text: &str) -> bool {
    let word = |text: &str, len| {
        text.len() == len && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    text.split_once('-').is_some_and(|(long, short)| word(long, 20) && word(short, 3))
}

/// A whole number without leading zeros, of at most so many digits.
fn is_number(text: &str, digits: usize) -> bool {
    is_digits(text) && text.len() <= digits && (text == "0" || !text.starts_with('0'))
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
            (
                DATA_STREAM_ARN,
                "arn:aws:kinesis:us-east-1:000000000000:stream/a",
                "arn:aws:kinesisvideo:us-east-1:000000000000:stream/a/1",
            ),
            (
                DATA_RESOURCE_ARN,
                "arn:aws:kinesis:us-east-1:000000000000:stream/a/consumer/b:1",
                "arn:aws:kinesis:us-east-1:000000000000:door/a",
            ),
            (
                CONSUMER_ARN,
                "arn:aws:kinesis:us-east-1:000000000000:stream/a/consumer/b:1",
                "arn:aws:kinesis:us-east-1:000000000000:stream/a/consumer/b",
            ),
            (DATA_STREAM_ID, "abcdefghij0123456789-abc", "abcdefghij0123456789abc"),
            (HASH_KEY, "0", "00"),
            (SEQUENCE_NUMBER, "49", "-1"),
            (
                HUB_DEVICE_ARN,
                "arn:aws:iot:us-east-1:000000000000:thing/hub-1",
                "arn:aws:iot:us-east-1:000000000000:thing/",
            ),
            (
                MEDIA_URI_SECRET_ARN,
                "arn:aws:secretsmanager:us-east-1:000000000000:secret:door-aB3dE9",
                "arn:aws:secretsmanager:us-east-1:000000000000:secret:a/b",
            ),
            (SCHEDULE, "0 0 12 * * ?", "0 0 12 * *"),
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
