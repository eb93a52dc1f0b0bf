// hls.js behind the few words the page needs.

import Hls from "hls.js";
import workerPath from "hls.js/dist/hls.worker.js?url";

export interface Playback {
  /** The picture's own time, from EXT-X-PROGRAM-DATE-TIME; null until known. */
  showing(): Date | null;
  destroy(): void;
}

/** Plays `url` on `video`: `live` stays near the newest picture, else it begins where the playlist says. */
export function play(video: HTMLVideoElement, url: string, live: boolean, failed: (why: string) => void): Playback {
  if (!Hls.isSupported()) {
    return playNatively(video, url, failed);
  }
  const hls = new Hls({
    workerPath,
    // The first segment is asked for with the playlist, not after the decoder is set up.
    startFragPrefetch: true,
    liveSyncDurationCount: 2,
    liveMaxLatencyDurationCount: live ? 6 : Infinity,
    maxBufferLength: 20,
    backBufferLength: 60,
  });
  hls.on(Hls.Events.ERROR, (_event, data) => {
    if (!data.fatal) return;
    if (data.type === Hls.ErrorTypes.MEDIA_ERROR) {
      hls.recoverMediaError();
      return;
    }
    failed(explain(data.response?.code, data.details));
  });
  hls.loadSource(url);
  hls.attachMedia(video);
  void video.play().catch(() => undefined);
  return { showing: () => hls.playingDate, destroy: () => hls.destroy() };
}

/** Browsers with HLS of their own (Safari). */
function playNatively(video: HTMLVideoElement, url: string, failed: (why: string) => void): Playback {
  if (!video.canPlayType("application/vnd.apple.mpegurl")) {
    failed("This browser can play neither Media Source Extensions nor HLS.");
  }
  const onError = () => failed(explain(undefined, video.error?.message ?? "the browser gave no reason"));
  video.addEventListener("error", onError);
  video.src = url;
  void video.play().catch(() => undefined);
  const started = () => (video as HTMLVideoElement & { getStartDate?: () => Date }).getStartDate?.();
  return {
    showing: () => {
      const start = started();
      return start && !Number.isNaN(start.getTime()) ? new Date(start.getTime() + video.currentTime * 1000) : null;
    },
    destroy: () => {
      video.removeEventListener("error", onError);
      video.removeAttribute("src");
      video.load();
    },
  };
}

function explain(status: number | undefined, details: string): string {
  if (status === 404) return "No footage here.";
  if (status === 401 || status === 403) return "Not signed in any more, or not allowed to see this stream.";
  if (details === "manifestIncompatibleCodecsError") {
    return "This browser cannot decode the camera's codec (H.265 needs Safari, Edge, or Chrome with hardware support).";
  }
  return `Playback stopped: ${details}.`;
}
