// Light, dark or the system's: kept in a cookie, so that the server writes the right theme into the page.
const YEAR_S = 365 * 24 * 3600;
const systemDark = window.matchMedia("(prefers-color-scheme: dark)");

export function applyTheme(choice) {
  const root = document.documentElement;
  root.dataset.theme = choice;
  root.dataset.bsTheme = choice === "auto" ? (systemDark.matches ? "dark" : "light") : choice;
  document.cookie = `theme=${choice};path=/;max-age=${YEAR_S};samesite=lax`;
  for (const button of document.querySelectorAll("[data-set-theme]")) {
    button.setAttribute("aria-checked", String(button.dataset.setTheme === choice));
  }
  document.dispatchEvent(new CustomEvent("theme:changed"));
}

systemDark.addEventListener("change", () => {
  if (document.documentElement.dataset.theme === "auto") applyTheme("auto");
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-set-theme]");
  if (button) applyTheme(button.dataset.setTheme);
});
document.addEventListener("change", (event) => {
  if (event.target.matches?.("[data-theme-field]")) applyTheme(event.target.value);
});
