// Live video of one camera in a video element, by WebRTC (WHEP). Connects, and connects again for as long as
// it is wanted; says how it is. `WhepWay` is that as a way of the player (player.js).

import { here, Refused, refused } from "./api.js";

/** An offer is answered within this, which has 3 s for a camera that is silent. */
const ANSWER_MS = 8_000;
/** From the offer to the connection. */
const CONNECT_MS = 15_000;
/** A connection that is lost may come back by itself for so long. */
const BACK_MS = 5_000;
/** Between two tries, the last of them for ever. */
const PAUSES_MS = [500, 1_000, 2_000, 5_000, 10_000];
/** So many tries in a row that came to nothing: a player has other ways. */
const FAILURES_MAX = 4;
/** The camera is silent, which no other way would cure. */
const SILENT = "no-packet-yet";

/** Whether this browser can. */
export const possible = () => typeof globalThis.RTCPeerConnection === "function";

export class Whep {
  #peer = null;
  #viewer = null; // URL of what the server has for it
  #tries = 0;
  #timer = 0;

  /**
   * `tell(state, why)` is called when `state` or `why` changes. `mutes`: the video is made silent, as browsers want it
   * of what plays by itself. The other options are there for tests.
   * States: `idle`, `connecting`, `live`, `waiting` for the next try.
   */
  constructor(camera, video, { tell = () => {}, mutes = true, Peer = globalThis.RTCPeerConnection, load = (...asked) => fetch(...asked), pauses = PAUSES_MS } = {}) {
    Object.assign(this, { camera, video, tell, mutes, Peer, load, pauses });
    this.path = here(`/whep/${encodeURIComponent(camera)}`);
    this.state = "idle";
    this.why = "";
    /** Tracks of the camera that the server does not send, for people. */
    this.leftOut = "";
    /** How the last try was refused; null when it was not. */
    this.refusal = null;
    /** Whether the server answered the last offer. */
    this.answered = false;
  }

  connect() {
    if (this.state !== "idle") return;
    // Once: who wants to hear it unmutes it, and hears it after the next connection, too.
    if (this.mutes) this.video.muted = true;
    this.#begin();
  }

  close() {
    this.#tries = 0;
    this.#drop();
    this.#say("idle");
  }

  #say(state, why = "") {
    if (state === this.state && why === this.why) return;
    [this.state, this.why] = [state, why];
    this.tell(state, why);
  }

  async #begin() {
    this.#drop();
    const peer = new this.Peer();
    this.#peer = peer;
    [this.refusal, this.answered] = [null, false];
    this.#say("connecting", this.why);
    this.#after(CONNECT_MS, () => this.#lost("no connection came about"));
    const isMine = () => this.#peer === peer;
    peer.addEventListener("track", (event) => { if (isMine()) this.#show(event.track); });
    peer.addEventListener("connectionstatechange", () => { if (isMine()) this.#changed(peer.connectionState); });
    try {
      for (const kind of ["video", "audio"]) peer.addTransceiver(kind, { direction: "recvonly" });
      // Where this browser is, the server learns from its checks: nothing is gathered before the offer goes.
      await peer.setLocalDescription(await peer.createOffer());
      if (!isMine()) return;
      const answer = await this.#offer(peer.localDescription.sdp, isMine);
      if (!isMine()) return;
      this.answered = true;
      await peer.setRemoteDescription({ type: "answer", sdp: answer });
    } catch (error) {
      if (isMine()) this.#lost(error.message, error instanceof Refused ? error : null);
    }
  }

  /** The answer to an offer. A viewer that came too late for us is ended. */
  async #offer(sdp, isMine) {
    const headers = { "Content-Type": "application/sdp" };
    const signal = AbortSignal.timeout(ANSWER_MS);
    const response = await this.load(this.path, { method: "POST", headers, body: sdp, signal });
    if (!response.ok) throw await refused(response);
    const viewer = new URL(response.headers.get("Location"), response.url || this.path).href;
    if (isMine()) this.#viewer = viewer;
    else this.#leave(viewer);
    this.leftOut = response.headers.get("Framevisor-Left-Out") ?? "";
    return response.text();
  }

  #show(track) {
    const { video } = this;
    if (!(video.srcObject instanceof MediaStream)) {
      Object.assign(video, { autoplay: true, playsInline: true, srcObject: new MediaStream() });
    }
    video.srcObject.addTrack(track);
  }

  #changed(state) {
    if (state === "connected") {
      this.#tries = 0;
      clearTimeout(this.#timer);
      this.#say("live");
    } else if (state === "disconnected") {
      this.#after(BACK_MS, () => this.#lost("the connection was lost"));
    } else if (state === "failed" || state === "closed") {
      this.#lost("the connection was lost");
    }
  }

  /** Tries again: what will not be otherwise (4xx) as rarely as it gets. */
  #lost(why, refusal = null) {
    const last = this.pauses.length - 1;
    const pause = this.pauses[isFinal(refusal) ? last : Math.min(this.#tries, last)];
    this.#tries += 1;
    this.refusal = refusal;
    this.#drop();
    this.#say("waiting", why);
    this.#after(pause, () => this.#begin());
  }

  #after(ms, work) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(work, ms);
  }

  /** Lets go of the connection, here and at the server. */
  #drop() {
    clearTimeout(this.#timer);
    const [peer, viewer] = [this.#peer, this.#viewer];
    [this.#peer, this.#viewer] = [null, null];
    if (viewer) this.#leave(viewer);
    peer?.close();
    this.video.srcObject = null;
  }

  /** Goes out even while the page is left. */
  #leave(viewer) {
    this.load(viewer, { method: "DELETE", keepalive: true }).catch(() => {});
  }
}

/** Whether the same offer would be refused again. */
function isFinal(refusal) {
  return refusal !== null && refusal.status >= 400 && refusal.status < 500;
}

/**
 * WebRTC as a way of the player. What is refused for good, or comes to nothing again and again, has failed; a camera that is
 * silent, and a server that begins anew, are waited for. It does not say which picture it shows: RTP has no room for it.
 */
export class WhepWay {
  #whep;
  #open = false;
  #failures = 0;
  #lived = false;

  /** `video` shows it; `tell` is called with {state: "playing" | "waiting" | "failed", why, picture}; `options` are those of `Whep`. */
  constructor(camera, video, tell, options = {}) {
    Object.assign(this, { video, tell });
    // Whether it is heard is the player's to say.
    this.#whep = new Whep(camera, video, { ...options, mutes: false, tell: (state, why) => this.#hear(state, why) });
  }

  start() {
    if (this.#open) return;
    this.#open = true;
    globalThis.addEventListener("pagehide", this.#leaves);
    globalThis.addEventListener("pageshow", this.#returns);
    this.#whep.connect();
    this.#next();
  }

  stop() {
    this.#open = false;
    globalThis.removeEventListener("pagehide", this.#leaves);
    globalThis.removeEventListener("pageshow", this.#returns);
    this.#whep.close();
  }

  /** The server has a place again at once, and not when it has heard nothing for a while. */
  #leaves = () => this.#whep.close();

  /** A page that was left may be come back to. */
  #returns = () => this.#whep.connect();

  #hear(state, why) {
    if (!this.#open) return;
    if (state === "live") [this.#failures, this.#lived] = [0, true];
    else if (state === "waiting" && this.#hasFailed()) this.#fail(why);
    else if (state !== "idle") this.tell({ state: "waiting", why });
  }

  #hasFailed() {
    const { refusal, answered } = this.#whep;
    if (isFinal(refusal)) return true;
    if (refusal?.code === SILENT) return false;
    // An answer and then nothing: no datagrams come through.
    if (answered && !this.#lived) return true;
    this.#failures += 1;
    return this.#failures >= FAILURES_MAX;
  }

  #fail(why) {
    // Not within its own word, which it has still to act upon.
    queueMicrotask(() => {
      if (!this.#open) return;
      const lost = !isFinal(this.#whep.refusal);
      this.stop();
      this.tell({ state: "failed", why, lost });
    });
  }

  /** Tells of each picture that is shown. */
  #next() {
    if (this.video.requestVideoFrameCallback) this.video.requestVideoFrameCallback(this.#shown);
    else this.video.addEventListener("timeupdate", this.#shown, { once: true });
  }

  #shown = () => {
    if (!this.#open) return;
    this.tell({ state: "playing", why: "", picture: null });
    this.#next();
  };
}
