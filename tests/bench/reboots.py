"""From the first key picture of a camera that has rebooted to the first fragment of it.

BENCH_CAMERAS (10) lose their power BENCH_ROUNDS (5) times, each time for BENCH_DOWN (5) seconds.
"""

import os
import time
from pathlib import Path

import synthetic
from figures import percentile, show
from server import Server

CAMERAS = int(os.environ.get("BENCH_CAMERAS", "10"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
DOWN = float(os.environ.get("BENCH_DOWN", "5"))
PATIENCE = 60
# How long a camera is recorded before it loses its power: its pauses begin anew.
UP = 12


def run(folder: Path):
    server = Server(folder / "millrace").start()
    cameras = synthetic.Cameras(CAMERAS, *synthetic.FILM)
    found = {"asked": [], "begins": [], "listed": []}
    try:
        synthetic.pull(server, cameras.urls)
        come_back(server, cameras, time.time())
        for _ in range(ROUNDS):
            time.sleep(UP)
            cameras.stop()
            time.sleep(DOWN)
            up = time.time()
            cameras = synthetic.Cameras(CAMERAS, *synthetic.FILM, listen=cameras.address)
            for key, values in come_back(server, cameras, up).items():
                found[key] += values
    finally:
        cameras.stop()
        server.stop(60)
    count = CAMERAS * ROUNDS
    show_spread(f"{count} reboots: camera up to first key picture, ms", found["asked"], "pauses double to 10 s")
    show_spread(f"{count} reboots: first key picture to start of the first fragment, ms", found["begins"], "bar 1000")
    show_spread(f"{count} reboots: first key picture to a fragment of 2 s in the index, ms", found["listed"], "2000 and a picture at best")


def show_spread(what: str, values: list[float], bar: str):
    show(what, f"{percentile(values, 0.5):.0f} (p90 {percentile(values, 0.9):.0f}, most {max(values):.0f})", bar)


def come_back(server: Server, cameras: synthetic.Cameras, up: float) -> dict[str, list[float]]:
    """Waits until every camera is recorded again. Answers how long it took, in milliseconds: until it was asked, from
    its first picture to the first fragment's first packet, and to the moment when that fragment is found."""
    up_ms, deadline = up * 1000, time.monotonic() + PATIENCE
    sent, asked, begins, listed = {}, [], [], []
    while len(listed) < CAMERAS:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(listed)} of {CAMERAS} cameras came back within {PATIENCE} s\n{server.tail()}")
        while not cameras.first_pictures.empty():
            number, millis = cameras.first_pictures.get()
            sent.setdefault(f"camera-{number}", millis)
        fresh = server.fragments("camera-*", clock="server", start=str(int(up_ms)))
        now = time.time() * 1000
        first = {one["stream"]: synthetic.arrived(one) for one in reversed(fresh)}
        for stream in [stream for stream in first if stream in sent]:
            key = sent.pop(stream)
            asked.append(key - up_ms)
            begins.append(first[stream] - key)
            listed.append(now - key)
        time.sleep(0.02)
    return {"asked": asked, "begins": begins, "listed": listed}
