"""kill -9 in the middle of pushes: what had been listed is there, and plays."""

import os
import random
import time

import media
from media import clip, end, ffmpeg_push

CYCLES = int(os.environ.get("MILLRACE_CRASH_CYCLES", "50"))
CAMERAS = 3
# Of each camera every fragment is read back, and this many of each five hundred are decoded.
DECODED = 40
EBML = b"\x1a\x45\xdf\xa3"


def wait_for_new(server, name: str, known: set, timeout: float = 20) -> list[dict]:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        found = server.fragments(name)
        if any(fragment["fragment_number"] not in known for fragment in found):
            return found
        time.sleep(0.02)
    raise AssertionError(f"nothing new in {name}:\n{server.tail()}")


def test_listed_fragments_survive_kill_9(fresh, tmp_path):
    server = fresh()
    names = [f"camera-{number}" for number in range(CAMERAS)]
    device = server.device("camera-*")
    listed = {name: {} for name in names}
    chance = random.Random(7)
    for cycle in range(CYCLES):
        # Fast, so that fragments are on their way to the disk whenever the kill comes.
        pushes = [ffmpeg_push(clip(gop=15), server.rtsp_url(name, device), rate=20, loop=True) for name in names]
        for name in names:
            for fragment in wait_for_new(server, name, set(listed[name])):
                listed[name][fragment["fragment_number"]] = fragment
        time.sleep(chance.uniform(0, 0.1))
        server.kill()
        for push in pushes:
            end(push)
        server.start()
        for name in names:
            found = {fragment["fragment_number"]: fragment for fragment in server.fragments(name)}
            lost = [number for number in listed[name] if number not in found]
            assert not lost, f"cycle {cycle}: {len(lost)} of {len(listed[name])} fragments of {name} are gone"
            assert all(found[number] == fragment for number, fragment in listed[name].items())
            listed[name] = found
    for name in names:
        every_fragment_plays(server, name, list(listed[name]), tmp_path)
    told = server.cli("verify", "--data", str(server.data))
    assert told.returncode == 0, told.stdout


def every_fragment_plays(server, name, numbers, folder):
    archive = server.archive(name, "GET_MEDIA_FOR_FRAGMENT_LIST")
    for first in range(0, len(numbers), 500):
        chosen = numbers[first : first + 500]
        payload = archive.get_media_for_fragment_list(StreamName=name, Fragments=chosen)["Payload"].read()
        files = payload.split(EBML)[1:]
        assert len(files) == len(chosen)
        for number, file in enumerate(files[:: max(1, len(files) // DECODED)]):
            path = folder / f"{name}-{first + number}.mkv"
            path.write_bytes(EBML + file)
            media.decodes(path)
