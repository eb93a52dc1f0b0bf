//! The patterns of Firehose's model: each with its text there and what it means.

use base::Arn;

use crate::aws::check::Pattern;

/// KinesisStreamARN.
pub const STREAM_ARN: Pattern = Pattern {
    text: r"arn:.*:kinesis:[a-zA-Z0-9\-]+:\d{12}:stream/[a-zA-Z0-9_.-]+",
    matches: |text| is_arn(text, "kinesis", "stream/", "_.-"),
};
/// RoleARN.
pub const ROLE_ARN: Pattern = Pattern {
    text: r"arn:.*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]+",
    matches: |text| is_arn(text, "iam", "role/", "_+=,.@-/"),
};
/// AWSKMSKeyARNForSSE.
pub const KEY_ARN: Pattern = Pattern {
    text: r"arn:.*:kms:[a-zA-Z0-9\-]+:\d{12}:key/[a-zA-Z_0-9+=,.@\-_/]+",
    matches: |text| is_arn(text, "kms", "key/", "_+=,.@-/"),
};
/// AWSKMSKeyARN.
pub const KEY_OR_ALIAS_ARN: Pattern = Pattern {
    text: r"arn:.*:kms:[a-zA-Z0-9\-]+:\d{12}:(key|alias)/[a-zA-Z_0-9+=,.@\-_/]+",
    matches: |text| ["key/", "alias/"].iter().any(|kind| is_arn(text, "kms", kind, "_+=,.@-/")),
};
/// BucketARN.
pub const BUCKET_ARN: Pattern = Pattern { text: r"arn:.*:s3:::[\w\.\-]{1,255}", matches: is_bucket_arn };
/// Prefix, ErrorOutputPrefix, HttpEndpointAccessKey.
pub const ONE_LINE: Pattern = Pattern { text: ".*", matches: |text| !text.contains(['\n', '\r']) };
/// LogGroupName.
pub const LOG_GROUP: Pattern = Pattern {
    text: r"[\.\-_/#A-Za-z0-9]*",
    matches: |text| text.chars().all(|c| c.is_ascii_alphanumeric() || ".-_/#".contains(c)),
};
/// LogStreamName.
pub const LOG_STREAM: Pattern = Pattern { text: "[^:*]*", matches: |text| !text.contains([':', '*']) };
/// FileExtension.
pub const FILE_EXTENSION: Pattern = Pattern { text: r"^$|\.[0-9a-z!\-_.*'()]+", matches: is_file_extension };
/// CustomTimeZone.
pub const TIME_ZONE: Pattern = Pattern {
    text: "^$|[a-zA-Z/_]+",
    matches: |text| text.chars().all(|c| c.is_ascii_alphabetic() || "/_".contains(c)),
};
/// HttpEndpointUrl. AWS takes `https` alone; here `http` is taken, too.
pub const ENDPOINT_URL: Pattern = Pattern {
    text: "https://.*",
    matches: |text| {
        (text.starts_with("https://") || text.starts_with("http://")) && !text.contains(['\n', '\r'])
    },
};
/// HttpEndpointName, HttpEndpointAttributeName.
pub const NOT_BLANK: Pattern =
    Pattern { text: r"^(?!\s*$).+", matches: |text| !text.trim().is_empty() && !text.contains(['\n', '\r']) };
/// TagKey.
pub const TAG_KEY: Pattern = Pattern {
    text: r"^(?!aws:)[\p{L}\p{Z}\p{N}_.:\/=+\-@%]*$",
    matches: |text| {
        let separator = |c: char| c.is_whitespace() && !c.is_control();
        let allowed = |c: char| c.is_alphanumeric() || separator(c) || "_.:/=+-@%".contains(c);
        !text.starts_with("aws:") && text.chars().all(allowed)
    },
};
/// DeliveryStreamVersionId.
pub const VERSION_ID: Pattern = Pattern {
    text: "[0-9]+",
    matches: |text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()),
};
/// DestinationId.
pub const DESTINATION_ID: Pattern = Pattern {
    text: "[a-zA-Z0-9-]+",
    matches: |text| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'),
};

/// An ARN of this service whose resource has this kind and then letters, digits and these others.
fn is_arn(text: &str, service: &str, kind: &str, others: &str) -> bool {
    let Ok(arn) = text.parse::<Arn>() else { return false };
    let region = arn.region.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let region = region && (arn.region.is_empty() == (service == "iam"));
    let name = arn.resource.strip_prefix(kind).unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || others.contains(c);
    arn.service == service && region && !name.is_empty() && name.chars().all(allowed)
}

/// `arn:PARTITION:s3:::BUCKET`, without region and account.
fn is_bucket_arn(text: &str) -> bool {
    let Some((_, bucket)) = text.strip_prefix("arn:").and_then(|rest| rest.split_once(":s3:::")) else {
        return false;
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    (1..=255).contains(&bucket.len()) && bucket.chars().all(allowed)
}

fn is_file_extension(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_digit() || c.is_ascii_lowercase() || "!-_.*'()".contains(c);
    match text.strip_prefix('.') {
        Some(rest) => !rest.is_empty() && rest.chars().all(allowed),
        None => text.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_take_and_refuse_what_their_text_says() {
        for (pattern, good, bad) in [
            (TAG_KEY, "Türe 1%", "aws:team"),
            (VERSION_ID, "12", "12a"),
            (
                STREAM_ARN,
                "arn:aws:kinesis:us-east-1:000000000000:stream/a.b",
                "arn:aws:kinesis::000000000000:stream/a",
            ),
            (ROLE_ARN, "arn:aws:iam::000000000000:role/a/b@c", "arn:aws:iam::000000000000:user/a"),
            (
                KEY_ARN,
                "arn:aws:kms:us-east-1:000000000000:key/a",
                "arn:aws:kms:us-east-1:000000000000:alias/a",
            ),
            (KEY_OR_ALIAS_ARN, "arn:aws:kms:us-east-1:000000000000:alias/a", "alias/a"),
            (BUCKET_ARN, "arn:aws:s3:::lake.one", "arn:aws:s3:::lake/one"),
            (ONE_LINE, "", "a\nb"),
            (LOG_GROUP, "/aws/firehose", "a b"),
            (LOG_STREAM, "a b", "a:b"),
            (FILE_EXTENSION, ".json.gz", "json"),
            (TIME_ZONE, "Etc/UTC", "UTC+1"),
            (ENDPOINT_URL, "http://127.0.0.1:8080/in", "ftp://example"),
            (NOT_BLANK, "a b", "  "),
            (DESTINATION_ID, "destinationId-000000000001", "a_b"),
        ] {
            assert!((pattern.matches)(good), "{} {good}", pattern.text);
            assert!(!(pattern.matches)(bad), "{} {bad}", pattern.text);
        }
    }
}
