"""Processor time and memory per camera, beside `ffmpeg -c copy -f segment` on the same feed."""

import os
import subprocess
import time
from pathlib import Path

import media
from figures import cpu_seconds, resident_mb, show, spread
from server import Server

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "30"))
COUNTS = (8, 32)
SETTLE = 6


def feed(folder: Path) -> Path:
    """1080p30, 3 Mb/s, a key frame every two seconds, AAC: what a security camera sends."""
    path = folder / "feed.mkv"
    media.run(
        "ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=1920x1080:rate=30:duration=20",
        "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=20",
        "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-b:v", "3M", "-minrate", "3M", "-maxrate", "3M",
        "-bufsize", "1M", "-nal-hrd", "cbr", "-g", "60", "-sc_threshold", "0", "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "64k",
        str(path), timeout=300,
    )  # fmt: skip
    return path


def measure(pids: list[int]) -> tuple[float, float]:
    """Processor seconds and resident megabytes of these processes over the measuring time."""
    before = sum(cpu_seconds(pid) for pid in pids)
    time.sleep(SECONDS)
    used = sum(cpu_seconds(pid) for pid in pids) - before
    return used, sum(resident_mb(pid) for pid in pids)


def ours(clip: Path, folder: Path, cameras: int) -> tuple[float, float, int]:
    server = Server(folder / f"ours-{cameras}-{time.monotonic_ns()}").start()
    device = server.device("camera-*")
    pushes = [media.ffmpeg_push(clip, server.rtsp_url(f"camera-{number}", device), loop=True) for number in range(cameras)]
    try:
        time.sleep(SETTLE)
        used, resident = measure([server.process.pid])
        stored = len(server.fragments("camera-*"))
    finally:
        for push in pushes:
            media.end(push)
        server.stop()
    return used, resident, stored


def peer(clip: Path, folder: Path, cameras: int) -> tuple[float, float]:
    """One ffmpeg a camera, listening for the same push."""
    recorders, pushes = [], []
    try:
        for number in range(cameras):
            out = folder / f"peer-{time.monotonic_ns()}"
            out.mkdir()
            url = f"rtsp://127.0.0.1:{20000 + os.getpid() % 1000 + number}/camera"
            command = ["ffmpeg", "-nostdin", "-v", "error", "-rtsp_flags", "listen", "-i", url, "-c", "copy",
                       "-f", "segment", "-segment_time", "2", str(out / "%05d.mkv")]  # fmt: skip
            recorders.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            time.sleep(0.2)
            pushes.append(media.ffmpeg_push(clip, url, loop=True))
        time.sleep(SETTLE)
        alive = [recorder.pid for recorder in recorders if recorder.poll() is None]
        if len(alive) != cameras:
            raise RuntimeError(f"only {len(alive)} of {cameras} peers are recording")
        return measure(alive)
    finally:
        for process in pushes + recorders:
            media.end(process)


def run(folder: Path):
    clip = feed(folder)
    for cameras in COUNTS:
        hours = cameras * SECONDS / 3600
        ratios, costs, theirs, memory, their_memory = [], [], [], [], []
        for _ in range(ROUNDS):
            used, resident, stored = ours(clip, folder, cameras)
            peer_used, peer_resident = peer(clip, folder, cameras)
            if stored < cameras * SECONDS / 2 * 0.9:
                print(f"  only {stored} fragments stored: the machine is too slow for {cameras} cameras in this round")
            costs.append(used / hours)
            theirs.append(peer_used / hours)
            ratios.append(used / peer_used)
            memory.append(resident)
            their_memory.append(peer_resident)
        show(f"{cameras} cameras: CPU seconds a camera-hour", spread(costs), "bar 8, moonshot 5")
        show(f"{cameras} cameras: the same, ffmpeg -c copy -f segment", spread(theirs))
        show(f"{cameras} cameras: ours ÷ ffmpeg", spread(ratios))
        show(f"{cameras} cameras: resident MB", spread(memory, 0), f"bar {60 + 4 * cameras}")
        show(f"{cameras} cameras: resident MB, ffmpeg", spread(their_memory, 0))
