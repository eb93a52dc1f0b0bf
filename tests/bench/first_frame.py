"""From opening the page's live view in Chromium to the first picture, and how old that picture is."""

import os
import time
from pathlib import Path

import chromium
from figures import show, spread
from server import Server

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "7"))


def run(folder: Path):
    server = Server(folder / "millrace", "--demo").start()
    try:
        server.wait_for_fragments("demo", 6, timeout=60)
        first, behind = measure(server)
    finally:
        server.stop()
    show("live view: click to first picture, ms", spread(first, 0), "bar 500 with low-latency parts")
    show("live view: age of the picture shown, ms", spread(behind, 0), "two fragments, until parts come")


def measure(server: Server) -> tuple[list[float], list[float]]:
    """How long each first picture took, and how old the picture is some seconds later; milliseconds."""
    first, behind = [], []
    with chromium.browser() as browser:
        page = browser.new_context().new_page()
        key = server.credentials()
        page.goto(server.url() + "/")
        page.get_by_label("Access key ID").fill(key.access_key)
        page.get_by_label("Secret access key").fill(key.secret_key)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("link", name="demo").wait_for()
        for _ in range(ROUNDS):
            page.goto(server.url() + "/#/")
            page.get_by_role("link", name="demo").wait_for()
            began = time.monotonic()
            page.get_by_role("link", name="demo").click()
            chromium.shown(page)
            first.append((time.monotonic() - began) * 1000)
            time.sleep(3)
            bar = chromium.shown(page)
            behind.append(bar["now"] - bar["millis"])
    return first, behind
