"""Headless Chromium, and the demo camera's clock read from the pixels it shows."""

import shutil
import threading
import time
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

HLS_JS = Path(__file__).parents[2] / "console/node_modules/hls.js/dist/hls.min.js"
OPTIONS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
    "--ignore-certificate-errors",
]  # fmt: skip
# A camera and a microphone that are made up, and given to whoever asks.
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]

# The bar of the demo picture: 80 cells, 48 bits of epoch milliseconds, 24 of frame counter, 8 of check.
READ_BAR = """() => {
  const video = document.querySelector("video");
  if (!video || video.readyState < 2 || !video.videoWidth) return null;
  const canvas = window.millraceCanvas ??= document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  const paint = canvas.getContext("2d", { willReadFrequently: true });
  paint.drawImage(video, 0, 0);
  const row = paint.getImageData(0, Math.floor(canvas.height / 45), canvas.width, 1).data;
  const bytes = new Array(10).fill(0);
  for (let cell = 0; cell < 80; cell += 1) {
    const at = 4 * Math.floor(((cell + 0.5) * canvas.width) / 80);
    if (row[at + 1] >= 128) bytes[cell >> 3] |= 0x80 >> (cell & 7);
  }
  const check = bytes.slice(0, 9).reduce((sum, byte) => sum ^ byte, 0xa5);
  if (check !== bytes[9]) return null;
  const number = (from, to) => bytes.slice(from, to).reduce((sum, byte) => sum * 256 + byte, 0);
  return { millis: number(0, 6), frame: number(6, 9), now: Date.now(), position: video.currentTime };
}"""

PLAYER = """<!doctype html><meta charset="utf-8"><title>player</title>
<video muted autoplay playsinline width="1280" height="720"></video>
<script src="/hls.min.js"></script>
<script>
  window.failures = [];
  window.hls = new Hls({ startPosition: Number(new URLSearchParams(location.search).get("from") ?? -1) });
  hls.on(Hls.Events.ERROR, (_, data) => window.failures.push(`${data.fatal ? "fatal" : "minor"} ${data.details}`));
  hls.loadSource(new URLSearchParams(location.search).get("url"));
  hls.attachMedia(document.querySelector("video"));
</script>"""


@contextmanager
def browser(more: list[str] = ()):
    """Chromium, with `more` options."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium") or "/usr/bin/chromium", args=[*OPTIONS, *more])
        try:
            yield chromium
        finally:
            chromium.close()


@contextmanager
def player_site(folder: Path):
    """A site of its own origin with hls.js, as a viewer of AWS session URLs would have."""
    (folder / "index.html").write_text(PLAYER)
    shutil.copy(HLS_JS, folder / "hls.min.js")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    site = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=site.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{site.server_port}/"
    finally:
        site.shutdown()


def shown(page: Page, timeout: float = 20, after: int = -1) -> dict:
    """What the picture's own clock says, as soon as a picture later than `after` (ms) is shown."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        bar = page.evaluate(READ_BAR)
        if bar and bar["millis"] > after:
            return bar
        time.sleep(0.03)
    failures = page.evaluate("window.failures ?? document.body.innerText.slice(0, 500)")
    raise AssertionError(f"no readable picture after {timeout} s: {failures}")
