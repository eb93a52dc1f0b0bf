"""Publishes by WHIP with FFmpeg's own muxer, out of PyAV: ffmpeg_whip.py ENDPOINT TOKEN CERTIFICATE KEY SECONDS."""

import sys
import time
from fractions import Fraction

import av

RATE, WIDTH, HEIGHT = 25, 320, 240
SOUND_RATE, SAMPLES = 48_000, 960

endpoint, token, certificate, key, seconds = sys.argv[1:]
options = {"authorization": token, "cert_file": certificate, "key_file": key}
publisher = av.open(endpoint, "w", format="whip", options=options)
x264 = {"preset": "ultrafast", "tune": "zerolatency", "bf": "0", "g": "50"}
video = publisher.add_stream("libx264", rate=RATE, options=x264)
video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
sound = publisher.add_stream("libopus", rate=SOUND_RATE)
sound.codec_context.layout = "stereo"


def picture(number: int) -> av.VideoFrame:
    frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
    for plane in frame.planes:
        plane.update(bytes([number * 3 % 256]) * plane.buffer_size)
    frame.pts, frame.time_base = number, Fraction(1, RATE)
    return frame


def silence(at: int) -> av.AudioFrame:
    frame = av.AudioFrame("s16", "stereo", SAMPLES)
    frame.planes[0].update(bytes(frame.planes[0].buffer_size))
    frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, at, Fraction(1, SOUND_RATE)
    return frame


began, heard = None, 0
for number in range(int(seconds) * RATE):
    publisher.mux(video.encode(picture(number)))
    while heard < (number + 1) * SOUND_RATE // RATE:
        publisher.mux(sound.encode(silence(heard)))
        heard += SAMPLES
    # The first packet waits until there is a connection.
    began = began or time.monotonic()
    time.sleep(max(0.0, began + number / RATE - time.monotonic()))
publisher.close()
