"""PutMedia: from a fragment's last byte to PERSISTED, and what 500 producers cost."""

import os
import threading
import time
from pathlib import Path

import load
from figures import cpu_seconds, resident_mb, show, spread
from server import Server

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "20"))
BITRATE = 1_000_000
FEW, MANY = 8, 500


def run(folder: Path):
    load.build()
    persisted(folder)
    many(folder)


def with_streams(server: Server, count: int):
    client = server.client()
    for number in range(count):
        client.create_stream(StreamName=f"media-{number}", DataRetentionInHours=24)


def media(server: Server, producers: int) -> dict:
    fragments = max(1, int(SECONDS / 2))
    return load.run(server, "media", streams="media", producers=producers, bitrate=BITRATE, fragments=fragments)


def persisted(folder: Path):
    server = Server(folder / "few").start()
    try:
        with_streams(server, FEW)
        ours, disk = [], []
        for _ in range(ROUNDS):
            disk.append(load.disk_sync_p99(folder))
            ours.append(media(server, FEW)["persisted"]["p99_ms"])
    finally:
        server.stop()
    show(f"{FEW} PutMedia producers: last byte to PERSISTED, p99, ms", spread(ours))
    show("fdatasync p99 of the same rounds, ms", spread(disk))
    show("PERSISTED p99 − fdatasync p99, ms", spread([a - b for a, b in zip(ours, disk)]), "bar 10")


def many(folder: Path):
    middle, waits, memory, costs = [], [], [], []
    for number in range(ROUNDS):
        server = Server(folder / f"many-{number}").start()
        try:
            with_streams(server, MANY)
            time.sleep(1)
            idle, before = resident_mb(server.process.pid), cpu_seconds(server.process.pid)
            with Peak(server.process.pid) as peak:
                done = media(server, MANY)
            used = cpu_seconds(server.process.pid) - before
        finally:
            server.stop()
        middle.append(done["persisted"]["p50_ms"])
        waits.append(done["persisted"]["p99_ms"])
        memory.append((peak.mb - idle) / MANY)
        costs.append(used / (MANY * SECONDS / 3600))
    show(f"{MANY} PutMedia producers of 1 Mb/s: resident MB a producer", spread(memory), "bar 4")
    show("the same: last byte to PERSISTED, p50, ms", spread(middle))
    show("the same: p99, ms", spread(waits))
    show("the same: CPU seconds a producer-hour", spread(costs))


class Peak:
    """The most memory that a process takes in the meantime."""

    def __init__(self, pid: int):
        self.pid, self.mb, self.over = pid, 0.0, threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def watch(self):
        while not self.over.wait(0.2):
            self.mb = max(self.mb, resident_mb(self.pid))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
