// One event stream for all runs of a page (browsers allow six connections per host). data-url is the stream; each run is
// an element [data-run="<id>"] with the parts status, note, output, ttft, elapsed, tokens, cost, and data-result-url: when
// the run has ended, the server's own rendering takes the element's place (or that of data-result-target).
//
//   started  {run, attempt}        an attempt begins; a new one begins the text anew
//   token    {run, text, offset}   offset counts the characters before this piece, so a repeated piece is told
//   ended    {run, status, …}
import { announce, icon, t } from "../lib/dom.js";

const ICONS = { queued: () => icon("clock"), running: () => icon("loader-2"), succeeded: () => icon("circle-check"), failed: () => icon("circle-x"), cancelled: () => icon("ban"), blocked: () => icon("shield-x") };
const ENDED = ["succeeded", "failed", "cancelled", "blocked"];
const TICK_MS = 100;
const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 15000;
const ASK_AFTER_REFUSALS = 3;
const FOLLOW_PX = 40;

export function start(root) {
  root.runStream = new RunStream(root);
}

class RunStream {
  constructor(root) {
    this.root = root;
    this.panels = new Map();
    this.refusals = 0;
    this.adopt();
    this.connect();
    this.timer = setInterval(() => this.tick(), TICK_MS);
  }

  get allEnded() {
    return [...this.panels.values()].every((panel) => panel.ended);
  }

  /** Takes over the panels that the page has now: the server may have replaced one. */
  adopt() {
    for (const element of this.root.querySelectorAll("[data-run]")) {
      if (this.panels.get(element.dataset.run)?.element !== element) this.panels.set(element.dataset.run, new RunPanel(element));
    }
  }

  connect() {
    if (this.allEnded) return;
    this.source = new EventSource(this.root.dataset.url);
    for (const name of ["started", "token", "ended"]) {
      this.source.addEventListener(name, (event) => this.take(name, JSON.parse(event.data)));
    }
    this.source.addEventListener("open", () => {
      this.refusals = 0;
      this.note("");
    });
    this.source.addEventListener("error", () => this.interrupted());
  }

  /** After a broken connection the browser comes back by itself, with Last-Event-ID; after a refusal it does not. */
  interrupted() {
    if (this.stopped) return;
    this.note(t("run_reconnecting"));
    if (this.source.readyState !== EventSource.CLOSED) return;
    this.refusals += 1;
    // The server's own answer settles it: the run has ended, or the session has and its page leads to signing in.
    if (this.refusals === ASK_AFTER_REFUSALS) this.panels.forEach((panel) => panel.ended || panel.loadResult());
    setTimeout(() => this.stopped || this.connect(), Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** (this.refusals - 1)));
  }

  take(name, data) {
    const panel = this.panels.get(String(data.run ?? data.id));
    if (!panel || panel.ended) return;
    if (name === "started") panel.started(data);
    if (name === "token") panel.token(data);
    if (name === "ended") panel.finish(data);
    if (this.allEnded) this.stop();
  }

  tick() {
    if (!this.root.isConnected) {
      this.stop();
      return;
    }
    for (const panel of this.panels.values()) {
      if (panel.element.isConnected) panel.tick();
      else this.adopt();
    }
    if (this.allEnded) this.stop();
  }

  note(text) {
    const element = this.root.querySelector("[data-part=connection]");
    if (element) {
      element.hidden = !text;
      element.textContent = text;
    }
  }

  stop() {
    this.stopped = true;
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
    this.attempt = Number(element.dataset.attempt ?? 0);
    this.begin(element.dataset.elapsedMs === undefined ? null : performance.now() - Number(element.dataset.elapsedMs));
    // Where the run was under way when the page came, nobody here saw its first token come.
    this.sawAttemptBegin = false;
    element.addEventListener("htmx:afterRequest", (event) => {
      if (event.target.matches("[data-part=cancel]") && event.detail.successful && !this.ended) {
        event.target.disabled = true;
        this.label(t("run_cancelling"));
      }
    });
    element.addEventListener("run:ended", (event) => this.ended || this.finish(event.detail));
    if (!this.ended) this.part("output")?.classList.add("is-streaming");
  }

  /** Times are this browser's own: the server's clock may differ from it. */
  begin(at) {
    this.startedAt ??= at;
    this.attemptAt = at;
    this.sawAttemptBegin = at !== null;
    this.sawToken = false;
    this.length = 0;
    this.asciiCharacters = 0;
    this.otherBytes = 0;
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
    const attempt = data.attempt ?? this.attempt;
    const again = this.status === "running" && attempt === this.attempt;
    this.status = "running";
    if (again) return;
    this.attempt = attempt;
    this.begin(performance.now());
    for (const name of ["output", "ttft", "tokens"]) this.write(name, name === "output" ? "" : "—");
    this.label(t("run_running"));
  }

  token(data) {
    if (this.status === "queued") this.started(data);
    const output = this.part("output");
    const fresh = this.freshPart(data);
    if (!output || !fresh) return;
    if (!this.sawToken) this.firstToken();
    const nearEnd = output.scrollHeight - output.scrollTop - output.clientHeight < FOLLOW_PX;
    output.append(fresh);
    if (nearEnd) output.scrollTop = output.scrollHeight;
    this.count(fresh);
  }

  /** What of a piece is not there yet. Offsets count code points, as the server does. */
  freshPart(data) {
    const offset = data.offset ?? this.length;
    if (offset < this.length) return [...data.text].slice(this.length - offset).join("");
    if (offset === this.length) return data.text;
    this.length = offset - 1; // pieces were lost on the way; the whole text comes with the end
    return `…${data.text}`;
  }

  firstToken() {
    this.sawToken = true;
    this.part("note")?.remove();
    if (this.sawAttemptBegin) this.write("ttft", t("milliseconds", { count: Math.round(performance.now() - this.attemptAt) }));
  }

  /** Counts as the server's estimate does: four ASCII characters a token, three UTF-8 bytes a token for the rest. */
  count(text) {
    for (const character of text) {
      this.length += 1;
      if (character < "\x80") this.asciiCharacters += 1;
      else this.otherBytes += character > "\uffff" ? 4 : character < "\u0800" ? 2 : 3;
    }
    const tokens = Math.max(1, Math.ceil(this.asciiCharacters / 4 + this.otherBytes / 3));
    this.write("tokens", `≈ ${tokens.toLocaleString(document.documentElement.lang || undefined)}`);
  }

  finish(data) {
    this.ended = true;
    this.status = data.status ?? "succeeded";
    this.part("output")?.classList.remove("is-streaming");
    this.part("note")?.remove();
    this.label(t(`run_${this.status}`));
    announce(t("run_ended", { status: t(`run_${this.status}`) }));
    this.loadResult();
  }

  loadResult() {
    const { resultUrl, resultTarget } = this.element.dataset;
    if (!resultUrl) return;
    const target = (resultTarget && document.querySelector(resultTarget)) || this.element;
    window.htmx.ajax("GET", resultUrl, { source: target, target, swap: "outerHTML" });
  }

  tick() {
    if (this.ended || this.startedAt === null) return;
    this.write("elapsed", t("seconds", { count: Math.max(0, (performance.now() - this.startedAt) / 1000).toFixed(1) }));
  }
}
