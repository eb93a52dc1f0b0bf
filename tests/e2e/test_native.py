"""The native API: search, labels, timeline, clips, signed URLs, OpenAPI, reindex."""

import json
import shutil
import time

import pytest

import media
from media import SECONDS, clip, ffmpeg_push, finish
from server import NotReady


@pytest.fixture(scope="module")
def yard(server):
    """Three streams with footage."""
    device = server.device("yard-*")
    for name in ("yard-gate", "yard-barn", "yard-pond"):
        finish(ffmpeg_push(clip(), server.rtsp_url(name, device), paced=False))
    return {name: server.wait_for_fragments(name, SECONDS // 2) for name in ("yard-gate", "yard-barn", "yard-pond")}


def test_fragments_are_searched_over_all_streams(server, yard):
    everything = server.fragments("yard-*")
    assert len(everything) == sum(len(fragments) for fragments in yard.values())
    assert {fragment["stream"] for fragment in everything} == set(yard)
    one = yard["yard-barn"][2]
    for clock in ("producer", "server"):
        at = one[f"{clock}_timestamp"]
        window = server.fragments("yard-barn", clock=clock, start=at, end=at)
        assert [fragment["fragment_number"] for fragment in window] == [one["fragment_number"]]
    assert len(server.fragments("yard-*", q='codec:"h264"')) == len(everything)
    assert server.fragments("yard-*", q='codec:"av1"') == []
    assert server.fragments("nothing-*") == []


def test_fragments_page_by_cursor(server, yard):
    whole = server.fragments("yard-*")
    paged, cursor = [], ""
    while True:
        page = server.get(f"/v1/fragments?stream=yard-*&limit=5{cursor}").json()
        paged += page["fragments"]
        if not page.get("next_cursor"):
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert paged == whole


def test_labels_find_older_footage_too(server, yard):
    assert server.request("PUT", "/v1/streams/yard-pond/labels", {"zone": "west", "floor": "0"}).status == 200
    assert server.get("/v1/streams/yard-pond/labels").json() == {"zone": "west", "floor": "0"}
    assert server.fragments("*", q='labels.zone:"west"') == yard["yard-pond"]
    assert server.fragments("*", q='labels.zone:"west" AND codec:"h264"') == yard["yard-pond"]
    assert server.fragments("*", q='"west"') == yard["yard-pond"]
    assert server.fragments("*", q='labels.zone:"east"') == []
    server.request("PUT", "/v1/streams/yard-pond/labels", {})
    assert server.fragments("*", q='labels.zone:"west"') == []


def test_streams_tell_their_health(server, yard):
    device = server.device("yard-gate")
    push = ffmpeg_push(clip(), server.rtsp_url("yard-gate", device), loop=True)
    try:
        time.sleep(6)
        told = server.get("/v1/streams/yard-gate").json()
        assert told["state"] == "live" and set(told["codecs"]) == {"h264", "aac"}
        assert (told["width"], told["height"]) == (640, 360)
        assert 20 <= told["frame_rate"] <= 40 and told["bitrate_bps"] > 10_000
    finally:
        media.end(push)
    names = [stream["name"] for stream in server.get("/v1/streams").json()["streams"]]
    assert set(yard) <= set(names)
    assert server.get("/v1/streams/absent").status == 404


def test_the_timeline_shows_what_is_covered(server, yard):
    fragments = yard["yard-barn"]
    path = f"/v1/streams/yard-barn/timeline?start={fragments[0]['producer_timestamp']}&end={fragments[-1]['producer_timestamp']}&buckets=5"
    buckets = server.get(path).json()["buckets"]
    assert len(buckets) == 5 and all(bucket["covered_ms"] > 0 for bucket in buckets)
    buckets = server.get("/v1/streams/yard-barn/timeline?start=0&end=1000&buckets=3").json()["buckets"]
    assert [bucket["covered_ms"] for bucket in buckets] == [0, 0, 0]


def test_a_clip_plays_and_its_ranges_are_slices(server, yard, tmp_path):
    fragments = yard["yard-gate"]
    window = f"start={fragments[1]['producer_timestamp']}&end={fragments[3]['producer_timestamp']}"
    path = f"/v1/streams/yard-gate/clip.mp4?{window}"
    whole = server.get(path)
    assert whole.status == 200 and whole.headers["content-type"] == "video/mp4"
    assert server.get(path).body == whole.body
    file = tmp_path / "clip.mp4"
    file.write_bytes(whole.body)
    media.decodes(file)
    told = media.probe(file, "-show_format")
    assert abs(float(told["format"]["duration"]) - 6) < 0.2
    length = len(whole.body)
    for first, last in [(0, 0), (0, 99), (1000, 200_000), (length - 10, length - 1), (length // 2, length // 2 + 5)]:
        part = server.get(path, headers={"Range": f"bytes={first}-{last}"})
        assert part.status == 206 and part.body == whole.body[first : last + 1]
        assert part.headers["content-range"] == f"bytes {first}-{min(last, length - 1)}/{length}"
    assert server.get(path, headers={"Range": "bytes=-5"}).body == whole.body[-5:]
    assert server.get(path, headers={"Range": f"bytes={length}-"}).status == 416


def test_hls_by_window_and_by_signed_url(server, yard, tmp_path):
    fragments = yard["yard-pond"]
    body = {"format": "hls", "start": fragments[0]["producer_timestamp"], "end": fragments[-1]["producer_timestamp"], "expires_in": 60}
    url = server.request("POST", "/v1/streams/yard-pond/urls", body).json()["url"]
    media.decodes(url)
    probed = media.probe(url)
    video = next(stream for stream in probed["streams"] if stream["codec_type"] == "video")
    assert int(video["nb_read_packets"]) == SECONDS * media.FPS
    assert server.get(url.replace("yard-pond", "yard-barn"), sign=False).status == 403
    assert server.get(url.split("?")[0], sign=False).status in (401, 403)
    clip_body = {**body, "format": "clip", "expires_in": 1}
    url = server.request("POST", "/v1/streams/yard-pond/urls", clip_body).json()["url"]
    assert server.get(url, sign=False).status == 200
    time.sleep(2.1)
    assert server.get(url, sign=False).status == 403


def test_a_player_token_opens_its_streams_only(server, yard):
    device = server.device("yard-p*", "play")
    bearer = {"Authorization": f"Bearer {device['token']}"}
    assert server.get("/v1/streams/yard-pond/hls/index.m3u8", sign=False, headers=bearer).status == 200
    assert server.get("/v1/streams/yard-gate/hls/index.m3u8", sign=False, headers=bearer).status == 403
    assert server.get("/v1/streams/yard-pond/hls/index.m3u8", sign=False, headers={"Authorization": "Bearer nonsense"}).status in (401, 403)


def test_metrics_and_openapi(server, yard):
    metrics = server.get("/metrics")
    assert metrics.status == 200 and b"# TYPE millrace_" in metrics.body
    document = server.get("/v1/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert "/v1/fragments" in document["paths"] and "/v1/streams/{name}/clip.mp4" in document["paths"]


def test_a_rebuilt_index_answers_the_same(fresh):
    server = fresh()
    device = server.device("again-*")
    for name in ("again-1", "again-2"):
        finish(ffmpeg_push(clip(), server.rtsp_url(name, device), paced=False))
        server.wait_for_fragments(name, SECONDS // 2)
    server.request("PUT", "/v1/streams/again-2/labels", {"zone": "west"})

    def answers():
        paths = ["/v1/streams/again-1/labels", "/v1/streams/again-2/labels", "/v1/fragments", "/v1/fragments?clock=server&limit=3"]
        paths += ['/v1/fragments?q=labels.zone:"west"', '/v1/fragments?q=codec:"aac"']
        found = [server.get(path.replace('"', "%22")).json() for path in paths]
        for page in found:
            page.pop("next_cursor", None)
        streams = server.get("/v1/streams").json()["streams"]
        return json.dumps([found, [(stream["name"], stream["retention_hours"]) for stream in streams]], sort_keys=True)

    deadline = time.monotonic() + 5
    while server.fragments("again-*", q='codec:"aac"') != server.fragments("again-*") and time.monotonic() < deadline:
        time.sleep(0.1)
    before = answers()
    server.stop()
    shutil.rmtree(server.data / "index")
    assert server.cli("reindex", "--data", str(server.data)).returncode == 0
    server.start()
    assert answers() == before
    server.stop()
    shutil.rmtree(server.data / "index")
    server.start()
    assert answers() == before


def test_a_copied_folder_starts_elsewhere_and_a_wrong_master_key_does_not(fresh, tmp_path):
    server = fresh()
    device = server.device("moved")
    finish(ffmpeg_push(clip(), server.rtsp_url("moved", device), paced=False))
    before = server.wait_for_fragments("moved", SECONDS // 2)
    server.stop()
    shutil.copytree(server.data, tmp_path / "elsewhere")
    moved = fresh(name="elsewhere")
    assert moved.fragments("moved") == before
    moved.stop()
    with pytest.raises(NotReady, match="master key"):
        fresh(name="elsewhere", env={"MILLRACE_MASTER_KEY": "d3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmctd3I="})
