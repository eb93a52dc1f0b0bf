"""Firehose as boto3 speaks it, to an S3 server of independent make and to an HTTP endpoint; and kill -9."""

import json
import os
import random
import re
import threading
import time
from collections import Counter

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from destinations import ROLE, Endpoint, Store, bucket, flapping, wait_until
from media import ffmpeg_push, clip, finish

CYCLES = int(os.environ.get("MILLRACE_DELIVERY_CYCLES", "3"))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    running = Store(tmp_path_factory.mktemp("store") / "moto.log")
    yield running
    running.stop()


def deliveries(server) -> dict[str, dict]:
    return {one["name"]: one for one in server.get("/v1/deliveries").json()["deliveries"]}


def test_records_come_to_s3_under_the_names_that_firehose_gives(fresh, store):
    server = fresh(env=store.environment())
    firehose = server.client("firehose")
    prefix = "year=!{timestamp:yyyy}/!{firehose:random-string}/"
    made = firehose.create_delivery_stream(
        DeliveryStreamName="orders",
        ExtendedS3DestinationConfiguration=bucket(
            Prefix=prefix, ErrorOutputPrefix="e/!{firehose:error-output-type}/", CompressionFormat="GZIP",
            S3BackupMode="Enabled", S3BackupConfiguration=bucket(Prefix="raw/"),
        ),
    )  # fmt: skip
    assert made["DeliveryStreamARN"].endswith(":deliverystream/orders")
    told = firehose.describe_delivery_stream(DeliveryStreamName="orders")["DeliveryStreamDescription"]
    assert told["Destinations"][0]["ExtendedS3DestinationDescription"]["Prefix"] == prefix
    firehose.put_record(DeliveryStreamName="orders", Record={"Data": b"one,"})
    batch = firehose.put_record_batch(DeliveryStreamName="orders", Records=[{"Data": b"two,"}, {"Data": b"three,"}])
    assert batch["FailedPutCount"] == 0 and all(entry["RecordId"] for entry in batch["RequestResponses"])

    def words(start: str) -> list[str]:
        return sorted(b"".join(store.objects(start).values()).decode().split(",")[:-1])

    for start in ("year=", "raw/"):
        wait_until(f"the records under {start}", lambda: words(start) == ["one", "three", "two"])
    uuid = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    date = r"\d{4}(-\d\d){5}"
    for name in store.objects("year="):
        assert re.fullmatch(rf"year=\d{{4}}/[0-9A-Za-z]{{11}}/orders-1-{date}-{uuid}\.gz", name), name
    for name in store.objects("raw/"):
        assert re.fullmatch(rf"raw/\d{{4}}(/\d\d){{3}}/orders-1-{date}-{uuid}", name), name
    outlets = deliveries(server)["orders"]["outlets"]
    wait_until("the checkpoints", lambda: all(one["records"] == 3 for one in deliveries(server)["orders"]["outlets"]))
    assert [one["kind"] for one in outlets] == ["destination", "backup"]
    metrics = server.get("/metrics").body.decode()
    assert 'millrace_delivered_records_total{delivery="orders",outlet="backup"} 3' in metrics
    firehose.delete_delivery_stream(DeliveryStreamName="orders")
    assert firehose.list_delivery_streams()["DeliveryStreamNames"] == []


def test_streams_and_fragments_are_sources(fresh, store):
    server = fresh(env=store.environment())
    firehose, kinesis = server.client("firehose"), server.client("kinesis")
    kinesis.create_stream(StreamName="clicks", ShardCount=2)
    kinesis.put_record(StreamName="clicks", Data=b"before;", PartitionKey="k")
    device = server.device("door")
    finish(ffmpeg_push(clip(seconds=2), server.rtsp_url("door", device), rate=4))
    server.wait_for_fragments("door", 1)

    def follow(name: str, source: str):
        arn = f"arn:aws:kinesis:us-east-1:000000000000:stream/{source}"
        firehose.create_delivery_stream(
            DeliveryStreamName=name,
            DeliveryStreamType="KinesisStreamAsSource",
            KinesisStreamSourceConfiguration={"KinesisStreamARN": arn, "RoleARN": ROLE},
            S3DestinationConfiguration=bucket(Prefix=f"{name}/"),
        )

    follow("clicks-out", "clicks")
    follow("door-out", "fragments.door")
    for number in range(20):
        kinesis.put_record(StreamName="clicks", Data=b"%d;" % number, PartitionKey=str(number))
    finish(ffmpeg_push(clip(seconds=2), server.rtsp_url("door", device), rate=4))
    new = len(server.wait_for_fragments("door", 2)) - 1

    def clicks() -> list[str]:
        return b"".join(store.objects("clicks-out/").values()).decode().split(";")[:-1]

    wait_until("every click", lambda: len(clicks()) >= 20)
    assert sorted(clicks(), key=int) == [str(number) for number in range(20)], "from the creation on"
    wait_until("the fragments", lambda: len(store.objects("door-out/")) >= new)
    for body in store.objects("door-out/").values():
        assert json.loads(body)["stream"] == "door"


def test_a_destination_that_must_not_be_reached_is_told(fresh, store):
    env = {**store.environment(), "AWS_ENDPOINT_URL_S3": "http://169.254.169.254"}
    server = fresh(env=env)
    firehose = server.client("firehose")
    firehose.create_delivery_stream(DeliveryStreamName="orders", S3DestinationConfiguration=bucket())
    firehose.put_record(DeliveryStreamName="orders", Record={"Data": b"one"})
    wait_until("the error", lambda: deliveries(server)["orders"]["outlets"][0]["last_error"])
    outlet = deliveries(server)["orders"]["outlets"][0]
    assert "link-local" in outlet["last_error"]["text"] and outlet["lag_seconds"] > 0
    with pytest.raises(ClientError) as error:
        configuration = {"EndpointConfiguration": {"Url": "http://169.254.1.1/"}, "S3Configuration": bucket()}
        firehose.create_delivery_stream(DeliveryStreamName="b", HttpEndpointDestinationConfiguration=configuration)
    assert "link-local" in str(error.value)


class Producer(threading.Thread):
    """Puts numbered records until it fails; keeps what was acknowledged and what was only sent."""

    def __init__(self, firehose, stream: str, name: str):
        super().__init__()
        self.firehose, self.stream, self.name = firehose, stream, name
        self.acknowledged, self.sent = set(), set()

    def run(self):
        number = 0
        while True:
            data = [f"{self.name}-{number + place}".encode() for place in range(7)]
            number += len(data)
            self.sent |= set(data)
            try:
                told = self.firehose.put_record_batch(
                    DeliveryStreamName=self.stream, Records=[{"Data": one + b";"} for one in data]
                )["RequestResponses"]
            except (BotoCoreError, ClientError):
                return
            self.acknowledged |= {one for one, place in zip(data, told) if "RecordId" in place}


def test_kill_9_and_flapping_destinations_lose_nothing_and_double_nothing_in_s3(fresh, tmp_path):
    store = Store(tmp_path / "moto.log")
    chance = random.Random(7)
    proxy, endpoint = flapping(store.url, random.Random(8)), Endpoint(random.Random(9))
    try:
        server = fresh(env=store.environment(proxy.url))
        firehose = server.client("firehose")
        firehose.create_delivery_stream(
            DeliveryStreamName="lake", ExtendedS3DestinationConfiguration=bucket(CompressionFormat="GZIP")
        )
        # Far longer than the test takes: nothing is given up.
        http = {
            "EndpointConfiguration": {"Url": endpoint.url, "AccessKey": "k"},
            "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 0},
            "RequestConfiguration": {"ContentEncoding": "GZIP"},
            "RetryOptions": {"DurationInSeconds": 7200},
            "S3Configuration": bucket(Prefix="failed/"),
        }
        firehose.create_delivery_stream(DeliveryStreamName="endpoint", HttpEndpointDestinationConfiguration=http)
        acknowledged = {"lake": set(), "endpoint": set()}
        sent = {"lake": set(), "endpoint": set()}
        for cycle in range(CYCLES):
            producers = [
                Producer(server.client("firehose"), stream, f"{stream}-{cycle}-{n}") for stream in sent for n in range(2)
            ]
            for producer in producers:
                producer.start()
            time.sleep(chance.uniform(0.5, 1.5))
            server.kill()
            for producer in producers:
                producer.join()
                acknowledged[producer.stream] |= producer.acknowledged
                sent[producer.stream] |= producer.sent
            server.start()
        assert all(len(some) > CYCLES for some in acknowledged.values())

        def stored() -> Counter:
            return Counter(b"".join(store.objects().values()).split(b";")[:-1])

        def taken() -> set[bytes]:
            return {record.rstrip(b";") for record in list(endpoint.records)}

        wait_until("every record in S3", lambda: stored().keys() >= acknowledged["lake"], 60)
        wait_until("every record at the endpoint", lambda: taken() >= acknowledged["endpoint"], 60)
        # What is still on its way is repeated in its place, and nowhere else.
        wait_until("the checkpoints", lambda: all(
            outlet["waiting_since"] is None for one in deliveries(server).values() for outlet in one["outlets"]
        ), 60)  # fmt: skip
        doubled = {one: count for one, count in stored().items() if count > 1}
        assert not doubled, f"{len(doubled)} records stand twice: {list(doubled.items())[:5]}"
        assert stored().keys() <= sent["lake"] and taken() <= sent["endpoint"], "records that nobody has sent"
        assert server.cli("verify", "--data", str(server.data)).returncode == 0
    finally:
        proxy.stop()
        endpoint.stop()
        store.stop()
