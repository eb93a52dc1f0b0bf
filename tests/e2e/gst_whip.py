"""Publishes by WHIP with GStreamer's webrtcbin: gst_whip.py ENDPOINT TOKEN 'PIPELINE ! application/x-rtp,… ! send.'"""

import signal
import sys
import urllib.parse
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC

endpoint, token, pipeline = sys.argv[1:]
# What a shell starts in the background ignores it, and so would this.
signal.signal(signal.SIGINT, signal.default_int_handler)
Gst.init(None)
running = Gst.parse_launch("webrtcbin name=send bundle-policy=max-bundle " + pipeline)
send = running.get_by_name("send")
loop = GLib.MainLoop()
session = None


def ask(method: str, url: str, body: bytes | None = None):
    headers = {"authorization": f"Bearer {token}", "content-type": "application/sdp"}
    return urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method), timeout=30)


def offered(promise):
    reply = promise.get_reply()
    send.emit("set-local-description", reply.get_value("offer"), None)


def gathered(*_):
    global session
    if session or send.get_property("ice-gathering-state") != GstWebRTC.WebRTCICEGatheringState.COMPLETE:
        return
    with ask("POST", endpoint, send.get_property("local-description").sdp.as_text().encode()) as answer:
        session = urllib.parse.urljoin(endpoint, answer.headers["location"])
        _, sdp = GstSdp.SDPMessage.new_from_text(answer.read().decode())
    description = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp)
    send.emit("set-remote-description", description, None)


send.connect("notify::ice-gathering-state", gathered)
send.connect("on-negotiation-needed", lambda _: send.emit("create-offer", None, Gst.Promise.new_with_change_func(offered)))
running.set_state(Gst.State.PLAYING)
try:
    loop.run()
except KeyboardInterrupt:
    running.set_state(Gst.State.NULL)
    if session:
        ask("DELETE", session).close()
