// Saves the draft while somebody writes. PUT data-url {"revision", "base", "content", "heading"} → 200 {"revision", "updated_at"}
// and, for a new prompt, {"id", "url", "page", "key"}. 409 (somebody else wrote) shows both texts. Offline or signed out,
// the text stays in this browser and goes out later. An htmx request of an element with data-settle waits until the
// draft is saved, and is not sent where it could not be.
import { announce, clock, debounce, h, icon, t } from "../lib/dom.js";
import { isSignedOut, sendJson } from "../lib/http.js";
import { toast } from "../behaviours/toasts.js";
import { conflictPanel } from "./conflict_panel.js";

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
    this.holding = false;
    this.sent = null; // what the request that makes a version carries
    this.conflict = false;
    this.ended = false;
    this.retry = 0;
    this.later = debounce(() => this.save(), SAVE_AFTER_MS);
    this.listen();
    // Components start in any order; what they make of the given values is the same text, so nothing looks changed.
    requestAnimationFrame(() => this.restore());
  }

  listen() {
    const { form } = this;
    form.addEventListener("editor:changed", () => this.touched());
    form.addEventListener("input", (event) => {
      if (event.target.matches("[data-draft], [data-heading]") && event.target.type !== "hidden") {
        event.target.dispatchEvent(new CustomEvent("editor:changed", { bubbles: true }));
      }
    });
    window.addEventListener("online", () => this.save());
    document.addEventListener("visibilitychange", () => (document.visibilityState === "hidden" ? this.flush() : this.save()));
    window.addEventListener("pagehide", () => this.flush());
    window.addEventListener("beforeunload", (event) => {
      if (!this.ended && this.isDirty() && !this.keep()) event.preventDefault();
    });
    document.addEventListener("htmx:confirm", (event) => this.hold(event));
    document.addEventListener("htmx:afterRequest", (event) => {
      if (!event.detail.elt.matches("[data-settle]")) return;
      this.sent = null;
      if (this.isDirty()) this.later();
    });
    document.addEventListener("draft:committed", (event) => this.committed(event.detail));
    document.addEventListener("draft:stale", () => {
      this.sent = null;
      this.save(true);
    });
    document.addEventListener("draft:ended", () => this.end());
  }

  /** {content, heading} from the controls with data-draft (json, text) and data-heading (text, list). */
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
    return !this.ended && JSON.stringify(this.collect()) !== this.saved;
  }

  touched() {
    if (!this.isDirty()) return;
    if (!this.conflict) this.say(t("unsaved"));
    this.keep();
    this.later();
  }

  say(text, isProblem = false, link = null) {
    for (const status of document.querySelectorAll("[data-save-status]")) {
      status.classList.toggle("is-problem", isProblem);
      status.replaceChildren(isProblem ? icon("cloud-off") : icon("cloud-check"), text, ...(link ? [" ", link] : []));
    }
    if (isProblem) announce(text);
  }

  /** Ends when the answer has been dealt with. */
  save(force = false) {
    if (this.saving) return this.saving;
    if (this.sent || this.conflict || this.ended || !(force || this.isDirty())) return Promise.resolve();
    clearTimeout(this.retry);
    this.later.cancel();
    this.say(t("saving"));
    return this.put();
  }

  put(options = {}) {
    const body = this.collect();
    this.saving = this.send(body, options).finally(() => {
      this.saving = null;
    });
    return this.saving;
  }

  async send(body, options) {
    try {
      const response = await sendJson(this.form.dataset.url, "PUT", { revision: this.revision, base: this.base, ...body }, options);
      await this.answered(response, body);
    } catch {
      this.keep();
      this.say(t("offline_kept"), true);
      this.retry = setTimeout(() => this.save(), RETRY_MS);
    }
  }

  async answered(response, sent) {
    if (response.ok) {
      this.accept(await response.json(), sent);
      if (this.isDirty()) this.later();
      return;
    }
    this.keep();
    const problem = await response.json().catch(() => ({}));
    if (isSignedOut(response) && problem.code !== "forbidden") {
      this.say(t("signed_out_kept"), true, h("a", { href: this.form.dataset.signInUrl, target: "_blank" }, t("sign_in")));
      this.retry = setTimeout(() => this.save(), RETRY_MS);
      return;
    }
    if (response.status === 409) {
      this.say(t("conflict_title"), true);
      this.showConflict(sent, problem.stored ?? null, problem.detail ?? t("conflict_title"));
      return;
    }
    this.say(t("save_failed", { detail: problem.detail ?? response.status }), true);
    if (response.status >= 500 || response.status === 429) this.retry = setTimeout(() => this.save(), RETRY_MS);
  }

  accept(stored, sent) {
    this.take(stored.revision, sent);
    if (stored.url) this.form.dataset.url = stored.url;
    if (stored.key) this.key = `draft:${stored.key}`;
    if (stored.page) history.replaceState(history.state, "", stored.page);
    if (stored.id) this.form.querySelector("input[name=draft]").value = stored.id;
    this.say(t("saved_at", { time: clock(new Date(stored.updated_at ?? Date.now())) }));
    this.form.dispatchEvent(new CustomEvent("draft:saved", { bubbles: true, detail: stored }));
  }

  /** The server has this text, under this revision. */
  take(revision, sent) {
    this.revision = revision;
    this.form.dataset.revision = String(revision);
    for (const input of this.form.querySelectorAll("input[name=revision]")) input.value = revision;
    this.saved = JSON.stringify(sent);
    this.forget();
  }

  /** The version that the page shows; null for a new prompt. */
  get base() {
    return Number(this.form.querySelector("[name=base]").value) || null;
  }

  // --- Making a version of it ---------------------------------------------------------------------------------------

  /** Holds back a request that needs the draft saved first. */
  hold(event) {
    if (!event.detail.elt.matches("[data-settle]")) return;
    event.preventDefault();
    if (this.holding) return;
    this.holding = true;
    this.settle().then((isSaved) => {
      this.holding = false;
      if (!isSaved) return;
      this.sent = this.collect();
      event.detail.issueRequest(true);
    });
  }

  async settle() {
    await this.saving;
    await this.save();
    if (this.conflict) {
      document.querySelector("dialog[open]")?.close();
      this.form.querySelector(".conflict-panel button")?.focus();
      return false;
    }
    if (this.isDirty()) toast(t("settle_failed"), "error");
    return !this.isDirty();
  }

  /** A version was made and the draft is gone: what is typed from now on is a new draft. */
  committed({ status, version }) {
    this.form.querySelector("[name=base]").value = version;
    const sent = this.sent ?? this.collect();
    this.sent = null;
    const message = this.form.querySelector("[name=message][data-heading]");
    if (message) message.value = "";
    this.take(0, { ...sent, heading: message ? { ...sent.heading, message: "" } : sent.heading });
    this.say(status);
    if (this.isDirty()) this.later();
  }

  /** The page goes away with its draft. */
  end() {
    this.ended = true;
    this.later.cancel();
    clearTimeout(this.retry);
    this.forget();
  }

  // --- The copy in this browser -------------------------------------------------------------------------------------

  /** The page goes away: one last write that outlives it, where it is small enough. */
  flush() {
    if (this.conflict || this.saving || this.sent || !this.isDirty()) return;
    this.keep();
    if (new Blob([JSON.stringify(this.collect())]).size > KEEPALIVE_BYTES) return;
    this.later.cancel();
    this.put({ keepalive: true });
  }

  keep() {
    try {
      localStorage.setItem(this.key, JSON.stringify({ ...this.collect(), revision: this.revision, base: this.base, at: Date.now() }));
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
      if (kept.base && kept.revision === 0) this.form.querySelector("[name=base]").value = kept.base;
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
    // Kind and syntax first: how the messages are shown depends on them.
    const controls = [...this.form.querySelectorAll("[data-draft]")].sort((a, b) => (a.dataset.draft === "json") - (b.dataset.draft === "json"));
    for (const control of controls) if (control.name in content) put(control, content[control.name]);
    for (const control of this.form.querySelectorAll("[data-heading]")) if (control.name in heading) put(control, heading[control.name]);
    this.form.dispatchEvent(new CustomEvent("editor:changed"));
  }

  showConflict(mine, stored, explanation) {
    this.conflict = true;
    this.later.cancel();
    this.form.querySelector(".conflict-panel")?.remove();
    const keepMine = () => {
      panel.remove();
      this.conflict = false;
      this.revision = stored ? stored.revision : 0;
      this.load(mine);
      this.saved = "";
      this.save();
    };
    const takeTheirs = () => {
      this.end();
      window.location.reload();
    };
    const panel = conflictPanel({ mine, stored, explanation, keepMine, takeTheirs });
    this.form.prepend(panel);
    panel.querySelector("button").focus({ preventScroll: true });
    panel.scrollIntoView({ block: "start" });
  }
}
