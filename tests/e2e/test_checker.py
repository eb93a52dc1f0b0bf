"""Numbered records and fragments go in by every path and are read at every place, while the server is killed (-9) and
the destinations fail every other time: nothing that was acknowledged is lost, nothing is invented, what must be there
once is there once, and each shard's order holds."""

import os
import random
import re
import time

import pytest

from destinations import ROLE, Endpoint, Store, bucket, flapping, wait_until
from judge import SPOILT, Outlet, applies, notices
from matroska import files
from media import clip, end, ffmpeg_push
from numbered import MediaProducer, Producer, Subscriber, by_direct_put, by_put_record, by_put_records
from putmedia import Reader

CYCLES = 200 if os.environ.get("MILLRACE_TORTURE") else 20
# A camera takes as long to begin as all else in a cycle; `test_crash.py` kills the server under nothing but cameras.
CAMERA_EVERY = 4
SHARDS = [f"shardId-{number:012}" for number in range(2)]


class Weather(random.Random):
    """What decides how a destination answers; once it is good, the first way is always taken."""

    good = False

    def choice(self, ways):
        return ways[0] if self.good else super().choice(ways)


class Run:
    """A server, what was sent to it, and what it has acknowledged."""

    def __init__(self, server, endpoint: str):
        self.server, self.chance = server, random.Random(11)
        kinesis, firehose = self.connect()
        kinesis.create_stream(StreamName="orders", ShardCount=len(SHARDS))
        server.client().create_stream(StreamName="media", DataRetentionInHours=24)
        server.client().create_stream(StreamName="camera", DataRetentionInHours=24)
        self.device = server.device("camera")
        arn = "arn:aws:kinesis:us-east-1:000000000000:stream/"
        self.consumer = kinesis.register_stream_consumer(StreamARN=arn + "orders", ConsumerName="app")["Consumer"]["ConsumerARN"]
        hints = {"SizeInMBs": 1, "IntervalInSeconds": 1}
        http = {
            "EndpointConfiguration": {"Url": endpoint},
            "BufferingHints": hints,
            # Far longer than the test takes: nothing is given up.
            "RetryOptions": {"DurationInSeconds": 7200},
            "S3Configuration": bucket(Prefix="failed/"),
        }
        for source in ("put", "orders", "fragments.media"):
            follows = {"KinesisStreamSourceConfiguration": {"KinesisStreamARN": arn + source, "RoleARN": ROLE}}
            follows = {"DeliveryStreamType": "KinesisStreamAsSource", **follows} if source != "put" else {}
            lake = bucket(Prefix=f"{source}/", BufferingHints=hints, CompressionFormat="GZIP")
            firehose.create_delivery_stream(DeliveryStreamName=f"{source}-s3", ExtendedS3DestinationConfiguration=lake, **follows)
            firehose.create_delivery_stream(DeliveryStreamName=f"{source}-http", HttpEndpointDestinationConfiguration=http, **follows)
        # By path: where each is that was acknowledged, and what was sent at all.
        self.acknowledged = {"orders": {}, "put-s3": {}, "put-http": {}, "media": {}}
        self.sent = {path: set() for path in self.acknowledged}
        self.listed, self.told = {}, {shard: [] for shard in SHARDS}
        self.read = {shard: [] for shard in SHARDS}

    def connect(self) -> tuple:
        """Clients of the server where it is now, for all threads: making one takes longer than a call."""
        more = {"max_pool_connections": 16}
        self.kinesis, self.firehose = self.server.client("kinesis", **more), self.server.client("firehose", **more)
        return self.kinesis, self.firehose

    def producers(self, cycle: int) -> list[tuple[str, Producer | MediaProducer]]:
        kinesis, firehose, chance = self.kinesis, self.firehose, random.Random(cycle)
        ways = {
            "one": ("orders", by_put_record(kinesis, "orders", chance), [1]),
            "many": ("orders", by_put_records(kinesis, "orders", chance), [1, 3, 40]),
            "more": ("orders", by_put_records(kinesis, "orders", chance), [40]),
            "s3": ("put-s3", by_direct_put(firehose, "put-s3"), [1, 7]),
            "http": ("put-http", by_direct_put(firehose, "put-http"), [1, 7]),
        }
        made = [(path, Producer(f"{name}-{cycle}", put, counts, chance)) for name, (path, put, counts) in ways.items()]
        # As producers do: what was not acknowledged is sent again, also what is on disk nevertheless.
        return [*made, ("media", MediaProducer(self.server, "media", max(self.acknowledged["media"], default=0)))]

    def subscribers(self) -> list[Subscriber]:
        return [Subscriber(self.kinesis, self.consumer, shard, told) for shard, told in self.told.items()]

    def cycle(self, number: int):
        producers, subscribers = self.producers(number), self.subscribers()
        camera = number % CAMERA_EVERY == 0
        push = ffmpeg_push(clip(gop=15), self.server.rtsp_url("camera", self.device), rate=20, loop=True) if camera else None
        for thread in [*(producer for _, producer in producers), *subscribers]:
            thread.start()
        wait_until("an acknowledgement of each", lambda: all(producer.acknowledged for _, producer in producers), 60)
        if push:
            wait_until("a fragment of the camera", self.list_new, 60)
        time.sleep(self.chance.uniform(0, 0.6))
        self.list_new()
        self.server.kill()
        if push:
            end(push)
        for path, producer in producers:
            producer.join(30)
            self.sent[path] |= producer.sent
        producers[-1][1].connection.wait(lambda: producers[-1][1].connection.ended)
        for path, producer in producers:
            self.acknowledged[path] |= producer.acknowledged
        for subscriber in subscribers:
            subscriber.join(30)
            assert not subscriber.is_alive()
        self.server.start()
        self.connect()
        self.read_on()

    def list_new(self) -> bool:
        """Whether the camera has fragments that were not listed before."""
        known = len(self.listed)
        self.listed |= {fragment["fragment_number"]: fragment for fragment in self.server.fragments("camera")}
        return len(self.listed) > known

    def read_on(self):
        """Reads what is new in each shard; what was read before is read again at the end."""
        for shard, read in self.read.items():
            read += get_records(self.kinesis, "orders", shard, read[-1][0] if read else None)
        self.check([self.records("GetRecords", self.read)])

    def records(self, name: str, read: dict) -> Outlet:
        """A reader of the data stream: each record is where its acknowledgement said."""
        placed = {(sequence, data): shard for shard, records in read.items() for sequence, data in records}
        moved = [data for data, (shard, sequence) in self.acknowledged["orders"].items() if placed.get((sequence, data)) != shard]
        assert not moved, f"{name}: {len(moved)} are lost or elsewhere, as {moved[:3]}"
        order = {data: int(sequence) for sequence, data in placed}
        lanes = {shard: [data for _, data in records] for shard, records in read.items()}
        return Outlet(name, lanes, self.acknowledged["orders"].keys(), self.sent["orders"], order=order)

    @staticmethod
    def check(outlets: list[Outlet]):
        faults = [fault for outlet in outlets for fault in outlet.faults()]
        assert not faults, "\n".join(faults)


def get_records(kinesis, stream: str, shard: str = SHARDS[0], after: str | None = None) -> list[tuple[str, bytes]]:
    found = []
    start = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": after} if after else {"ShardIteratorType": "TRIM_HORIZON"}
    place = kinesis.get_shard_iterator(StreamName=stream, ShardId=shard, **start)["ShardIterator"]
    while True:
        answer = kinesis.get_records(ShardIterator=place)
        found += [(record["SequenceNumber"], record["Data"]) for record in answer["Records"]]
        place = answer["NextShardIterator"]
        if answer["MillisBehindLatest"] == 0:
            return found


def listed(server, stream: str) -> list[str]:
    """ListFragments, in the order of numbers."""
    selector = {"FragmentSelectorType": "SERVER_TIMESTAMP", "TimestampRange": {"StartTimestamp": 0, "EndTimestamp": time.time() + 60}}
    pages = server.archive(stream).get_paginator("list_fragments").paginate(StreamName=stream, FragmentSelector=selector)
    return sorted(fragment["FragmentNumber"] for page in pages for fragment in page["Fragments"])


def played(server, stream: str, count: int) -> dict[str, int]:
    """What GetMedia says from the first fragment on: the timecode that each one's frame has, by number."""
    selector = {"StartSelectorType": "EARLIEST"}
    client = server.archive(stream, "GET_MEDIA", "kinesis-video-media")
    reader = Reader(client.get_media(StreamName=stream, StartSelector=selector)["Payload"])
    marker = b"AWS_KINESISVIDEO_CONTINUATION_TOKEN"
    whole = [file for file in files(reader.until(lambda data: data.count(marker) >= count, 60)) if file.complete]
    return {file.number: int(file.frames()[0].split()[0]) for file in whole}


def objects(store, source: str) -> dict[str, bytes]:
    return store.objects(f"{source}/")


def numbers(text: bytes) -> list[str]:
    """The fragments that entries of `fragments.{name}` tell of, one after the other without a separator."""
    return [found.decode() for found in re.findall(rb'"fragment_number":"(\d+)"', text)]


def outlets_of_records(run: Run, store, endpoint) -> list[Outlet]:
    """Every place where records come out."""
    again = {shard: get_records(run.kinesis, "orders", shard) for shard in SHARDS}
    assert again == run.read, "what was read before is read again"
    place = {data: (shard, sequence) for shard, records in again.items() for sequence, data in records}
    lanes = {name: re.findall(rb"[^;]+;", body) for name, body in objects(store, "orders").items()}
    taken = [item for record in list(endpoint.records) for item in re.findall(rb"[^;]+;", record)]
    acknowledged, sent = run.acknowledged, run.sent
    # Of what was put to a delivery stream only its producers know an order.
    number = {item: int(item[:-1].rsplit(b"-")[-1]) for item in sent["put-s3"]}
    put = {}
    for name, body in objects(store, "put").items():
        for item in re.findall(rb"[^;]+;", body):
            put.setdefault((name, item.rsplit(b"-", 1)[0]), []).append(item)
    at_http = acknowledged["orders"].keys() | acknowledged["put-http"].keys()
    return [
        run.records("GetRecords", again),
        run.records("SubscribeToShard", run.told),
        Outlet("a data stream in S3", lanes, acknowledged["orders"].keys(), sent["orders"], order=place),
        Outlet("records in S3", put, acknowledged["put-s3"].keys(), sent["put-s3"], order=number),
        Outlet("records at HTTP", {"": taken}, at_http, sent["orders"] | sent["put-http"], once=False),
    ]


def outlets_of_fragments(run: Run, store, endpoint) -> list[Outlet]:
    """Every place where fragments, and what tells of them, come out."""
    kept, found = run.acknowledged["media"], []
    list_media, list_camera = listed(run.server, "media"), listed(run.server, "camera")
    times = played(run.server, "media", len(list_media))
    elsewhere = [number for timecode, number in kept.items() if times.get(number) != timecode]
    assert not elsewhere, f"PERSISTED named other fragments: {elsewhere[:3]}"
    rising = {timecode: timecode for timecode in times.values()}
    found.append(Outlet("GetMedia", {"": list(times.values())}, kept.keys(), run.sent["media"], order=rising))
    for stream, there, acknowledged in (("media", list_media, set(kept.values())), ("camera", list_camera, run.listed.keys())):
        told = numbers(b"".join(data for _, data in get_records(run.kinesis, f"fragments.{stream}")))
        rising = {number: number for number in there}
        found.append(Outlet(f"ListFragments of {stream}", {"": there}, acknowledged, set(told), order=rising))
        found.append(Outlet(f"GetRecords of fragments.{stream}", {"": told}, acknowledged, set(there), order=rising))
    rising = {number: number for number in list_media}
    lanes = {name: numbers(body) for name, body in objects(store, "fragments.media").items()}
    taken = [number for record in list(endpoint.records) for number in numbers(record)]
    found.append(Outlet("fragments.media in S3", lanes, set(kept.values()), times.keys(), order=rising))
    found.append(Outlet("fragments.media at HTTP", {"": taken}, set(kept.values()), times.keys(), once=False))
    again = {fragment["fragment_number"]: fragment for fragment in run.server.fragments("camera")}
    assert all(again[number] == fragment for number, fragment in run.listed.items())
    return found


def delivered(server) -> bool:
    deliveries = server.get("/v1/deliveries").json()["deliveries"]
    return all(outlet["waiting_since"] is None for one in deliveries for outlet in one["outlets"])


def test_what_is_acknowledged_comes_out_of_every_path(fresh, tmp_path):
    store, weather = Store(tmp_path / "moto.log"), [Weather(8), Weather(9)]
    proxy, endpoint = flapping(store.url, weather[0]), Endpoint(weather[1])
    try:
        run = Run(fresh(env=store.environment(proxy.url)), endpoint.url)
        for number in range(CYCLES):
            run.cycle(number)
        for one in weather:
            one.good = True
        # What waits between two tries waits no longer.
        assert run.server.stop() == 0
        run.server.start()
        run.connect()
        for subscriber in run.subscribers():
            subscriber.start()
        wait_until("the deliveries", lambda: delivered(run.server), 60)
        wait_until("the subscriptions", lambda: all(len(run.told[shard]) >= len(run.read[shard]) for shard in SHARDS))
        outlets = outlets_of_records(run, store, endpoint) + outlets_of_fragments(run, store, endpoint)
        run.check(outlets)
        assert not objects(store, "failed"), "nothing is given up"
        for outlet in outlets:
            assert notices(outlet) == [what for what in SPOILT if applies(outlet, what)], outlet.name
        assert all(len(run.acknowledged[path]) > CYCLES for path in run.acknowledged) and len(run.listed) >= CYCLES // CAMERA_EVERY
        assert run.server.cli("verify", "--data", str(run.server.data)).returncode == 0
    finally:
        proxy.stop()
        endpoint.stop()
        store.stop()


@pytest.mark.parametrize("what", SPOILT)
def test_every_fault_is_found(what):
    good = Outlet("a shard", {"a": [b"1", b"2"], "b": [b"3"]}, {b"1", b"3"}, {b"1", b"2", b"3"}, order={b"1": 1, b"2": 2, b"3": 3})
    assert good.faults() == []
    (told,) = good.with_read(SPOILT[what](good)).faults()
    assert what in told
