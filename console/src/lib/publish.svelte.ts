// Publishing from this browser: its camera and microphone by WHIP (RFC 9725). One publication at a time,
// which goes on while the page shows other things.

interface Publication {
  name: string;
  state: "connecting" | "live" | "lost";
}

let current = $state<Publication | null>(null);
let end: (() => Promise<void>) | null = null;

export const publication = {
  get current() {
    return current;
  },
};

/** Cameras are given only to pages that came over TLS, or from this machine. */
export const canPublish = () => Boolean(navigator.mediaDevices?.getUserMedia);

/** Asks for camera and microphone and publishes them to the stream, with a device's token. */
export async function publish(name: string, token: string): Promise<void> {
  await stopPublishing();
  const media = await navigator.mediaDevices.getUserMedia({ video: { width: 1280, height: 720 }, audio: true });
  const peer = new RTCPeerConnection();
  const close = () => {
    media.getTracks().forEach((track) => track.stop());
    peer.close();
    [current, end] = [null, null];
  };
  try {
    for (const track of media.getTracks()) peer.addTransceiver(track, { direction: "sendonly", streams: [media] });
    await peer.setLocalDescription();
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/sdp" };
    const body = peer.localDescription?.sdp ?? "";
    const answer = await fetch(`/whip/${encodeURIComponent(name)}`, { method: "POST", headers, body });
    if (!answer.ok) throw new Error((await answer.json()).error.message);
    const session = answer.headers.get("location") ?? "";
    current = { name, state: "connecting" };
    end = async () => {
      await fetch(session, { method: "DELETE", headers }).catch(() => undefined);
      close();
    };
    peer.onconnectionstatechange = () => {
      if (!current) return;
      if (peer.connectionState === "connected") current.state = "live";
      if (peer.connectionState === "failed" || peer.connectionState === "closed") current.state = "lost";
    };
    await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
  } catch (error) {
    close();
    throw error;
  }
}

/** Ends the publication, if there is one; all of it is stored then. */
export async function stopPublishing(): Promise<void> {
  await end?.();
}
