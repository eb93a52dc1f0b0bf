"""Processor time and memory per camera, pulled, pushed and by WHIP, beside `ffmpeg -c copy -f segment` on the same feed.

BENCH_WAYS (pull,push,whip), BENCH_COUNTS (8,32,200), BENCH_ROUNDS (3), BENCH_SECONDS (30). The peer of WHIP is ffmpeg
that pulls: it takes no WHIP. At 200 cameras ffmpeg needs some 6 GB of memory, and WHIP the whole of two cores for the
publishers and the server together: a round in which either falls behind says so.
"""

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import media
import synthetic
from figures import cpu_seconds, resident_mb, show, spread
from server import Server

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "30"))
COUNTS = [int(count) for count in os.environ.get("BENCH_COUNTS", "8,32,200").split(",")]
WAYS = os.environ.get("BENCH_WAYS", "pull,push,whip").split(",")
SETTLE = 3
PATIENCE = 60
FIRST_PORT = 20000
# A recorder that stores less than this part of what is sent has fallen behind.
ENOUGH = 0.9


class TooSlow(Exception):
    """This machine does not record so many cameras."""


@dataclass
class Sample:
    """What recording so many cameras took over the measuring time."""

    cpu: float  # seconds, of the recorders
    load_cpu: float  # seconds, of the cameras
    resident: float  # MB, of the recorders
    share: float  # of what the cameras should have sent, what was stored


def measure(recorders: list[int], load: int) -> tuple[float, float, float]:
    """Processor seconds of recorders and load over the measuring time, and the recorders' resident megabytes."""
    before, load_before = sum(map(cpu_seconds, recorders)), cpu_seconds(load)
    time.sleep(SECONDS)
    used = sum(map(cpu_seconds, recorders)) - before
    return used, cpu_seconds(load) - load_before, sum(map(resident_mb, recorders))


def ours(folder: Path, way: str, count: int) -> Sample:
    data = folder / f"ours-{time.monotonic_ns()}"
    server, load = Server(data).start(), None
    try:
        if way == "pull":
            cameras = synthetic.Cameras(count, *synthetic.FILM)
            load = cameras.process
            synthetic.pull(server, cameras.urls)
        else:
            device = server.device("camera-*")
            url, options = server.rtsp_url("camera-{}", device), synthetic.FILM
            if way == "whip":
                url, options = server.url() + "/whip/camera-{}", (*options, "--token", device["token"])
            load = synthetic.publish(url, count, *options)
        wait_until(lambda: recorded(server) == count, f"all of {count} cameras are recorded")
        time.sleep(SETTLE)
        begun = time.time()
        sample = measure([server.process.pid], load.pid)
        window = {"clock": "server", "start": str(int(begun * 1000)), "end": str(int(time.time() * 1000))}
        time.sleep(SETTLE)
        stored = sum(one["duration_ms"] for one in server.fragments("camera-*", **window)) / 1000
        return Sample(*sample, stored / count / SECONDS)
    finally:
        if load:
            media.end(load)
        server.stop(60)
        shutil.rmtree(data)


def recorded(server: Server) -> int:
    """How many streams have a fragment."""
    return sum(1 for stream in server.get("/v1/streams").json()["streams"] if stream["last_fragment"])


def peer(folder: Path, way: str, count: int) -> Sample:
    """One ffmpeg a camera."""
    out = folder / f"peer-{time.monotonic_ns()}"
    recorders, load = [], None
    try:
        if way == "push":
            urls = [f"rtsp://127.0.0.1:{FIRST_PORT + number}/camera" for number in range(count)]
            recorders = [ffmpeg(url, out / str(number), "-rtsp_flags", "listen") for number, url in enumerate(urls)]
            wait_until(lambda: listening(count), f"{count} ffmpegs listen")
            load = synthetic.publish("rtsp://127.0.0.1:{}/camera", count, "--first", str(FIRST_PORT), *synthetic.FILM)
        else:
            cameras = synthetic.Cameras(count, *synthetic.FILM)
            load = cameras.process
            for number, url in enumerate(cameras.urls):
                recorders.append(ffmpeg(url, out / str(number), "-rtsp_transport", "tcp"))
        wait_until(lambda: len(list(out.glob("*/00001.mkv"))) == count, f"{count} ffmpegs record")
        time.sleep(SETTLE)
        before = synthetic.folder_bytes(out)
        sample = measure([recorder.pid for recorder in recorders], load.pid)
        stored = synthetic.folder_bytes(out) - before
        return Sample(*sample, stored * 8 / synthetic.BITRATE / count / SECONDS)
    finally:
        for process in [load, *recorders]:
            if process:
                media.end(process)
        shutil.rmtree(out)


def ffmpeg(url: str, out: Path, *options: str) -> subprocess.Popen:
    out.mkdir(parents=True)
    command = ["ffmpeg", "-nostdin", "-v", "quiet", *options, "-i", url, "-c", "copy",
               "-f", "segment", "-segment_time", "2", str(out / "%05d.mkv")]  # fmt: skip
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def listening(count: int) -> bool:
    ports = {int(line.split()[1].split(":")[1], 16) for line in Path("/proc/net/tcp").read_text().splitlines()[1:]}
    return all(FIRST_PORT + number in ports for number in range(count))


def wait_until(is_so, what: str):
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > deadline:
            raise TooSlow(f"not within {PATIENCE} s: {what}")
        time.sleep(0.2)


def run(folder: Path):
    for way in WAYS:
        for count in COUNTS:
            try:
                compare(folder, way, count)
            except TooSlow as why:
                print(f"{way}, {count} cameras: {why}", flush=True)


def compare(folder: Path, way: str, count: int):
    mine, theirs = [], []
    for _ in range(ROUNDS):
        mine.append(ours(folder, way, count))
        theirs.append(peer(folder, way, count))
    for who, samples in ("ours", mine), ("ffmpeg", theirs):
        for sample in samples:
            if sample.share < ENOUGH:
                print(f"  {who} stored {sample.share:.0%} of what {count} cameras send: the machine is too slow for this")
    what, hours = f"{way}, {count} cameras", count * SECONDS / 3600
    show(f"{what}: CPU seconds a camera-hour", spread([one.cpu / hours for one in mine]), "bar 8, moonshot 5")
    show(f"{what}: the same, ffmpeg -c copy -f segment", spread([one.cpu / hours for one in theirs]))
    show(f"{what}: ours ÷ ffmpeg", spread([one.cpu / other.cpu for one, other in zip(mine, theirs)]))
    show(f"{what}: resident MB", spread([one.resident for one in mine], 0), f"bar {60 + 4 * count}, moonshot {40 + 1.5 * count:.0f}")
    show(f"{what}: resident MB, ffmpeg", spread([one.resident for one in theirs], 0))
    show(f"{what}: the cameras' own CPU seconds an hour", spread([one.load_cpu / hours for one in mine]))
