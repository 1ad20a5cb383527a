// The token with which this page may change something. Without one it only looks.
//
// It is held for as long as the tab is open, and sent in a header of requests to this page's own server, nowhere
// else. A link that ends in #token=... brings one along: that part of an address is not sent to any server, and is
// taken out of the address at once.

import { el, setText } from "./dom.js";

const KEY = "framevisor-token";
/** As in an Authorization header (RFC 6750). */
const SHAPE = /^[A-Za-z0-9._~+/-]{1,512}=*$/;

function storage() {
  try {
    return globalThis.sessionStorage ?? null;
  } catch {
    return null; // storage can be switched off
  }
}

/** Tells whoever listens for "change". */
class Token extends EventTarget {
  #held;

  constructor() {
    super();
    this.#held = storage()?.getItem(KEY) ?? "";
  }

  /** Empty without one. */
  get held() {
    return this.#held;
  }

  /** Whether `text` can be a token; if so it is held from now on. An empty text forgets the one there was. */
  hold(text) {
    const wanted = text.trim();
    if (wanted && !SHAPE.test(wanted)) return false;
    this.#held = wanted;
    if (wanted) storage()?.setItem(KEY, wanted);
    else storage()?.removeItem(KEY);
    this.dispatchEvent(new Event("change"));
    return true;
  }

  forget() {
    this.hold("");
  }

  /** Takes the token of an address; gives the address without it, or null when there was none. */
  takeFrom(address) {
    const url = new URL(address);
    const fragment = new URLSearchParams(url.hash.slice(1));
    const found = fragment.get("token");
    if (found === null) return null;
    this.hold(found);
    fragment.delete("token");
    url.hash = fragment.toString();
    return url.href;
  }
}

export const token = new Token();

/** Shows in `place` whether there is a token, and lets one be given and forgotten. */
export function tokenBox(place, { held = token } = {}) {
  const input = el("input", { type: "password", id: "token-text", autocomplete: "off", spellcheck: "false" });
  const said = el("p", { class: "said", role: "status" });
  const form = el("form", { class: "popover", hidden: "" },
    el("label", { for: "token-text" }, "Token"), input,
    el("p", {}, "With a token this page can restart workers and take comments. It is kept until this tab is closed."),
    said, el("div", { class: "controls" }, el("button", { class: "quiet main" }, "Use it"),
      el("button", { type: "button", class: "quiet", "data-do": "forget" }, "Forget it")));
  const button = el("button", { type: "button", class: "quiet", "aria-expanded": "false" });
  const open = (wanted) => {
    form.hidden = !wanted;
    button.setAttribute("aria-expanded", String(wanted));
    setText(said, "");
    if (wanted) input.focus();
    else input.value = "";
  };
  const show = () => setText(button, held.held ? "Token: held" : "Token");
  button.addEventListener("click", () => open(form.hidden));
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    open(false);
    button.focus();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (held.hold(input.value)) open(false);
    else setText(said, "A token has letters, digits and - . _ ~ + / = only.");
  });
  form.querySelector("[data-do=forget]").addEventListener("click", () => {
    held.forget();
    open(false);
  });
  held.addEventListener("change", show);
  show();
  place.replaceChildren(button, form);
}

if (globalThis.location?.hash.includes("token=")) {
  const clean = token.takeFrom(location.href);
  if (clean) history.replaceState(null, "", clean);
}
