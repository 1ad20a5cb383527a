// A button that does something only when it is pressed twice, and says what came of it.

import { trouble } from "./api.js";
import { el, setData, setText } from "./dom.js";

/** So long it asks. */
const ASKS_MS = 4_000;
const SAYS_MS = 4_000;

/** `work()` gives a promise; `name` is for who does not see what is beside the button. */
export function confirmed(text, name, work) {
  const button = el("button", { type: "button", class: "quiet", "aria-label": name }, text);
  let timer = null;
  const show = (shown, state, label = name) => {
    setText(button, shown);
    setData(button, "state", state);
    button.setAttribute("aria-label", label);
  };
  const rest = () => show(text, "rest");
  const restIn = (ms) => { timer = setTimeout(rest, ms); };
  rest();
  button.addEventListener("click", async () => {
    const { state } = button.dataset;
    if (state === "works") return;
    clearTimeout(timer);
    if (state !== "asks") {
      show("Sure?", "asks", `${name}: press again to do it`);
      restIn(ASKS_MS);
      return;
    }
    show("…", "works", `${name}: on its way`);
    try {
      await work();
      show("Done", "done", `${name}: done`);
    } catch (error) {
      show("Failed", "failed", `${name}: ${trouble(error)}`);
      button.title = trouble(error);
    }
    restIn(SAYS_MS);
  });
  return button;
}
