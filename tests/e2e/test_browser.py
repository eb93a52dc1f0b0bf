"""The page and hls.js in headless Chromium; what is shown is read from the picture's own clock."""

import os
import time
import urllib.parse
from pathlib import Path

import pytest

from chromium import browser, player_site, shown

SHOTS = Path(os.environ["MILLRACE_SCREENSHOTS"]) if "MILLRACE_SCREENSHOTS" in os.environ else None


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    from server import Server

    running = Server(tmp_path_factory.mktemp("demo") / "millrace", "--demo").start()
    running.wait_for_fragments("demo", 8, timeout=60)
    yield running
    assert running.stop() == 0
    assert "panicked" not in running.log.read_text(errors="replace"), running.tail()


@pytest.fixture(scope="module")
def chromium():
    with browser() as running:
        yield running


@pytest.fixture
def page(chromium):
    context = chromium.new_context(viewport={"width": 1400, "height": 950}, ignore_https_errors=True)
    page = context.new_page()
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("console", lambda message: message.type == "error" and page.problems.append(message.text))
    yield page
    context.close()


def shot(page, name: str):
    if SHOTS:
        SHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SHOTS / f"{name}.png")


def sign_in(page, server, listener: str = "http"):
    key = server.credentials()
    page.goto(server.url(listener) + "/")
    page.get_by_label("Access key ID").fill(key.access_key)
    page.get_by_label("Secret access key").fill(key.secret_key)
    shot(page, "sign-in")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Sign out").wait_for()
    # Chromium itself reports the 401 by which the page learns that nobody is signed in yet.
    page.problems.clear()


def test_a_wrong_secret_is_told(page, demo):
    page.goto(demo.url() + "/")
    page.get_by_label("Access key ID").fill(demo.credentials().access_key)
    page.get_by_label("Secret access key").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("alert").wait_for()


@pytest.mark.parametrize("listener", ["http", "https"])
def test_the_page_shows_the_camera_live(page, demo, listener):
    sign_in(page, demo, listener)
    page.get_by_role("link", name="demo").click()
    first = shown(page)
    assert first["now"] - first["millis"] < 60_000, first
    later = shown(page, after=first["millis"] + 3000)
    assert later["frame"] > first["frame"]
    page.get_by_text("LIVE ·").wait_for()
    shot(page, f"live-{listener}")
    assert page.problems == [], page.problems


def test_the_page_jumps_to_a_time(page, demo):
    sign_in(page, demo)
    oldest = demo.fragments("demo")[1]
    page.get_by_role("link", name="demo").click()
    shown(page)
    page.get_by_label("Jump to a time").fill(oldest["producer_timestamp"])
    page.get_by_role("button", name="Jump").click()
    wanted = int(time_ms(oldest["producer_timestamp"]))
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        bar = shown(page)
        if abs(bar["millis"] - wanted) < 2500:
            break
    assert abs(bar["millis"] - wanted) < 2500, (bar, wanted)
    shot(page, "jump")


def test_the_page_shows_events_and_jumps_to_them(page, demo):
    oldest = demo.fragments("demo")[1]["producer_timestamp"]
    for tags in ({"label": "person", "zone": "gate"}, {"label": "car"}):
        event = {"start": oldest, "end": time_ms(oldest) + 4000, "tags": tags}
        assert demo.request("POST", "/v1/streams/demo/events", event).status == 201
    sign_in(page, demo)
    page.get_by_role("link", name="demo").click()
    page.get_by_test_id("events").get_by_text("2 events").wait_for()
    bar = page.get_by_label("Recorded footage and events").bounding_box()
    # The bar ends now: the demo's first minute is at its right end.
    x = bar["width"] - (time.time() * 1000 - time_ms(oldest)) / 86_400_000 * bar["width"]
    page.mouse.move(bar["x"] + x, bar["y"] + 5)
    page.get_by_text("label: person, zone: gate").wait_for()
    page.get_by_text("label: car").wait_for()
    shot(page, "events")
    page.get_by_label("Filter events").fill('tags.zone:"gate"')
    page.get_by_test_id("events").get_by_text("1 event", exact=True).wait_for()
    page.get_by_text("label: car").wait_for(state="detached")
    page.get_by_label("Filter events").fill("zone:gate")
    page.get_by_role("alert").get_by_text("no field").wait_for()
    # Chromium itself reports the 400.
    page.problems.clear()
    page.get_by_label("Filter events").fill("person")
    page.get_by_test_id("events").wait_for()
    page.mouse.click(bar["x"] + x, bar["y"] + 5)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        shows = shown(page)
        if abs(shows["millis"] - time_ms(oldest)) < 2500:
            break
    assert abs(shows["millis"] - time_ms(oldest)) < 2500, (shows, oldest)
    assert page.problems == [], page.problems


def time_ms(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000


def test_the_page_gives_a_clip(page, demo, tmp_path):
    import media

    sign_in(page, demo)
    page.get_by_role("link", name="demo").click()
    shown(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download MP4").click()
    path = tmp_path / "clip.mp4"
    download.value.save_as(path)
    media.decodes(path)


def test_add_a_camera_gives_commands_that_work(page, demo):
    import shlex
    import subprocess

    import media

    sign_in(page, demo)
    page.get_by_role("button", name="Add a camera").click()
    page.get_by_role("tab", name="It pushes to Millrace").click()
    page.get_by_label("Stream name").fill("new-camera")
    page.get_by_role("button", name="Create stream and credential").click()
    command = page.locator("pre", has_text="testsrc2").inner_text()
    shot(page, "add-camera")
    assert demo.addresses["rtsp"].rsplit(":", 1)[1] in command
    push = subprocess.Popen(["timeout", "60", *shlex.split(command)], stderr=subprocess.DEVNULL)
    try:
        demo.wait_for_fragments("new-camera", 2)
    finally:
        media.end(push)


def test_the_page_loads_nothing_from_elsewhere(page, demo):
    hosts = set()
    page.on("request", lambda request: hosts.add(urllib.parse.urlsplit(request.url).netloc))
    sign_in(page, demo)
    page.get_by_role("link", name="demo").click()
    shown(page)
    assert hosts - {""} == {demo.addresses["http"]}


def session(server, mode: str, window: dict | None = None) -> str:
    archive = server.archive("demo", "GET_HLS_STREAMING_SESSION_URL")
    selector = {"HLSFragmentSelector": {"FragmentSelectorType": "PRODUCER_TIMESTAMP", "TimestampRange": window}} if window else {}
    arguments = {"StreamName": "demo", "PlaybackMode": mode, **selector}
    return archive.get_hls_streaming_session_url(**arguments)["HLSStreamingSessionURL"]


def watch(page, site: str, url: str, start: float = -1):
    page.goto(f"{site}?{urllib.parse.urlencode({'url': url, 'from': start})}")


def test_hls_js_plays_a_live_session(page, demo, tmp_path):
    with player_site(tmp_path) as site:
        watch(page, site, session(demo, "LIVE"))
        first = shown(page)
        assert first["now"] - first["millis"] < 60_000, first
        shown(page, after=first["millis"] + 8000)
        assert not [failure for failure in page.evaluate("failures") if failure.startswith("fatal")]


@pytest.mark.parametrize("mode", ["ON_DEMAND", "LIVE_REPLAY"])
def test_hls_js_plays_what_happened_then(page, demo, tmp_path, mode):
    fragments = demo.fragments("demo")
    first, last = fragments[1], fragments[min(7, len(fragments) - 1)]
    window = {"StartTimestamp": first["producer_timestamp"], "EndTimestamp": last["producer_timestamp"]}
    with player_site(tmp_path) as site:
        watch(page, site, session(demo, mode, window), 0)
        bar = shown(page)
        start = time_ms(first["producer_timestamp"])
        assert -200 <= bar["millis"] - start < 4000, (bar, start)
        shown(page, after=bar["millis"] + 4000)
        assert not [failure for failure in page.evaluate("failures") if failure.startswith("fatal")]


def test_program_date_time_is_the_time_in_the_picture(page, demo, tmp_path):
    with player_site(tmp_path) as site:
        first = demo.fragments("demo")[1]
        body = {"format": "hls", "start": first["producer_timestamp"], "expires_in": 300}
        url = demo.request("POST", "/v1/streams/demo/urls", body).json()["url"]
        watch(page, site, url)
        bar = shown(page)
        assert abs(bar["millis"] - time_ms(first["producer_timestamp"])) < 4000, (bar, first)
        offsets = []
        for _ in range(20):
            told = page.evaluate("hls.playingDate?.getTime()")
            bar = shown(page)
            if told:
                offsets.append(told - bar["millis"])
            time.sleep(0.1)
        offsets.sort()
        assert offsets and abs(offsets[len(offsets) // 2]) < 250, offsets


def test_the_sign_in_link_works_once(page, chromium, demo):
    link = next(word for word in demo.log.read_text().split() if "/signin?token=" in word).strip('"')
    page.goto(link)
    page.get_by_role("button", name="Sign out").wait_for()
    again = chromium.new_context().new_page()
    again.goto(link)
    assert again.get_by_role("button", name="Sign out").count() == 0
