// What all pages have around them: the project's name, the places, the theme, the token, and a line of trouble.

import { getJson, here, Refused } from "./api.js";
import { el, setText } from "./dom.js";
import { repeat } from "./poll.js";
import { themeSwitch } from "./theme.js";
import { tokenBox } from "./token.js";

const PLACES = [["Live", "/"], ["Recordings", "/recordings"], ["System", "/system"]];

/** Fills the header of a page called `title`; `place` is the one of the places it is at, or below. */
export function header(bar, { title, place, tools = [] }) {
  const project = el("span", { class: "project" });
  const links = PLACES.map(([name, path]) => el("a", { href: here(path), "aria-current": name === place ? (name === title ? "page" : "true") : null }, name));
  const [theme, box] = [el("button", { type: "button", class: "quiet" }), el("div", { class: "token" })];
  bar.prepend(
    el("div", { class: "brand" }, el("img", { src: here("/assets/favicon.svg"), alt: "", width: "22", height: "22" }), el("h1", {}, "framevisor"), project),
    el("nav", { class: "places", "aria-label": "Pages" }, ...links));
  bar.append(el("div", { class: "tools" }, ...tools, box, theme));
  themeSwitch(theme);
  tokenBox(box);
  getJson("/api/v1/about").then((about) => {
    setText(project, about.project);
    document.title = [title === "Live" ? null : title, about.project, "framevisor"].filter(Boolean).join(" · ");
  }).catch(() => {}); // the lists say what is wrong
}

/** Lists asked for again and again; what is wrong is said once, above everything, until it passes. */
export class Lists {
  #troubles = new Map();
  #open = true;

  constructor(notice) {
    this.notice = notice;
  }

  /** Asks no more. */
  close() {
    this.#open = false;
  }

  /** Asks every `ms` for what is at `path()`, and gives it to `use`. Without a path it does not ask. */
  follow(ms, path, use) {
    repeat(ms, async () => {
      const asked = path();
      try {
        if (asked) use(await getJson(asked));
        this.#troubles.delete(path);
      } catch (error) {
        const text = error instanceof Refused ? [error.message, error.hint].filter(Boolean).join(". ") : "The web worker does not answer; trying again.";
        this.#troubles.set(path, text);
      }
      this.#say();
    }, () => this.#open);
  }

  #say() {
    const texts = new Set(this.#troubles.values());
    this.notice.hidden = texts.size === 0;
    setText(this.notice, [...texts].join(" "));
  }
}
