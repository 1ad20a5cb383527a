// A real connection to a real ring: what is seen is told to the server.

import { possible, Whep } from "/assets/whep.js";
import { pause } from "/assets/poll.js";

const video = document.getElementById("video");
const canvas = document.createElement("canvas");
const told = [];

/** The number in a strip of 16 cells, the lowest bit first. */
function strip(context, top) {
  let number = 0;
  for (let bit = 0; bit < 16; bit += 1) {
    const [red] = context.getImageData(Math.floor((bit + 0.5) * canvas.width / 16), top + 8, 1, 1).data;
    if (red > 128) number += 2 ** bit;
  }
  return number;
}

/** Both strips of every picture that is shown. */
function watch(seen) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const look = () => {
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    context.drawImage(video, 0, 0);
    seen.push([strip(context, 0), strip(context, canvas.height - 16)]);
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
}

async function run() {
  if (!possible()) return { skipped: "this browser has no WebRTC" };
  const codecs = RTCRtpReceiver.getCapabilities("video")?.codecs ?? [];
  if (!codecs.some((codec) => codec.mimeType === "video/H264")) return { skipped: "this browser has no H.264" };
  const seen = [];
  watch(seen);
  const whep = new Whep("cam1", video, { tell: (state, why) => told.push(why ? `${state}: ${why}` : state) });
  whep.connect();
  const deadline = performance.now() + 90_000;
  while (seen.length < 60 && performance.now() < deadline) await pause(50);
  const size = [video.videoWidth, video.videoHeight];
  const state = whep.state;
  whep.close();
  return { told, state, size, seen };
}

const result = await run().catch((error) => ({ failed: error.stack }));
document.getElementById("result").textContent = JSON.stringify(result);
await fetch("/tests/report", { method: "POST", body: JSON.stringify(result) });
