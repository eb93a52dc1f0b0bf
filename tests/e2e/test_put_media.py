"""PutMedia and GetMedia: what producers and readers of Kinesis Video Streams do."""

import hashlib
import os
import struct
import subprocess
import time
from datetime import datetime

import pytest
from botocore.exceptions import ClientError

import media
from matroska import END_OF_FRAGMENT, block, cluster, element, files, header, tags
from media import clip
from putmedia import Producer, Reader, send_file

START = 1_795_000_000.25
# What ffmpeg writes: container and options.
FORMS = {
    "matroska": ("h264", "aac", ["-f", "matroska"]),
    "small clusters": ("h264-b-frames", "aac", ["-f", "matroska", "-cluster_time_limit", "500"]),
    "small blocks": ("h265", "aac", ["-f", "matroska", "-cluster_size_limit", "20000"]),
    "live": ("h264", "opus", ["-f", "matroska", "-live", "1"]),
    "webm": ("vp9", "opus", ["-f", "webm"]),
}


@pytest.fixture
def stream(server, request):
    """A stream of this test's own."""
    name = request.node.name.replace("[", "-").replace("]", "").replace(" ", "-")[:200]
    server.client().create_stream(StreamName=name, DataRetentionInHours=24)
    return name


def get_media(server, name: str, **selector) -> Reader:
    client = server.archive(name, "GET_MEDIA", "kinesis-video-media")
    selector = selector or {"StartSelectorType": "EARLIEST"}
    return Reader(client.get_media(StreamName=name, StartSelector=selector)["Payload"])


def fragments(reader: Reader, count: int) -> list:
    """The first whole fragments that a reader gets."""
    reader.until(lambda data: sum(file.complete for file in files(data)) >= count)
    return [file for file in files(reader.data) if file.complete][:count]


def in_form(name: str, seconds: int = 6) -> bytes:
    video, audio, options = FORMS[name]
    command = ["ffmpeg", "-nostdin", "-v", "error", "-i", str(clip(video, audio, seconds, "320x180")), "-c", "copy", *options, "-"]
    return subprocess.run(command, capture_output=True, timeout=60, check=True).stdout


def test_each_fragment_is_acknowledged_three_times(server, stream):
    producer = Producer(server, stream)
    assert producer.statuses == [100, 200], "100 Continue comes before the 200"
    producer.send(header() + cluster(252_467, block(b"one")) + cluster(254_467, known=False))
    (first,) = producer.persisted(1)
    told = [ack["EventType"] for ack in producer.acks if ack["FragmentTimecode"] == 252_467]
    assert told == ["BUFFERING", "RECEIVED", "PERSISTED"]
    assert [fragment["fragment_number"] for fragment in server.fragments(stream)] == [first]
    # The next one has begun, and is told as much, while its media still comes.
    producer.wait(lambda: len(producer.of("BUFFERING")) == 2)
    producer.send(block(b"two"))
    told = producer.finish()[-2:]
    assert [ack["EventType"] for ack in told] == ["RECEIVED", "PERSISTED"], "before the end of the answer"
    assert len(first) == 47 and told[1]["FragmentNumber"] > first


@pytest.mark.parametrize("form", FORMS)
def test_what_ffmpeg_makes_comes_back_as_it_was(server, stream, form):
    sent = in_form(form)
    (source,) = files(sent)
    numbers = send_file(server, stream, sent, start=START).persisted(len(source.timecodes))
    listed = server.fragments(stream)
    assert [fragment["fragment_number"] for fragment in listed] == numbers
    began = datetime.fromisoformat(listed[0]["producer_timestamp"].replace("Z", "+00:00")).timestamp()
    assert began == pytest.approx(START + source.timecodes[0] / 1000, abs=1e-4)
    assert max(len(fragment["tracks"]) for fragment in listed) == 2
    archive = server.archive(stream, "GET_MEDIA_FOR_FRAGMENT_LIST")
    payload = archive.get_media_for_fragment_list(StreamName=stream, Fragments=numbers)["Payload"].read()
    for back in (fragments(get_media(server, stream), len(numbers)), files(payload)):
        assert [file.number for file in back] == numbers
        assert [file.timecodes for file in back] == [[time] for time in source.timecodes]
        assert sum((file.blocks for file in back), []) == source.blocks


def test_what_was_put_plays(server, stream, tmp_path):
    numbers = send_file(server, stream, in_form("small clusters"), start=START).persisted(1)
    end = server.fragments(stream)[-1]["producer_timestamp"]
    url = server.presigned(f"/v1/streams/{stream}/clip.mp4?start=2026-11-18T11:06:40Z&end={end}")
    path = tmp_path / "clip.mp4"
    path.write_bytes(server.request("GET", url, sign=False).body)
    media.decodes(path)
    video = media.probe(path)["streams"][0]
    assert int(video["nb_read_packets"]) > 5 * media.FPS and len(numbers) > 6


def test_any_data_comes_back_byte_for_byte(server, stream):
    sent = [[os.urandom(size) for size in (0, 1, 1000, 300_000)] for _ in range(3)]
    producer = Producer(server, stream, timecodes="ABSOLUTE", start=None)
    producer.send(header(("D_SENSOR/RAW", "S_TEXT/UTF8")))
    for at, frames in enumerate(sent):
        blocks = [block(frame, time) for time, frame in enumerate(frames)]
        producer.send(cluster(1_795_000_000_000 + 1000 * at, *blocks, block(b"words", 7, track=2), known=at == 1))
    producer.finish()
    numbers = producer.persisted(3)
    back = fragments(get_media(server, stream), 3)
    assert [(file.number, file.frames(), file.frames(2)) for file in back] == [
        (number, frames, [b"words"]) for number, frames in zip(numbers, sent)
    ]
    everything = {"FragmentSelectorType": "SERVER_TIMESTAMP", "TimestampRange": {"StartTimestamp": 0, "EndTimestamp": time.time() + 60}}
    listed = server.archive(stream).list_fragments(StreamName=stream, FragmentSelector=everything)["Fragments"]
    assert sorted(entry["FragmentNumber"] for entry in listed) == numbers
    assert min(entry["ProducerTimestamp"].timestamp() for entry in listed) == 1_795_000_000
    assert len(server.fragments(stream, q='codec:"D_SENSOR/RAW"')) == 3


def test_tags_belong_to_the_fragment_that_they_stand_at(server, stream):
    producer = Producer(server, stream)
    producer.send(header() + tags(first="1") + cluster(0, block(b"a"), known=False) + tags(second="2") + cluster(1000, block(b"b"), known=False))
    producer.send(tags(also="second") + tags(**{END_OF_FRAGMENT: ""}))
    # Acknowledged at once: the producer has said that the fragment is whole.
    numbers = producer.persisted(2)
    deadline = time.monotonic() + 10
    while [hit["fragment_number"] for hit in server.fragments(stream, q='tags.also:"second"')] != numbers[1:]:
        assert time.monotonic() < deadline, "found at once"
    producer.send(cluster(2000, block(b"c")))
    producer.finish()
    assert [fragment["tags"] for fragment in server.fragments(stream)] == [{"first": "1"}, {"second": "2", "also": "second"}, {}]
    assert fragments(get_media(server, stream), 2)[1].tags["also"] == "second"


def refusals():
    known = header() + cluster(5, block(b"x"))
    yield "garbage", b"\x00garbage" * 100, 4006, "byte 0"
    yield "another file", header() + header(), 4006, "more than one Segment"
    yield "lacing", header() + cluster(5, block(b"x", flags=0x02)), 4006, "lacing"
    yield "encrypted", header() + cluster(5, element(0xAF, b"x")), 4006, "EncryptedBlock"
    yield "no such track", header() + cluster(5, block(b"x", track=9)), 4010, "track 9"
    yield "four tracks", header(("D_A",) * 4) + cluster(5, block(b"x")), 4012, "4 tracks"
    yield "too long", header() + cluster(5, block(b"x"), block(b"x", 20_001)), 4002, "20s"
    yield "back in time", known + cluster(4, block(b"x")), 4004, "at 4"
    yield "beyond time", header() + cluster(1 << 62, block(b"x")), 4007, "no time"
    yield "eleven tags", header() + tags(**{f"tag{n}": "" for n in range(11)}) + cluster(5, block(b"x")), 4009, "11 tags"
    yield "no frames", header() + cluster(5) + cluster(6), 4011, "no frame"
    yield "cut off", (header() + cluster(5, block(b"x" * 100)))[:-9], 4006, "ends within"


@pytest.mark.parametrize("what,data,error,hint", [pytest.param(*one, id=one[0]) for one in refusals()])
def test_what_is_not_taken_is_told_with_its_error(server, what, data, error, hint):
    if not any(told["StreamName"] == "refuses" for told in server.client().list_streams()["StreamInfoList"]):
        server.client().create_stream(StreamName="refuses", DataRetentionInHours=1)
    producer = Producer(server, "refuses", expect=what != "garbage")
    producer.send(data)
    if what == "cut off":
        producer.finish()
    told = producer.error()
    assert told["ErrorId"] == error and hint in told["ErrorMessage"], told
    # What was whole before is stored all the same.
    assert len(producer.of("PERSISTED")) == (what == "back in time")


def test_a_fragment_of_50_mb_and_a_byte_is_refused_and_costs_little(server, stream):
    producer = Producer(server, stream)
    producer.send(header())
    portion = [block(b"\x55" * 1_000_000, time) for time in range(50)]
    producer.send(cluster(0, *portion, known=False) + tags(**{END_OF_FRAGMENT: ""}))
    numbers = producer.persisted(1)
    producer.send(cluster(1000, *portion, known=False))
    producer.send(block(b"y"))
    assert producer.error()["ErrorId"] == 4001
    archive = server.archive(stream, "GET_MEDIA_FOR_FRAGMENT_LIST")
    (kept,) = files(archive.get_media_for_fragment_list(StreamName=stream, Fragments=numbers)["Payload"].read())
    assert hashlib.sha256(b"".join(kept.frames())).digest() == hashlib.sha256(b"\x55" * 50_000_000).digest()
    lying = Producer(server, stream)
    lying.send(header() + cluster(9000, known=False) + b"\xa3" + struct.pack(">Q", 1 << 56 | 50_000_005))
    assert lying.error()["ErrorId"] == 4001, "told by its size alone"


@pytest.mark.parametrize(
    "options",
    [
        {"port_in_host": False},
        {"declared": True},
        {"payload": "UNSIGNED-PAYLOAD", "declared": True},
        {"payload": "UNSIGNED-PAYLOAD"},
        {"expect": False},
    ],
    ids=str,
)
def test_signatures_are_those_of_every_sdk(server, options):
    names = [told["StreamName"] for told in server.client().list_streams()["StreamInfoList"]]
    if "signed" not in names:
        server.client().create_stream(StreamName="signed", DataRetentionInHours=1)
    producer = Producer(server, "signed", start=time.time(), **options)
    assert producer.statuses == ([100, 200] if options.get("expect", True) else [200])
    producer.send(header() + cluster(0, block(b"x")))
    producer.finish()
    assert len(producer.persisted(1)) == 1


def test_requests_that_are_wrong_are_refused_before_any_media(server, stream):
    def refused(name=stream, **options):
        producer = Producer(server, name, **options)
        return producer.statuses[-1], producer.fields.get("x-amzn-errortype"), producer.refusal

    assert refused("absent")[:2] == (404, "ResourceNotFoundException")
    assert refused(timecodes="SOMETIME")[:2] == (400, "InvalidArgumentException")
    assert refused(start="noon")[:2] == (400, "InvalidArgumentException")
    assert refused(None)[:2] == (400, "InvalidArgumentException")
    assert refused(payload=hashlib.sha256(b"x").hexdigest())[0] == 403
    arn = server.client().describe_stream(StreamName=stream)["StreamInfo"]["StreamARN"]
    assert Producer(server, headers={"x-amzn-stream-arn": arn}).statuses[-1] == 200
    open_ones = [Producer(server, stream) for _ in range(5)]
    assert refused()[:2] == (400, "ConnectionLimitExceededException")
    assert len([one for one in open_ones if one.statuses[-1] == 200]) >= 4


def test_the_next_connection_opens_before_the_last_has_ended(server, stream):
    first = Producer(server, stream, start=START)
    first.send(header() + cluster(0, block(b"a"), known=False))
    first.wait(lambda: first.of("BUFFERING"))
    second = Producer(server, stream, start=START + 2)
    second.send(header() + cluster(0, block(b"b"), known=False) + tags(**{END_OF_FRAGMENT: ""}))
    second.wait(lambda: second.of("RECEIVED"))
    first.send(block(b"c", 900))
    first.finish()
    numbers = first.persisted(1) + second.persisted(1)
    assert numbers == sorted(numbers) == [fragment["fragment_number"] for fragment in server.fragments(stream)]
    assert [file.frames() for file in fragments(get_media(server, stream), 2)] == [[b"a", b"c"], [b"b"]]
    second.finish()


def test_a_fragment_that_is_sent_again_is_kept_once(server, stream):
    whole = cluster(0, block(b"whole"), known=False) + tags(**{END_OF_FRAGMENT: ""})
    half = cluster(1000, block(b"first half"), known=False)
    lost = Producer(server, stream, start=START)
    lost.send(header() + whole + half)
    (number,) = lost.persisted(1)
    lost.wait(lambda: len(lost.of("BUFFERING")) == 2)
    # The server need not have noticed that the connection is gone.
    again = Producer(server, stream, start=START)
    again.send(header() + whole + half + block(b"second half", 500))
    again.finish()
    numbers = again.persisted(2)
    assert numbers[0] == number, "PERSISTED names the one that is kept"
    assert [fragment["fragment_number"] for fragment in server.fragments(stream)] == numbers
    assert fragments(get_media(server, stream), 2)[1].frames() == [b"first half", b"second half"]
    lost.send(block(b"too late"))
    lost.send(tags(**{END_OF_FRAGMENT: ""}))
    assert lost.error()["ErrorId"] == 4000
    other = Producer(server, stream, start=START)
    other.send(header() + cluster(0, block(b"other"), known=False))
    other.finish()
    assert other.persisted(1)[0] not in numbers, "other media of the same time is not the same"


def test_a_slow_producer_is_waited_for(server, stream):
    producer = Producer(server, stream, expect=False)
    data = header() + cluster(0, block(b"slowly"))
    for at in range(len(data)):
        producer.send(data[at : at + 1])
    assert len(producer.persisted(1)) == 1
    producer.drop()
    broken = Producer(server, stream)
    broken.send(header() + cluster(5000, block(b"never whole"), known=False))
    broken.wait(lambda: broken.of("BUFFERING"))
    broken.drop()
    after = Producer(server, stream)
    after.send(header() + cluster(9000, block(b"after")))
    after.finish()
    assert [file.frames() for file in fragments(get_media(server, stream), 2)] == [[b"slowly"], [b"after"]]


def test_readers_begin_where_they_ask(server, stream):
    producer = Producer(server, stream, start=START)
    producer.send(header() + b"".join(cluster(1000 * n, block(b"%d" % n), block(b"", 999)) for n in range(5)))
    producer.finish()
    numbers = producer.persisted(5)
    listed = server.fragments(stream)

    def first(**selector) -> bytes:
        return fragments(get_media(server, stream, **selector), 1)[0].frames()[0]

    assert first(StartSelectorType="EARLIEST") == b"0"
    assert first(StartSelectorType="FRAGMENT_NUMBER", AfterFragmentNumber=numbers[1]) == b"2"
    assert first(StartSelectorType="CONTINUATION_TOKEN", ContinuationToken=numbers[2]) == b"3"
    assert first(StartSelectorType="PRODUCER_TIMESTAMP", StartTimestamp=START + 2.5) == b"2", "the one that holds the time"
    assert first(StartSelectorType="PRODUCER_TIMESTAMP", StartTimestamp=START - 9) == b"0"
    assert first(StartSelectorType="SERVER_TIMESTAMP", StartTimestamp=listed[4]["server_timestamp"]) == b"4"
    for selector in (
        {"StartSelectorType": "FRAGMENT_NUMBER"},
        {"StartSelectorType": "SERVER_TIMESTAMP"},
        {"StartSelectorType": "CONTINUATION_TOKEN", "ContinuationToken": "somebody-elses"},
        {"StartSelectorType": "SOMEWHERE"},
    ):
        with pytest.raises(ClientError) as refused:
            get_media(server, stream, **selector)
        assert refused.value.response["Error"]["Code"] == "InvalidArgumentException"


def test_frames_are_pushed_while_their_fragment_comes(server, stream):
    producer = Producer(server, stream, start=START)
    producer.send(header() + cluster(0, block(b"old")))
    producer.persisted(1)
    producer.send(tags(early="1") + cluster(1000, block(b"one"), known=False))
    producer.wait(lambda: len(producer.of("BUFFERING")) == 2)
    reader = get_media(server, stream, StartSelectorType="NOW")
    seen = lambda count: lambda data: files(data) and len(files(data)[-1].blocks) >= count  # noqa: E731
    for count, frame in enumerate((b"one", b"two", b"three"), 1):
        if count > 1:
            producer.send(block(frame, 10 * count))
        reader.until(seen(count))
        live = files(reader.data)[-1]
        assert live.frames()[-1] == frame and not live.complete and live.tags["early"] == "1"
    producer.send(tags(late="2") + tags(**{END_OF_FRAGMENT: ""}))
    (whole,) = fragments(reader, 1)
    assert whole.number == producer.persisted(2)[1] and whole.tags["late"] == "2"
    assert int(whole.tags["AWS_KINESISVIDEO_MILLIS_BEHIND_NOW"]) < 60_000
    # A reader gets what is there and then what comes; what is broken off is told.
    producer.send(cluster(2000, block(b"broken"), known=False))
    reader.until(lambda data: files(data)[-1].frames() == [b"broken"])
    producer.drop()
    reader.until(lambda data: "AWS_KINESISVIDEO_ERROR_ID" in files(data)[-1].tags)
    assert files(reader.data)[-1].tags["AWS_KINESISVIDEO_ERROR_ID"] == "4000"


def test_a_stream_that_keeps_nothing_is_read_while_it_comes(server):
    server.client().create_stream(StreamName="unkept")
    producer = Producer(server, "unkept")
    producer.send(header() + cluster(0, block(b"gone")) + cluster(1000, block(b"soon")))
    producer.wait(lambda: len(producer.of("RECEIVED")) == 2)
    assert [file.frames() for file in fragments(get_media(server, "unkept"), 2)] == [[b"gone"], [b"soon"]]
    producer.finish()
    assert not producer.of("PERSISTED") and server.fragments("unkept") == []


def test_curl_is_a_producer(server, stream, tmp_path):
    path = tmp_path / "sent.mkv"
    path.write_bytes(in_form("matroska"))
    key = server.credentials()
    told = subprocess.run(
        ["curl", "-sS", "-X", "POST", "-T", str(path), "--aws-sigv4", "aws:amz:us-east-1:kinesisvideo",
         "--user", f"{key.access_key}:{key.secret_key}", "-H", f"x-amzn-stream-name: {stream}",
         "-H", "x-amzn-fragment-timecode-type: RELATIVE", "-H", "Transfer-Encoding: chunked", server.url() + "/putMedia"],
        capture_output=True, text=True, timeout=30, check=True,
    ).stdout  # fmt: skip
    assert told.count('"PERSISTED"') == len(files(path.read_bytes())[0].timecodes), told
