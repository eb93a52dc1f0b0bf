//! What is refused, as the SDK tells it.

use std::env;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use serde_json::{Value, json};

use super::{Failure, client};

/// Code, HTTP status and message of each refusal.
pub async fn all(kinesis: &Client, stream: &str, (key, secret): (&str, &str)) -> Result<Value, Failure> {
    let forged: String = secret.chars().rev().collect();
    let forged = client(key, &forged)?;
    let other = client(&env::var("OTHER_ACCESS_KEY_ID")?, &env::var("OTHER_SECRET_ACCESS_KEY")?)?;
    Ok(json!({
        "absent": refused(kinesis.describe_stream_summary().stream_name("absent").send().await),
        "again": refused(kinesis.create_stream().stream_name(stream).shard_count(1).send().await),
        "iterator": refused(kinesis.get_records().shard_iterator("AAAA").send().await),
        "million": refused(kinesis.create_stream().stream_name("million").shard_count(1_000_000).send().await),
        "none": refused(kinesis.create_stream().stream_name("none").shard_count(0).send().await),
        "forged": refused(forged.describe_stream_summary().stream_name(stream).send().await),
        "denied": refused(other.describe_stream_summary().stream_name(stream).send().await),
    }))
}

fn refused<T, E: ProvideErrorMetadata>(result: Result<T, SdkError<E>>) -> Value {
    let Err(error) = result else { return Value::Null };
    let status = error.raw_response().map(|response| response.status().as_u16());
    json!([error.code(), status, error.message()])
}
