// A camera live, by the best way that the browser and the camera have between them.
//
//   const player = new Player("cam1");
//   document.body.append(player.element);
//   player.on = true;
//
// It says which way it found (`transport`), how it goes (`state`, `why`) and which picture it shows (`picture`), in
// fields, in data attributes of its element, and with a `change` event there.

import { here } from "./api.js";
import { el, setData } from "./dom.js";
import { Jpegs, Multipart } from "./jpegs.js";
import { Mse } from "./mse.js";
import { possible, WhepWay } from "./whep.js";

const HLS = "application/vnd.apple.mpegurl";
/** Nothing new was shown for so long: it plays no more. */
const SILENT_MS = 2_000;
const LOOK_MS = 500;
/** A page that nobody sees plays on for so long. */
const HIDDEN_MS = 5_000;
/** Pause before everything is tried again. */
const AGAIN_MS = 5_000;
/** After so long it looks whether a better way that was lost is back; twice as long after each time it was not, so often. */
const RETURN_MS = 20_000;
const RETURN_DOUBLES = 6;
/** A player that reads lists itself may be so far behind before it is moved, in s. */
const LATE_S = 8;

/** HLS where the browser itself plays it: with parts in Safari, without elsewhere. */
class NativeHls {
  constructor(camera, video, tell) {
    Object.assign(this, { camera, video, tell });
  }

  start() {
    for (const [name, hear] of this.#listeners) this.video.addEventListener(name, hear);
    this.video.src = here(`/hls/${this.camera}/index.m3u8`);
    this.video.play()?.catch(() => {});
  }

  stop() {
    for (const [name, hear] of this.#listeners) this.video.removeEventListener(name, hear);
    this.video.removeAttribute("src");
    this.video.load();
  }

  #listeners = [
    ["timeupdate", () => this.#moves()],
    ["error", () => this.#breaks()],
    ["ended", () => this.#breaks()],
  ];

  #moves() {
    const { seekable, currentTime } = this.video;
    if (currentTime > 0) this.tell({ state: "playing", why: "", picture: null });
    const end = seekable.length > 0 ? seekable.end(seekable.length - 1) : currentTime;
    if (end - currentTime > LATE_S) this.video.currentTime = end - LATE_S / 2;
  }

  #breaks() {
    this.stop();
    this.tell({ state: "failed", why: "This browser cannot play the camera's HLS" });
  }
}

/**
 * The ways, the best first: {name, title, label, surface, can, make}. `title` is what it is called while it plays, `label` (by
 * default the title) where it is chosen; `surface` is "video" or "image", `can()` whether the browser has what it takes,
 * `make(camera, surface, tell)` something with `start()` and `stop()` that tells how it goes: {state, why, picture}, and
 * `lost` with a state "failed" that may be over soon: nobody answered.
 */
export const TRANSPORTS = [
  { name: "ws-mse", title: "video", label: "video over WebSocket", surface: "video", can: () => Mse.can(), make: (...more) => new Mse(...more) },
  { name: "whep", title: "WebRTC", surface: "video", can: possible, make: (...more) => new WhepWay(...more) },
  { name: "hls", title: "HLS", surface: "video", can: (video) => video.canPlayType(HLS) !== "", make: (...more) => new NativeHls(...more) },
  { name: "ws-jpeg", title: "pictures", label: "pictures over WebSocket", surface: "image", can: () => Boolean(globalThis.WebSocket), make: (...more) => new Jpegs(...more) },
  { name: "mjpeg", title: "pictures", label: "pictures (MJPEG)", surface: "image", can: () => true, make: (...more) => new Multipart(...more) },
];

/** Adds a way before the named one, as one that is quicker still. */
export function offer(transport, before = "ws-mse") {
  const place = TRANSPORTS.findIndex(({ name }) => name === before);
  TRANSPORTS.splice(Math.max(0, place), 0, transport);
}

export class Player {
  #wanted = false;
  #only = ""; // name of the one way that is to be tried; empty for all of them
  #way = null; // what is being tried or played: {transport, handle}
  #timer = null;
  #shownAt = null;
  #hiddenAt = null;
  #againAt = null;
  #lost = false; // a better way than this one was, and may be back
  #returnAt = null;
  #returns = 0; // looks at better ways, since there was none to look for

  constructor(camera, { transports = TRANSPORTS, now = () => performance.now() } = {}) {
    Object.assign(this, { camera, transports, now, transport: null, state: "off", why: "", picture: null });
    this.video = el("video", { playsinline: "", muted: "", preload: "auto", "aria-label": `${camera}: live video` });
    this.video.muted = true; // the attribute alone counts only in documents that were parsed
    this.image = el("img", { alt: `${camera}: live pictures`, hidden: "" });
    this.element = el("div", { class: "player" }, this.video, this.image);
    this.element.dataset.camera = camera;
  }

  get on() {
    return this.#wanted;
  }

  /** Whether it is to play. */
  set on(wanted) {
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    if (wanted) {
      this.#timer = setInterval(() => this.#look(), LOOK_MS);
      this.#try(0);
    } else {
      clearInterval(this.#timer);
      this.#end();
      this.#say({ state: "off", why: "" });
    }
  }

  /** The ways that this browser has, the best first: {name, label}. */
  get ways() {
    const there = this.transports.filter((way) => way.can(this.video));
    return there.map(({ name, title, label = title }) => ({ name, label }));
  }

  /** Name of the one way that is to be tried; empty: the best that goes. */
  get way() {
    return this.#only;
  }

  set way(name) {
    if (name === this.#only) return;
    this.#only = name;
    if (this.#wanted) this.#try(0);
  }

  /** Whether it is silent, as it begins: browsers play nothing else before somebody has touched the page. */
  get muted() {
    return this.video.muted;
  }

  set muted(silent) {
    this.video.muted = silent;
  }

  /** Time since a new picture was shown, in ms; null while there was none, and where the way does not tell of each. */
  get ageMs() {
    return this.#shownAt === null || this.#way?.lasting ? null : this.now() - this.#shownAt;
  }

  /** What people call the way it plays. */
  get title() {
    return this.#way?.transport.title ?? "";
  }

  /** Begins the first of the ways from `first` on that the browser has. */
  #try(first, why = "") {
    this.#end();
    if (first === 0) [this.#lost, this.#returnAt] = [false, null];
    const isMeant = ({ name }) => this.#only === "" || name === this.#only;
    const index = this.transports.findIndex((way, place) => place >= first && isMeant(way) && way.can(this.video));
    const transport = this.transports[index];
    if (!transport) {
      this.#againAt = this.now() + AGAIN_MS;
      this.#say({ state: "failed", why: why || "This browser has no way to play it" });
      return;
    }
    const surface = transport.surface === "video" ? this.video : this.image;
    this.video.hidden = surface !== this.video;
    this.image.hidden = surface !== this.image;
    const way = { transport, lasting: false };
    this.#way = way;
    way.handle = transport.make(this.camera, surface, (told) => {
      if (this.#way === way) this.#hear(told, index);
    });
    this.#say({ state: "waiting", why: "" });
    way.handle.start();
  }

  #hear(told, index) {
    if (told.state === "failed") {
      this.#lost ||= Boolean(told.lost);
      this.#try(index + 1, told.why);
      return;
    }
    if (told.state === "playing") {
      if (this.#lost) this.#returnAt ??= this.now() + RETURN_MS * 2 ** Math.min(this.#returns, RETURN_DOUBLES);
      else this.#returns = 0;
      this.#shownAt = this.now();
      this.#way.lasting = Boolean(told.lasting);
      this.picture = told.picture ?? null;
    }
    this.#say(told);
  }

  #end() {
    const way = this.#way;
    this.#way = null;
    this.#againAt = null;
    way?.handle.stop();
    this.#shownAt = null;
    this.picture = null;
  }

  /** What time has done. */
  #look() {
    if (this.#rests()) return;
    if (this.#againAt !== null && this.now() >= this.#againAt) this.#try(0);
    if (this.#returnAt !== null && this.now() >= this.#returnAt) {
      this.#returns += 1;
      this.#try(0);
    }
    const silent = this.state === "playing" && !this.#way?.lasting && this.ageMs > SILENT_MS;
    if (silent) this.#say({ state: "waiting", why: this.why });
  }

  /** Whether nobody sees it: then nothing is fetched either. */
  #rests() {
    if (!document.hidden) {
      const rested = this.#hiddenAt !== null && this.#way === null && this.#againAt === null;
      this.#hiddenAt = null;
      if (rested) this.#try(0);
      return false;
    }
    this.#hiddenAt ??= this.now();
    if (this.#way && this.now() - this.#hiddenAt > HIDDEN_MS) {
      this.#end();
      this.#say({ state: "waiting", why: "" });
    }
    return true;
  }

  #say({ state, why }) {
    const transport = this.#way?.transport.name ?? null;
    const isNew = state !== this.state || why !== this.why || transport !== this.transport;
    Object.assign(this, { state, why, transport });
    setData(this.element, "state", state);
    setData(this.element, "transport", transport ?? "");
    setData(this.element, "epoch", this.picture?.epoch ?? "");
    setData(this.element, "sequence", String(this.picture?.sequence ?? ""));
    if (isNew) this.element.dispatchEvent(new CustomEvent("change"));
  }
}
