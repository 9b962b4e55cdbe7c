// The variables of a prompt: what the messages use, what each may be, and a value for the preview and the run.
// Hidden fields: data-part="value" (the contract, JSON by name) and data-part="values" (the values to try, JSON by name).
// Values to try belong to the person, not to the prompt: they are kept in this browser under data-key.
import { h, icon, iconButton, t } from "../lib/dom.js";

const TYPES = ["string", "number", "integer", "boolean", "array", "object", "messages"];
const IS_TEXT = new Set(["string"]);
const SHAPES = { array: '["…", "…"]', object: '{"…": "…"}', messages: '[{"role": "user", "content": "…"}]', number: "0.5", integer: "1" };

export function start(root) {
  root.variablesPanel = new VariablesPanel(root);
}

class VariablesPanel {
  constructor(root) {
    this.root = root;
    this.form = root.closest("form") ?? root;
    this.field = root.querySelector("[data-part=value]");
    this.valuesField = root.querySelector("[data-part=values]");
    this.list = root.querySelector("[data-part=list]");
    this.empty = root.querySelector("[data-part=empty]");
    this.contract = JSON.parse(this.field.value || "{}");
    this.typed = { ...this.texts(JSON.parse(this.valuesField.value || "{}")), ...this.remembered() };
    this.names = [];
    this.placeholders = [];
    this.hints = {};
    this.looked = false;
    this.seen = new Set();
    this.refused = {};
    this.sample = "{{ name }}";
    this.rows = new Map();
    this.form.addEventListener("editor:variables", (event) => {
      this.names = event.detail.names;
      this.placeholders = event.detail.placeholders;
      this.sample = event.detail.sample;
      this.draw();
    });
    this.field.addEventListener("editor:load", (event) => {
      this.contract = event.detail ?? {};
      this.rows.clear();
      this.draw();
    });
    document.addEventListener("htmx:afterSwap", (event) => this.learn(event.detail.target));
    for (const name of ["draft:saved", "draft:ended"]) document.addEventListener(name, (event) => this.moveTo(event.detail?.key));
    root.querySelector("[data-part=declare]")?.addEventListener("click", () => this.declareAll());
    const ready = () => this.form.dispatchEvent(new CustomEvent("editor:values"));
    const editor = this.form.querySelector("[data-component=message-editor]")?.messageEditor;
    if (editor) {
      editor.store(false);
      ready();
    } else {
      this.draw();
      // There is something to preview when the messages are there too.
      this.form.addEventListener("editor:variables", ready, { once: true });
    }
  }

  /** The preview holds <… data-variables-found='[{"name", "type"}]'> and mistakes with data-path="variables.<name>". */
  learn(target) {
    const block = target?.matches?.("[data-preview]") ? target.querySelector("[data-variables-found]") : null;
    if (!block) return;
    const problems = [...target.querySelectorAll("[data-problem][data-path^='variables.']")];
    this.refused = Object.fromEntries(problems.map((problem) => [problem.dataset.path.split(".")[1], problem.dataset.text]));
    this.store(false);
    const hints = Object.fromEntries(JSON.parse(block.dataset.variablesFound).map((use) => [use.name, use.type]));
    // Where the templates could not be read at all, the quick reading is the best that there is.
    this.looked = Object.keys(hints).length > 0 || !("failed" in block.dataset);
    this.seen = new Set(this.names);
    this.hints = hints;
    for (const [name, row] of this.rows) {
      if (!this.contract[name]?.type && row.dataset.type !== this.typeOf(name)) this.rows.delete(name);
    }
    this.draw();
  }

  typeOf(name) {
    if (this.contract[name]?.type) return this.contract[name].type;
    if (this.placeholders.includes(name)) return "messages";
    return TYPES.includes(this.hints[name]) ? this.hints[name] : "string";
  }

  draw() {
    const used = [...new Set([...this.names, ...this.placeholders, ...Object.keys(this.hints)])];
    // A name that the quick reading found but the server did not is a loop's own name, say.
    const known = this.looked ? used.filter((name) => name in this.hints || this.isNew(name)) : used;
    const all = [...new Set([...known, ...Object.keys(this.contract)])];
    for (const [name, row] of this.rows) {
      if (all.includes(name)) continue;
      row.remove();
      this.rows.delete(name);
    }
    for (const name of all) {
      if (!this.rows.has(name)) this.rows.set(name, this.row(name));
      const row = this.rows.get(name);
      const unused = !used.includes(name);
      row.classList.toggle("is-unused", unused);
      row.querySelector("[data-part=unused]").hidden = !unused;
      row.querySelector("[data-part=forget]").hidden = !unused;
    }
    const rows = all.map((name) => this.rows.get(name));
    if (rows.some((row, index) => this.list.children[index] !== row) || this.list.children.length !== rows.length) this.list.replaceChildren(...rows);
    this.empty.hidden = all.length > 0;
    this.empty.textContent = t("variables_none", { sample: this.sample });
    this.root.querySelector("[data-part=declare]")?.toggleAttribute("hidden", this.undeclared().length === 0);
    this.store(false);
  }

  /** Typed since the server last looked. */
  isNew(name) {
    return this.names.includes(name) && !this.seen.has(name);
  }

  /** Takes what is used and not declared yet into the contract, each with the type that it seems to have. */
  declareAll() {
    for (const name of this.undeclared()) this.declare(name, {});
    this.draw();
    this.list.querySelector("select")?.focus();
  }

  undeclared() {
    return [...this.rows.keys()].filter((name) => !(name in this.contract) && !this.placeholders.includes(name));
  }

  row(name) {
    const id = `variable-${name}`;
    const type = this.typeOf(name);
    const select = h("select", { class: "form-select form-select-sm", "aria-label": t("variable_type", { name }) }, TYPES.map((one) => h("option", { value: one }, one)));
    select.value = type;
    const more = h("div", { class: "variable-more", id: `${id}-more`, hidden: true });
    const settings = iconButton(icon("adjustments"), t("variable_settings", { name }), () => {
      more.hidden = !more.hidden;
      settings.setAttribute("aria-expanded", String(!more.hidden));
      if (!more.hidden && more.childElementCount === 0) this.fillMore(more, name, id);
    }, { "aria-expanded": "false", "aria-controls": `${id}-more` });
    const forget = iconButton(icon("x"), t("variable_remove", { name }), () => {
      delete this.contract[name];
      this.store(true);
      this.draw();
    }, { "data-part": "forget", hidden: true });
    const error = h("div", { class: "field-error", "data-part": "error", id: `${id}-error`, hidden: true, role: "status" });
    const row = h("li", { class: "variable-item", id, "data-type": type },
      h("div", { class: "variable-head" }, h("code", { title: name }, name), select, h("span", { class: "chip", "data-part": "unused", hidden: true }, t("variable_unused"))),
      h("div", { class: "variable-value" }, this.valueControl(name, type, id), error),
      h("span", { class: "variable-buttons" }, settings, forget), more);
    select.addEventListener("change", () => {
      this.declare(name, { type: select.value });
      const control = row.querySelector("[data-part=try]");
      control.replaceWith(this.valueControl(name, select.value, id));
      row.dataset.type = select.value;
      this.store(true);
    });
    return row;
  }

  valueControl(name, type, id) {
    const label = t("variable_value", { name });
    const text = this.typed[name] ?? this.suggested(name);
    if (text !== "" && this.typed[name] === undefined) this.typed[name] = text;
    const keep = (value) => {
      this.typed[name] = value;
      this.remember();
      this.store(true);
    };
    if (type === "boolean") {
      const select = h("select", { class: "form-select form-select-sm", "aria-label": label, "data-part": "try" }, ["", "true", "false"].map((one) => h("option", { value: one }, one)));
      select.value = text;
      select.addEventListener("change", () => keep(select.value));
      return select;
    }
    const area = h("textarea", { class: "form-control form-control-sm", rows: "1", "aria-label": label, "aria-describedby": `${id}-error`, "data-part": "try", spellcheck: "false", placeholder: SHAPES[type] ?? t("variable_value_hint"), value: text });
    if (!IS_TEXT.has(type)) area.classList.add("mono");
    area.addEventListener("input", () => keep(area.value));
    return area;
  }

  suggested(name) {
    const given = this.contract[name]?.example ?? this.contract[name]?.default;
    if (given === undefined || given === null) return "";
    return typeof given === "string" ? given : JSON.stringify(given);
  }

  fillMore(more, name, id) {
    const spec = this.contract[name] ?? {};
    const fields = [["default", t("variable_default")], ["example", t("variable_example")], ["description", t("variable_description")], ["max_length", t("variable_max_length")]];
    for (const [key, label] of fields) {
      const given = spec[key];
      const input = h("input", { class: "form-control form-control-sm", id: `${id}-${key}`, value: given === undefined || given === null ? "" : typeof given === "string" ? given : JSON.stringify(given), inputmode: key === "max_length" ? "numeric" : null });
      input.addEventListener("input", () => this.declare(name, { [key]: this.settingOf(name, key, input.value) }));
      more.append(h("div", { class: "field" }, h("label", { for: input.id }, label), input));
    }
    for (const [key, label, standard] of [["required", t("variable_required"), true], ["untrusted", t("variable_untrusted"), false]]) {
      const box = h("input", { class: "form-check-input", type: "checkbox" });
      box.checked = spec[key] ?? standard;
      box.addEventListener("change", () => this.declare(name, { [key]: box.checked }));
      more.append(h("label", { class: "form-check mb-1" }, box, h("span", { class: "form-check-label" }, label)));
    }
  }

  settingOf(name, key, text) {
    if (text === "") return undefined;
    if (key === "max_length") return Number.parseInt(text, 10) || undefined;
    if (key === "description" || IS_TEXT.has(this.typeOf(name))) return text;
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  }

  declare(name, changes) {
    const spec = { type: this.typeOf(name), ...this.contract[name], ...changes };
    this.contract[name] = Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== undefined));
    this.store(true);
  }

  /** What was typed, as JSON values; what does not parse is marked and left out. */
  values() {
    const values = {};
    for (const [name, row] of this.rows) {
      const text = this.typed[name] ?? "";
      let problem = null;
      if (text !== "") {
        if (IS_TEXT.has(this.typeOf(name))) values[name] = text;
        else {
          try {
            values[name] = JSON.parse(text);
          } catch (error) {
            problem = t("variable_json_error", { detail: error.message });
          }
        }
      }
      const note = row.querySelector("[data-part=error]");
      note.textContent = problem ?? this.refused[name] ?? "";
      note.hidden = note.textContent === "";
    }
    return values;
  }

  store(changed) {
    this.field.value = JSON.stringify(this.contract);
    this.valuesField.value = JSON.stringify(this.values());
    if (changed) this.field.dispatchEvent(new CustomEvent("editor:changed", { bubbles: true }));
  }

  texts(values) {
    return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]));
  }

  /** The values of a new prompt follow it when it gets a draft, and when it is made. */
  moveTo(key) {
    if (!key || key === this.root.dataset.key) return;
    this.root.dataset.key = key;
    this.remember();
  }

  remembered() {
    try {
      return JSON.parse(localStorage.getItem(`values:${this.root.dataset.key}`) ?? "{}");
    } catch {
      return {};
    }
  }

  remember() {
    try {
      localStorage.setItem(`values:${this.root.dataset.key}`, JSON.stringify(this.typed));
    } catch {
      // A full or forbidden storage costs only the convenience.
    }
  }
}
