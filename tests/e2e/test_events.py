"""Events: tags for spans of time, posted by a detector's token, found with the footage, through crash and rebuild."""

import json
import shutil
import subprocess
from pathlib import Path

from media import SECONDS, clip, ffmpeg_push, finish


def starts(fragments: list[dict]) -> list[str]:
    return [fragment["producer_timestamp"] for fragment in fragments]


def test_events_are_found_with_footage_through_a_crash_and_a_rebuild(fresh):
    server = fresh()
    device = server.device("door-*", "publish,create")
    finish(ffmpeg_push(clip(), server.rtsp_url("door-1", device), paced=False))
    footage = server.wait_for_fragments("door-1", SECONDS // 2)
    server.request("PUT", "/v1/streams/door-1/labels", {"site": "north"})
    tags = {"label": "person", "zone": "Gate 7"}
    span = {"start": footage[1]["producer_timestamp"], "end": footage[2]["producer_timestamp"], "tags": tags}
    bearer = {"Authorization": f"Bearer {device['token']}"}
    posted = server.request("POST", "/v1/streams/door-1/events", span, sign=False, headers=bearer)
    assert posted.status == 201, posted.body
    late = {"start": footage[4]["producer_timestamp"], "tags": {"label": "car"}}
    removed = server.request("POST", "/v1/streams/door-1/events", late).json()

    def answers():
        found = [server.fragments("*", q=q) for q in ('tags.label:"person"', "\"gate 7\"", 'tags.zone:7 AND labels.site:"north"')]
        assert [starts(one) for one in found] == [starts(footage[1:3])] * 3, found
        assert found[0][0]["tags"]["label"] == "person"
        assert server.fragments("*", q="tags.label:car") == []
        return server.get("/v1/streams/door-1/events").json()["events"]

    assert starts(server.fragments("*", q="tags.label:car")) == starts(footage[4:5])
    path = f"/v1/streams/door-1/events/{removed['id']}"
    assert server.request("DELETE", path, sign=False, headers=bearer).status == 403
    assert server.request("DELETE", path).status == 204
    before = answers()
    assert before == [posted.json()]
    assert server.request("POST", "/v1/streams/door-1/key").status == 200
    server.kill()
    server.start()
    assert answers() == before
    server.stop()
    shutil.rmtree(server.data / "index")
    server.start()
    assert answers() == before
    assert "event removed" in server.log.read_text()
    secret = subprocess.run(["grep", "-rlaiE", "person|gate 7", str(server.data)], capture_output=True, text=True)
    assert secret.stdout == "", "what events say is on disk in the clear"


def test_the_commands_of_the_guide_work(fresh, tmp_path):
    """The jq program of docs/events.md, on a message as Frigate sends it."""
    guide = Path(__file__).parents[2] / "docs" / "events.md"
    program = guide.read_text().split("jq --unbuffered -c '")[1].split("'")[0]
    frigate = {
        "type": "end",
        "before": {},
        "after": {
            "id": "1607123955.475377-mxklsc", "camera": "front_door", "label": "person", "sub_label": None,
            "start_time": 1607123955.475377, "end_time": 1607123962.118, "entered_zones": ["yard", "driveway"],
        },
    }
    told = subprocess.run(["jq", "-c", program], input=json.dumps(frigate), capture_output=True, text=True, check=True)
    message = json.loads(told.stdout)
    assert message["camera"] == "front_door"
    server = fresh()
    assert server.request("PUT", "/v1/streams/front_door", {"retention_hours": 1}).status == 201
    event = server.request("POST", "/v1/streams/front_door/events", message["event"]).json()
    assert event["tags"] == {"label": "person", "zones": "yard, driveway", "detector": "1607123955.475377-mxklsc"}
    assert (event["start"], event["end"]) == ("2020-12-04T23:19:15.475Z", "2020-12-04T23:19:22.118Z")
    quiet = subprocess.run(["jq", "-c", program], input=json.dumps({**frigate, "type": "update"}), capture_output=True, text=True, check=True)
    assert quiet.stdout == ""
