"""The Video Streams API as boto3 speaks it."""

import time
from datetime import datetime, timedelta, timezone

import pytest
from botocore.exceptions import ClientError

import media
from media import SECONDS, clip, ffmpeg_push, finish


@pytest.fixture(scope="module")
def pushed(server):
    """A stream with one clip in it."""
    device = server.device("pushed")
    finish(ffmpeg_push(clip(), server.rtsp_url("pushed", device)))
    return server.wait_for_fragments("pushed", SECONDS // 2)


def refused(call, **arguments) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as error:
        call(**arguments)
    answer = error.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Message"]


def test_a_stream_is_created_described_listed_and_deleted(server):
    video = server.client()
    arn = video.create_stream(StreamName="life", DataRetentionInHours=24, MediaType="video/h264", Tags={"site": "mill"})["StreamARN"]
    assert arn.startswith("arn:aws:kinesisvideo:us-east-1:000000000000:stream/life/")
    told = video.describe_stream(StreamName="life")["StreamInfo"]
    assert told["StreamARN"] == arn and told["Status"] == "ACTIVE" and told["DataRetentionInHours"] == 24
    assert told["MediaType"] == "video/h264" and told["KmsKeyId"].endswith("alias/aws/kinesisvideo")
    assert abs(told["CreationTime"] - datetime.now(timezone.utc)) < timedelta(minutes=1)
    assert video.describe_stream(StreamARN=arn)["StreamInfo"] == told
    assert "life" in [stream["StreamName"] for stream in video.list_streams()["StreamInfoList"]]
    assert refused(video.create_stream, StreamName="life")[:2] == ("ResourceInUseException", 400)
    assert refused(video.delete_stream, StreamARN=arn, CurrentVersion="wrong")[:2] == ("VersionMismatchException", 400)
    video.delete_stream(StreamARN=arn, CurrentVersion=told["Version"])
    assert refused(video.describe_stream, StreamName="life")[:2] == ("ResourceNotFoundException", 404)


def test_the_default_retention_is_that_of_aws(server):
    video = server.client()
    video.create_stream(StreamName="nothing-kept")
    assert video.describe_stream(StreamName="nothing-kept")["StreamInfo"]["DataRetentionInHours"] == 0


def test_list_streams_pages_and_filters(server):
    video = server.client()
    for number in range(5):
        video.create_stream(StreamName=f"page-{number}", DataRetentionInHours=1)
    condition = {"ComparisonOperator": "BEGINS_WITH", "ComparisonValue": "page-"}
    pages = video.get_paginator("list_streams").paginate(StreamNameCondition=condition, PaginationConfig={"PageSize": 2})
    pages = [[stream["StreamName"] for stream in page["StreamInfoList"]] for page in pages]
    assert pages == [["page-0", "page-1"], ["page-2", "page-3"], ["page-4"]]
    assert refused(video.list_streams, NextToken="bm90IG91cnM=")[:2] == ("InvalidArgumentException", 400)


def test_retention_is_raised_and_lowered(server):
    video = server.client()
    video.create_stream(StreamName="keeps", DataRetentionInHours=2)

    def change(operation, hours):
        version = video.describe_stream(StreamName="keeps")["StreamInfo"]["Version"]
        arguments = {"StreamName": "keeps", "CurrentVersion": version, "Operation": operation}
        return {**arguments, "DataRetentionChangeInHours": hours}

    video.update_data_retention(**change("INCREASE_DATA_RETENTION", 3))
    assert video.describe_stream(StreamName="keeps")["StreamInfo"]["DataRetentionInHours"] == 5
    video.update_data_retention(**change("DECREASE_DATA_RETENTION", 4))
    assert video.describe_stream(StreamName="keeps")["StreamInfo"]["DataRetentionInHours"] == 1
    below = change("DECREASE_DATA_RETENTION", 2)
    assert refused(video.update_data_retention, **below)[:2] == ("InvalidArgumentException", 400)
    stale = {**change("INCREASE_DATA_RETENTION", 1), "CurrentVersion": "old"}
    assert refused(video.update_data_retention, **stale)[:2] == ("VersionMismatchException", 400)


def test_lowering_retention_hides_footage_at_once(server, pushed):
    device = server.device("short")
    finish(ffmpeg_push(clip(), server.rtsp_url("short", device), paced=False))
    server.wait_for_fragments("short", 1)
    video = server.client()
    told = video.describe_stream(StreamName="short")["StreamInfo"]
    assert told["DataRetentionInHours"] == 7 * 24
    hours = told["DataRetentionInHours"]
    video.update_data_retention(
        StreamName="short", CurrentVersion=told["Version"], Operation="DECREASE_DATA_RETENTION", DataRetentionChangeInHours=hours
    )
    assert server.fragments("short") == []


def test_bad_arguments_are_named(server):
    video = server.client()
    code, status, message = refused(video.create_stream, StreamName="no spaces")
    assert (code, status) == ("InvalidArgumentException", 400) and "treamName" in message
    assert refused(video.describe_stream, StreamName="absent")[:2] == ("ResourceNotFoundException", 404)
    assert refused(video.describe_stream)[:2] == ("InvalidArgumentException", 400)
    assert refused(video.get_data_endpoint, StreamName="absent", APIName="NONSENSE")[:2] == ("InvalidArgumentException", 400)


def test_unknown_operations_are_told_so(server):
    answer = server.request("POST", "/describeEdgeConfigurationOfTheMoon", {})
    assert answer.status in (400, 404) and b"UnknownOperationException" in answer.body


def test_data_endpoints_are_plain_base_urls(server, pushed):
    video = server.client()
    for api in ("PUT_MEDIA", "GET_MEDIA", "LIST_FRAGMENTS", "GET_MEDIA_FOR_FRAGMENT_LIST", "GET_HLS_STREAMING_SESSION_URL"):
        assert video.get_data_endpoint(StreamName="pushed", APIName=api)["DataEndpoint"] == server.url()


def test_list_fragments_by_either_clock(server, pushed):
    archive = server.archive("pushed")
    first, last = pushed[1], pushed[3]
    for clock in ("PRODUCER_TIMESTAMP", "SERVER_TIMESTAMP"):
        field = clock.lower()
        window = {"StartTimestamp": first[field], "EndTimestamp": last[field]}
        listed = archive.list_fragments(
            StreamName="pushed", FragmentSelector={"FragmentSelectorType": clock, "TimestampRange": window}
        )["Fragments"]
        numbers = [fragment["FragmentNumber"] for fragment in pushed_numbers(listed)]
        assert numbers == [fragment["fragment_number"] for fragment in pushed[1:4]]
        assert all(1900 <= fragment["FragmentLengthInMilliseconds"] <= 2100 for fragment in listed)
        assert all(fragment["FragmentSizeInBytes"] > 1000 for fragment in listed)


def pushed_numbers(listed):
    return sorted(listed, key=lambda fragment: fragment["FragmentNumber"])


def test_list_fragments_pages(server, pushed):
    archive = server.archive("pushed")
    window = {"StartTimestamp": 0, "EndTimestamp": time.time() + 60}
    selector = {"FragmentSelectorType": "SERVER_TIMESTAMP", "TimestampRange": window}
    pages = archive.get_paginator("list_fragments").paginate(
        StreamName="pushed", FragmentSelector=selector, PaginationConfig={"PageSize": 4}
    )
    pages = [page["Fragments"] for page in pages]
    assert [len(page) for page in pages] == [4, 2]
    empty = {"StartTimestamp": 0, "EndTimestamp": 1}
    selector = {"FragmentSelectorType": "SERVER_TIMESTAMP", "TimestampRange": empty}
    assert archive.list_fragments(StreamName="pushed", FragmentSelector=selector)["Fragments"] == []


def test_media_comes_in_the_order_asked(server, pushed):
    archive = server.archive("pushed", "GET_MEDIA_FOR_FRAGMENT_LIST")
    numbers = [fragment["fragment_number"] for fragment in reversed(pushed)]
    payload = archive.get_media_for_fragment_list(StreamName="pushed", Fragments=numbers)["Payload"].read()
    found = [payload.find(number.encode()) for number in numbers]
    assert -1 not in found and found == sorted(found)
    absent = numbers[0][:-4] + "0000"
    code, status, _ = refused(archive.get_media_for_fragment_list, StreamName="pushed", Fragments=[absent])
    assert (code, status) == ("ResourceNotFoundException", 404)


def test_hls_sessions_play_in_ffmpeg(server, pushed, tmp_path):
    archive = server.archive("pushed", "GET_HLS_STREAMING_SESSION_URL")
    window = {"StartTimestamp": pushed[0]["server_timestamp"], "EndTimestamp": pushed[-1]["server_timestamp"]}
    for mode in ("ON_DEMAND", "LIVE_REPLAY"):
        url = archive.get_hls_streaming_session_url(
            StreamName="pushed",
            PlaybackMode=mode,
            HLSFragmentSelector={"FragmentSelectorType": "SERVER_TIMESTAMP", "TimestampRange": window},
        )["HLSStreamingSessionURL"]
        assert "/hls/v1/getHLSMasterPlaylist.m3u8?SessionToken=" in url
        if mode == "ON_DEMAND":
            media.decodes(url)
            probed = media.probe(url)
            assert {stream["codec_name"] for stream in probed["streams"]} == {"h264", "aac"}


def test_hls_sessions_refuse_what_aws_refuses(server, pushed):
    archive = server.archive("pushed", "GET_HLS_STREAMING_SESSION_URL")
    call = archive.get_hls_streaming_session_url
    window = {"StartTimestamp": 1, "EndTimestamp": 2}
    selector = {"FragmentSelectorType": "SERVER_TIMESTAMP", "TimestampRange": window}
    assert refused(call, StreamName="pushed", PlaybackMode="ON_DEMAND")[:2] == ("InvalidArgumentException", 400)
    assert refused(call, StreamName="pushed", PlaybackMode="ON_DEMAND", Expires=10)[:2] == ("InvalidArgumentException", 400)
    found = refused(call, StreamName="pushed", PlaybackMode="ON_DEMAND", HLSFragmentSelector=selector)
    assert found[:2] == ("ResourceNotFoundException", 404)
    server.client().create_stream(StreamName="unkept")
    assert refused(call, StreamName="unkept", PlaybackMode="LIVE")[:2] == ("NoDataRetentionException", 400)


def test_session_tokens_cannot_be_forged(server, pushed):
    archive = server.archive("pushed", "GET_HLS_STREAMING_SESSION_URL")
    window = {"StartTimestamp": pushed[0]["server_timestamp"], "EndTimestamp": pushed[-1]["server_timestamp"]}
    url = archive.get_hls_streaming_session_url(
        StreamName="pushed",
        PlaybackMode="ON_DEMAND",
        HLSFragmentSelector={"FragmentSelectorType": "SERVER_TIMESTAMP", "TimestampRange": window},
    )["HLSStreamingSessionURL"]
    assert server.get(url, sign=False).status == 200
    token = url.split("SessionToken=")[1]
    for at in range(0, len(token), 7):
        other = "A" if token[at] != "A" else "B"
        assert server.get(url.replace(token, token[:at] + other + token[at + 1 :]), sign=False).status == 403
    assert server.get(url.split("?")[0], sign=False).status == 403


def test_a_deleted_streams_footage_is_gone_at_once(server):
    device = server.device("gone")
    finish(ffmpeg_push(clip(), server.rtsp_url("gone", device), paced=False))
    found = server.wait_for_fragments("gone", 1)
    archive = server.archive("gone", "GET_MEDIA_FOR_FRAGMENT_LIST")
    video = server.client()
    video.delete_stream(StreamARN=video.describe_stream(StreamName="gone")["StreamInfo"]["StreamARN"])
    arguments = {"StreamName": "gone", "Fragments": [found[0]["fragment_number"]]}
    assert refused(archive.get_media_for_fragment_list, **arguments)[0] == "ResourceNotFoundException"
    video.create_stream(StreamName="gone", DataRetentionInHours=1)
    assert server.fragments("gone") == []
