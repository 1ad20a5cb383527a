// Light, dark, or as the system says; remembered by this browser.

const KEY = "framevisor-theme";
const NEXT = { auto: "light", light: "dark", dark: "auto" };
const SHOWN = { auto: "◐ Auto", light: "☀ Light", dark: "☾ Dark" };

function stored() {
  try {
    return localStorage.getItem(KEY) ?? "auto";
  } catch {
    return "auto"; // storage can be switched off
  }
}

function store(theme) {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // The choice then lasts as long as the page.
  }
}

/** Makes `button` the theme switch of the page. */
export function themeSwitch(button, root = document.documentElement) {
  let theme = stored();
  const show = () => {
    root.dataset.theme = theme;
    button.textContent = SHOWN[theme] ?? SHOWN.auto;
    button.setAttribute("aria-label", `Theme: ${theme}. Change`);
  };
  button.addEventListener("click", () => {
    theme = NEXT[theme] ?? "auto";
    store(theme);
    show();
  });
  show();
}
