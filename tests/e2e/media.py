"""Test footage, and the programs that push it."""

import json
import subprocess
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

FOLDER = Path(mkdtemp(prefix="millrace-clips-"))
FPS = 30
SECONDS = 12

VIDEO = {
    "h264": ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency"],
    "h264-b-frames": ["-c:v", "libx264", "-preset", "veryfast", "-bf", "2"],
    "h265": ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:keyint=60:min-keyint=60"],
    "vp8": ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0"],
    "vp9": ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0"],
    "mjpeg": ["-c:v", "mjpeg", "-huffman", "default", "-force_duplicated_matrix", "1", "-pix_fmt", "yuvj420p"],
}
AUDIO = {
    "aac": ["-c:a", "aac", "-b:a", "64k"],
    "opus": ["-c:a", "libopus"],
    "mu-law": ["-c:a", "pcm_mulaw", "-ar", "8000"],
    "l16": ["-c:a", "pcm_s16be", "-ar", "44100"],
}


def run(*command: str, timeout: float = 120) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@cache
def clip(video: str = "h264", audio: str | None = "aac", seconds: int = SECONDS, size: str = "640x360", gop: int = 60) -> Path:
    """A moving picture with a key frame every two seconds, and a tone."""
    path = FOLDER / f"{video}-{audio}-{seconds}s-{size}-{gop}.mkv"
    tone = ["-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={seconds}"] if audio else []
    run(
        "ffmpeg", "-nostdin", "-v", "error", "-y",
        "-f", "lavfi", "-i", f"testsrc2=size={size}:rate={FPS}:duration={seconds}", *tone,
        "-g", str(gop), "-keyint_min", str(gop), "-sc_threshold", "0", "-pix_fmt", "yuv420p",
        *VIDEO[video], *(AUDIO[audio] if audio else []), str(path),
    )  # fmt: skip
    return path


def ffmpeg_push(source: Path, url: str, transport: str = "tcp", loop: bool = False, paced: bool = True, rate: int = 1):
    """ffmpeg pushing `source` as it is, `rate` times as fast as it plays; the caller waits for it or ends it."""
    command = [
        "ffmpeg", "-nostdin", "-v", "error", *(["-readrate", str(rate)] if paced else []), *(["-stream_loop", "-1"] if loop else []),
        "-i", str(source), "-c", "copy", "-strict", "experimental", "-f", "rtsp", "-rtsp_transport", transport, url,
    ]  # fmt: skip
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def gstreamer_push(source: Path, url: str, device: dict, transport: str = "tcp", video: str = "h264"):
    """rtspclientsink pushing both tracks of an MKV `source`."""
    sink = ["rtspclientsink", "name=sink", f"location={url}", f"protocols={transport}", "tls-validation-flags=0"]
    login = [f"user-id={device['username']}", f"user-pw={device['password']}"]
    tracks = ["source.", "!", "queue", "!", f"{video}parse", "config-interval=-1", "!", "identity", "sync=true", "!", "sink.",
              "source.", "!", "queue", "!", "aacparse", "!", "identity", "sync=true", "!", "sink."]  # fmt: skip
    command = ["gst-launch-1.0", "-q", *sink, *login, "filesrc", f"location={source}", "!", "matroskademux", "name=source", *tracks]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def finish(push: subprocess.Popen, timeout: float = 60):
    """Waits for a push to come to its own end."""
    _, errors = push.communicate(timeout=timeout)
    assert push.returncode == 0, errors


def end(push: subprocess.Popen):
    push.kill()
    push.wait(10)


def probe(path, *entries: str) -> dict:
    """What ffprobe says; fails when it warns."""
    done = subprocess.run(
        ["ffprobe", "-v", "warning", "-of", "json", "-show_streams", "-count_packets", *entries, str(path)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0 and not done.stderr.strip(), f"{path}: {done.stderr}"
    return json.loads(done.stdout)


def decodes(path, *options: str) -> None:
    """Every frame decodes without a complaint; `options` are of ffmpeg's output."""
    done = subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", "-xerror", "-i", str(path), *options, "-f", "null", "-"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0 and not done.stderr.strip(), f"{path}: {done.stderr[-2000:]}"


def tone(path, rate: int) -> float:
    """The frequency of a sine in a file, in hertz, by how often it crosses zero."""
    decoded = subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", "-i", str(path), "-vn", "-ac", "1", "-ar", str(rate), "-f", "s16le", "-"],
        capture_output=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    samples = memoryview(decoded).cast("h")
    heard = samples[rate : -rate // 2]
    crossings = sum(1 for one, other in zip(heard, heard[1:]) if one < 0 <= other)
    return crossings * rate / len(heard)
