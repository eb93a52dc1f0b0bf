"""Cameras are pulled from: GStreamer's RTSP server is one."""

import base64
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import pytest

import media

PASSWORD = "p@ss:w/rd#%"


class Camera:
    """A camera process; may lose its power and come back at the same port."""

    def __init__(self, codec="h264", lower="tcp"):
        script = Path(__file__).with_name("rtsp_camera.py")
        command = ["/usr/bin/python3", str(script), "admin", PASSWORD, codec, lower]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def url(self, password=PASSWORD):
        return f"rtsp://admin:{quote(password, safe='')}@127.0.0.1:{self.port}/live"

    def stop(self):
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def camera():
    made = []

    def make(*options):
        made.append(Camera(*options))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def source(server, name):
    return server.get(f"/v1/streams/{name}/source").json()


def wait_for(server, name, is_so, timeout=30):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        health = source(server, name)["health"]
        if health and is_so(health):
            return health
        time.sleep(0.1)
    raise AssertionError(f"{source(server, name)}\n{server.tail()}")


@pytest.mark.parametrize("codec,lower", [("h264", "tcp"), ("h264", "udp"), ("h265", "tcp")])
def test_a_camera_is_recorded(server, camera, tmp_path, codec, lower):
    name = f"pulled-{codec}-{lower}"
    url = camera(codec, lower).url()
    put = server.request("PUT", f"/v1/streams/{name}/source", {"url": url})
    assert put.status == 200, put.body
    fragments = server.wait_for_fragments(name, 3)
    health = wait_for(server, name, lambda health: health["state"] == "online")
    assert (health["transport"], health["reconnects"], health["left_out"]) == (lower, 0, [])
    stream = server.get(f"/v1/streams/{name}").json()
    assert stream["state"] == "live" and stream["codecs"] == [codec, "aac"]
    assert (stream["width"], stream["height"]) == (320, 240)
    payload = server.archive(name, "GET_MEDIA_FOR_FRAGMENT_LIST").get_media_for_fragment_list(
        StreamName=name, Fragments=[fragments[1]["fragment_number"]]
    )["Payload"].read()
    (tmp_path / "one.mkv").write_bytes(payload)
    media.decodes(tmp_path / "one.mkv")
    assert server.request("DELETE", f"/v1/streams/{name}/source").status == 204
    assert server.get(f"/v1/streams/{name}/source").status == 404


def test_a_probe_tells_what_is_there(server, camera):
    probe = server.request("POST", "/v1/probe", {"url": camera().url()}).json()
    picture, sound = probe["tracks"]
    assert (picture["codec"], picture["width"], picture["height"]) == ("h264", 320, 240)
    assert 14 <= picture["frame_rate"] <= 16 and 0.9 <= probe["gop_seconds"] <= 1.1
    assert (sound["codec"], sound["sample_rate"], probe["clock_reports"]) == ("aac", 48000, True)
    if probe["picture"]:  # a debug build may be without GStreamer
        assert base64.b64decode(probe["picture"]).startswith(b"\xff\xd8")
    assert quote(PASSWORD, safe="") not in str(probe) and PASSWORD not in str(probe)


def test_reasons_are_told_and_secrets_are_not(fresh, camera):
    server, one = fresh(), camera()
    server.request("PUT", "/v1/streams/door/source", {"url": one.url("hunter2")})
    health = wait_for(server, "door", lambda health: health["state"] == "waiting")
    assert "password" in health["reason"]
    server.request("PUT", "/v1/streams/door/source", {"url": one.url().replace("/live", "/hunter2")})
    wait_for(server, "door", lambda health: health["state"] == "waiting" and "404" in health["reason"])
    server.request("PUT", "/v1/streams/door/source", {"url": one.url()})
    server.wait_for_fragments("door", 1)
    text = server.get("/v1/streams/door").body + server.get("/metrics").body + server.log.read_bytes()
    for secret in ("hunter2@", quote(PASSWORD, safe=""), PASSWORD):
        assert secret.encode() not in text


def test_a_source_outlives_the_camera_and_the_server(fresh, camera):
    server, one = fresh(), camera()
    server.request("PUT", "/v1/streams/door/source", {"url": one.url()})
    server.wait_for_fragments("door", 2)
    one.stop()
    health = wait_for(server, "door", lambda health: health["state"] == "waiting")
    assert health["next_try"] and health["reason"]
    server.kill()
    two = camera()
    server.start()
    assert source(server, "door")["url"].startswith("rtsp://***@127.0.0.1:")
    before = len(server.fragments("door"))
    server.request("PUT", "/v1/streams/door/source", {"url": two.url()})
    server.wait_for_fragments("door", before + 2)
    assert server.stop() == 0


def test_sources_of_the_file_are_read_again(fresh, camera, tmp_path):
    one, two, file = camera(), camera(), tmp_path / "millrace.toml"

    def write(**sources):
        tables = (f'[[sources]]\nstream = "{name}"\nurl = "{url}"\n' for name, url in sources.items())
        file.write_text("".join(tables))

    write(door=one.url())
    server = fresh("--config", str(file))
    server.wait_for_fragments("door", 1)
    assert source(server, "door")["owner"] == "file"
    assert server.request("DELETE", "/v1/streams/door/source").status == 409
    file.write_text("[[sources]]\nurl = 5")
    server.process.send_signal(signal.SIGHUP)
    write(door=one.url(), yard=two.url())
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_fragments("yard", 1)
    assert source(server, "door")["health"]["reconnects"] == 0, "what did not change goes on"
    write(yard=two.url())
    server.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 30
    while server.get("/v1/streams/door/source").status != 404:
        assert time.monotonic() < deadline, server.tail()
        time.sleep(0.1)
    assert PASSWORD not in server.log.read_text() and quote(PASSWORD, safe="") not in server.log.read_text()
    assert server.stop() == 0
