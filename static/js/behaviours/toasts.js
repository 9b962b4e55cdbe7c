// Short messages in a corner. Sources: the server's messages (rendered in base.html), an HX-Trigger header
// {"toast": {"message", "level"}}, and scripts. Errors stay until closed; the rest goes after a while.
import { h, icon, iconButton, t } from "../lib/dom.js";

const STAY_MS = 6000;
const ICONS = {
  success: () => icon("circle-check"),
  info: () => icon("info-circle"),
  warning: () => icon("alert-triangle"),
  error: () => icon("alert-circle"),
};

/** `action` ({label, run}) adds a button, such as “Undo”. */
export function toast(message, level = "info", action = null) {
  const region = document.getElementById("toasts");
  if (!region) return;
  const note = h("div", { class: `toast-note ${level}`, role: level === "error" ? "alert" : "status" });
  note.append((ICONS[level] ?? ICONS.info)(), h("p", {}, message));
  if (action) {
    const act = () => {
      note.remove();
      action.run();
    };
    note.append(h("button", { type: "button", class: "btn btn-sm", onclick: act }, action.label));
  }
  note.append(iconButton(icon("x"), t("close"), () => note.remove()));
  region.append(note);
  if (level !== "error") leaveLater(note);
}

function leaveLater(note) {
  let timer = setTimeout(() => note.remove(), STAY_MS);
  note.addEventListener("pointerenter", () => clearTimeout(timer));
  note.addEventListener("pointerleave", () => {
    timer = setTimeout(() => note.remove(), STAY_MS);
  });
}

export function showPendingToasts() {
  for (const pending of document.querySelectorAll("#pending-toasts > [data-level]")) {
    toast(pending.textContent.trim(), pending.dataset.level);
    pending.remove();
  }
}

document.addEventListener("toast", (event) => {
  if (event.detail?.message) toast(event.detail.message, event.detail.level);
});
