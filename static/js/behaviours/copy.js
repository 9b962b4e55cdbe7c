// data-copy="text" or data-copy-from="#selector" copies and says so.
import { announce, t } from "../lib/dom.js";

const SHOWN_MS = 1600;

async function write(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  // Plain http on another machine's address has no clipboard API; a selected textarea still works there.
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("copy refused");
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy], [data-copy-from]");
  if (!button) return;
  const source = button.dataset.copyFrom ? document.querySelector(button.dataset.copyFrom) : null;
  const text = source ? (source.value ?? source.textContent) : button.dataset.copy;
  try {
    await write(text ?? "");
    button.setAttribute("data-copied", "");
    announce(t("copied"));
    setTimeout(() => button.removeAttribute("data-copied"), SHOWN_MS);
  } catch {
    announce(t("copy_failed"));
  }
});
