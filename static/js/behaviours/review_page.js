// The page of a change request: remarks under lines by mouse and keyboard, walking through it by j and k, and nothing
// typed is lost: what stands in a form (data-keep) is held in the session until it was sent.
import { h, isTyping } from "../lib/dom.js";

export function start(root) {
  const key = (name) => `review:${root.dataset.key}:${name}`;
  const template = root.querySelector("#rv-line-form");
  let stop = -1;

  // Only one line of a message is in the order of the Tab key; arrows go on from there.
  for (const message of root.querySelectorAll(".rv-message")) rove(message);

  function rove(message) {
    const first = message.querySelector("[data-stop] button.rv-num") ?? message.querySelector("button.rv-num");
    if (first) first.tabIndex = 0;
  }

  function keep(form) {
    const name = form.dataset.keep;
    if (!name) return;
    const held = {};
    for (const field of form.querySelectorAll("textarea, input[name=typed]")) held[field.name] = field.value;
    if (form.elements.suggests?.checked) held.suggests = true;
    else delete held.suggestion;
    try {
      if (Object.values(held).some((value) => value === true || value)) sessionStorage.setItem(key(name), JSON.stringify(held));
      else sessionStorage.removeItem(key(name));
    } catch {
      // Storage can be switched off or full; then the page alone holds it.
    }
  }

  function held(name) {
    try {
      return JSON.parse(sessionStorage.getItem(key(name)) ?? "null");
    } catch {
      return null;
    }
  }

  function fill(form) {
    const values = held(form.dataset.keep);
    if (!values) return;
    for (const [name, value] of Object.entries(values)) {
      const field = form.elements[name];
      if (!field) continue;
      if (name === "suggests") {
        field.checked = true;
        form.elements.suggestion.hidden = false;
      } else field.value = value;
    }
  }

  function open(button, focus = true) {
    const message = button.closest(".rv-message");
    const { side, line } = button.dataset;
    const index = message.dataset[side];
    const name = `line-${side}-${index}-${line}`;
    const row = button.closest(".rv-line");
    let form = root.querySelector(`form[data-keep="${name}"]`);
    if (!form) {
      form = template.content.firstElementChild.cloneNode(true);
      form.dataset.keep = name;
      form.elements.message_index.value = index;
      form.elements.line.value = line;
      form.elements.side.value = side;
      if (side !== "new") form.querySelector("[data-part=suggests]").remove();
      const beneath = row.nextElementSibling?.matches(".rv-threads") ? row.nextElementSibling : h("div", { class: "rv-threads" });
      if (!beneath.isConnected) row.after(beneath);
      beneath.append(form);
      form.lineText = [...row.querySelectorAll(".rv-text")].at(-1).textContent;
      form.opener = button;
      fill(form);
      window.htmx.process(form);
    }
    const around = row.closest(".diff-fold");
    if (around) around.open = true;
    if (focus) form.elements.body.focus();
  }

  function close(form) {
    try {
      sessionStorage.removeItem(key(form.dataset.keep));
    } catch {
      // See above.
    }
    const beneath = form.parentElement;
    form.opener?.focus();
    form.remove();
    if (beneath.childElementCount === 0) beneath.remove();
  }

  root.addEventListener("click", (event) => {
    const button = event.target.closest("button.rv-num");
    if (button) open(button);
    if (event.target.closest("[data-part=cancel]")) close(event.target.closest("form"));
    if (event.target.closest('a[href^="#thread-"]')) {
      const thread = document.querySelector(event.target.closest("a").getAttribute("href"));
      for (let part = thread; part; part = part.parentElement?.closest("details")) part.open = true;
    }
  });
  root.addEventListener("change", (event) => {
    if (event.target.name !== "suggests") return;
    const { suggestion } = event.target.form.elements;
    suggestion.hidden = !event.target.checked;
    if (event.target.checked && !suggestion.value) suggestion.value = event.target.form.lineText ?? "";
    if (event.target.checked) suggestion.focus();
    keep(event.target.form);
  });
  root.addEventListener("input", (event) => {
    const form = event.target.closest("form[data-keep]");
    if (form) keep(form);
  });
  root.addEventListener("htmx:afterRequest", (event) => {
    const form = event.detail.elt;
    if (event.detail.successful && form instanceof HTMLFormElement && form.dataset.keep) {
      try {
        sessionStorage.removeItem(key(form.dataset.keep));
      } catch {
        // See above.
      }
    }
  });
  root.addEventListener("htmx:load", (event) => {
    const message = event.detail.elt.closest?.(".rv-message");
    if (message) rove(message);
  });
  root.addEventListener("keydown", (event) => {
    const form = event.target.closest?.(".rv-line-form");
    if (form && event.key === "Escape") {
      event.preventDefault();
      close(form);
      return;
    }
    if (!event.target.matches?.("button.rv-num")) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const { side } = event.target.dataset;
    const lines = [...event.target.closest(".rv-message").querySelectorAll("button.rv-num")].filter(
      (one) => (one.dataset.side === side || root.querySelector(".is-inline")) && one.offsetParent,
    );
    const next = lines[lines.indexOf(event.target) + step];
    if (next) next.focus();
  });

  function onKey(event) {
    if (!root.isConnected) {
      document.removeEventListener("keydown", onKey);
      return;
    }
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (document.querySelector("dialog[open]")) return;
    const name = event.key.toLowerCase();
    if (name === "j" || name === "k") {
      const stops = [...root.querySelectorAll("[data-stop]")].filter((one) => one.offsetParent);
      if (stops.length === 0) return;
      const at = stops.findIndex((one) => one.contains(document.activeElement));
      stop = Math.max(0, Math.min(stops.length - 1, (at >= 0 ? at : stop) + (name === "j" ? 1 : -1)));
      const lines = [...stops[stop].querySelectorAll("button.rv-num")];
      const target = stops[stop].querySelector("summary") ?? lines.find((one) => one.dataset.side === "new") ?? lines[0];
      (target ?? stops[stop]).focus();
      stops[stop].scrollIntoView({ block: "center" });
      event.preventDefault();
    } else if (name === "c" && document.activeElement?.matches("button.rv-num")) {
      open(document.activeElement);
      event.preventDefault();
    }
  }
  document.addEventListener("keydown", onKey);

  // What was typed before the page was swapped or reloaded.
  for (const form of root.querySelectorAll("form[data-keep]")) fill(form);
  try {
    const prefix = key("line-");
    for (const name of Object.keys(sessionStorage).filter((one) => one.startsWith(prefix))) {
      const [side, index, line] = name.slice(prefix.length).split("-");
      const message = [...root.querySelectorAll(".rv-message")].find((one) => one.dataset[side] === index);
      const button = message?.querySelector(`button.rv-num[data-side="${side}"][data-line="${line}"]`);
      if (button) open(button, false);
    }
  } catch {
    // See above.
  }
  root.dataset.ready = "1"; // from now on keys are heard
}
