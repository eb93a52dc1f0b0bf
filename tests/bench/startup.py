"""From start to `ready`, on an empty folder and after kill -9 with one and with ten gigabytes in the log."""

import os
import time
from pathlib import Path

import media
from figures import show, spread
from server import Server

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
# What the log holds at the first kill of each size; every round adds some. The disk needs twice the larger.
SIZES_GB = (1, 10)
CAMERAS = 8
# How long cameras push as fast as they can before each kill, and at most to fill the log.
PUSH_SECS, FILL_SECS = 4, 1200


def started(server: Server) -> float:
    began = time.monotonic()
    server.start()
    return time.monotonic() - began


def run(folder: Path):
    empty = []
    for number in range(ROUNDS):
        server = Server(folder / f"empty-{number}")
        empty.append(started(server) * 1000)
        server.stop()
    show("start to ready, empty folder, ms", spread(empty, 0))

    server = Server(folder / "full").start()
    device = server.device("camera-*")
    for gigabytes in SIZES_GB:
        push(server, device, until_gb=gigabytes)
        killed = []
        for _ in range(ROUNDS):
            push(server, device, then_kill=True)
            killed.append(started(server) * 1000)
        stored = f"{log_gb(server):.1f} GB of log, {len(server.fragments('camera-*'))} fragments"
        show(f"start to ready after kill -9, {stored}, ms", spread(killed, 0), "bar 1000 at 10 GB")
    server.stop()


def push(server: Server, device: dict, until_gb: float = 0, then_kill: bool = False):
    """Records all cameras for a while, at least until the log holds so much."""
    names = [f"camera-{number}" for number in range(CAMERAS)]
    pushes = [media.ffmpeg_push(media.clip(), server.rtsp_url(name, device), loop=True, paced=False) for name in names]
    try:
        time.sleep(PUSH_SECS)
        deadline = time.monotonic() + FILL_SECS
        while log_gb(server) < until_gb:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{log_gb(server):.1f} of {until_gb} GB were recorded in {FILL_SECS} s")
            time.sleep(0.5)
        if then_kill:
            server.kill()
    finally:
        for process in pushes:
            media.end(process)


def log_gb(server: Server) -> float:
    """What the log takes on the disk."""
    return sum(path.stat().st_blocks * 512 for path in (server.data / "log").rglob("*.seg")) / 1e9
