"""Resident memory over many short sessions: pulled ones that the camera closes, and pushed ones.

BENCH_SESSIONS (10000) of BENCH_CAMERAS (200) cameras, each way. Footage is kept for a minute, so that the index does not
grow either; files that are mapped, which the index's are, do not count. Pulling takes some eight minutes, because of the
pauses between attempts.
"""

import os
import time
from pathlib import Path

import media
import synthetic
from figures import resident_mb, show
from server import Server

SESSIONS = int(os.environ.get("BENCH_SESSIONS", "10000"))
CAMERAS = int(os.environ.get("BENCH_CAMERAS", "200"))
# Between two looks at the memory.
LOOK = 2
PATIENCE = 3600
PUSH_CAMERAS = 50


class Curve:
    """Sessions so far, and resident megabytes."""

    def __init__(self, server: Server):
        self.server = server
        self.points: list[tuple[int, float]] = []
        self.deadline = time.monotonic() + PATIENCE

    def look(self, sessions: int) -> int:
        if time.monotonic() > self.deadline:
            raise TimeoutError(f"{sessions} of {SESSIONS} sessions within {PATIENCE} s")
        time.sleep(LOOK)
        self.points.append((sessions, resident_mb(self.server.process.pid, "RssAnon")))
        return sessions

    def show(self, what: str):
        at = [next(mb for done, mb in self.points if done >= share * self.points[-1][0]) for share in (0.1, 0.25, 0.5, 0.75, 1)]
        show(f"{what}: resident MB at 10, 25, 50, 75, 100 %", ", ".join(f"{mb:.0f}" for mb in at))
        growth = (self.lowest(0.75, 1) - self.lowest(0.5, 0.75)) * 1024 * 1024 / (self.points[-1][0] / 4)
        show(f"{what}: bytes a session, third to last quarter", f"{growth:.0f}", "bar 0, give or take 1000")

    def lowest(self, since: float, until: float) -> float:
        """The low-water mark of a part of the sessions: the index takes memory for a while and gives it back."""
        last = self.points[-1][0]
        return min(mb for done, mb in self.points if since * last <= done <= until * last)


def run(folder: Path):
    pulled(folder)
    pushed(folder)


def pulled(folder: Path):
    """Each camera closes its connection a fifth of a second after PLAY, in the middle of a packet."""
    cameras = synthetic.Cameras(CAMERAS, "--misdeed", "close:0.2")
    server = Server(folder / "pulled", "--device-retention", "1m").start()
    try:
        synthetic.pull(server, cameras.urls)
        curve, done = Curve(server), 0
        while curve.look(done) < SESSIONS:
            while not cameras.first_pictures.empty():
                cameras.first_pictures.get()
                done += 1
        curve.show(f"{SESSIONS} pulled sessions of {CAMERAS} cameras")
    finally:
        cameras.stop()
        server.stop(60)


def pushed(folder: Path):
    """Each session is five pictures and a TEARDOWN."""
    server = Server(folder / "pushed", "--device-retention", "1m").start()
    url = server.rtsp_url("camera-{}", server.device("camera-*"))
    each = SESSIONS // PUSH_CAMERAS
    load = synthetic.publish(url, PUSH_CAMERAS, "--sessions", str(each), "--pictures", "5")
    try:
        curve = Curve(server)
        while load.poll() is None:
            curve.look(sessions(server))
        if load.returncode:
            raise RuntimeError("a session was refused")
        curve.show(f"{sessions(server)} pushed sessions of {PUSH_CAMERAS} cameras")
    finally:
        media.end(load)
        server.stop(60)


def sessions(server: Server) -> int:
    """How many began, as the server counts."""
    lines = server.get("/metrics").body.decode().splitlines()
    again = [float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("millrace_stream_reconnects_total{")]
    return int(sum(again)) + len(again)
