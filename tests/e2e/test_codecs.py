"""Every codec is stored, and what browsers play of it they play; what they do not is said by name."""

import re
import time
import urllib.parse

import botocore.exceptions
import pytest

import media
from av1_push import push_av1
from chromium import browser, player_site
from media import SECONDS, ffmpeg_push, finish, tone

PLAYED = """() => {
  const video = document.querySelector("video");
  return {
    position: video.currentTime, width: video.videoWidth,
    pictures: video.webkitDecodedFrameCount, sound: video.webkitAudioDecodedByteCount,
  };
}"""


@pytest.fixture(scope="module")
def page():
    with browser() as chromium:
        yield chromium.new_context(ignore_https_errors=True).new_page()


def pushed(server, name: str, video: str, audio: str) -> list[dict]:
    device = server.device(name)
    finish(ffmpeg_push(media.clip(video, audio), server.rtsp_url(name, device)))
    return server.wait_for_fragments(name, SECONDS // 2)


def codecs(playlist: bytes) -> str:
    return re.search(r'CODECS="([^"]*)"', playlist.decode()).group(1)


def window(fragments: list[dict]) -> str:
    start, last = fragments[0]["producer_timestamp"], fragments[-1]["producer_timestamp"]
    return urllib.parse.urlencode({"start": start, "end": last[:-2] + "9Z"})


def play(page, server, name: str, fragments: list[dict], folder, sound: bool):
    """hls.js plays the window from its beginning to nearly its end."""
    body = {"format": "hls", "start": fragments[0]["producer_timestamp"], "expires_in": 300}
    url = server.request("POST", f"/v1/streams/{name}/urls", body).json()["url"]
    with player_site(folder) as site:
        page.goto(f"{site}?{urllib.parse.urlencode({'url': url, 'from': 0})}")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            played = page.evaluate(PLAYED)
            if played["position"] > 6 and played["pictures"] > 60 and (played["sound"] > 10_000 or not sound):
                break
            time.sleep(0.1)
        failures = page.evaluate("failures")
        assert played["position"] > 6 and played["pictures"] > 60, (played, failures)
        assert (played["sound"] > 10_000) == sound, (played, failures)
        assert not [failure for failure in failures if failure.startswith("fatal")], failures


def clip_of(server, name: str, fragments: list[dict], folder):
    answer = server.get(f"/v1/streams/{name}/clip.mp4?{window(fragments)}")
    assert answer.status == 200, answer.body
    path = folder / f"{name}.mp4"
    path.write_bytes(answer.body)
    media.decodes(path)
    return path


def test_vp9_and_opus(server, page, tmp_path):
    fragments = pushed(server, "vp9", "vp9", "opus")
    playlist = server.get(f"/v1/streams/vp9/hls/index.m3u8?{window(fragments)}").body
    assert codecs(playlist) == "vp09.00.21.08,opus"
    play(page, server, "vp9", fragments, tmp_path, sound=True)
    clip_of(server, "vp9", fragments, tmp_path)


def test_av1_and_opus(server, page, tmp_path):
    push_av1(server, "av1", server.device("av1"), seconds=SECONDS)
    fragments = server.wait_for_fragments("av1", SECONDS // 2)
    playlist = server.get(f"/v1/streams/av1/hls/index.m3u8?{window(fragments)}").body
    assert codecs(playlist).startswith("av01.0.")
    play(page, server, "av1", fragments, tmp_path, sound=False)
    clip_of(server, "av1", fragments, tmp_path)


@pytest.mark.parametrize("audio,rate", [("mu-law", 8000), ("l16", 44_100)])
def test_plain_samples_become_aac(server, page, tmp_path, audio, rate):
    fragments = pushed(server, audio, "h264", audio)
    playlist = server.get(f"/v1/streams/{audio}/hls/index.m3u8?{window(fragments)}").body
    assert codecs(playlist).endswith(",mp4a.40.2"), playlist
    play(page, server, audio, fragments, tmp_path, sound=True)
    path = clip_of(server, audio, fragments, tmp_path)
    assert clip_of(server, audio, fragments, tmp_path).read_bytes() == path.read_bytes()
    streams = {stream["codec_type"]: stream for stream in media.probe(path)["streams"]}
    assert streams["audio"]["codec_name"] == "aac" and int(streams["audio"]["sample_rate"]) == rate
    # The tone is the one that was sent, all the time, and no samples are missing between fragments.
    assert abs(tone(path, rate) - 440) < 2


def test_sound_and_picture_of_segments_stay_together(server, tmp_path):
    fragments = server.wait_for_fragments("mu-law", SECONDS // 2)
    answer = server.get(f"/v1/streams/mu-law/hls/2/playlist.m3u8?{window(fragments)}").body.decode()
    names = [line for line in answer.splitlines() if ".m4s" in line]
    lengths = [float(length) for length in re.findall(r"#EXTINF:([\d.]+),", answer)]
    init = re.search(r'URI="([^"]*)"', answer).group(1)
    base = "/v1/streams/mu-law/hls/2/"
    assert len(names) == len(lengths) == len(fragments)
    pieces = [server.get(base + name).body for name in names]
    assert pieces == [server.get(base + name).body for name in names], "the same bytes every time"
    path = tmp_path / "sound.mp4"
    path.write_bytes(server.get(base + init).body + b"".join(pieces))
    media.decodes(path)
    packets = media.probe(path, "-show_packets")["packets"]
    times = [float(packet["pts_time"]) for packet in packets]
    assert all(abs(later - time - 0.128) < 0.0005 for time, later in zip(times, times[1:])), "no gap, no overlap"
    assert abs(sum(lengths) - len(packets) * 0.128) < 0.001, "EXTINF says how long segments are"


@pytest.mark.parametrize("video,audio,stored", [("mjpeg", "mu-law", "pcm_mulaw"), ("vp8", "opus", "opus")])
def test_what_browsers_do_not_play_says_so(server, tmp_path, video, audio, stored):
    fragments = pushed(server, video, video, audio)
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        server.archive(video, "GET_HLS_STREAMING_SESSION_URL").get_hls_streaming_session_url(
            StreamName=video, PlaybackMode="LIVE"
        )
    error = refused.value.response["Error"]
    assert error["Code"] == "UnsupportedStreamMediaTypeException" and video in error["Message"], error
    for path in ["hls/index.m3u8", "clip.mp4"]:
        answer = server.get(f"/v1/streams/{video}/{path}?{window(fragments)}")
        assert answer.status == 409 and video in answer.json()["error"]["message"], answer.body
    numbers = [fragment["fragment_number"] for fragment in fragments]
    archive = server.archive(video, "GET_MEDIA_FOR_FRAGMENT_LIST")
    payload = archive.get_media_for_fragment_list(StreamName=video, Fragments=numbers[:1])["Payload"].read()
    path = tmp_path / "stored.mkv"
    path.write_bytes(payload)
    media.decodes(path)
    streams = {stream["codec_type"]: stream["codec_name"] for stream in media.probe(path)["streams"]}
    assert streams == {"video": video, "audio": stored}
