"""WHIP (RFC 9725): browsers and programs publish by WebRTC, and it ends up as footage like any other."""

import signal
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

import pytest

import media
from chromium import CAMERA, browser, player_site
from test_browser import sign_in
from whip import PAGE, aiortc


@pytest.fixture(scope="module")
def chromium():
    with browser(CAMERA) as running:
        yield running


@pytest.fixture
def page(chromium):
    context = chromium.new_context(permissions=["camera", "microphone"])
    page = context.new_page()
    page.problems = []
    yield page
    context.close()


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    with player_site(folder) as address:
        (folder / "publisher.html").write_text(PAGE)
        yield address


def endpoint(server, name: str) -> str:
    return f"{server.url()}/whip/{name}"


def health(server, name: str) -> dict:
    return server.get(f"/v1/streams/{name}").json()


def wait_until(what, timeout: float = 30):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if what():
            return
        time.sleep(0.2)
    raise AssertionError(f"not within {timeout} s")


def publish(server, page, name: str, **options) -> dict:
    token = server.device(name)["token"]
    made = page.evaluate("([url, token, options]) => publish(url, token, options)", [endpoint(server, name), token, options])
    assert made["status"] == 201, made
    return made


def check_footage(server, name: str, folder, count: int = 4):
    """Fragments begin with key frames and stay near two seconds, and a player gets a clean clip of them."""
    fragments = server.wait_for_fragments(name, count)
    assert all(fragment["starts_with_key"] for fragment in fragments), fragments
    # One is shorter where the browser changes the size of its picture.
    lengths = sorted(fragment["duration_ms"] for fragment in fragments[1:-1])
    assert lengths[-1] <= 5000 and lengths[len(lengths) // 2] >= 1000, lengths
    first, last = fragments[1], fragments[-1]
    window = {"start": first["producer_timestamp"], "end": last["producer_timestamp"]}
    clip = server.get(f"/v1/streams/{name}/clip.mp4?{urllib.parse.urlencode(window)}")
    assert clip.status == 200, clip.body
    path = folder / f"{name}.mp4"
    path.write_bytes(clip.body)
    told = health(server, name)["health"]
    # On a machine too busy to follow, packets are lost for good; then health says so.
    if not told["packets_lost"] and not told["frames_damaged"]:
        # Browsers send when they have a picture: ffmpeg must not round the times to a frame rate of its own guess.
        media.decodes(path, "-fps_mode", "passthrough", "-enc_time_base:v", "1:90000")
    return media.probe(path)["streams"]


def test_a_browser_publishes(server, page, site, tmp_path):
    name = "studio"
    page.goto(site + "publisher.html")
    made = publish(server, page, name, audio=True)
    assert made["etag"].startswith('"'), made
    assert page.evaluate("trickle()") == 204
    streams = check_footage(server, name, tmp_path)
    assert [stream["codec_name"] for stream in streams if stream["codec_type"] == "video"] == ["h264"]
    told = health(server, name)
    assert told["state"] == "live" and told["last_key_frame"], told
    assert told["health"]["key_frames_requested"] >= 1, told

    url = server.request("POST", f"/v1/streams/{name}/urls", {"format": "hls", "expires_in": 300}).json()["url"]
    viewer = page.context.new_page()
    viewer.goto(f"{site}?{urllib.parse.urlencode({'url': url})}")
    viewer.wait_for_function("document.querySelector('video').currentTime > 3", timeout=30_000)
    assert not [failure for failure in viewer.evaluate("failures") if failure.startswith("fatal")]
    viewer.close()

    assert page.evaluate("unpublish()") == 200
    told = health(server, name)
    assert (told["state"], told["health"]["last_end"][1]) == ("offline", "teardown"), told
    assert "millrace_webrtc_sessions 0" in server.get("/metrics").body.decode()


@pytest.mark.parametrize(("codec", "told"), [("VP9", "vp9"), ("AV1", "av1")])
def test_a_browser_publishes_another_codec(server, page, site, tmp_path, codec, told):
    page.goto(site + "publisher.html")
    publish(server, page, told, codec=codec, width=320, height=180)
    streams = check_footage(server, told, tmp_path, 3)
    assert [stream["codec_name"] for stream in streams] == [told]
    assert page.evaluate("unpublish()") == 200


def test_a_browser_publishes_sound_alone(server, page, site, tmp_path):
    name = "radio"
    page.goto(site + "publisher.html")
    publish(server, page, name, video=False, audio=True)
    streams = check_footage(server, name, tmp_path, 3)
    assert [stream["codec_name"] for stream in streams] == ["opus"]
    assert page.evaluate("unpublish()") == 200
    assert health(server, name)["health"]["key_frames_requested"] == 0


def test_of_a_simulcast_the_largest_layer_is_recorded(server, page, site):
    name = "layers"
    page.goto(site + "publisher.html")
    layers = [{"rid": rid, "scaleResolutionDownBy": by} for rid, by in (("q", 4), ("h", 2), ("f", 1))]
    made = publish(server, page, name, codec="H264", width=1280, height=720, layers=layers)
    assert "a=simulcast:recv" in made["sdp"], made

    def width() -> int:
        tracks = (health(server, name).get("health") or {}).get("tracks") or [{"width": 0}]
        return tracks[0]["width"]

    # Browsers begin with the smallest layer, and add the others as the line proves to carry them.
    wait_until(lambda: width() >= 640, 60)
    assert page.evaluate("unpublish()") == 200
    fragments = server.fragments(name)
    assert all(fragment["starts_with_key"] for fragment in fragments), fragments


def test_a_closed_page_ends_its_session(server, page, site):
    name = "gone"
    page.goto(site + "publisher.html")
    publish(server, page, name, codec="H264")
    server.wait_for_fragments(name, 1)
    page.close()
    wait_until(lambda: health(server, name)["state"] == "offline", 40)


def test_add_a_camera_publishes_from_this_browser(server, page):
    sign_in(page, server)
    page.get_by_role("button", name="Add a camera").first.click()
    page.get_by_role("tab", name="It pushes to Millrace").click()
    page.get_by_label("Stream name").fill("this-browser")
    page.get_by_role("button", name="Create stream and credential").click()
    page.get_by_role("button", name="Publish from this browser").click()
    page.get_by_text("this browser → this-browser: live").wait_for()
    server.wait_for_fragments("this-browser", 2)
    page.get_by_role("button", name="Stop publishing").click()
    page.get_by_text("this browser →").wait_for(state="detached")
    assert server.get("/v1/streams/this-browser").json()["state"] == "offline"


def test_a_codec_that_is_not_recorded_is_refused_by_name(server, page, site):
    page.goto(site + "publisher.html")
    token = server.device("odd")["token"]
    refused = page.evaluate(
        """async ([url, token]) => {
          const peer = new RTCPeerConnection();
          peer.addTransceiver("audio", { direction: "sendonly" });
          await peer.setLocalDescription();
          const sdp = peer.localDescription.sdp.replaceAll(/ (opus|PCMU|PCMA)\\//g, " speech/");
          const headers = { authorization: `Bearer ${token}`, "content-type": "application/sdp" };
          const answer = await fetch(url, { method: "POST", headers, body: sdp });
          return { status: answer.status, text: await answer.text() };
        }""",
        [endpoint(server, "odd"), token],
    )
    assert refused["status"] == 406 and "speech" in refused["text"], refused


def test_aiortc_publishes(server, tmp_path):
    name = "python"
    with aiortc(endpoint(server, name), server.device(name)["token"]) as publisher:
        streams = check_footage(server, name, tmp_path)
        assert streams[0]["codec_name"] == "h264"
        assert publisher.unpublish() == 200
    assert health(server, name)["state"] == "offline"


def test_aiortc_publishes_sound_alone(server, tmp_path):
    name = "python-radio"
    with aiortc(endpoint(server, name), server.device(name)["token"], sound=True) as publisher:
        streams = check_footage(server, name, tmp_path, 3)
        assert [stream["codec_name"] for stream in streams] == ["opus"]
        assert publisher.unpublish() == 200


def test_gstreamer_publishes(server, tmp_path):
    name = "pipeline"
    picture = (
        "videotestsrc is-live=true ! video/x-raw,width=640,height=360,framerate=30/1 ! videoconvert ! "
        "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=60 ! rtph264pay config-interval=-1 "
        "aggregate-mode=zero-latency pt=96 ! application/x-rtp,media=video,encoding-name=H264,payload=96 ! send. "
    )
    sound = (
        "audiotestsrc is-live=true ! audioconvert ! audioresample ! opusenc ! rtpopuspay pt=97 ! "
        "application/x-rtp,media=audio,encoding-name=OPUS,payload=97 ! send."
    )
    program = Path(__file__).with_name("gst_whip.py")
    command = ["/usr/bin/python3", program, endpoint(server, name), server.device(name)["token"], picture + sound]
    publisher = subprocess.Popen(command)
    try:
        streams = check_footage(server, name, tmp_path, 3)
        assert {stream["codec_name"] for stream in streams} == {"h264", "opus"}
        publisher.send_signal(signal.SIGINT)
        assert publisher.wait(15) == 0
    finally:
        publisher.kill()
    assert health(server, name)["health"]["last_end"][1] == "teardown"


def test_ffmpeg_publishes_picture_and_sound(server, tmp_path):
    program = Path(__file__).with_name("ffmpeg_whip.py")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    # With GnuTLS, as in PyAV, FFmpeg 8.1 would make one on a curve that WebRTC does not know.
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=ffmpeg"]
    subprocess.run(["openssl", "req", "-x509", *curve, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    token = server.device("ffmpeg-whip")["token"]
    command = [sys.executable, program, endpoint(server, "ffmpeg-whip"), token, certificate, key, "7"]
    subprocess.run(command, check=True, timeout=60)
    streams = check_footage(server, "ffmpeg-whip", tmp_path, 3)
    assert {stream["codec_name"] for stream in streams} == {"h264", "opus"}


def test_the_port_is_named_and_on_one_number(server):
    host, port = server.addresses["webrtc"].rsplit(":", 1)
    assert host == "127.0.0.1" and int(port) > 0
    import socket

    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as taken, pytest.raises(OSError):
            taken.bind((host, int(port)))


def test_credentials_and_types_are_asked_for(server):
    device = server.device("guarded")
    bearer = {"authorization": f"Bearer {device['token']}"}
    sdp = {"content-type": "application/sdp"}
    for path, headers, status in [
        ("/whip/guarded", sdp, 401),
        ("/whip/guarded", {**sdp, "authorization": "Bearer wrong"}, 401),
        ("/whip/elsewhere", {**sdp, **bearer}, 403),
        ("/whip/guarded", {"content-type": "text/plain", **bearer}, 415),
        ("/whip/guarded", {**sdp, **bearer}, 400),
    ]:
        answer = server.request("POST", path, b"v=0", sign=False, headers=headers)
        assert answer.status == status, (path, answer.status, answer.body)
    asked = server.request("OPTIONS", "/whip/guarded", sign=False)
    headers = {name.lower(): value for name, value in asked.headers.items()}
    assert asked.status in (200, 204) and headers["accept-post"] == "application/sdp"
    assert headers["access-control-allow-origin"] == "*"
