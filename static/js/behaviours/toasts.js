// Short messages in a corner. Sources: the server's messages (rendered in base.html), an HX-Trigger header
// {"toast": {"message", "level", "links": [{"label", "url"}]}}, and scripts. Errors stay until closed; the rest goes after a while.
import { h, icon, iconButton, t } from "../lib/dom.js";

const STAY_MS = 6000;
const STAY_WITH_LINKS_MS = 15000;
const ICONS = {
  success: () => icon("circle-check"),
  info: () => icon("info-circle"),
  warning: () => icon("alert-triangle"),
  error: () => icon("alert-circle"),
};

/** `action` ({label, run}) adds a button, such as “Undo”; `links` ([{label, url}]) are where to go next. */
export function toast(message, level = "info", action = null, links = []) {
  const region = document.getElementById("toasts");
  if (!region) return;
  const note = h("div", { class: `toast-note ${level}`, role: level === "error" ? "alert" : "status" });
  const next = links.map(({ label, url }) => h("a", { href: url }, label));
  note.append((ICONS[level] ?? ICONS.info)(), h("p", {}, message, next.length > 0 ? h("span", { class: "toast-links" }, next) : null));
  if (action) {
    const act = () => {
      note.remove();
      action.run();
    };
    note.append(h("button", { type: "button", class: "btn btn-sm", onclick: act }, action.label));
  }
  note.append(iconButton(icon("x"), t("close"), () => note.remove()));
  region.append(note);
  if (level !== "error") leaveLater(note, next.length > 0 || action ? STAY_WITH_LINKS_MS : STAY_MS);
}

/** Not while the pointer or the focus is on it. */
function leaveLater(note, milliseconds) {
  let timer = 0;
  const stay = () => clearTimeout(timer);
  const leave = () => {
    stay();
    timer = setTimeout(() => note.remove(), milliseconds);
  };
  for (const name of ["pointerenter", "focusin"]) note.addEventListener(name, stay);
  for (const name of ["pointerleave", "focusout"]) note.addEventListener(name, leave);
  leave();
}

export function showPendingToasts() {
  for (const pending of document.querySelectorAll("#pending-toasts > [data-level]")) {
    const links = [...pending.querySelectorAll("a")].map((link) => ({ label: link.textContent, url: link.getAttribute("href") }));
    for (const link of pending.querySelectorAll("a")) link.remove();
    toast(pending.textContent.trim(), pending.dataset.level, null, links);
    pending.remove();
  }
}

document.addEventListener("toast", (event) => {
  if (event.detail?.message) toast(event.detail.message, event.detail.level, null, event.detail.links);
});
