"""The synthetic cameras that the benches record: programs of `fixtures/`, each many cameras in one process."""

import os
import queue
import subprocess
import threading
from datetime import datetime
from pathlib import Path

import media
from server import BINARY, Server

PROGRAMS = Path(os.environ.get("FIXTURES", Path(BINARY).parent))
FRAME_RATE = 30
BITRATE = 3_000_000
# 3 Mb/s, 30 pictures a second, a key picture every two seconds: what a security camera sends, but for its pictures.
FILM = ("--bitrate", str(BITRATE), "--frame-rate", str(FRAME_RATE), "--gop", "60")


class Cameras:
    """Cameras to be pulled from, numbered from 1; they begin when they are asked to play."""

    def __init__(self, count: int, *options: str, listen: str = "127.0.0.1:0"):
        command = [PROGRAMS / "camera", "--listen", listen, "--streams", str(count), "--transport", "tcp", "--tell", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.urls = [self.process.stdout.readline().strip() for _ in range(count)]
        if not all(self.urls):
            raise RuntimeError(f"no cameras on {listen}: exit {self.process.wait(10)}")
        self.address = self.urls[0].removeprefix("rtsp://").split("/")[0]
        # (number, epoch milliseconds) of the first picture of every session.
        self.first_pictures: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            _, number, millis = line.split()
            self.first_pictures.put((int(number), int(millis)))

    def stop(self):
        media.end(self.process)


def publish(url: str, streams: int, *options: str) -> subprocess.Popen:
    """Cameras that push to `url`, in which {} stands for their numbers."""
    return subprocess.Popen([PROGRAMS / "publisher", "--streams", str(streams), *options, url])


def pull(server: Server, urls: list[str]):
    """Records each camera as the stream `camera-NUMBER`."""
    for url in urls:
        answer = server.request("PUT", f"/v1/streams/{name(url)}/source", {"url": url, "transport": "tcp"})
        if answer.status != 200:
            raise RuntimeError(f"{url}: {answer.status} {answer.body}")


def name(url: str) -> str:
    return f"camera-{url.rsplit('/', 1)[1]}"


def arrived(fragment: dict) -> float:
    """When a fragment's first packet arrived, in epoch milliseconds."""
    return datetime.fromisoformat(fragment["server_timestamp"]).timestamp() * 1000


def folder_bytes(folder: Path) -> int:
    """What the files below take on the disk."""
    found = 0
    for path in folder.rglob("*"):
        try:
            found += path.stat().st_blocks * 512
        except FileNotFoundError:
            pass  # an expired segment
    return found
