// Fragments from a WebSocket into a video (Media Source Extensions): every picture, a few tenths of a second old.
//
// The video element and its source live as long as the player; connections come and go, and what they bring is put
// behind what was shown, so that a restart of the camera or of the server is a pause and nothing else.

import { here } from "./api.js";
import { Edge, ranges } from "./edge.js";
import { picture } from "./fragment.js";
import { pause } from "./poll.js";

/** Pauses between attempts, in ms; the last one repeats. */
const RETRY_MS = [250, 500, 1_000, 2_000, 4_000];
/** So many attempts without a word from the server: there is no WebSocket to be had. */
const FAILURES_MAX = 4;
const CHASE_MS = 100;
/** Kept behind the moment shown, in s: seeking back is not what this is for. */
const KEPT_S = 6;
/** Where a video begins: above zero, since pictures may be decoded before the first one is shown. */
const BEGIN_S = 1;
/** Waiting for the browser to take it: more means that it does not. */
const WAITING_MAX_BYTES = 24 * 1024 * 1024;
/** Pictures whose identity is kept until they are shown. */
const IDS_MAX = 300;

export class Mse {
  #media = null;
  #buffer = null;
  #mime = null;
  #url = null;
  #socket = null;
  #queue = [];
  #queued = 0;
  #head = null; // what the fragments now coming are
  #offset = 0;
  #ids = [];
  #open = false;
  #failures = 0;
  #broken = 0; // since a picture was shown
  #chase = null;
  #watching = false;

  /**
   * `video` shows it; `tell` is called with {state: "playing" | "waiting" | "failed", why, picture}. `Socket` and `Source`
   * are the browser's, but in tests.
   */
  constructor(camera, video, tell, { Socket = globalThis.WebSocket, Source = source(), edge = new Edge(), now = () => performance.now() } = {}) {
    Object.assign(this, { camera, video, tell, Socket, Source, edge, now });
  }

  static can() {
    return Boolean(globalThis.WebSocket && source());
  }

  start() {
    if (this.#open) return;
    this.#open = true;
    this.#attach();
    this.#connect();
    this.#chase = setInterval(() => this.#step(), CHASE_MS);
    this.video.addEventListener("waiting", this.#stalls);
    this.video.addEventListener("error", this.#breaks);
    this.#watch();
  }

  stop() {
    this.#open = false;
    clearInterval(this.#chase);
    this.video.removeEventListener("waiting", this.#stalls);
    this.video.removeEventListener("error", this.#breaks);
    this.#socket?.close();
    this.#detach();
  }

  #stalls = () => {
    if (this.#ids.length > 0 && !this.video.seeking) this.edge.stalled(this.now());
  };

  #breaks = () => {
    if (this.#open && this.video.error) this.#renew();
  };

  /** The decoder gave up, or the source did: a new one, and a connection that begins at a key frame. */
  #renew() {
    this.#broken += 1;
    if (this.#broken >= FAILURES_MAX) {
      this.#fail("This browser cannot play what the camera sends");
      return;
    }
    this.#detach();
    this.#attach();
    this.#socket?.close();
  }

  #attach() {
    this.#media = new this.Source();
    this.#url = URL.createObjectURL(this.#media);
    this.video.disableRemotePlayback = true; // ManagedMediaSource asks for it
    this.video.src = this.#url;
    this.#media.addEventListener("sourceopen", () => this.#pump(), { once: true });
  }

  #detach() {
    this.#release();
    this.#head = null;
    [this.#queue, this.#queued] = [[], 0];
  }

  #release() {
    this.video.removeAttribute("src");
    this.video.load();
    if (this.#url) URL.revokeObjectURL(this.#url);
    [this.#media, this.#buffer, this.#mime, this.#url, this.#ids] = [null, null, null, null, []];
  }

  async #connect() {
    while (this.#open) {
      const heard = await this.#converse();
      if (!this.#open) return;
      this.#failures = heard ? 0 : this.#failures + 1;
      if (this.#failures >= FAILURES_MAX) {
        this.#fail("No WebSocket to this server", { lost: true });
        return;
      }
      this.tell({ state: "waiting", why: "the web worker does not answer" });
      await pause(RETRY_MS[Math.min(this.#failures, RETRY_MS.length - 1)]);
    }
  }

  /** One connection from begin to end; whether the server said anything. */
  #converse() {
    return new Promise((resolve) => {
      let heard = false;
      const socket = new this.Socket(address(`/live/${this.camera}`));
      socket.binaryType = "arraybuffer";
      socket.addEventListener("message", ({ data }) => {
        if (this.#socket !== socket) return;
        heard = true;
        if (typeof data === "string") this.#hear(JSON.parse(data));
        else this.#take(data);
      });
      socket.addEventListener("close", () => resolve(heard));
      this.#socket = socket;
      // What a connection brings begins with its own word of what it is.
      this.#head = null;
    });
  }

  #hear(said) {
    if (said.type === "mse") {
      if (!this.Source.isTypeSupported(said.value)) {
        this.#fail(`This browser cannot play ${said.value}`);
        return;
      }
      this.#head = said;
      this.#queue.push({ head: said });
    } else if (said.type === "waiting") {
      this.tell({ state: "waiting", why: said.why });
    } else if (said.type === "refused") {
      this.#fail(said.why);
    }
  }

  #take(data) {
    if (!this.#head) return;
    this.#queue.push({ data, head: this.#head });
    this.#queued += data.byteLength;
    // A browser that takes nothing, as in a page nobody looks at, begins anew when it does: with what comes then.
    if (this.#queued > WAITING_MAX_BYTES) {
      [this.#queue, this.#queued, this.#head] = [[], 0, null];
      this.#socket.close();
    }
    this.#pump();
  }

  /** Gives the browser what it is ready for; called again when it has taken it. */
  #pump() {
    if (!this.#media || this.#media.readyState !== "open" || this.#buffer?.updating) return;
    try {
      if (this.#trim()) return;
      while (this.#queue[0] && !this.#queue[0].data) {
        const { head } = this.#queue[0];
        if (this.#mime && shape(this.#mime) !== shape(head.value)) {
          // A source takes as many tracks as it began with: sound that comes or goes needs another one.
          this.#release();
          this.#attach();
          return;
        }
        this.#begin(head);
        this.#queue.shift();
      }
      if (this.#buffer && this.#queue.length > 0) this.#append();
    } catch (error) {
      if (error.name === "QuotaExceededError") this.#makeRoom();
      else this.#renew();
    }
  }

  /** Readies the buffer for what follows: behind all that there is, so that time goes on. */
  #begin(head) {
    if (!this.#buffer) {
      this.#buffer = this.#media.addSourceBuffer(head.value);
      this.#buffer.addEventListener("updateend", () => this.#pump());
      this.#media.duration = Infinity;
    } else if (this.#mime !== head.value) {
      this.#buffer.changeType(head.value);
    }
    this.#mime = head.value;
    const end = ranges(this.#buffer.buffered).at(-1)?.[1] ?? BEGIN_S;
    this.#offset = end - head.at_s;
    this.#buffer.timestampOffset = this.#offset;
  }

  /** All that waits and is of one kind at once: fewer appends are fewer pauses. */
  #append() {
    const until = this.#queue.findIndex((item) => !item.data);
    const items = this.#queue.slice(0, until < 0 ? this.#queue.length : until);
    const whole = new Uint8Array(items.reduce((sum, { data }) => sum + data.byteLength, 0));
    let at = 0;
    for (const { data } of items) {
      whole.set(new Uint8Array(data), at);
      at += data.byteLength;
    }
    this.#buffer.appendBuffer(whole);
    // It is taken now, or there was no room and it stays in the queue.
    this.#queue.splice(0, items.length);
    this.#queued -= whole.length;
    for (const { data, head } of items) this.#remember(new Uint8Array(data), head);
    this.#play();
  }

  #remember(bytes, head) {
    const seen = head.track ? picture(bytes, head.track, head.ticks) : null;
    if (!seen) return;
    this.#ids.push({ ...seen, at: seen.at + this.#offset });
    if (this.#ids.length > IDS_MAX) this.#ids.shift();
  }

  #play() {
    // Refused until somebody touches the page, in browsers that want that even of a silent video.
    if (this.video.paused) this.video.play()?.catch(() => {});
  }

  /** Lets go of the past; true when that has to be waited for. */
  #trim() {
    const first = this.#buffer && ranges(this.#buffer.buffered)[0];
    const until = this.video.currentTime - KEPT_S;
    if (!first || first[0] > until - KEPT_S) return false;
    this.#buffer.remove(0, until);
    return true;
  }

  #makeRoom() {
    const { currentTime } = this.video;
    const first = ranges(this.#buffer.buffered)[0]?.[0] ?? currentTime;
    if (first < currentTime - 1) this.#buffer.remove(0, currentTime - 0.5);
    else this.#renew();
  }

  #step() {
    const there = ranges(this.video.buffered);
    const { seek, rate } = this.edge.step(this.now(), this.video.currentTime, there);
    if (seek !== null && !this.video.seeking) this.video.currentTime = seek;
    if (this.video.playbackRate !== rate) this.video.playbackRate = rate;
    this.#pump();
  }

  /** Says which picture is shown, each time it is another one. */
  #watch() {
    if (this.#watching) return;
    this.#watching = true;
    if (!this.video.requestVideoFrameCallback) {
      this.video.addEventListener("timeupdate", () => this.#open && this.#show(this.video.currentTime));
      return;
    }
    const shown = (_, { mediaTime }) => {
      this.#watching = this.#open;
      if (!this.#open) return;
      this.#show(mediaTime);
      this.video.requestVideoFrameCallback(shown);
    };
    this.video.requestVideoFrameCallback(shown);
  }

  #show(at) {
    this.#broken = 0;
    const index = this.#ids.findLastIndex((seen) => seen.at <= at + 0.002);
    this.tell({ state: "playing", why: "", picture: this.#ids[index] ?? null });
  }

  #fail(why, more = {}) {
    this.stop();
    this.tell({ state: "failed", why, ...more });
  }
}

/** How many tracks a type has. */
function shape(type) {
  return type.split(",").length;
}

function source() {
  return globalThis.ManagedMediaSource ?? globalThis.MediaSource;
}

/** The WebSocket address of a path of this server. */
export function address(path) {
  const url = new URL(here(path));
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}
