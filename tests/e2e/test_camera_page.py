"""The page's "Add a camera" in headless Chromium: find, look, add, watch its state, edit, remove."""

import time

import pytest

from matroska import block, cluster, header
from onvif_camera import OnvifCamera
from putmedia import Producer
from test_browser import chromium, page, shot, sign_in  # noqa: F401  (fixtures)
from test_pull import PASSWORD, camera  # noqa: F401  (a fixture)


@pytest.fixture
def onvif(camera):  # noqa: F811
    made = OnvifCamera(f"rtsp://192.0.2.66:{camera().port}/live", "admin", PASSWORD)
    yield made
    made.stop()


def test_a_camera_is_found_looked_at_added_edited_and_removed(page, fresh, onvif):  # noqa: F811
    server = fresh("--discovery", onvif.address)
    sign_in(page, server)
    page.get_by_role("button", name="Add a camera").first.click()
    find = page.get_by_role("button", name="Find cameras on the network")
    find.click()
    page.get_by_text("it wants a user name and a password: enter them above and look again").wait_for()
    page.get_by_label("User").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Look again").click()
    found = page.get_by_role("list", name="Cameras on the network")
    found.get_by_text("Front Door").wait_for()
    found.get_by_role("button", name="Main · 320×240 · H264").click()
    shot(page, "camera-found")
    assert page.get_by_label("Stream name").input_value() == "Front-Door"
    assert page.get_by_label("Address").input_value().startswith("rtsp://127.0.0.1:"), "not where the camera says"

    page.get_by_role("button", name="Look at it first").click()
    sent = page.get_by_role("region", name="What the camera sends")
    sent.get_by_text("h264 · 320×240").wait_for()
    sent.get_by_text("aac · 48 kHz").wait_for()
    picture = sent.get_by_alt_text("What the camera sees")
    if picture.count():  # a debug build may be without GStreamer
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 320
    shot(page, "camera-probed")

    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Look at it first").click()
    page.locator("#wrong-password").get_by_text("password").wait_for()
    shot(page, "camera-wrong-password")
    assert not any("502" not in problem for problem in page.problems), page.problems
    page.problems.clear()
    page.get_by_role("button", name="Add camera").click()
    state = page.get_by_test_id("source-state")
    state.get_by_text("next try in").wait_for()
    page.get_by_text("Somebody has to put this right").wait_for()
    shot(page, "camera-failing")

    page.get_by_role("button", name="Edit").click()
    page.get_by_text("User and password are never shown").wait_for()
    assert "***" not in page.get_by_label("Address").input_value()
    page.get_by_label("User").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    shot(page, "camera-edit")
    page.get_by_role("button", name="Save").click()
    state.get_by_text("Media comes in over TCP.").wait_for()
    page.get_by_text("LIVE ·").wait_for()
    shot(page, "camera-live")

    page.get_by_role("button", name="Remove").click()
    page.get_by_role("button", name="Remove the source").click()
    state.wait_for(state="detached")
    assert server.get("/v1/streams/Front-Door/source").status == 404
    assert len(server.fragments("Front-Door")) >= 1, "what was recorded stays"
    assert server.stop() == 0


def test_errors_are_shown_at_their_field(page, server):  # noqa: F811
    sign_in(page, server)
    page.get_by_role("button", name="Add a camera").first.click()
    page.get_by_label("Stream name").fill("nowhere")
    for address, word in [("rtsp://169.254.169.254/x", "link-local"), ("ftp://192.0.2.1/x", "rtsp://")]:
        page.get_by_label("Address").fill(address)
        page.get_by_role("button", name="Add camera").click()
        page.locator("#wrong-url").get_by_text(word).wait_for()
    shot(page, "camera-wrong-address")
    assert server.get("/v1/streams/nowhere").status == 404


def test_time_that_two_runs_claim_and_a_corrected_clock_are_shown(page, server):  # noqa: F811
    server.client().create_stream(StreamName="back", DataRetentionInHours=1)
    began = int(time.time() - 1200) * 1000
    producer = Producer(server, "back", timecodes="ABSOLUTE", start=None)
    producer.send(header())
    # The second time its clock has been set back.
    for at in (began, began + 5_000):
        producer.send(cluster(at, *[block(b"x", second * 1000) for second in range(10)]))
    producer.finish()
    producer.persisted(2)
    run = server.fragments("back")[-1]["run_id"]
    noted = {"delta_ms": 3_600_000, "reason": "set to local time"}
    assert server.request("PUT", f"/v1/streams/back/clock-corrections/{run}", noted).status < 300

    sign_in(page, server)
    page.goto(server.url() + "/#/stream/back")
    clashes = page.get_by_test_id("clashes")
    clashes.get_by_text("Two recordings claim the same").wait_for()
    noted = page.get_by_text("+60 min to be added: set to local time")
    noted.wait_for()
    assert noted.bounding_box()["height"] < 60 > page.get_by_text("offline", exact=True).bounding_box()["height"], "in lines"
    # It ends now, and shows 24 hours.
    timeline = page.locator("canvas").first.bounding_box()
    page.mouse.move(timeline["x"] + timeline["width"] * (1 - 1200 / 86_400), timeline["y"] + timeline["height"] / 2)
    page.get_by_text("a clock was set back. Both are kept.").wait_for()
    shot(page, "clashes")
