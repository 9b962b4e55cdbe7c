// Model parameters as fields (data-parameter="temperature" data-type="number|integer|list|text") and the rest as JSON
// (data-part="extra"): together they are the JSON of the hidden field (data-part="value").
import { t } from "../lib/dom.js";

const READ = {
  number: (text) => Number(text),
  integer: (text) => Math.trunc(Number(text)),
  list: (text) => text.split("\n").filter((line) => line !== ""),
  text: (text) => text,
};

export function start(root) {
  const field = root.querySelector("[data-part=value]");
  const extra = root.querySelector("[data-part=extra]");
  const inputs = [...root.querySelectorAll("[data-parameter]")];
  const known = new Set(inputs.map((input) => input.dataset.parameter));

  const write = () => {
    const parameters = { ...readExtra(extra) };
    for (const input of inputs) {
      const text = input.value;
      if (text.trim() === "") continue;
      const value = READ[input.dataset.type](text);
      if (!Number.isNaN(value)) parameters[input.dataset.parameter] = value;
    }
    field.value = JSON.stringify(parameters);
    field.dispatchEvent(new CustomEvent("editor:changed", { bubbles: true }));
    summarise(parameters);
  };

  const summary = root.querySelector("[data-part=summary]");
  const summarise = (parameters) => {
    if (summary) summary.textContent = Object.entries(parameters).map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : value}`).join(" · ") || t("parameters_none");
  };

  const load = (parameters) => {
    for (const input of inputs) {
      const value = parameters[input.dataset.parameter];
      input.value = value === undefined || value === null ? "" : Array.isArray(value) ? value.join("\n") : String(value);
    }
    const rest = Object.fromEntries(Object.entries(parameters).filter(([name]) => !known.has(name)));
    summarise(parameters);
    if (!extra) return;
    const text = Object.keys(rest).length > 0 ? JSON.stringify(rest, null, 2) : "";
    // The JSON editor may not be up yet; then it begins with the textarea's value.
    extra.value = text;
    extra.dispatchEvent(new CustomEvent("editor:load", { detail: text ? rest : null }));
  };

  load(JSON.parse(field.value || "{}"));
  for (const input of inputs) input.addEventListener("input", write);
  extra?.addEventListener("editor:changed", (event) => {
    event.stopPropagation();
    write();
  });
  field.addEventListener("editor:load", (event) => load(event.detail ?? {}));
}

function readExtra(extra) {
  if (!extra?.value.trim()) return {};
  try {
    const value = JSON.parse(extra.value);
    return value && typeof value === "object" && !Array.isArray(value) ? value : {};
  } catch {
    return {};
  }
}
