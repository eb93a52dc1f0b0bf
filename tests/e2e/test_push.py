"""Cameras push: every transport, codec and client ends up as the same footage."""

import pytest

import media
from media import FPS, SECONDS, clip, ffmpeg_push, finish, gstreamer_push


def stored(server, name: str, folder, count: int):
    """All fragments of a stream, and their media as GetMediaForFragmentList gives it, in one file."""
    fragments = server.wait_for_fragments(name, count)
    numbers = [fragment["fragment_number"] for fragment in fragments]
    payload = server.archive(name, "GET_MEDIA_FOR_FRAGMENT_LIST").get_media_for_fragment_list(
        StreamName=name, Fragments=numbers
    )["Payload"]
    path = folder / f"{name}.mkv"
    path.write_bytes(payload.read())
    return fragments, path


def check_whole(server, name, folder, *, codec="h264", audio=True, lost=0):
    """Nothing of the clip is missing: every frame once, the durations adding up."""
    fragments, path = stored(server, name, folder, SECONDS // 2)
    probed = media.probe(path, quiet="error")
    streams = {stream["codec_type"]: stream for stream in probed["streams"]}
    assert streams["video"]["codec_name"] == {"h265": "hevc"}.get(codec, codec)
    assert int(streams["video"]["nb_read_packets"]) >= SECONDS * FPS - lost
    assert ("audio" in streams) == audio
    total = sum(fragment["duration_ms"] for fragment in fragments)
    assert abs(total - SECONDS * 1000) <= 100, [fragment["duration_ms"] for fragment in fragments]
    media.decodes(path)


@pytest.mark.parametrize("listener,transport", [("rtsp", "tcp"), ("rtsp", "udp"), ("rtsps", "tcp")])
def test_ffmpeg_pushes_h264_and_aac(server, tmp_path, listener, transport):
    name = f"ffmpeg-{listener}-{transport}"
    device = server.device(name)
    finish(ffmpeg_push(clip(), server.rtsp_url(name, device, listener), transport))
    check_whole(server, name, tmp_path)


@pytest.mark.parametrize("video", ["h264-b-frames", "h265"])
def test_ffmpeg_pushes_other_video(server, tmp_path, video):
    device = server.device(video)
    finish(ffmpeg_push(clip(video), server.rtsp_url(video, device)))
    check_whole(server, video, tmp_path, codec=video.split("-")[0])


def test_ffmpeg_pushes_video_alone(server, tmp_path):
    device = server.device("silent")
    finish(ffmpeg_push(clip(audio=False), server.rtsp_url("silent", device)))
    check_whole(server, "silent", tmp_path, audio=False)


@pytest.mark.parametrize(
    "listener,transport,video",
    [("rtsp", "tcp", "h264"), ("rtsp", "udp", "h264"), ("rtsps", "tcp", "h264"), ("rtsp", "tcp", "h265")],
)
def test_gstreamer_pushes(server, tmp_path, listener, transport, video):
    name = f"gst-{listener}-{transport}-{video}"
    device = server.device(name)
    url = f"{listener}://{server.addresses[listener]}/{name}"
    finish(gstreamer_push(clip(video), url, device, transport, video))
    # rtspclientsink says TEARDOWN while its last packets may still wait in its own queue.
    check_whole(server, name, tmp_path, codec=video, lost=FPS)


def test_a_fragment_is_a_matroska_file(server, tmp_path):
    device = server.device("strict")
    finish(ffmpeg_push(clip(), server.rtsp_url("strict", device)))
    fragments, _ = stored(server, "strict", tmp_path, SECONDS // 2)
    archive = server.archive("strict", "GET_MEDIA_FOR_FRAGMENT_LIST")
    for fragment in fragments[:2]:
        one = archive.get_media_for_fragment_list(StreamName="strict", Fragments=[fragment["fragment_number"]])
        path = tmp_path / "one.mkv"
        path.write_bytes(one["Payload"].read())
        media.probe(path)
        told = media.run("mkvinfo", "--ui-language", "en_US", str(path))
        assert "Error" not in told and "Warning" not in told, told
        for tag in ("AWS_KINESISVIDEO_FRAGMENT_NUMBER", "AWS_KINESISVIDEO_PRODUCER_TIMESTAMP"):
            assert tag in told, told


def test_a_second_push_is_a_new_run_on_one_timeline(server):
    device = server.device("twice")
    for _ in range(2):
        finish(ffmpeg_push(clip(), server.rtsp_url("twice", device), paced=False))
    fragments = server.wait_for_fragments("twice", SECONDS)
    times = [fragment["server_timestamp"] for fragment in fragments]
    assert times == sorted(times) and len(set(times)) == len(times)
    assert len({fragment["run_id"] for fragment in fragments}) == 2
