//! Amazon Data Firehose: one file per operation.
//!
//! <https://docs.aws.amazon.com/firehose/latest/APIReference/Welcome.html>

mod bucket_description;
mod create_delivery_stream;
mod delete_delivery_stream;
mod delivery;
mod describe_delivery_stream;
mod description;
mod destination;
mod http_endpoint;
mod list_delivery_streams;
mod list_tags_for_delivery_stream;
mod patterns;
mod put_record;
mod put_record_batch;
mod records;
mod s3;
mod source;
mod start_delivery_stream_encryption;
mod stop_delivery_stream_encryption;
mod tag_delivery_stream;
mod tags;
#[cfg(test)]
mod tests;
mod untag_delivery_stream;
mod update_destination;

use crate::aws::Entry;

const SERVICE: &str = "firehose";

/// The operations that are served.
pub const OPERATIONS: &[Entry] = &[
    Entry::of::<create_delivery_stream::CreateDeliveryStream>(SERVICE),
    Entry::of::<delete_delivery_stream::DeleteDeliveryStream>(SERVICE),
    Entry::of::<describe_delivery_stream::DescribeDeliveryStream>(SERVICE),
    Entry::of::<list_delivery_streams::ListDeliveryStreams>(SERVICE),
    Entry::of::<list_tags_for_delivery_stream::ListTagsForDeliveryStream>(SERVICE),
    Entry::of::<put_record::PutRecord>(SERVICE),
    Entry::of::<put_record_batch::PutRecordBatch>(SERVICE),
    Entry::of::<start_delivery_stream_encryption::StartDeliveryStreamEncryption>(SERVICE),
    Entry::of::<stop_delivery_stream_encryption::StopDeliveryStreamEncryption>(SERVICE),
    Entry::of::<tag_delivery_stream::TagDeliveryStream>(SERVICE),
    Entry::of::<untag_delivery_stream::UntagDeliveryStream>(SERVICE),
    Entry::of::<update_destination::UpdateDestination>(SERVICE),
];
