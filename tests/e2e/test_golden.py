"""A data folder of format 1, as a killed server left it: every later version starts on it.

`tests/golden/format-1.tar.xz` is never made again. `MILLRACE_BLESS=1` writes it where there is none.
"""

import json
import os
import subprocess
import tarfile
from pathlib import Path

from media import clip, end, ffmpeg_push

GOLDEN = Path(__file__).parent.parent / "golden" / "format-1.tar.xz"
# Made anew by every start, or from the log.
NOT_KEPT = {"index", "lock", "tls", "addresses.json"}
LABELS = {"place": "yard", "floor": "0"}
HOLD = "/v1/streams/yard/holds/case-7"


def packets(server) -> list[str]:
    """What every packet of the footage holds, as a player gets it."""
    listed = server.fragments("yard")
    first, last = listed[0], listed[-1]
    answer = server.get(f"/v1/streams/yard/clip.mp4?start={first['producer_timestamp']}&end={last['producer_timestamp']}")
    assert answer.status == 200, answer.body
    hashes = ["ffmpeg", "-v", "error", "-i", "-", "-map", "0", "-c", "copy", "-f", "framehash", "-"]
    lines = subprocess.run(hashes, input=answer.body, capture_output=True, check=True).stdout.decode().splitlines()
    return [line.replace(" ", "") for line in lines if not line.startswith("#")]


def told(server) -> dict:
    """What a client is told of the folder."""
    kept = ("fragment_number", "producer_timestamp", "server_timestamp", "duration_ms", "size_bytes", "run_id")
    listed = server.fragments("yard")
    return {
        "fragments": [{name: one[name] for name in kept if name in one} for one in listed],
        "packets": packets(server),
        "labels": server.get("/v1/streams/yard/labels").json(),
        "hold": server.get(HOLD).json(),
        "found": len(server.fragments("*", q='labels.place:"yard"')),
    }


def bless(fresh):
    server = fresh(name="golden")
    created = server.client().create_stream(StreamName="yard", DataRetentionInHours=87600)
    assert created["StreamARN"]
    push = ffmpeg_push(clip(size="160x90"), server.rtsp_url("yard", server.device("yard")), loop=True)
    server.wait_for_fragments("yard", 3)
    end(push)
    assert server.request("PUT", "/v1/streams/yard/labels", LABELS).status == 200
    hold = {"start": 0, "end": "2100-01-01T00:00:00Z", "reason": "golden"}
    assert server.request("PUT", HOLD, hold).status in (200, 201)
    server.cli("keys", "rotate-stream", "--stream", "yard", "--data", str(server.data))
    push = ffmpeg_push(clip(size="160x90"), server.rtsp_url("yard", server.device("yard")), loop=True)
    server.wait_for_fragments("yard", 5)
    server.kill()
    end(push)
    # A killed server's open fragment is recovered by the start that follows: ask after that.
    server.start()
    answers = told(server)
    server.kill()
    GOLDEN.parent.mkdir(exist_ok=True)
    (server.data / "told.json").write_text(json.dumps(answers, indent=1))
    with tarfile.open(GOLDEN, "w:xz") as archive:
        for entry in sorted(server.data.iterdir()):
            if entry.name not in NOT_KEPT:
                archive.add(entry, entry.name)


def test_a_folder_of_format_1_is_served(fresh, tmp_path):
    if os.environ.get("MILLRACE_BLESS") and not GOLDEN.exists():
        bless(fresh)
    data = tmp_path / "millrace"
    with tarfile.open(GOLDEN) as archive:
        archive.extractall(data, filter="data")
    answers = json.loads((data / "told.json").read_text())
    server = fresh()
    assert told(server) == answers
    found = server.cli("verify", "--data", str(server.data), "--json", check=False)
    assert found.returncode == 0, found.stdout
