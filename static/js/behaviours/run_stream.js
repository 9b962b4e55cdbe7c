// One event stream for all runs of a page (browsers allow six connections per host). data-url is the stream; each run has
// an element [data-run="<id>"] with parts status, output, ttft, elapsed, tokens, cost, and data-result-url: when the run has
// ended, the server's own rendering of it takes the element's place. The browser reconnects with Last-Event-ID by itself.
import { announce, icon, t } from "../lib/dom.js";

const ICONS = { queued: () => icon("clock"), running: () => icon("loader-2"), succeeded: () => icon("circle-check"), failed: () => icon("circle-x"), cancelled: () => icon("ban"), blocked: () => icon("shield-x") };
const ENDED = ["succeeded", "failed", "cancelled", "blocked"];
const TICK_MS = 100;

export function start(root) {
  new RunStream(root);
}

class RunStream {
  constructor(root) {
    this.root = root;
    this.panels = new Map();
    for (const element of root.querySelectorAll("[data-run]")) this.panels.set(element.dataset.run, new RunPanel(element));
    this.open();
    this.timer = setInterval(() => this.tick(), TICK_MS);
  }

  open() {
    if ([...this.panels.values()].every((panel) => panel.ended)) return;
    this.source = new EventSource(this.root.dataset.url, { withCredentials: true });
    for (const name of ["started", "token", "ended"]) {
      this.source.addEventListener(name, (event) => this.take(name, JSON.parse(event.data)));
    }
    this.source.addEventListener("open", () => this.note(""));
    this.source.addEventListener("error", () => {
      this.note(t("run_reconnecting"));
      // A closed source (the server refused) does not come back by itself: ask for the results instead.
      if (this.source.readyState === EventSource.CLOSED) this.fallBack();
    });
  }

  take(name, data) {
    const panel = this.panels.get(String(data.run ?? data.id)) ?? (this.panels.size === 1 ? [...this.panels.values()][0] : null);
    if (!panel) return;
    if (name === "started") panel.started(data);
    if (name === "token") panel.token(data);
    if (name === "ended") panel.finish(data);
    if ([...this.panels.values()].every((one) => one.ended)) this.close();
  }

  tick() {
    if (!document.contains(this.root)) {
      this.close();
      return;
    }
    for (const panel of this.panels.values()) panel.tick();
  }

  note(text) {
    const element = this.root.querySelector("[data-part=connection]");
    if (element) {
      element.hidden = !text;
      element.textContent = text;
    }
  }

  fallBack() {
    this.close();
    for (const panel of this.panels.values()) panel.loadResult();
  }

  close() {
    clearInterval(this.timer);
    this.source?.close();
    this.note("");
  }
}

class RunPanel {
  constructor(element) {
    this.element = element;
    this.status = element.dataset.status ?? "queued";
    this.ended = ENDED.includes(this.status);
    this.startedAt = element.dataset.startedAt ? Date.parse(element.dataset.startedAt) : null;
    this.sawToken = (this.part("output")?.textContent ?? "") !== "";
    this.attempt = null;
    element.addEventListener("htmx:afterRequest", (event) => {
      if (event.target.matches("[data-part=cancel]") && event.detail.successful && !this.ended) this.label(t("run_cancelling"));
    });
    if (!this.ended) this.part("output")?.classList.add("is-streaming");
  }

  part(name) {
    return this.element.querySelector(`[data-part=${name}]`);
  }

  write(name, text) {
    const element = this.part(name);
    if (element) element.textContent = text;
  }

  label(text) {
    const badge = this.part("status");
    if (!badge) return;
    badge.className = `badge-status ${this.status}`;
    badge.replaceChildren((ICONS[this.status] ?? ICONS.queued)(), text);
  }

  started(data) {
    this.status = "running";
    this.startedAt ??= data.started_at ? Date.parse(data.started_at) : Date.now();
    // A retry begins again: what the attempt before had sent is not part of its output.
    if (data.attempt && this.attempt && data.attempt !== this.attempt) this.write("output", "");
    this.attempt = data.attempt ?? this.attempt;
    this.label(t("run_running"));
  }

  token(data) {
    if (this.status === "queued") this.started(data);
    const output = this.part("output");
    if (!output) return;
    const nearEnd = output.scrollHeight - output.scrollTop - output.clientHeight < 40;
    output.append(data.text);
    if (nearEnd) output.scrollTop = output.scrollHeight;
    if (!this.sawToken) {
      this.sawToken = true;
      const milliseconds = data.time_to_first_token_ms ?? (this.startedAt ? Date.now() - this.startedAt : null);
      if (milliseconds !== null) this.write("ttft", t("milliseconds", { count: Math.max(0, Math.round(milliseconds)) }));
    }
    if (data.output_tokens !== undefined) this.write("tokens", Number(data.output_tokens).toLocaleString());
  }

  finish(data) {
    this.ended = true;
    this.status = data.status ?? "succeeded";
    this.part("output")?.classList.remove("is-streaming");
    this.label(t(`run_${this.status}`));
    announce(t("run_ended", { status: t(`run_${this.status}`) }));
    this.loadResult();
  }

  loadResult() {
    this.ended = true;
    if (this.element.dataset.resultUrl) {
      window.htmx.ajax("GET", this.element.dataset.resultUrl, { target: this.element, swap: "outerHTML" });
    }
  }

  tick() {
    if (this.ended || this.startedAt === null) return;
    this.write("elapsed", t("seconds", { count: Math.max(0, (Date.now() - this.startedAt) / 1000).toFixed(1) }));
  }
}
