"""Firehose as boto3 speaks it, to an S3 server of independent make."""

import json
import re

import pytest
from botocore.exceptions import ClientError

from destinations import ROLE, Store, bucket, wait_until
from media import ffmpeg_push, clip, finish


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
