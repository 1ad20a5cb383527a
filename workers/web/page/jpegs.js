// Pictures one by one, for what plays no video: JPEG over a WebSocket, or as one endless image.

import { here } from "./api.js";
import { address } from "./mse.js";
import { pause } from "./poll.js";

const RETRY_MS = 1_000;
/** So many attempts without a word from the server: there is no WebSocket to be had. */
const FAILURES_MAX = 4;

/** JPEG over a WebSocket: each picture with its identity. */
export class Jpegs {
  #open = false;
  #socket = null;
  #which = null;
  #url = null;

  constructor(camera, image, tell, { Socket = globalThis.WebSocket } = {}) {
    Object.assign(this, { camera, image, tell, Socket });
  }

  start() {
    if (this.#open) return;
    this.#open = true;
    this.#connect();
  }

  stop() {
    this.#open = false;
    this.#socket?.close();
    this.image.removeAttribute("src");
    if (this.#url) URL.revokeObjectURL(this.#url);
    this.#url = null;
  }

  async #connect() {
    for (let failures = 0; this.#open && failures < FAILURES_MAX;) {
      failures = await this.#converse() ? 0 : failures + 1;
      if (!this.#open) return;
      this.tell({ state: "waiting", why: "the web worker does not answer" });
      await pause(RETRY_MS);
    }
    if (!this.#open) return;
    this.stop();
    this.tell({ state: "failed", why: "No WebSocket to this server", lost: true });
  }

  #converse() {
    return new Promise((resolve) => {
      let heard = false;
      const socket = new this.Socket(address(`/live/${this.camera}?as=jpeg`));
      socket.binaryType = "blob";
      socket.addEventListener("message", ({ data }) => {
        heard = true;
        if (typeof data === "string") this.#hear(JSON.parse(data));
        else this.#show(data);
      });
      socket.addEventListener("close", () => resolve(heard));
      this.#socket = socket;
    });
  }

  #hear(said) {
    if (said.type === "picture") this.#which = said;
    else if (said.type === "waiting") this.tell({ state: "waiting", why: said.why });
  }

  async #show(blob) {
    const { epoch, sequence, capture_utc_ns } = this.#which ?? {};
    const [url, old] = [URL.createObjectURL(new Blob([blob], { type: "image/jpeg" })), this.#url];
    this.#url = url;
    this.image.src = url;
    await this.image.decode().catch(() => {});
    if (old) URL.revokeObjectURL(old);
    if (!this.#open) return;
    const picture = { epoch: String(epoch), sequence, captureMs: capture_utc_ns / 1e6 };
    this.tell({ state: "playing", why: "", picture });
  }
}

/** One endless image: what every browser has always had. It does not say which picture it shows. */
export class Multipart {
  constructor(camera, image, tell) {
    Object.assign(this, { camera, image, tell });
  }

  start() {
    this.image.addEventListener("load", this.#shows);
    this.image.addEventListener("error", this.#breaks);
    this.image.src = here(`/mjpeg/${this.camera}`);
  }

  stop() {
    this.image.removeEventListener("load", this.#shows);
    this.image.removeEventListener("error", this.#breaks);
    this.image.removeAttribute("src");
  }

  #shows = () => this.tell({ state: "playing", why: "", picture: null, lasting: true });

  #breaks = () => {
    this.stop();
    this.tell({ state: "failed", why: "The server has no pictures of this camera" });
  };
}
