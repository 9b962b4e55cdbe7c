// data-shortcut="g p" (a sequence), "c" (a key) or "mod+enter" (Ctrl, or Cmd on a Mac) on a link, button or field.
// Pressing it clicks (or focuses) the element; "?" lists all that the page has.
import { h, isTyping } from "../lib/dom.js";

const SEQUENCE_MS = 1200;
const isMac = /Mac|iP(hone|ad)/.test(navigator.platform);
let typed = "";
let typedAt = 0;

export function keysOf(shortcut) {
  const names = { mod: isMac ? "⌘" : "Ctrl", enter: "Enter", alt: isMac ? "⌥" : "Alt", shift: "Shift" };
  return shortcut.split(/[ +]/).map((key) => names[key] ?? (key.length === 1 ? key.toUpperCase() : key));
}

function shortcutElements() {
  return [...document.querySelectorAll("[data-shortcut]")].filter((element) => !element.disabled);
}

function isReachable(element) {
  const modal = document.querySelector("dialog[open]");
  return !modal || modal.contains(element);
}

function act(element) {
  if (element.matches("input:not([type=checkbox]):not([type=submit]), textarea, select")) {
    element.focus();
    element.select?.();
  } else {
    element.click();
  }
}

function find(shortcut) {
  return shortcutElements().find((element) => element.dataset.shortcut === shortcut && isReachable(element));
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing) return;
  const key = event.key.toLowerCase();
  if (event.ctrlKey || event.metaKey) {
    const element = find(`mod+${event.shiftKey ? "shift+" : ""}${key}`);
    if (element) {
      event.preventDefault();
      act(element);
    }
    return;
  }
  if (event.altKey || isTyping(event.target)) return;
  const now = Date.now();
  const sequence = now - typedAt < SEQUENCE_MS && typed ? `${typed} ${key}` : key;
  const element = find(sequence) ?? find(key);
  typed = key;
  typedAt = now;
  if (element) {
    typed = "";
    event.preventDefault();
    act(element);
  }
});

export function labelOf(element) {
  if (element.dataset.shortcutLabel || element.ariaLabel) return element.dataset.shortcutLabel || element.ariaLabel;
  const copy = element.cloneNode(true);
  for (const key of copy.querySelectorAll("kbd")) key.remove();
  return copy.textContent.trim().replace(/\s+/g, " ");
}

// The help dialog is filled when it opens, so it always shows what works on this very page.
document.addEventListener("click", (event) => {
  if (!event.target.closest('[data-dialog-open="shortcuts-dialog"]')) return;
  const list = document.querySelector("#shortcuts-dialog [data-part=list]");
  const rows = new Map();
  // What a dialog offers once it is open is not a shortcut of the page.
  for (const element of shortcutElements().filter((one) => !one.closest("dialog"))) rows.set(element.dataset.shortcut, labelOf(element));
  list.replaceChildren(
    ...[...rows].map(([shortcut, label]) => h("div", {}, h("dt", {}, label), h("dd", {}, keysOf(shortcut).map((key) => h("kbd", {}, key))))),
  );
}, true);
