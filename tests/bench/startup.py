"""From start to `ready`, on an empty folder and after kill -9 with footage in the log."""

import os
import time
from pathlib import Path

import media
from figures import show, spread
from server import Server

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
CAMERAS = 8


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
    names = [f"camera-{number}" for number in range(CAMERAS)]
    killed = []
    for _ in range(ROUNDS):
        pushes = [media.ffmpeg_push(media.clip(), server.rtsp_url(name, device), loop=True, paced=False) for name in names]
        time.sleep(4)
        server.kill()
        for push in pushes:
            media.end(push)
        killed.append(started(server) * 1000)
    size = sum(path.stat().st_size for path in (server.data / "log").rglob("*.seg")) / 1e6
    show(f"start to ready after kill -9, {size:.0f} MB of log, ms", spread(killed, 0), "bar 1000 at 10 GB")
    server.stop()
