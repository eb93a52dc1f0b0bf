"""kill -9 while a fragment is open: what was journaled of it is a fragment, and plays."""

import time

import media
from media import clip, end, ffmpeg_push, finish

# Ten seconds, in frames.
LONG_GOP = 300
JOURNALED_MS = 3000


def journaled_ms(server, name: str) -> int:
    """How much of the stream's open fragment is on disk."""
    answer = server.get(f"/v1/streams/{name}")
    return (answer.json().get("health") or {}).get("journaled_ms") or 0 if answer.status == 200 else 0


def wait_for_open_fragment(server, name: str, listed: int, timeout: float = 60) -> int:
    """Waits until so many fragments are listed and another one is journaled for some seconds."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if len(server.fragments(name)) == listed and (journaled := journaled_ms(server, name)) >= JOURNALED_MS:
            return journaled
        time.sleep(0.1)
    raise AssertionError(f"no open fragment behind {listed} of {name}:\n{server.tail()}")


def test_the_journaled_part_of_an_open_fragment_survives_kill_9(fresh, tmp_path):
    server = fresh()
    device = server.device("door")
    push = ffmpeg_push(clip(seconds=25, gop=LONG_GOP), server.rtsp_url("door", device))
    journaled = wait_for_open_fragment(server, "door", 1)
    server.kill()
    end(push)
    server.start()

    first, recovered = server.fragments("door")
    assert journaled <= recovered["duration_ms"] < 10_000
    assert recovered["run_id"] == first["run_id"] and first["duration_ms"] == 10_000
    assert "millrace_recovered_fragments 1\n" in server.get("/metrics").body.decode()
    plays(server, [first, recovered], tmp_path)

    # It is done once, and the next session is a new run.
    server.kill()
    server.start()
    assert server.fragments("door") == [first, recovered]
    assert "millrace_recovered_fragments 0\n" in server.get("/metrics").body.decode()
    finish(ffmpeg_push(clip(seconds=4), server.rtsp_url("door", device)))
    found = server.wait_for_fragments("door", 3)
    assert found[:2] == [first, recovered] and found[2]["run_id"] == found[2]["fragment_number"]
    assert server.stop() == 0
    told = server.cli("verify", "--data", str(server.data))
    assert told.returncode == 0, told.stdout


def plays(server, fragments: list[dict], folder):
    archive = server.archive("door", "GET_MEDIA_FOR_FRAGMENT_LIST")
    for fragment in fragments:
        number = fragment["fragment_number"]
        path = folder / f"{number}.mkv"
        path.write_bytes(archive.get_media_for_fragment_list(StreamName="door", Fragments=[number])["Payload"].read())
        media.decodes(path)
        frames = [int(stream["nb_read_packets"]) for stream in media.probe(path)["streams"]]
        expected = fragment["duration_ms"] * media.FPS / 1000
        assert abs(frames[0] - expected) <= 1, f"{frames} of {expected}"
