"""Space: limits by bytes, evidence holds, and a disk that fills up."""

import subprocess
import time
from contextlib import contextmanager

import pytest

from media import clip, end, ffmpeg_push, finish
from server import Server


def metric(server, name: str) -> float:
    """The sum of a metric's samples whose line begins so."""
    lines = server.get("/metrics").body.decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


def until(what: str, true, timeout: float = 90):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if found := true():
            return found
        time.sleep(0.2)
    raise AssertionError(f"after {timeout} s: {what}")


def taken(server) -> int:
    """Bytes that footage takes on the disk."""
    return sum(file.stat().st_blocks * 512 for file in (server.data / "log").glob("bulk-*/*.seg"))


def by_number(server, name: str) -> list[dict]:
    """In the order of arrival, in which they go."""
    return sorted(server.fragments(name), key=lambda fragment: fragment["fragment_number"])


def reads(server, name: str, fragments: list[dict]):
    """Every one of these fragments comes back, whole."""
    archive = server.archive(name, "GET_MEDIA_FOR_FRAGMENT_LIST")
    for fragment in fragments:
        numbers = [fragment["fragment_number"]]
        assert archive.get_media_for_fragment_list(StreamName=name, Fragments=numbers)["Payload"].read()[:4] == b"\x1a\x45\xdf\xa3"


def verify(server):
    done = server.cli("verify", "--data", str(server.data), check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def small_disk(folder, megabytes: int):
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"may not mount a small filesystem here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def footage(seconds: int = 12):
    return clip(size="1280x720", audio=None, seconds=seconds)


def test_a_limit_of_bytes_gives_space_back(fresh):
    server = fresh()
    device = server.device("*")
    pushes = [ffmpeg_push(footage(36), server.rtsp_url(name, device), paced=False) for name in ("limited", "other")]
    for push in pushes:
        finish(push)
    # Stopping stores and seals all that was sent, and the next push begins another segment.
    assert server.stop() == 0
    server.start()
    before = {name: by_number(server, name) for name in ("limited", "other")}
    assert all(len(found) >= 15 for found in before.values())
    finish(ffmpeg_push(footage(), server.rtsp_url("new", device), paced=False))
    server.wait_for_fragments("new", 5)
    bytes_before = taken(server)
    bytes_of_stream = sum(fragment["size_bytes"] for fragment in before["limited"])
    limit = bytes_of_stream // 4
    answer = server.request("PUT", "/v1/streams/limited/retention", {"hours": 24, "bytes": limit})
    assert answer.status == 200 and answer.json() == {"hours": 24, "bytes": limit}
    kept = by_number(server, "limited")
    assert 0 < sum(fragment["size_bytes"] for fragment in kept) <= limit
    assert kept == before["limited"][-len(kept) :]
    until("space is back", lambda: bytes_before - taken(server) > bytes_of_stream // 2, timeout=60)
    assert metric(server, "millrace_given_back_bytes_total") > bytes_of_stream // 2
    assert by_number(server, "other") == before["other"]
    reads(server, "limited", kept)
    reads(server, "other", before["other"])
    answer = server.request("PUT", "/v1/streams/limited/retention", {"hours": 48, "bytes": None})
    assert answer.status == 200 and by_number(server, "limited") == kept
    assert server.stop() == 0
    verify(server)
    server.cli("reindex", "--data", str(server.data))
    server.start()
    assert by_number(server, "other") == before["other"]
    reads(server, "limited", server.fragments("limited"))
    assert server.stop() == 0


def test_a_hold_outlives_retention_and_keeps_its_stream(fresh):
    server = fresh()
    device = server.device("door")
    finish(ffmpeg_push(footage(), server.rtsp_url("door", device), paced=False))
    found = server.wait_for_fragments("door", 5)
    span = {"start": found[1]["producer_timestamp"], "end": found[2]["producer_timestamp"], "reason": "case 12/7"}
    hold = server.request("PUT", "/v1/streams/door/holds/case-12", span)
    assert hold.status == 200, hold.body
    who = server.credentials().access_key
    assert hold.json()["set_by"] == who
    # Nothing is kept but what is held.
    assert server.request("PUT", "/v1/streams/door/retention", {"hours": 0}).status == 200
    held = server.fragments("door")
    assert found[1] in held and found[2] in held and found[-1] not in held
    client = server.client()
    arn = client.describe_stream(StreamName="door")["StreamInfo"]["StreamARN"]
    with pytest.raises(client.exceptions.ResourceInUseException, match="case-12"):
        client.delete_stream(StreamARN=arn)
    server.kill()
    server.start()
    client = server.client()
    assert server.fragments("door") == held
    reads(server, "door", held)
    cleared = server.request("DELETE", "/v1/streams/door/holds/case-12")
    assert cleared.json()["cleared_by"] == who and cleared.json()["set_by"] == who
    assert server.fragments("door") == []
    assert server.get("/v1/streams/door/holds/case-12").json() == cleared.json()
    client.delete_stream(StreamARN=arn)
    assert server.stop() == 0


def test_the_oldest_makes_room_and_recording_never_stops(tmp_path):
    with small_disk(tmp_path / "small", 160) as folder:
        server = Server(folder / "millrace", "--free-floor", "40%").start()
        names = ["a", "b", "c"]
        device = server.device("*")
        pushes = [ffmpeg_push(footage(), server.rtsp_url(name, device), loop=True, rate=2) for name in names]
        first = {name: server.wait_for_fragments(name, 1)[0] for name in names}
        until("twice the disk was recorded", lambda: metric(server, "millrace_log_bytes_total") > 320 << 20, timeout=240)
        for name in names:
            found = server.fragments(name)
            assert first[name] not in found and len(found) > 1
            reads(server, name, found[-5:-1])
            health = server.get(f"/v1/streams/{name}").json()
            assert health["state"] == "live" and health["health"]["fragments_dropped"] == 0, health
            starts = [fragment["fragment_number"] for fragment in found]
            assert starts == sorted(starts)
        assert metric(server, "millrace_evicted_fragments_total") > 0
        # Somebody else fills the disk to the last byte, and goes again.
        ballast = folder / "ballast"
        try:
            with open(ballast, "wb") as file:
                while True:
                    file.write(b"\0" * (1 << 20))
        except OSError:
            pass
        time.sleep(3)
        assert server.get("/readyz", sign=False).status == 200
        ballast.unlink()
        known = {name: server.fragments(name)[-1]["fragment_number"] for name in names if server.fragments(name)}
        for name in names:
            until(f"{name} goes on", lambda: server.fragments(name)[-1:] and server.fragments(name)[-1]["fragment_number"] > known.get(name, ""))
        assert all(push.poll() is None for push in pushes), "a camera was thrown out"
        for push in pushes:
            end(push)
        assert server.stop() == 0
        verify(server)


def test_a_disk_full_of_held_footage_takes_no_more_until_it_is_let_go(tmp_path):
    with small_disk(tmp_path / "small", 96) as folder:
        server = Server(folder / "millrace", "--free-floor", "20%", "--reserve", "10%").start()
        device = server.device("door")
        push = ffmpeg_push(footage(), server.rtsp_url("door", device), loop=True, rate=4)
        server.wait_for_fragments("door", 1)
        everything = {"start": 0, "end": "2100-01-01T00:00:00Z", "reason": "all of it"}
        assert server.request("PUT", "/v1/streams/door/holds/all", everything).status == 200
        dropped = lambda: server.get("/v1/streams/door").json()["health"]["fragments_dropped"]  # noqa: E731
        until("the disk is full", dropped, timeout=120)
        until("the log says why", lambda: "held as evidence" in server.log.read_text(), timeout=10)
        held = server.fragments("door")
        assert metric(server, "millrace_log_full_total") > 0
        assert metric(server, 'millrace_disk_bytes{state="available"}') < metric(server, 'millrace_disk_bytes{state="floor"}')
        # Commands find room still, and nothing that is held goes.
        assert server.request("PUT", "/v1/streams/door/labels", {"site": "north"}).status == 200
        time.sleep(3)
        assert server.fragments("door")[: len(held)] == held
        reads(server, "door", held[:3])
        assert server.request("DELETE", "/v1/streams/door/holds/all").status == 200
        until("recording goes on by itself", lambda: server.fragments("door")[-1]["fragment_number"] > held[-1]["fragment_number"])
        assert server.fragments("door")[0] != held[0], "the oldest made room"
        assert push.poll() is None, "the camera was thrown out"
        end(push)
        assert server.stop() == 0
        verify(server)
