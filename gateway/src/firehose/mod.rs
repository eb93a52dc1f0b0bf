//! Amazon Data Firehose: one file per operation.
//!
//! <https://docs.aws.amazon.com/firehose/latest/APIReference/Welcome.html>

mod create_delivery_stream;
mod delete_delivery_stream;
mod delivery;
mod describe_delivery_stream;
mod description;
mod http_endpoint;
mod list_delivery_streams;
mod patterns;
mod put_record;
mod put_record_batch;
mod records;
mod s3;
mod source;
#[cfg(test)]
mod tests;

use crate::aws::Entry;

const SERVICE: &str = "firehose";

/// The operations that are served.
pub const OPERATIONS: &[Entry] = &[
    Entry::of::<create_delivery_stream::CreateDeliveryStream>(SERVICE),
    Entry::of::<delete_delivery_stream::DeleteDeliveryStream>(SERVICE),
    Entry::of::<describe_delivery_stream::DescribeDeliveryStream>(SERVICE),
    Entry::of::<list_delivery_streams::ListDeliveryStreams>(SERVICE),
    Entry::of::<put_record::PutRecord>(SERVICE),
    Entry::of::<put_record_batch::PutRecordBatch>(SERVICE),
];
