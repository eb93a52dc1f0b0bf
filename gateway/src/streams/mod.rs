//! Amazon Kinesis Data Streams: one file per operation.
//!
//! <https://docs.aws.amazon.com/kinesis/latest/APIReference/Welcome.html>

mod add_tags_to_stream;
mod consumer;
mod create_stream;
mod decrease_stream_retention_period;
mod delete_stream;
mod deregister_stream_consumer;
mod describe_limits;
mod describe_stream;
mod describe_stream_consumer;
mod describe_stream_summary;
mod get_records;
mod get_shard_iterator;
mod increase_stream_retention_period;
mod iterator;
mod list_shards;
mod list_stream_consumers;
mod list_streams;
mod list_tags_for_resource;
mod list_tags_for_stream;
mod page;
mod put_record;
mod put_records;
mod reader;
mod record;
mod register_stream_consumer;
mod remove_tags_from_stream;
mod retention;
mod source;
mod start;
mod stream;
mod subscribe_to_shard;
mod subscription;
pub mod subscriptions;
mod tag_resource;
mod tags;
mod tail;
#[cfg(test)]
mod tests;
mod untag_resource;

use crate::aws::Entry;

pub use reader::{FragmentReads, ReadError, RecordReader, video_name};
pub use stream::{Found, fragments_of, lookup, lookup_name, retention_hours};
pub use tags::check_charset;
pub use tail::{Tail, Told};

const SERVICE: &str = "kinesis";

/// The operations that are served.
pub const OPERATIONS: &[Entry] = &[
    Entry::of::<add_tags_to_stream::AddTagsToStream>(SERVICE),
    Entry::of::<create_stream::CreateStream>(SERVICE),
    Entry::of::<decrease_stream_retention_period::DecreaseStreamRetentionPeriod>(SERVICE),
    Entry::of::<delete_stream::DeleteStream>(SERVICE),
    Entry::of::<deregister_stream_consumer::DeregisterStreamConsumer>(SERVICE),
    Entry::of::<describe_limits::DescribeLimits>(SERVICE),
    Entry::of::<describe_stream::DescribeStream>(SERVICE),
    Entry::of::<describe_stream_consumer::DescribeStreamConsumer>(SERVICE),
    Entry::of::<describe_stream_summary::DescribeStreamSummary>(SERVICE),
    Entry::of::<get_records::GetRecords>(SERVICE),
    Entry::of::<get_shard_iterator::GetShardIterator>(SERVICE),
    Entry::of::<increase_stream_retention_period::IncreaseStreamRetentionPeriod>(SERVICE),
    Entry::of::<list_shards::ListShards>(SERVICE),
    Entry::of::<list_stream_consumers::ListStreamConsumers>(SERVICE),
    Entry::of::<list_streams::ListStreams>(SERVICE),
    Entry::of::<list_tags_for_resource::ListTagsForResource>(SERVICE),
    Entry::of::<list_tags_for_stream::ListTagsForStream>(SERVICE),
    Entry::of::<put_record::PutRecord>(SERVICE),
    Entry::of::<put_records::PutRecords>(SERVICE),
    Entry::of::<register_stream_consumer::RegisterStreamConsumer>(SERVICE),
    Entry::of::<remove_tags_from_stream::RemoveTagsFromStream>(SERVICE),
    Entry::of::<subscribe_to_shard::SubscribeToShard>(SERVICE),
    Entry::of::<tag_resource::TagResource>(SERVICE),
    Entry::of::<untag_resource::UntagResource>(SERVICE),
];
