"""Data streams: producers beside the in-memory emulators, records a sync, delivery to subscribers, catching up."""

import os
import subprocess
import time
from pathlib import Path

import load
import peers
from figures import cpu_seconds, show, spread
from server import Server

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "4"))
# Producers of calls of 500 records of 1 KiB, and of single records.
PRODUCERS, SINGLES = 8, 64
SHARDS = 4
# A sync of a flash disk without a power-safe cache.
SLOW_SYNC_MS = 5
# Data of one record, in MB.
RECORD = 1024 / 1e6


def run(folder: Path):
    load.build()
    there = peers.installed()
    for wire in ("json", "cbor"):
        beside_peers(folder, there, wire)
    server = Server(folder / "alone").start()
    try:
        singles(server, "the machine's disk", "")
        subscribed(server, folder)
        caught_up(server)
    finally:
        server.stop()
    slow = Server(folder / "slow", env=slow_disk(folder)).start()
    try:
        singles(slow, f"syncs of {SLOW_SYNC_MS} ms", f"bar {SINGLES // 2}: half of those in flight")
    finally:
        slow.stop()


def slow_disk(folder: Path) -> dict[str, str]:
    """What makes a server's syncs slow. On a fast disk callers and server take longer than a sync, so that
    most of those in flight are not yet at the log when one begins."""
    library = folder / "slow_sync.so"
    source = Path(__file__).with_name("slow_sync.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, source], check=True)
    return {"LD_PRELOAD": str(library), "SLOW_SYNC_US": str(SLOW_SYNC_MS * 1000)}


def with_one_shard(server, name: str, shards: int = 1):
    client = server.client("kinesis")
    client.create_stream(StreamName=name, ShardCount=shards)
    client.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 20})


def beside_peers(folder: Path, there: list[str], wire: str):
    """Rounds take turns; each begins with an empty server, since peers keep all there is in memory."""
    rates, costs, own = ({name: [] for name in ["millrace", *there]} for _ in range(3))
    for number in range(ROUNDS):
        for name in rates:
            data = folder / f"{name}-{wire}-{number}"
            server = Server(data).start() if name == "millrace" else peers.Peer(name, folder)
            try:
                with_one_shard(server, "records", SHARDS)
                before = cpu_seconds(server.process.pid)
                done = load.run(server, "put", stream="records", wire=wire, connections=PRODUCERS, seconds=SECONDS)
                used = cpu_seconds(server.process.pid) - before
            finally:
                server.stop()
            rates[name].append(done["records"] / done["seconds"])
            costs[name].append(used / done["records"] * 1e6)
            own[name].append(done["own_cpu"] / done["records"] * 1e6)
    for name in rates:
        show(f"PutRecords 500 x 1 KiB, {wire}, {name}: records/s", spread(rates[name], 0))
        show(f"PutRecords 500 x 1 KiB, {wire}, {name}: CPU µs a record", spread(costs[name]))
    for name in there:
        ratio = [ours / theirs for ours, theirs in zip(rates["millrace"], rates[name])]
        show(f"{wire}: records/s ÷ {name}'s", spread(ratio), "bar 1.5, moonshot 5")
        ratio = [ours / theirs for ours, theirs in zip(costs["millrace"], costs[name])]
        show(f"{wire}: CPU a record ÷ {name}'s", spread(ratio), "bar 0.5")
    show(f"{wire}: the load generator's own CPU µs a record", spread(own["millrace"]))


def lane(server) -> tuple[float, float]:
    """Frames made durable and syncs, in the lane of records that are kept for a day."""
    page = server.get("/metrics").body.decode().splitlines()
    value = lambda name: sum(float(line.split()[-1]) for line in page if line.startswith(f'{name}{{lane="records-day"'))
    return value("millrace_log_frames_total"), value("millrace_log_syncs_total")


def singles(server, disk: str, bar: str):
    with_one_shard(server, "single")
    rates, shared, waits = [], [], []
    for _ in range(ROUNDS):
        frames, syncs = lane(server)
        done = load.run(server, "put", stream="single", connections=SINGLES, records=1, seconds=SECONDS)
        more_frames, more_syncs = lane(server)
        rates.append(done["records"] / done["seconds"])
        shared.append((more_frames - frames) / max(1, more_syncs - syncs))
        waits.append(done["calls"]["p99_ms"])
    show(f"PutRecord of 1 KiB, {SINGLES} connections, {disk}: records/s", spread(rates, 0))
    show("the same: records a sync", spread(shared, 1), bar)
    show("the same: p99 of a call, ms", spread(waits))


def subscribed(server, folder: Path):
    client = server.client("kinesis")
    with_one_shard(server, "told")
    arn = client.describe_stream_summary(StreamName="told")["StreamDescriptionSummary"]["StreamARN"]
    consumer = client.register_stream_consumer(StreamARN=arn, ConsumerName="bench")["Consumer"]["ConsumerARN"]
    delivered, acknowledged, disk = [], [], []
    for number in range(ROUNDS):
        # A consumer may subscribe again to a shard after five seconds.
        time.sleep(6 if number else 1)
        disk.append(load.disk_sync_p99(folder))
        done = load.run(server, "subscribe", stream="told", consumer=consumer, count=int(SECONDS * 100))
        delivered.append(done["delivered"]["p99_ms"])
        acknowledged.append(done["acknowledged"]["p99_ms"])
    show("put to SubscribeToShard, p99, ms", spread(delivered))
    show("put to its acknowledgement, p99, ms", spread(acknowledged))
    show("fdatasync p99 of the same rounds, ms", spread(disk))
    show("delivery p99 − fdatasync p99, ms", spread([ours - sync for ours, sync in zip(delivered, disk)]), "bar 5")


def caught_up(server):
    """What `engine` measures of the log alone, here through GetRecords in JSON."""
    with_one_shard(server, "history")
    stored = load.run(server, "put", stream="history", connections=PRODUCERS, seconds=SECONDS)["records"] * RECORD
    rates, per_core = [], []
    for _ in range(ROUNDS):
        before = cpu_seconds(server.process.pid)
        done = load.run(server, "read", stream="history")
        rates.append(stored / done["seconds"])
        per_core.append(stored / (cpu_seconds(server.process.pid) - before))
    show(f"GetRecords over {stored:.0f} MB, one reader, JSON: MB/s", spread(rates, 0))
    show("the same: MB a CPU second", spread(per_core, 0), "log alone, `engine`: bar 500")
