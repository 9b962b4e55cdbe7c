// The list of messages of a prompt. The hidden field (data-part="value") holds the JSON; every change dispatches
// "editor:changed" from it, and "editor:variables" {names} to the form; "editor:load" {detail: messages} on it replaces all.
import { announce, h, icon, iconButton, t } from "../lib/dom.js";
import { toast } from "../behaviours/toasts.js";
import { draggable } from "./drag_order.js";
import { createTextView } from "./text_view.js";
import { includable } from "./includable.js";
import { variableNames, written } from "./template_syntax.js";
import { changeKind, changeSyntax } from "./conversion.js";

const ROLES = ["system", "developer", "user", "assistant", "tool"];
const PLACEHOLDER = "placeholder";
const USE = "use";

export function start(root) {
  const editor = new MessageEditor(root);
  root.messageEditor = editor;
}

class MessageEditor {
  constructor(root) {
    this.root = root;
    this.field = root.querySelector("[data-part=value]");
    this.list = root.querySelector("[data-part=list]");
    this.form = root.closest("form") ?? root;
    this.items = [];
    root.querySelector("[data-part=add-message]")?.addEventListener("click", () => this.add({ role: this.nextRole(), content: "" }));
    root.querySelector("[data-part=add-placeholder]")?.addEventListener("click", () => this.add({ type: PLACEHOLDER, name: "history" }));
    root.querySelector("[data-part=add-use]")?.addEventListener("click", () => this.add({ type: USE, prompt: "" }));
    this.field.addEventListener("editor:load", (event) => this.load(event.detail));
    this.last = { syntax: this.syntax, kind: this.kind };
    this.control("syntax")?.addEventListener("change", () => changeSyntax(this));
    this.control("kind")?.addEventListener("change", () => changeKind(this));
    for (const name of ["syntax", "kind"]) {
      // A restored draft: its messages are written for it already.
      this.control(name)?.addEventListener("editor:load", (event) => this.become(name, event.detail));
    }
    draggable(this.list, ".message-item", ".drag-handle", (from, to) => this.move(from, to, false));
    document.addEventListener("htmx:afterSwap", (event) => this.showProblem(event.detail.target));
    this.load(JSON.parse(this.field.value || "[]"), true);
  }

  control(name) {
    return this.form.querySelector(`select[name="${name}"], input[type=hidden][name="${name}"]`);
  }

  get syntax() {
    return this.control("syntax")?.value || "jinja";
  }

  get kind() {
    return this.control("kind")?.value || "chat";
  }

  get isText() {
    return this.kind === "text";
  }

  /** Sets kind or syntax without touching the messages. */
  become(name, value) {
    this.control(name).value = value;
    this.last[name] = value;
  }

  load(messages, isFirst = false) {
    for (const item of this.items) for (const text of item.texts) text.destroy();
    this.items = [];
    this.list.replaceChildren();
    const given = messages.length > 0 ? messages : [this.isText ? { content: "" } : { role: "system", content: "" }];
    for (const message of given) this.items.push(this.build(structuredClone(message)));
    this.list.append(...this.items.map((item) => item.element));
    this.root.querySelector("[data-part=adding]")?.toggleAttribute("hidden", this.isText);
    this.renumber();
    this.store(!isFirst);
  }

  nextRole() {
    const last = this.items.at(-1)?.message.role;
    if (!last) return this.items.length === 0 ? "system" : "user";
    return last === "user" ? "assistant" : "user";
  }

  add(message) {
    const item = this.build(message);
    this.items.push(item);
    this.list.append(item.element);
    this.renumber();
    this.store();
    item.focus();
  }

  build(message) {
    const item = { message, texts: [], element: h("li", { class: "message-item" }) };
    const isNamed = message.type === PLACEHOLDER || message.type === USE;
    item.element.append(this.head(item));
    item.element.classList.toggle("is-placeholder", isNamed);
    if (!isNamed) this.buildTexts(item);
    item.focus = () => (isNamed ? item.element.querySelector("input")?.focus() : item.texts[0]?.focus());
    item.element.addEventListener("keydown", (event) => this.onKey(event, item), true);
    return item;
  }

  head(item) {
    if (this.isText) return h("div", { class: "message-head" }, h("span", { class: "size", "data-part": "size" }));
    const handle = h("button", { type: "button", class: "icon-button drag-handle", tabindex: "-1", "data-part": "drag" }, icon("grip-vertical"));
    const up = iconButton(icon("arrow-up"), "", () => this.moveBy(item, -1), { "data-part": "up" });
    const down = iconButton(icon("arrow-down"), "", () => this.moveBy(item, 1), { "data-part": "down" });
    const remove = iconButton(icon("trash"), "", () => this.remove(item), { "data-part": "remove", class: "icon-button danger" });
    const size = h("span", { class: "size", "data-part": "size" });
    return h("div", { class: "message-head" }, handle, this.headField(item), size, up, down, remove);
  }

  headField(item) {
    if (item.message.type === PLACEHOLDER) return this.placeholderFields(item);
    return item.message.type === USE ? this.useFields(item) : this.roleSelect(item);
  }

  roleSelect(item) {
    const known = ROLES.includes(item.message.role) ? ROLES : [...ROLES, item.message.role];
    const select = h("select", { class: "form-select", "aria-label": t("role"), "data-part": "role" }, known.map((role) => h("option", { value: role }, role)));
    select.value = item.message.role;
    select.addEventListener("change", () => {
      item.message.role = select.value;
      this.store();
    });
    return select;
  }

  placeholderFields(item) {
    const input = h("input", { class: "form-control", value: item.message.name ?? "", "aria-label": t("placeholder_name"), spellcheck: "false", title: t("placeholder_help") });
    input.addEventListener("input", () => {
      item.message.name = input.value.trim();
      this.store();
    });
    return h("span", { class: "row-line" }, h("span", { class: "muted" }, t("placeholder_kind")), input);
  }

  useFields(item) {
    const choices = h("datalist", { id: `includable-${crypto.randomUUID()}` });
    const input = h("input", { class: "form-control", value: item.message.prompt ?? "", "aria-label": t("use_name"), spellcheck: "false", autocomplete: "off", title: t("use_help"), placeholder: "rules@production", list: choices.id });
    input.addEventListener("focus", async () => {
      const prompts = await includable(this.root.dataset.includesUrl, "chat", this.syntax);
      choices.replaceChildren(...prompts.map(({ name, detail }) => h("option", { value: name }, detail)));
    });
    input.addEventListener("input", () => {
      item.message.prompt = input.value.trim();
      this.clearProblem(item);
      this.store();
    });
    return h("span", { class: "row-line" }, icon("git-merge"), h("span", { class: "muted" }, t("use_kind")), input, choices);
  }

  buildTexts(item) {
    const { message } = item;
    const addView = (text, hint, write, part) => {
      const body = h("div", { class: "message-body" });
      item.element.append(body);
      const view = createTextView({
        parent: body,
        text,
        label: "",
        hint,
        syntaxOf: () => this.syntax,
        namesOf: () => this.names(),
        includesUrl: this.root.dataset.includesUrl,
        onChange: (value) => {
          write(value);
          this.clearProblem(item);
          // Not inside an update of the same view: CodeMirror forbids that.
          queueMicrotask(() => view.markLine(null));
          this.store();
        },
      });
      item.texts.push(Object.assign(view, { part }));
    };
    if (!Array.isArray(message.content)) {
      addView(message.content ?? "", this.isText ? t("text_hint") : t("message_hint"), (value) => (message.content = value), null);
      return;
    }
    const others = message.content.filter((part) => part.type !== "text").map((part) => part.type);
    message.content.forEach((part, index) => {
      if (part.type === "text") addView(part.text ?? "", t("message_hint"), (value) => (part.text = value), index + 1);
    });
    if (others.length > 0) item.element.append(h("div", { class: "message-parts" }, t("parts_note", { kinds: others.join(", ") })));
  }

  onKey(event, item) {
    if (!event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!step || this.isText) return;
    event.preventDefault();
    event.stopPropagation();
    const focused = document.activeElement;
    this.moveBy(item, step);
    focused?.focus?.();
  }

  moveBy(item, step) {
    const from = this.items.indexOf(item);
    this.move(from, from + step, true);
  }

  move(from, to, keepFocus) {
    if (to < 0 || to >= this.items.length || from === to) return;
    const focused = keepFocus ? document.activeElement : null;
    const [item] = this.items.splice(from, 1);
    this.items.splice(to, 0, item);
    const before = this.items[to + 1]?.element ?? null;
    this.list.insertBefore(item.element, before);
    this.renumber();
    this.store();
    focused?.focus?.();
    announce(t("moved_to", { number: to + 1 }));
  }

  remove(item) {
    const at = this.items.indexOf(item);
    this.items.splice(at, 1);
    item.element.remove();
    this.renumber();
    this.store();
    (this.items[at] ?? this.items[at - 1])?.focus();
    const undo = () => {
      this.items.splice(at, 0, item);
      this.list.insertBefore(item.element, this.items[at + 1]?.element ?? null);
      this.renumber();
      this.store();
      item.focus();
    };
    toast(t("removed"), "info", { label: t("undo"), run: undo });
  }

  renumber() {
    const parts = { drag: "drag", up: "move_up", down: "move_down", remove: "remove_message" };
    this.items.forEach((item, index) => {
      const number = index + 1;
      for (const [part, key] of Object.entries(parts)) {
        const button = item.element.querySelector(`[data-part=${part}]`);
        if (!button) continue;
        button.title = t(key, { number });
        button.setAttribute("aria-label", button.title);
      }
      const up = item.element.querySelector("[data-part=up]");
      if (up) up.disabled = index === 0;
      const down = item.element.querySelector("[data-part=down]");
      if (down) down.disabled = index === this.items.length - 1;
      item.element.querySelector("select[data-part=role]")?.setAttribute("aria-label", `${t("role")}, ${t("message_number", { number })}`);
      for (const text of item.texts) text.setLabel(text.part ? t("part_text", { part: text.part, number }) : t("message_text", { number }));
    });
  }

  messages() {
    return this.items.map((item) => item.message);
  }

  texts() {
    return this.messages().flatMap((message) =>
      Array.isArray(message.content) ? message.content.filter((part) => part.type === "text").map((part) => part.text ?? "") : [message.content ?? ""],
    );
  }

  names() {
    return variableNames(this.texts(), this.syntax);
  }

  store(changed = true) {
    this.field.value = JSON.stringify(this.messages());
    for (const item of this.items) {
      const size = item.element.querySelector("[data-part=size]");
      const count = item.texts.reduce((sum, text) => sum + text.view.state.doc.length, 0);
      if (size && item.texts.length > 0) size.textContent = t("characters", { count: count.toLocaleString() });
    }
    const placeholders = this.messages().filter((message) => message.type === PLACEHOLDER && message.name).map((message) => message.name);
    const names = this.names();
    this.form.dispatchEvent(new CustomEvent("editor:variables", { detail: { names, placeholders, sample: written("name", this.syntax) } }));
    if (changed) this.field.dispatchEvent(new CustomEvent("editor:changed", { bubbles: true }));
  }

  /** The preview says what is wrong where: <li data-problem data-message-index="0" data-line="3" data-text="…">. */
  showProblem(target) {
    if (!target?.matches?.("[data-preview]")) return;
    for (const item of this.items) {
      this.clearProblem(item);
      for (const text of item.texts) text.markLine(null);
    }
    for (const problem of target.querySelectorAll("[data-problem][data-message-index]")) {
      const item = this.items[Number(problem.dataset.messageIndex)];
      if (!item) continue;
      item.element.classList.add("has-problem");
      const place = problem.dataset.line ? `${t("line_number", { line: problem.dataset.line })}: ` : "";
      item.element.append(h("div", { class: "message-problem" }, icon("alert-circle"), `${place}${problem.dataset.text}`));
      if (problem.dataset.line) item.texts[0]?.markLine(Number(problem.dataset.line));
    }
  }

  /** Puts the cursor at a place; `index` counts from 0, line and column from 1. */
  goTo(index, line = 1, column = 1) {
    const item = this.items[index];
    if (!item) return;
    item.focus();
    item.texts[0]?.goTo(line, column);
    item.element.scrollIntoView({ block: "nearest" });
  }

  clearProblem(item) {
    if (!item.element.classList.contains("has-problem")) return;
    item.element.classList.remove("has-problem");
    for (const note of item.element.querySelectorAll(".message-problem")) note.remove();
  }
}
