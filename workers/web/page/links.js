// Where else a camera can be had: addresses and names to copy.

import { here } from "./api.js";
import { el, setText } from "./dom.js";

/** An address that is listened on as others reach it: on every address of a machine, by that of the page. */
function reached(listen, host) {
  const [, ip, port] = listen.match(/^(.*):(\d+)$/) ?? [];
  return ip === "0.0.0.0" || ip === "[::]" ? `${host}:${port}` : listen;
}

/** The links of a camera's row, with the workers of `/api/v1/workers`: {what, text, note}. */
export function linksOf(row, workers, address = here) {
  const name = encodeURIComponent(row.name);
  const host = new URL(address("/")).hostname;
  // Of two addresses the second is that of TLS.
  const rtsp = workers.filter(({ kind }) => kind === "rtsp").flatMap(({ listen = [] }) => listen.map((one, place) => ({
    what: place > 0 ? "RTSPS" : "RTSP", text: `${place > 0 ? "rtsps" : "rtsp"}://${reached(one, host)}/${row.name}`, note: "ffplay, VLC, another recorder",
  })));
  const pictures = row.snapshot
    ? [
      { what: "MJPEG", text: address(`/mjpeg/${name}`), note: "an <img>, OpenCV" },
      { what: "Snapshot", text: address(`/snap/${name}.jpg`), note: "the newest picture" },
    ]
    : [];
  const hls = row.packets ? [{ what: "HLS", text: address(`/hls/${name}/index.m3u8`), note: "phones, TVs, Safari" }] : [];
  const rings = [row.packets, row.frames].filter(Boolean).map((ring) => ({
    what: "Ring", text: ring, note: ring.endsWith(".frames") ? `shmring.attach("${ring}")` : "encoded packets, as recorded",
  }));
  return [...rtsp, ...hls, ...pictures, ...rings];
}

/** Copies; says in words when the browser does not let it. */
async function copy(text, button, said) {
  try {
    await navigator.clipboard.writeText(text);
    setText(said, "copied");
  } catch {
    setText(said, "select and copy it"); // only pages on loopback or with TLS may
  }
  setTimeout(() => setText(said, ""), 2_000);
  button.focus();
}

function row({ what, text, note }) {
  const said = el("span", { class: "said", role: "status" });
  const button = el("button", { type: "button", class: "quiet", "aria-label": `Copy ${what} ${text}` }, "Copy");
  button.addEventListener("click", () => copy(text, button, said));
  return el("li", {}, el("b", {}, what), el("code", { title: note }, text), said, button);
}

export class Links {
  #shown = "";

  constructor(list) {
    this.list = list;
  }

  update(links) {
    const shown = JSON.stringify(links);
    if (shown === this.#shown) return; // a text that is being selected stays
    this.#shown = shown;
    this.list.replaceChildren(...links.map(row));
  }
}
