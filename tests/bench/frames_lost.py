"""Pictures lost while many cameras are pulled from: every one that was sent is counted in the index.

BENCH_CAMERAS (200), BENCH_SECONDS (600). Cameras make a known number of pictures and then pause. What is stored is
kept for a minute: that, and the segments being written, is what the disk needs.
"""

import os
import time
from collections import Counter
from pathlib import Path

import matroska
import synthetic
from figures import cpu_seconds, percentile, resident_mb, show
from server import Server

CAMERAS = int(os.environ.get("BENCH_CAMERAS", "200"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "600"))
# Well within the retention of a minute.
LOOK = 15
# After the last picture of all, until a camera's silence has been noticed (8 s) and all of it is stored.
GRACE = 12
# How long a camera makes nothing then: its silence ends the session, and what comes after it is another run.
PAUSE = 30
PICTURE_TRACK = 1
COUNTERS = ("packets_lost", "frames_damaged", "frames_dropped", "fragments_dropped")


class Recording:
    """What is known of all streams, fragment by fragment."""

    def __init__(self, server: Server):
        self.server = server
        self.fragments: dict[str, dict[str, dict]] = {}
        self.seen = time.time()

    def look(self):
        """Takes note of the fragments that came since the last time."""
        now = time.time()
        window = {"clock": "server", "start": str(int((self.seen - LOOK) * 1000))}
        for one in self.server.fragments("camera-*", **window):
            self.fragments.setdefault(one["stream"], {})[one["fragment_number"]] = one
        self.seen = now

    def begun(self, stream: str) -> float | None:
        """When its first picture arrived, in epoch seconds."""
        found = self.fragments.get(stream)
        return min(map(synthetic.arrived, found.values())) / 1000 if found else None

    def first_run(self, stream: str) -> list[dict]:
        """The fragments up to a break, if there is any: what breaks loses the rest."""
        found = self.fragments.get(stream)
        first = found[min(found)]["run_id"] if found else None
        return [one for one in (found or {}).values() if one["run_id"] == first]

    def pictures(self, stream: str) -> int:
        return sum(picture(one)["frames"] for one in self.first_run(stream))


def picture(fragment: dict) -> dict:
    return next(track for track in fragment["tracks"] if track["width"])


def run(folder: Path):
    cameras = synthetic.Cameras(CAMERAS, *synthetic.FILM, "--fault", f"gap:{SECONDS}:{PAUSE}")
    server = Server(folder / "millrace", "--device-retention", "1m").start()
    try:
        synthetic.pull(server, cameras.urls)
        recording = Recording(server)
        disk, read = record(server, recording, [synthetic.name(url) for url in cameras.urls])
        report(server, recording)
        hours = CAMERAS * SECONDS / 3600
        show("CPU seconds a camera-hour", f"{cpu_seconds(server.process.pid) / hours:.2f}", "bar 8, moonshot 5")
        show("resident MB", f"{resident_mb(server.process.pid):.0f}", f"bar {60 + 4 * CAMERAS}")
        show("most disk taken, GB", f"{disk / 1e9:.1f}")
        show("fragments read back whole", str(read))
    finally:
        cameras.stop()
        server.stop(60)


def record(server: Server, recording: Recording, streams: list[str]) -> tuple[int, int]:
    """Goes on until every stream has come to its end. Answers the most disk it took, and how many fragments were read
    back."""
    disk, read, looked = 0, 0, time.monotonic()
    deadline = time.monotonic() + SECONDS + 120
    while time.monotonic() < deadline:
        time.sleep(0.5)
        begun = [recording.begun(stream) for stream in streams]
        if all(begun) and time.time() > max(begun) + SECONDS + GRACE:
            break
        if time.monotonic() - looked >= LOOK:
            looked = time.monotonic()
            recording.look()
            disk = max(disk, synthetic.folder_bytes(server.data))
            read += read_back(server, recording)
    recording.look()
    return disk, read


def read_back(server: Server, recording: Recording) -> int:
    """Fetches the newest fragment of some stream, and counts its pictures."""
    streams = sorted(recording.fragments)
    if not streams:
        return 0
    stream = streams[int(time.monotonic()) % len(streams)]
    number = max(recording.fragments[stream])
    asked = {"StreamName": stream, "Fragments": [number]}
    payload = server.archive(stream, "GET_MEDIA_FOR_FRAGMENT_LIST").get_media_for_fragment_list(**asked)["Payload"].read()
    found = sum(len(file.frames(PICTURE_TRACK)) for file in matroska.files(payload))
    told = picture(recording.fragments[stream][number])["frames"]
    if found != told:
        raise RuntimeError(f"fragment {number} of {stream} has {found} pictures, and the index says {told}")
    return 1


def report(server: Server, recording: Recording):
    expected = SECONDS * synthetic.FRAME_RATE
    lost = {f"camera-{at}": expected - recording.pictures(f"camera-{at}") for at in range(1, CAMERAS + 1)}
    told = Counter()
    for stream in lost:
        health = server.get(f"/v1/streams/{stream}").json()["health"] or {}
        told.update({key: health.get(key, 0) for key in COUNTERS})
    behind = [late for stream in lost for late in lateness(recording.first_run(stream))]
    show(f"{CAMERAS} cameras, {SECONDS} s: pictures sent", str(expected * CAMERAS))
    show("pictures lost", str(sum(lost.values())), "bar 0")
    for stream, count in sorted(lost.items(), key=lambda one: -abs(one[1]))[:5]:
        if count:
            print(f"  {stream}: {count}")
    show("the server's own counters", ", ".join(f"{key} {count}" for key, count in sorted(told.items())), "all 0")
    show("fragments evicted, because the disk is nearly full", evicted(server), "0, or nothing here counts")
    show("fragments behind their camera, ms: p50, p99, most",
         f"{percentile(behind, 0.5):.0f}, {percentile(behind, 0.99):.0f}, {max(behind):.0f}")  # fmt: skip


def evicted(server: Server) -> str:
    lines = server.get("/metrics").body.decode().splitlines()
    return next((line.rsplit(" ", 1)[1] for line in lines if line.startswith("millrace_evicted_fragments_total")), "0")


def lateness(fragments: list[dict]) -> list[float]:
    """How much later than the least delayed one of its stream each fragment arrived, in milliseconds."""
    def delay(one: dict) -> float:
        video = picture(one)
        return synthetic.arrived(one) - video["start"] * 1000 / video["timescale"]

    delays = [delay(one) for one in fragments]
    return [one - min(delays) for one in delays]
