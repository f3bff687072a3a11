/** Dark or light: as the system has it, until the button says otherwise. */

const KEY = "nexus-theme";

/** @param {HTMLButtonElement} button @param {() => void} changed */
export function attachTheme(button, changed) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const show = () => {
    const chosen = localStorage.getItem(KEY);
    if (chosen) document.documentElement.dataset.theme = chosen;
    const isDark = (chosen ?? (system.matches ? "dark" : "light")) === "dark";
    button.textContent = isDark ? "Light" : "Dark";
    button.setAttribute("aria-label", isDark ? "Change to light colours" : "Change to dark colours");
    changed();
  };
  button.removeAttribute("aria-pressed");
  button.addEventListener("click", () => {
    const isDark = button.textContent === "Light";
    localStorage.setItem(KEY, isDark ? "light" : "dark");
    show();
  });
  system.addEventListener("change", show);
  show();
}
