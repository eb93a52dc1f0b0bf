// Ready-to-paste commands that push a picture to a stream.

import type { DeviceCredential, Info } from "./api";

export interface Recipes {
  address: string;
  ffmpeg: string;
  testPicture: string;
  gstreamer: string;
  whip: string;
}

export function commands(info: Info, name: string, credential: DeviceCredential): Recipes {
  const base = new URL(info.urls.rtsp.replace(/^rtsp:/, "http:"));
  const at = `${base.hostname}:${base.port || "554"}/${name}`;
  const user = encodeURIComponent(credential.username);
  const password = encodeURIComponent(credential.password);
  const address = `rtsp://${user}:${password}@${at}`;
  return {
    address,
    ffmpeg: `ffmpeg -re -stream_loop -1 -i VIDEO.mp4 -c copy -f rtsp -rtsp_transport tcp '${address}'`,
    testPicture:
      `ffmpeg -re -f lavfi -i testsrc2=size=1280x720:rate=30 -f lavfi -i sine=frequency=440 ` +
      `-c:v libx264 -preset veryfast -tune zerolatency -g 60 -pix_fmt yuv420p -c:a aac ` +
      `-f rtsp -rtsp_transport tcp '${address}'`,
    whip: `Server: ${location.origin}/whip/${name}\nBearer token: ${credential.token}`,
    gstreamer:
      `gst-launch-1.0 v4l2src ! videoconvert ! x264enc tune=zerolatency key-int-max=60 ! h264parse ! ` +
      `rtspclientsink protocols=tcp location='rtsp://${at}' user-id='${credential.username}' user-pw='${credential.password}'`,
  };
}
