// A box to note something about what is recorded at this moment, with tags. It is there only with a token.

import { Refused, trouble } from "./api.js";
import { el, setText } from "./dom.js";

const AUTHOR_KEY = "framevisor-author";

/** Words of a line of tags, without the signs in front of them: "car, #red" -> ["car", "red"]. */
export const tagsOf = (text) => [...new Set(text.split(/[\s,;]+/).map((word) => word.replace(/^#+/, "")).filter(Boolean))];

function author(name) {
  try {
    if (name !== undefined) localStorage.setItem(AUTHOR_KEY, name);
    return localStorage.getItem(AUTHOR_KEY) ?? "";
  } catch {
    return name ?? ""; // storage can be switched off
  }
}

export class RemarkBox {
  /** `send(remark)` gives a promise. */
  constructor(place, send) {
    this.send = send;
    const field = (id, label, attributes) => [el("label", { for: id }, label), el("input", { id, autocomplete: "off", ...attributes })];
    const [textLabel, text] = field("remark-text", "Comment", { required: "", maxlength: "1000", placeholder: "What is to be seen?" });
    const [tagsLabel, tags] = field("remark-tags", "Tags", { maxlength: "200", placeholder: "car, red" });
    const [whoLabel, who] = field("remark-author", "Your name", { maxlength: "60" });
    Object.assign(this, { text, tags, who });
    who.value = author();
    this.button = el("button", { class: "quiet main" }, "Note it");
    this.said = el("p", { class: "said", role: "status" });
    this.form = el("form", { class: "remark", hidden: "" },
      el("div", { class: "wide" }, textLabel, text), el("div", {}, tagsLabel, tags), el("div", {}, whoLabel, who), this.button, this.said);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#note();
    });
    place.append(this.form);
  }

  set may(on) {
    this.form.hidden = !on;
  }

  async #note() {
    const text = this.text.value.trim();
    if (!text || this.button.disabled) return;
    const who = author(this.who.value.trim());
    const remark = { text, tags: tagsOf(this.tags.value), ...(who ? { author: who } : {}) };
    this.button.disabled = true;
    try {
      await this.send(remark);
      setText(this.said, "Noted.");
      this.text.value = "";
      this.text.focus();
    } catch (error) {
      const hint = error instanceof Refused && error.hint ? `; ${error.hint}` : "";
      setText(this.said, `Not noted: ${trouble(error)}${hint}`);
    } finally {
      this.button.disabled = false;
    }
  }
}
