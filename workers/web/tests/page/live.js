// Live video by the clock on the wall: the frame code is read from what the browser shows.

import { Player, TRANSPORTS } from "/assets/player.js";
import { pause } from "/assets/poll.js";
import { Tile } from "/assets/tile.js";

const stage = document.getElementById("stage");
const results = [];
const PATIENCE_MS = 60_000;

function equal(seen, wanted) {
  const [a, b] = [JSON.stringify(seen), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`saw ${a}, wanted ${b}`);
}

async function test(name, body) {
  stage.replaceChildren();
  try {
    const told = await body();
    results.push(`ok ${name}${told ? ` (${told})` : ""}`);
  } catch (error) {
    results.push(`FAILED ${name}: ${error.stack}`);
  }
}

async function until(what, done) {
  const end = performance.now() + PATIENCE_MS;
  while (performance.now() < end) {
    const value = await done();
    if (value) return value;
    await pause(20);
  }
  throw new Error(`never: ${what()}`);
}

const canvas = document.createElement("canvas");
const context = canvas.getContext("2d", { willReadFrequently: true });

/** The number in a strip of 32 cells, or null when its check does not fit. */
function strip(width, top) {
  const cell = width / 32;
  let word = 0;
  for (let bit = 0; bit < 32; bit += 1) {
    const [red] = context.getImageData(Math.floor((bit + 0.5) * cell), top + 8, 1, 1).data;
    if (red > 128) word += 2 ** bit;
  }
  const [number, check] = [word % 2 ** 24, Math.floor(word / 2 ** 24)];
  return check === ((number ^ (number >> 8) ^ (number >> 16)) & 255) ? number : null;
}

/** Upper and lower code of what an element shows. */
function codes(element) {
  const [width, height] = [element.videoWidth ?? element.naturalWidth, element.videoHeight ?? element.naturalHeight];
  [canvas.width, canvas.height] = [width, height];
  context.drawImage(element, 0, 0);
  return [strip(width, 0), strip(width, height - 16)];
}

/** Follows what a player shows: each picture's codes and what the player says of it. */
function follow(player) {
  const seen = [];
  const look = () => {
    const [top, bottom] = codes(player.video);
    seen.push({ top, bottom, at: performance.now() });
    player.video.requestVideoFrameCallback(look);
  };
  player.video.requestVideoFrameCallback(look);
  return seen;
}

function player(names) {
  const made = new Player("cam01", { transports: TRANSPORTS.filter(({ name }) => names.includes(name)) });
  stage.append(made.element);
  made.on = true;
  return made;
}

function says({ state, why, transport }) {
  return `${transport}: ${state} ${why}`;
}

/** No picture is torn or unreadable, and none comes before one that was shown already. */
function judge(seen) {
  equal(seen.filter(({ top, bottom }) => top === null || top !== bottom).length, 0);
  const back = seen.filter(({ top }, index) => index > 0 && top < seen[index - 1].top);
  equal(back.length, 0);
}

await test("the best way is video over a WebSocket, and its pictures are those it names", async () => {
  const live = player(TRANSPORTS.map(({ name }) => name));
  await until(() => says(live), () => live.state === "playing");
  const seen = follow(live);
  let named = 0;
  live.video.requestVideoFrameCallback(function compare() {
    // Told in the same moment: the player asked for this picture before this test did.
    const [top] = codes(live.video);
    if (live.picture && live.picture.sequence === top + 1) named += 1;
    live.video.requestVideoFrameCallback(compare);
  });
  await until(() => `${seen.length} pictures, ${says(live)}`, () => seen.length >= 100);
  judge(seen);
  equal([live.transport, live.element.dataset.transport, live.element.dataset.state], ["ws-mse", "ws-mse", "playing"]);
  if (named < 60) throw new Error(`only ${named} of ${seen.length} pictures were named as they are`);
  const { buffered, currentTime } = live.video;
  const behind = buffered.end(buffered.length - 1) - currentTime;
  live.on = false;
  return `${seen.length} pictures, ${Math.round(behind * 1000)} ms behind`;
});

await test("a restart of the camera is a pause and nothing else", async () => {
  const live = player(["ws-mse"]);
  await until(() => says(live), () => live.picture);
  const { epoch } = live.picture;
  const last = codes(live.video)[0];
  await fetch("/tests/restart");
  await until(() => `still ${live.picture?.epoch}, ${says(live)}`, () => live.picture && live.picture.epoch !== epoch);
  const seen = follow(live);
  await until(() => `${seen.length} pictures, ${says(live)}`, () => seen.length >= 25);
  judge(seen);
  equal(seen.at(-1).top > last, true);
  live.on = false;
});

await test("pictures one by one come over a WebSocket", async () => {
  const live = player(["ws-jpeg"]);
  await until(() => says(live), () => live.state === "playing");
  const [top, bottom] = codes(live.image);
  equal([top !== null, top === bottom], [true, true]);
  await until(() => says(live), () => codes(live.image)[0] > top + 10);
  equal([live.transport, live.picture.sequence > 0], ["ws-jpeg", true]);
  live.on = false;
});

await test("one endless image is the last resort", async () => {
  const live = player(["mjpeg"]);
  await until(() => says(live), () => live.state === "playing" && live.image.naturalWidth > 0);
  equal(live.transport, "mjpeg");
  live.on = false;
});

await test("a tile plays while it is watched", async () => {
  const tile = new Tile("cam01", () => 500);
  tile.update({
    name: "cam01", state: "live", why: "", fps: 25, age_ms: 40, width: 320, height: 192, frames: "cam01.frames",
    snapshot: "/snap/cam01.jpg", live: "/live/cam01",
  });
  stage.append(tile.element);
  tile.watching = true;
  await until(() => says(tile.player), () => { tile.tick(); return tile.element.dataset.plays === "true"; });
  tile.tick();
  equal([tile.element.dataset.state, tile.way.textContent, tile.loop.on], ["live", "video", false]);
  tile.watching = false;
  equal([tile.player.state, tile.element.dataset.plays], ["off", "false"]);
  tile.remove();
});

document.getElementById("result").textContent = `${results.join("\n")}\ndone`;
await fetch("/tests/done");
