//! The operation list as a document for people and as one for machines.
//!
//! `docs/api-coverage.md` says what is served and what is not. `docs/api-model.json` describes every
//! served operation as the AWS model would; the whole-system tests compare it with botocore's. Both
//! are written by the tests below when `MILLRACE_BLESS=1`, and a stale one fails them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Value, json};

use super::check::{Check, Member};
use super::wire::Wire;
use super::{Entry, Operation, operations};
use crate::exception::Code;

/// An operation as the AWS model would describe it.
#[derive(Serialize)]
pub struct Description {
    method: &'static str,
    path: &'static str,
    errors: BTreeMap<&'static str, u16>,
    input: Vec<Member>,
    /// Member paths of the output; `[]` stands for the entries of a list.
    output: Vec<String>,
    /// Members of the model's output that are never answered, with all that is in them.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    never_answered: &'static [&'static str],
    #[serde(skip)]
    reads: fn(Value) -> bool,
}

/// What `Entry::of` keeps for an operation.
pub fn describe<O: Operation>() -> Description {
    let wire = if O::PATH == "/" { Wire::Json } else { Wire::RestJson };
    let mut check = Check::describing();
    O::check(&O::Input::default(), &mut check);
    let mut output = Vec::new();
    member_paths("", &O::sample(), &mut output);
    Description {
        method: "POST",
        path: O::PATH,
        errors: O::ERRORS.iter().map(|code| (wire.name(*code), wire.status(*code).as_u16())).collect(),
        input: check.members().to_vec(),
        output,
        never_answered: O::never_answered(),
        reads: |value| serde_json::from_value::<O::Input>(value).is_ok(),
    }
}

/// Maps of tags have no members of their own: a sample's map is empty.
fn member_paths(prefix: &str, value: &Value, paths: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                paths.push(path.clone());
                member_paths(&path, value, paths);
            }
        }
        Value::Array(entries) => {
            entries.iter().for_each(|entry| member_paths(&format!("{prefix}[]"), entry, paths));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Operations of these services that are not served, by botocore's service name.
const NOT_SERVED: &[(&str, &[&str])] = &[
    (
        "kinesisvideo",
        &[
            "CreateSignalingChannel",
            "DeleteSignalingChannel",
            "DescribeImageGenerationConfiguration",
            "DescribeMappedResourceConfiguration",
            "DescribeMediaStorageConfiguration",
            "DescribeNotificationConfiguration",
            "DescribeSignalingChannel",
            "DescribeStreamStorageConfiguration",
            "GetSignalingChannelEndpoint",
            "ListSignalingChannels",
            "ListTagsForResource",
            "TagResource",
            "UntagResource",
            "UpdateImageGenerationConfiguration",
            "UpdateMediaStorageConfiguration",
            "UpdateNotificationConfiguration",
            "UpdateSignalingChannel",
            "UpdateStreamStorageConfiguration",
        ],
    ),
    (
        "kinesis",
        &[
            "AcknowledgeDeadLetterQueueRecords",
            "AcknowledgeQueueRecords",
            "CreateChannel",
            "CreateQueue",
            "DeleteChannel",
            "DeleteQueue",
            "DeleteResourcePolicy",
            "DescribeAccountSettings",
            "DescribeChannel",
            "DescribeQueue",
            "DisableEnhancedMonitoring",
            "EnableEnhancedMonitoring",
            "GetResourcePolicy",
            "ListChannels",
            "ListQueues",
            "MergeShards",
            "PutResourcePolicy",
            "ReceiveDeadLetterQueueRecords",
            "ReceiveQueueRecords",
            "RestoreDeadLetterQueueRecords",
            "SplitShard",
            "StartStreamEncryption",
            "StopStreamEncryption",
            "UpdateAccountSettings",
            "UpdateChannel",
            "UpdateDeadLetterQueueRecordsVisibility",
            "UpdateMaxRecordSize",
            "UpdateQueue",
            "UpdateQueueRecordsVisibility",
            "UpdateShardCount",
            "UpdateStreamMode",
            "UpdateStreamRecordDistributionStrategy",
            "UpdateStreamWarmThroughput",
        ],
    ),
    ("firehose", &[]),
    ("kinesis-video-archived-media", &["GetClip", "GetDASHStreamingSessionURL", "GetImages"]),
    ("kinesis-video-media", &[]),
    ("kinesis-video-signaling", &["GetIceServerConfig", "SendAlexaOfferToMaster"]),
    ("kinesis-video-webrtc-storage", &["JoinStorageSession", "JoinStorageSessionAsViewer"]),
];

fn coverage() -> String {
    let mut text = "# AWS operations\n\nMade from the lists of operations in `gateway/src/video/mod.rs`, \
                    `gateway/src/streams/mod.rs` and\n`gateway/src/firehose/mod.rs`. An operation that is not \
                    served answers as AWS answers an unknown one:\n`UnknownOperationException`, HTTP 404 (400 \
                    with `X-Amz-Target`).\n"
        .to_owned();
    for (service, absent) in NOT_SERVED {
        let _ = writeln!(text, "\n## {service}\n\n| operation | served |\n|---|---|");
        let mut rows: BTreeMap<&str, &str> = absent.iter().map(|name| (*name, "no")).collect();
        for entry in operations().filter(|entry| entry.service == *service) {
            assert!(rows.insert(entry.name, "yes").is_none(), "{} is served and is not", entry.name);
        }
        rows.iter().for_each(|(name, served)| {
            let _ = writeln!(text, "| {name} | {served} |");
        });
    }
    text
}

fn model() -> String {
    let mut services: BTreeMap<&str, BTreeMap<&str, Description>> = BTreeMap::new();
    for Entry { name, service, describe, .. } in operations() {
        // The AWS models do not tell of operations whose body is a stream.
        if let Some(describe) = describe {
            services.entry(service).or_default().insert(name, describe());
        }
    }
    serde_json::to_string_pretty(&services).unwrap() + "\n"
}

/// Compares a document with what it should be, or writes it.
fn agrees(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    if std::env::var_os("MILLRACE_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "docs/{name} is stale: MILLRACE_BLESS=1 cargo test -p gateway writes it");
}

#[test]
fn the_documents_are_those_of_the_list() {
    agrees("api-coverage.md", &coverage());
    agrees("api-model.json", &model());
}

/// A member that is described but spelled otherwise in the input would be ignored: one of a wrong kind
/// shows that it is read.
#[test]
fn every_described_member_is_read() {
    for (entry, describe) in operations().filter_map(|entry| Some((entry, entry.describe?))) {
        let described = describe();
        for member in &described.input {
            let wrong = match member.kind {
                "string" | "integer" | "boolean" | "blob" | "timestamp" => json!({ "not": "this" }),
                "list" | "map" | "structure" => json!(7),
                other => panic!("{other} is no kind"),
            };
            let nested = member.name.rsplit('.').fold(wrong, |inner, name| json!({ name: inner }));
            assert!(!(described.reads)(nested), "{} does not read {}", entry.name, member.name);
        }
    }
}

#[test]
fn every_operation_is_in_the_list_once() {
    let mut names: Vec<_> = operations().map(|entry| (entry.service, entry.name)).collect();
    let mut paths: Vec<_> =
        operations().map(|entry| ("", entry.path)).filter(|(_, path)| *path != "/").collect();
    for list in [&mut names, &mut paths] {
        let count = list.len();
        list.sort_unstable();
        list.dedup();
        assert_eq!(list.len(), count);
    }
    assert!(operations().all(|entry| !entry.errors.contains(&Code::UnknownOperation)));
}
