// Saves the draft while somebody writes. PUT data-url {"revision", "content", "heading"} → 200 {"revision", "updated_at"}.
// 409 (somebody else wrote) shows both texts. Offline or signed out, the text stays in this browser and goes out later.
import { announce, clock, debounce, h, icon, t } from "../lib/dom.js";
import { isSignedOut, sendJson } from "../lib/http.js";
import { toast } from "../behaviours/toasts.js";

const SAVE_AFTER_MS = 800;
const RETRY_MS = 8000;
const KEEPALIVE_BYTES = 60000; // browsers refuse keep-alive bodies over 64 KiB; the local copy covers longer ones

export function start(form) {
  form.draftAutosave = new DraftAutosave(form);
}

class DraftAutosave {
  constructor(form) {
    this.form = form;
    this.revision = Number(form.dataset.revision);
    this.key = `draft:${form.dataset.key}`;
    this.saved = JSON.stringify(this.collect());
    this.saving = null;
    this.conflict = false;
    this.retry = 0;
    this.later = debounce(() => this.save(), SAVE_AFTER_MS);
    form.addEventListener("editor:changed", () => this.touched());
    form.addEventListener("input", (event) => {
      if (event.target.matches("[data-draft], [data-heading]") && event.target.type !== "hidden") {
        event.target.dispatchEvent(new CustomEvent("editor:changed", { bubbles: true }));
      }
    });
    window.addEventListener("online", () => this.save());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden") this.flush();
    });
    window.addEventListener("pagehide", () => this.flush());
    window.addEventListener("beforeunload", (event) => {
      if (this.isDirty() && !this.keep() && !form.dataset.leaving) event.preventDefault();
    });
    form.addEventListener("submit", () => {
      form.dataset.leaving = "1";
      this.later.cancel();
      this.keep();
    });
    // Components start in any order; what they make of the given values is the same text, so nothing looks changed.
    requestAnimationFrame(() => this.restore());
  }

  /** {content, heading} from the controls with data-draft (json, string) and data-heading (string, list). */
  collect() {
    const read = (control, kind) => {
      if (kind === "list") return control.value.split(",").map((word) => word.trim()).filter(Boolean);
      if (kind !== "json") return control.value;
      try {
        const value = control.value.trim() ? JSON.parse(control.value) : null;
        control.dataset.valid = control.value;
        return value;
      } catch {
        return control.dataset.valid ? JSON.parse(control.dataset.valid) : null;
      }
    };
    const content = {};
    for (const control of this.form.querySelectorAll("[data-draft]")) content[control.name] = read(control, control.dataset.draft);
    const heading = {};
    for (const control of this.form.querySelectorAll("[data-heading]")) heading[control.name] = read(control, control.dataset.heading);
    return { content, heading };
  }

  isDirty() {
    return JSON.stringify(this.collect()) !== this.saved;
  }

  touched() {
    if (!this.isDirty()) return;
    if (!this.conflict) this.say(t("unsaved"));
    this.keep();
    this.later();
  }

  say(text, isProblem = false) {
    for (const status of document.querySelectorAll("[data-save-status]")) {
      status.classList.toggle("is-problem", isProblem);
      status.replaceChildren(isProblem ? icon("cloud-off") : icon("cloud-check"), text);
    }
    if (isProblem) announce(text);
  }

  async save() {
    if (this.saving || this.conflict || !this.isDirty()) return;
    clearTimeout(this.retry);
    const body = this.collect();
    this.say(t("saving"));
    this.saving = sendJson(this.form.dataset.url, "PUT", { revision: this.revision, ...body });
    try {
      const response = await this.saving;
      this.saving = null;
      await this.answered(response, body);
    } catch {
      this.saving = null;
      this.keep();
      this.say(t("offline_kept"), true);
      this.retry = setTimeout(() => this.save(), RETRY_MS);
    }
  }

  async answered(response, sent) {
    if (response.ok) {
      const stored = await response.json();
      this.accept(stored, sent);
      if (this.isDirty()) this.later();
      return;
    }
    this.keep();
    if (isSignedOut(response)) {
      this.say(t("signed_out_kept"), true);
      this.retry = setTimeout(() => this.save(), RETRY_MS);
      return;
    }
    const problem = await response.json().catch(() => ({}));
    if (response.status === 409) {
      this.say(t("conflict_title"), true);
      this.showConflict(sent, problem.stored ?? null, problem.detail ?? t("conflict_title"));
      return;
    }
    this.say(t("save_failed", { detail: problem.detail ?? response.status }), true);
    if (response.status >= 500 || response.status === 429) this.retry = setTimeout(() => this.save(), RETRY_MS);
  }

  accept(stored, sent) {
    this.revision = stored.revision;
    this.form.dataset.revision = String(stored.revision);
    for (const input of this.form.querySelectorAll("input[name=revision]")) input.value = stored.revision;
    this.saved = JSON.stringify(sent);
    this.forget();
    this.say(t("saved_at", { time: clock(new Date(stored.updated_at ?? Date.now())) }));
    this.form.dispatchEvent(new CustomEvent("draft:saved", { bubbles: true, detail: stored }));
  }

  /** The page goes away: one last write that outlives it, where it is small enough. */
  flush() {
    if (this.conflict || this.saving || !this.isDirty()) return;
    this.keep();
    const body = { revision: this.revision, ...this.collect() };
    if (this.form.dataset.leaving || JSON.stringify(body).length > KEEPALIVE_BYTES) return;
    this.later.cancel();
    const sent = { content: body.content, heading: body.heading };
    this.saving = sendJson(this.form.dataset.url, "PUT", body, { keepalive: true });
    this.saving
      .then((response) => {
        this.saving = null;
        return this.answered(response, sent);
      })
      .catch(() => {
        this.saving = null;
      });
  }

  keep() {
    try {
      localStorage.setItem(this.key, JSON.stringify({ ...this.collect(), revision: this.revision, at: Date.now() }));
      return true;
    } catch {
      return false;
    }
  }

  forget() {
    try {
      localStorage.removeItem(this.key);
    } catch {
      // Nothing was kept then.
    }
  }

  /** A text that this browser kept because it never reached the server. */
  restore() {
    let kept = null;
    try {
      kept = JSON.parse(localStorage.getItem(this.key) ?? "null");
    } catch {
      kept = null;
    }
    if (!kept?.content) return;
    const mine = { content: kept.content, heading: kept.heading ?? {} };
    const current = this.collect();
    if (JSON.stringify(mine) === JSON.stringify(current)) {
      this.forget();
      return;
    }
    if (kept.revision === this.revision) {
      this.load(mine);
      toast(t("restored"), "info");
      return;
    }
    const time = clock(new Date(kept.at));
    this.showConflict(mine, { revision: this.revision, ...current }, t("restore_offer", { time }));
  }

  /** Puts a text into the controls, as if it had been typed. */
  load({ content, heading }) {
    const put = (control, value) => {
      const text = typeof value === "string" ? value : Array.isArray(value) && control.dataset.heading === "list" ? value.join(", ") : JSON.stringify(value);
      if (control.type !== "hidden") control.value = value === null ? "" : text;
      control.dispatchEvent(new CustomEvent("editor:load", { detail: value }));
    };
    for (const control of this.form.querySelectorAll("[data-draft]")) if (control.name in content) put(control, content[control.name]);
    for (const control of this.form.querySelectorAll("[data-heading]")) if (control.name in heading) put(control, heading[control.name]);
    this.form.dispatchEvent(new CustomEvent("editor:changed"));
  }

  showConflict(mine, stored, explanation) {
    this.conflict = true;
    this.later.cancel();
    this.form.querySelector(".conflict-panel")?.remove();
    const done = () => {
      panel.remove();
      this.conflict = false;
    };
    const keepMine = () => {
      done();
      this.revision = stored ? stored.revision : 0;
      this.load(mine);
      this.saved = "";
      this.save();
    };
    const takeTheirs = () => {
      done();
      this.forget();
      this.form.dataset.leaving = "1";
      window.location.reload();
    };
    const column = (title, draft, buttons) => h("div", {}, h("h3", {}, title), h("pre", { tabindex: "0" }, readable(draft)), h("div", { class: "form-actions" }, buttons));
    const panel = h("section", { class: "conflict-panel", role: "alertdialog", "aria-labelledby": "conflict-title", "aria-describedby": "conflict-text" },
      h("header", {}, h("h2", { id: "conflict-title" }, icon("git-merge"), " ", t("conflict_title")), h("p", { id: "conflict-text" }, explanation)),
      h("div", { class: "conflict-texts" },
        column(t("conflict_mine"), mine, [
          h("button", { type: "button", class: "btn btn-primary", onclick: keepMine }, t("conflict_keep")),
          h("button", { type: "button", class: "btn", "data-copy": readable(mine) }, t("conflict_copy")),
        ]),
        column(t("conflict_theirs"), stored, [h("button", { type: "button", class: "btn", onclick: takeTheirs }, t("conflict_take"))])));
    this.form.prepend(panel);
    panel.querySelector("button").focus();
    panel.scrollIntoView({ block: "nearest" });
  }
}

/** A draft as text that people can compare. */
function readable(draft) {
  if (!draft) return "—";
  const messages = Array.isArray(draft.content?.messages) ? draft.content.messages : [];
  const texts = messages.map((message) => {
    const text = typeof message.content === "string" ? message.content : JSON.stringify(message.content ?? message.name);
    return `[${message.role ?? message.type ?? "text"}]\n${text}`;
  });
  const rest = Object.entries(draft.content ?? {}).filter(([name, value]) => name !== "messages" && value && JSON.stringify(value) !== "{}");
  return [...texts, ...rest.map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`)].join("\n\n");
}
