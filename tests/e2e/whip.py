"""Publishers that speak WebRTC: a page in Chromium, and aiortc in Python."""

import asyncio
import threading
import urllib.parse
import urllib.request
from contextlib import contextmanager

from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack

SDP = "application/sdp"

# A page of any origin: WHIP as RFC 9725 has it, with what browsers give.
PAGE = """<!doctype html><meta charset="utf-8"><title>publisher</title><video muted autoplay playsinline></video>
<script>
  window.publish = async (url, token, { codec, video = true, audio = false, width = 640, height = 360, layers = [] }) => {
    const picture = video && { width, height, frameRate: 30 };
    const media = await navigator.mediaDevices.getUserMedia({ video: picture, audio });
    document.querySelector("video").srcObject = media;
    const peer = window.peer = new RTCPeerConnection();
    for (const track of media.getTracks()) {
      const seen = track.kind === "video";
      const init = { direction: "sendonly", streams: [media], ...(seen && layers.length && { sendEncodings: layers }) };
      const transceiver = peer.addTransceiver(track, init);
      if (seen && codec) {
        const known = RTCRtpSender.getCapabilities("video").codecs;
        transceiver.setCodecPreferences(known.filter((one) => one.mimeType === `video/${codec}` || one.mimeType === "video/rtx"));
      }
    }
    await peer.setLocalDescription();
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/sdp" };
    const answer = await fetch(url, { method: "POST", headers, body: peer.localDescription.sdp });
    if (answer.status !== 201) return { status: answer.status, text: await answer.text() };
    window.session = { url: new URL(answer.headers.get("location"), url).href, etag: answer.headers.get("etag"), token };
    const sdp = await answer.text();
    await peer.setRemoteDescription({ type: "answer", sdp });
    return { status: answer.status, etag: window.session.etag, sdp };
  };
  window.trickle = async () => {
    const line = (name) => peer.localDescription.sdp.split("\\r\\n").find((one) => one.startsWith(name));
    const body = [line("a=ice-ufrag"), line("a=ice-pwd"), "m=video 9 UDP/TLS/RTP/SAVPF 0", "a=mid:0", "a=end-of-candidates", ""].join("\\r\\n");
    const headers = { authorization: `Bearer ${session.token}`, "content-type": "application/trickle-ice-sdpfrag", "if-match": session.etag };
    return (await fetch(session.url, { method: "PATCH", headers, body })).status;
  };
  window.unpublish = async () => {
    const answer = await fetch(session.url, { method: "DELETE", headers: { authorization: `Bearer ${session.token}` } });
    peer.close();
    return answer.status;
  };
</script>"""


class Aiortc:
    """A publisher in Python, on an event loop of its own."""

    def __init__(self, url: str, token: str, sound: bool):
        self.url, self.token, self.sound = url, token, sound
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def call(self, coroutine, timeout: float = 30):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout)

    async def _publish(self):
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.peer.addTrack(AudioStreamTrack() if self.sound else VideoStreamTrack())
        kind, wanted = ("audio", ["audio/opus"]) if self.sound else ("video", ["video/H264", "video/rtx"])
        codecs = [codec for codec in RTCRtpSender.getCapabilities(kind).codecs if codec.mimeType in wanted]
        self.peer.getTransceivers()[0].setCodecPreferences(codecs)
        await self.peer.setLocalDescription(await self.peer.createOffer())
        return self.peer.localDescription.sdp

    def publish(self):
        offer = self.call(self._publish())
        headers = {"authorization": f"Bearer {self.token}", "content-type": SDP}
        request = urllib.request.Request(self.url, data=offer.encode(), headers=headers, method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            self.session = urllib.parse.urljoin(self.url, answer.headers["location"])
            description = RTCSessionDescription(answer.read().decode(), "answer")
        self.call(self.peer.setRemoteDescription(description))

    def unpublish(self) -> int:
        headers = {"authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(self.session, headers=headers, method="DELETE")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status

    def close(self):
        self.call(self.peer.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)


@contextmanager
def aiortc(url: str, token: str, sound: bool = False):
    publisher = Aiortc(url, token, sound)
    try:
        publisher.publish()
        yield publisher
    finally:
        publisher.close()
