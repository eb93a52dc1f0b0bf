"""Deliveries: gzip to S3 beside flate2 alone, and how late records come."""

import os
import time
from pathlib import Path

import load
from destinations import ROLE, Endpoint, Store, bucket, wait_until
from figures import cpu_seconds, show, spread
from server import Server

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
# Of one object, and calls of 500 records of 1 KiB that come close to it.
MEGABYTES, CALLS = 64, 128
MORE_CALLS = 6
INTERVALS = (0, 1, 3)


def run(folder: Path):
    load.build()
    zipped(folder)
    lag(folder)


def zipped(folder: Path):
    store = Store(folder / "store.log")
    server = Server(folder / "zipped", env=store.environment()).start()
    try:
        figures = [zip_round(server, store, number) for number in range(ROUNDS)]
    finally:
        server.stop()
        store.stop()
    ours, alone = [round[0] for round in figures], [round[1] for round in figures]
    show("DirectPut to S3, gzip: MB a CPU second", spread(ours, 1))
    show("flate2 alone: MB a CPU second", spread(alone, 1))
    show("ours ÷ flate2", spread([ours / alone for ours, alone in figures]), "bar 0.8")


def zip_round(server: Server, store: Store, number: int) -> tuple[float, float]:
    """MB of records a CPU second: of the server from the last of them to the object, and of flate2 alone."""
    client, name = server.client("firehose"), f"zip-{number}"
    hints = {"SizeInMBs": MEGABYTES, "IntervalInSeconds": 900}
    configuration = bucket(BufferingHints=hints, CompressionFormat="GZIP", Prefix=f"{name}/")
    client.create_delivery_stream(DeliveryStreamName=name, ExtendedS3DestinationConfiguration=configuration)
    time.sleep(1.2)
    put = lambda calls: load.run(server, "put", service="firehose", stream=name, connections=1, calls=calls, seconds=600)
    put(CALLS)
    before = cpu_seconds(server.process.pid)
    put(MORE_CALLS)
    taken = lambda: store.client.list_objects_v2(Bucket="lake", Prefix=f"{name}/").get("Contents")
    wait_until("an object", taken, 120)
    used = cpu_seconds(server.process.pid) - before
    client.delete_delivery_stream(DeliveryStreamName=name)
    alone = load.run(None, "pack", megabytes=MEGABYTES)
    return MEGABYTES * 1.048576 / used, alone["bytes"] / 1e6 / alone["cpu_seconds"]


def lag(folder: Path):
    server, endpoint = Server(folder / "lag").start(), Endpoint()
    try:
        for interval in INTERVALS:
            late = late_by(server, endpoint, interval)
            show(f"HTTP delivery, interval {interval} s: later than that, s", spread(late), "bar 1")
    finally:
        server.stop()
        endpoint.stop()


def late_by(server: Server, endpoint: Endpoint, interval: int) -> list[float]:
    client, name = server.client("firehose"), f"lag-{interval}"
    configuration = {
        "EndpointConfiguration": {"Url": endpoint.url},
        "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": interval},
        "S3BackupMode": "FailedDataOnly",
        "S3Configuration": {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::lake"},
    }
    client.create_delivery_stream(DeliveryStreamName=name, HttpEndpointDestinationConfiguration=configuration)
    time.sleep(1.2)
    late = []
    for _ in range(ROUNDS):
        count, began = len(endpoint.records), time.monotonic()
        client.put_record(DeliveryStreamName=name, Record={"Data": b"a record"})
        while len(endpoint.records) == count:
            if time.monotonic() > began + interval + 30:
                raise TimeoutError(f"nothing was delivered in {interval + 30} s")
            time.sleep(0.001)
        late.append(time.monotonic() - began - interval)
    return late
