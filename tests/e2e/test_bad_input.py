"""Hostile and broken clients: a clear answer for them, nothing for anybody else."""

import base64
import os
import random
import resource
import socket
import subprocess
import time

import pytest

import media
from media import clip, end, ffmpeg_push, finish


@pytest.fixture(scope="module")
def camera(server):
    """A camera that pushes through the whole file, so that harm to it would be seen."""
    device = server.device("witness")
    push = ffmpeg_push(clip(), server.rtsp_url("witness", device), loop=True)
    server.wait_for_fragments("witness", 1)
    yield
    assert push.poll() is None, "the witness camera was thrown out"
    end(push)
    fragments = server.fragments("witness")
    assert len({fragment["run_id"] for fragment in fragments}) == 1, "the witness camera was interrupted"


def rtsp(server, timeout: float = 10) -> socket.socket:
    host, port = server.addresses["rtsp"].rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout)


def push_error(push: subprocess.Popen) -> str:
    _, errors = push.communicate(timeout=30)
    assert push.returncode != 0, "the push was taken"
    return errors


def test_a_wrong_password_is_401(server, camera):
    device = server.device("locked")
    wrong = {**device, "password": "not-the-password"}
    assert "401" in push_error(ffmpeg_push(clip(), server.rtsp_url("locked", wrong)))
    assert server.get("/v1/streams/locked").status == 404


@pytest.mark.parametrize(
    "glob,allow,status", [("other-*", "publish,create", "403"), ("locked-*", "play", "403"), ("locked-*", "publish", "404")]
)
def test_a_credential_without_the_right_is_told_so(server, camera, glob, allow, status):
    device = server.device(glob, allow)
    assert status in push_error(ffmpeg_push(clip(), server.rtsp_url("locked-door", device)))
    assert "locked-door" in server.log.read_text()


def test_the_second_publisher_is_told_who_holds_the_stream(server, camera):
    device = server.device("witness")
    assert "4" in push_error(ffmpeg_push(clip(), server.rtsp_url("witness", device)))


@pytest.mark.parametrize("codec", [["-c:v", "mpeg4"], ["-c:v", "mpeg2video"]])
def test_an_unsupported_codec_is_415(server, camera, codec):
    device = server.device("odd-codec")
    command = ["ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x240:duration=5", "-pix_fmt", "yuv420p"]
    url = server.rtsp_url("odd-codec", device)
    push = subprocess.Popen([*command, *codec, "-f", "rtsp", "-rtsp_transport", "tcp", url], stderr=subprocess.PIPE, text=True)
    errors = push_error(push)
    assert "415" in errors or "Unsupported" in errors, errors


def test_a_huge_header_is_cut_off(server, camera):
    before = server.resident_mb()
    with rtsp(server) as connection:
        connection.sendall(b"OPTIONS rtsp://localhost/x RTSP/1.0\r\nCSeq: 1\r\nX-Long: ")
        sent, block = 0, b"x" * (1 << 20)
        try:
            while sent < 100 << 20:
                connection.sendall(block)
                sent += len(block)
        except OSError:
            pass
        assert sent < 20 << 20, "a header of 100 MB was read to its end"
    assert server.resident_mb() - before < 20


def test_malformed_rtsp_is_answered_or_closed(server, camera):
    chance = random.Random(3)
    hostile = [
        b"GET / HTTP/1.0\r\n\r\n",
        b"ANNOUNCE rtsp://h/x RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 99999999999\r\n\r\n",
        b"ANNOUNCE rtsp://h/x RTSP/1.0\r\nCSeq: 1\r\nContent-Length: -1\r\n\r\n",
        b"SETUP rtsp://h/../../etc RTSP/1.0\r\nCSeq: 1\r\n\r\n",
        b"RECORD rtsp://h/x RTSP/1.0\r\nCSeq: x\r\n\r\n",
        b"$\x00\xff\xff" + b"z" * 70_000,
        *(chance.randbytes(2000) for _ in range(50)),
    ]
    for bytes_sent in hostile:
        with rtsp(server) as connection:
            connection.sendall(bytes_sent)
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(15)
            try:
                while connection.recv(65536):
                    pass
            except ConnectionResetError:
                pass


def test_bytes_that_are_no_http(server, camera):
    for bytes_sent in (b"\x16\x03\x01" + os.urandom(200), b"GET / HTTP/9.9\r\n\r\n", b"G" * 2_000_000):
        host, port = server.addresses["http"].rsplit(":", 1)
        with socket.create_connection((host, int(port)), 10) as connection:
            try:
                connection.sendall(bytes_sent)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
            except OSError:
                pass
    assert server.get("/readyz", sign=False).status == 200


def test_thousands_of_idle_connections_hurt_nobody(server, camera):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(10_000, hard - 1000)
    before = server.resident_mb()
    idle = []
    try:
        for number in range(count):
            address = server.addresses["rtsp" if number % 2 else "http"]
            host, port = address.rsplit(":", 1)
            idle.append(socket.create_connection((host, int(port)), 10))
        assert server.get("/v1/streams").status == 200
        assert server.resident_mb() - before < count * 0.03, "more than 30 KB for an idle connection"
        device = server.device("beside")
        finish(ffmpeg_push(clip(), server.rtsp_url("beside", device), paced=False))
        server.wait_for_fragments("beside", 5)
    finally:
        for connection in idle:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_hostile_queries_are_refused_by_name(server, camera):
    for query in ("start=yesterday", "limit=0", "limit=x", "clock=sundial", "cursor=forged", "q=tags.a:", "q=((("):
        answer = server.get(f"/v1/fragments?{query}")
        assert answer.status == 400, (query, answer.status)
        assert query.split("=")[0] in answer.body.decode(), answer.body
    assert server.request("PUT", "/v1/streams/witness/labels", b"{").status == 400
    assert server.request("PUT", "/v1/streams/witness/labels", {"a": "x" * 100_000}).status in (400, 413)
    assert server.request("POST", "/createStream", b"[" * 100_000).status == 400
    assert server.request("POST", "/createStream", b" " * 5_000_000).status in (400, 413)


def test_secrets_and_footage_are_nowhere_in_the_clear(fresh, tmp_path):
    server = fresh()
    canary = "CANARY-" + "q7x2" * 6
    device = server.device("canary")
    # The encoder's own words stand in every H.264 key frame: a text that is surely in the footage.
    picture = tmp_path / "canary.mkv"
    media.run(
        "ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=30:duration=6", "-c:v", "libx264",
        "-g", "30", "-bsf:v", f"h264_metadata=sei_user_data=086f3693-b7b3-4f2c-9653-21492feee5b8+{canary}", str(picture),
    )  # fmt: skip
    assert canary.encode() in picture.read_bytes()
    finish(ffmpeg_push(picture, server.rtsp_url("canary", device), paced=False))
    found = server.wait_for_fragments("canary", 2)
    assert server.request("PUT", "/v1/streams/canary/labels", {"place": canary}).status == 200
    assert server.fragments("canary", q=f'labels.place:"{canary}"') == found
    archive = server.archive("canary", "GET_MEDIA_FOR_FRAGMENT_LIST")
    numbers = [fragment["fragment_number"] for fragment in found]
    assert canary.encode() in archive.get_media_for_fragment_list(StreamName="canary", Fragments=numbers)["Payload"].read()
    secret = server.credentials().secret_key
    time.sleep(2)
    assert server.stop() == 0
    needles = [canary, device["password"], device["token"], secret]
    needles += [base64.b64encode(needle.encode()).decode().rstrip("=") for needle in needles]
    allowed = {server.data / "credentials"}
    files = [path for path in server.data.rglob("*") if path.is_file() and path not in allowed] + [server.log]
    for path in files:
        content = path.read_bytes()
        shown = [needle for needle in needles if needle.encode() in content]
        assert not shown, f"{path} shows {shown}"
    assert (server.data / "credentials").stat().st_mode & 0o777 == 0o600


def test_a_full_disk_stops_nobody_for_good(tmp_path):
    """On a small filesystem: an error for what does not fit, and recording again when there is room."""
    from server import Server

    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(folder)], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"may not mount a small filesystem here: {mounted.stderr.strip()}")
    try:
        server = Server(folder / "millrace").start()
        device = server.device("full")
        push = ffmpeg_push(clip(), server.rtsp_url("full", device), loop=True)
        kept = server.wait_for_fragments("full", 1)
        ballast = folder / "ballast"
        try:
            with open(ballast, "wb") as file:
                while True:
                    file.write(b"\0" * (1 << 20))
        except OSError:
            pass
        time.sleep(5)
        assert server.get("/v1/streams/full").status == 200
        ballast.unlink()
        known = len(server.fragments("full"))
        server.wait_for_fragments("full", known + 2, timeout=30)
        assert push.poll() is None, "the camera was thrown out"
        end(push)
        after = server.fragments("full")
        assert after[: len(kept)] == kept
        assert server.stop() == 0
        assert server.cli("verify", "--data", str(server.data)).returncode == 0
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)
