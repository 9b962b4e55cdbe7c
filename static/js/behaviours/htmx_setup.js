// htmx with our rules: the CSRF token on every write, a progress line after 300 ms, and no failure that nobody sees.
import { csrfToken } from "../lib/http.js";
import { t } from "../lib/strings.js";
import { toast } from "./toasts.js";

const SLOW_AFTER_MS = 300;
let running = 0;
let timer = 0;

function showProgress() {
  document.getElementById("progress-line")?.classList.toggle("is-busy", running > 0);
}

document.addEventListener("htmx:configRequest", (event) => {
  if (event.detail.verb !== "get") event.detail.headers["X-CSRFToken"] = csrfToken();
});
document.addEventListener("htmx:beforeRequest", (event) => {
  // What only keeps a number fresh (data-while-visible) asks nothing for a page that nobody looks at.
  if (document.hidden && event.detail.elt?.hasAttribute("data-while-visible")) {
    event.preventDefault();
    return;
  }
  running += 1;
  clearTimeout(timer);
  timer = setTimeout(showProgress, SLOW_AFTER_MS);
});
document.addEventListener("htmx:afterRequest", () => {
  running = Math.max(0, running - 1);
  if (running === 0) {
    clearTimeout(timer);
    showProgress();
  }
});

/** An element that asks as somebody types (data-quiet) says itself what is wrong: no toast a keystroke. */
const isQuiet = (event) => Boolean(event.detail.elt?.closest("[data-quiet]"));

document.addEventListener("htmx:responseError", (event) => {
  if (isQuiet(event)) return;
  const { xhr } = event.detail;
  const { status } = xhr;
  // An error that we expect brings its own toast; the rest comes from a crash, or from a proxy in between.
  if (xhr.getResponseHeader("HX-Trigger")?.includes('"toast"')) return;
  if (status === 401) toast(t("signed_out"), "error");
  else if (status === 403) toast(t("forbidden"), "error");
  else if (status === 404) toast(t("not_found"), "error");
  else if (status === 429) toast(t("too_many"), "warning");
  else toast(t("server_error", { status }), "error");
});
document.addEventListener("htmx:sendError", (event) => isQuiet(event) || toast(t("offline"), "error"));
document.addEventListener("htmx:timeout", (event) => isQuiet(event) || toast(t("timeout"), "error"));
