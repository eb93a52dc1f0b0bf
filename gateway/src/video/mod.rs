//! Amazon Kinesis Video Streams: one file per operation.
//!
//! <https://docs.aws.amazon.com/kinesisvideostreams/latest/dg/API_Reference.html>

mod create_stream;
mod delete_edge_configuration;
mod delete_stream;
mod describe_edge_configuration;
mod describe_stream;
mod edge;
mod get_data_endpoint;
mod get_hls_streaming_session_url;
mod get_media;
mod get_media_for_fragment_list;
mod list_edge_agent_configurations;
mod list_fragments;
mod list_streams;
mod list_tags_for_stream;
mod put_media;
mod selector;
pub mod session;
mod start_edge_configuration_update;
mod stream;
mod tag_stream;
mod untag_stream;
mod update_data_retention;
mod update_stream;

use crate::aws::Entry;

const CONTROL: &str = "kinesisvideo";
const MEDIA: &str = "kinesis-video-media";
const ARCHIVED_MEDIA: &str = "kinesis-video-archived-media";

/// The operations that are served.
pub const OPERATIONS: &[Entry] = &[
    Entry::of::<create_stream::CreateStream>(CONTROL),
    Entry::of::<delete_edge_configuration::DeleteEdgeConfiguration>(CONTROL),
    Entry::of::<delete_stream::DeleteStream>(CONTROL),
    Entry::of::<describe_edge_configuration::DescribeEdgeConfiguration>(CONTROL),
    Entry::of::<describe_stream::DescribeStream>(CONTROL),
    Entry::of::<get_data_endpoint::GetDataEndpoint>(CONTROL),
    Entry::of::<list_edge_agent_configurations::ListEdgeAgentConfigurations>(CONTROL),
    Entry::of::<list_streams::ListStreams>(CONTROL),
    Entry::of::<list_tags_for_stream::ListTagsForStream>(CONTROL),
    Entry::of::<start_edge_configuration_update::StartEdgeConfigurationUpdate>(CONTROL),
    Entry::of::<tag_stream::TagStream>(CONTROL),
    Entry::of::<untag_stream::UntagStream>(CONTROL),
    Entry::of::<update_data_retention::UpdateDataRetention>(CONTROL),
    Entry::of::<update_stream::UpdateStream>(CONTROL),
    Entry::of::<get_media::GetMedia>(MEDIA),
    Entry::streamed::<put_media::PutMedia>(MEDIA),
    Entry::of::<get_hls_streaming_session_url::GetHlsStreamingSessionUrl>(ARCHIVED_MEDIA),
    Entry::of::<get_media_for_fragment_list::GetMediaForFragmentList>(ARCHIVED_MEDIA),
    Entry::of::<list_fragments::ListFragments>(ARCHIVED_MEDIA),
];
