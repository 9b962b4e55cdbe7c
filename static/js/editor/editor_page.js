// What holds the editor's parts together: ways to a mistake's place, mistakes at their fields, the output that comes
// forward when something runs, and what shows that there is a draft.
import { h, icon, t } from "../lib/dom.js";
import { toast } from "../behaviours/toasts.js";

const ACTIVE = "[data-run][data-status=queued], [data-run][data-status=running]";

export function start(root) {
  const form = root.querySelector("form");
  const show = (name) => document.getElementById(`tab-${name}`)?.click();

  root.addEventListener("click", (event) => {
    const place = event.target.closest("[data-goto]")?.closest("[data-path], [data-message-index]");
    if (place) goTo(form, place.dataset);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => clearFieldError(event.target));

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.elt.id === "run-button") show("output");
  });
  const showActive = () => document.querySelector(`#run-area :is(${ACTIVE})`) && show("output");
  showActive(); // it may have come before this script
  document.addEventListener("htmx:afterSwap", (event) => {
    const { target } = event.detail;
    if (target.id === "run-area") showActive();
    if (target.id === "editor-notice") showRefusal(form, target);
  });
  quietFailures(root);

  document.addEventListener("draft:saved", () => setDrafted(true));
  document.addEventListener("draft:committed", (event) => {
    setDrafted(false);
    for (const count of document.querySelectorAll("[data-version-count]")) count.textContent = event.detail.version;
  });
  document.getElementById("save-dialog").addEventListener("keydown", (event) => {
    // Ctrl+S twice saves; the browser's own dialog never comes up.
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s") {
      event.preventDefault();
      document.getElementById("save-confirm").click();
    }
  });
}

function setDrafted(isDrafted) {
  for (const element of document.querySelectorAll("[data-draft-only]")) element.hidden = !isDrafted;
  for (const button of document.querySelectorAll("[data-save-button]")) button.classList.toggle("btn-primary", isDrafted);
}

/**
 * Who asks as somebody types (data-quiet) says in its own place why it cannot answer. A lost session never takes the
 * page away: what was typed is on it.
 */
function quietFailures(root) {
  const say = (place, text) => place.replaceChildren(h("p", { class: "preview-note" }, icon("cloud-off"), h("span", {}, text)));
  root.addEventListener("htmx:beforeOnLoad", (event) => {
    const { status } = event.detail.xhr;
    const place = event.target.closest("[data-quiet]");
    if (place && status >= 400) {
      event.preventDefault();
      say(place, status === 401 ? t("preview_signed_out") : t("preview_failed", { status }));
    } else if (status === 401) {
      event.preventDefault();
      toast(t("signed_out"), "error");
    }
  });
  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    root.addEventListener(name, (event) => event.target.matches("[data-quiet]") && say(event.target, t("preview_offline")));
  }
}

function goTo(form, { path = "", messageIndex, line, column }) {
  if (messageIndex !== undefined) {
    form.querySelector("[data-component=message-editor]").messageEditor?.goTo(Number(messageIndex), Number(line ?? 1), Number(column ?? 1));
    return;
  }
  const control = controlOf(form, path);
  control?.closest("details")?.setAttribute("open", "");
  control?.scrollIntoView({ block: "center" });
  control?.focus();
}

/** The control that a path such as "slug", "parameters.top_p" or "variables.name.default" is about. */
function controlOf(form, path) {
  const [first, second] = path.split(".");
  if (first === "parameters") return form.querySelector(`[data-parameter="${CSS.escape(second ?? "")}"]`) ?? editorOf(form.querySelector("#parameter-extra"));
  if (first === "variables") return document.querySelector(`#variable-${CSS.escape(second ?? "")} [data-part=try]`);
  if (first === "output_schema" || first === "extra") return editorOf(form.querySelector(`[name=${first}]`));
  if (first === "message") {
    document.getElementById("save-dialog").showModal();
  }
  return form.querySelector(`[name="${CSS.escape(first)}"]:not([type=hidden])`);
}

/** What can take the focus where a textarea is edited by CodeMirror. */
function editorOf(textarea) {
  return textarea?.parentElement.querySelector(".cm-content") ?? textarea;
}

/** After a refused save: the mistakes at their fields, and the focus where they are told. */
function showRefusal(form, notice) {
  for (const field of form.querySelectorAll(".field.has-error")) clearFieldError(field.querySelector("[aria-invalid]"));
  for (const problem of notice.querySelectorAll("[data-problem]:not([data-message-index])")) {
    const control = controlOf(form, problem.dataset.path);
    const field = control?.closest(".field");
    if (!field || problem.dataset.path === "message") continue;
    const note = h("div", { class: "field-error", id: `${control.id}-refused`, "data-refused": true }, icon("alert-circle"), h("span", {}, problem.dataset.text));
    field.classList.add("has-error");
    field.append(note);
    control.setAttribute("aria-invalid", "true");
    control.setAttribute("aria-errormessage", note.id);
    control.closest("details")?.setAttribute("open", "");
  }
  const alert = notice.querySelector("[role=alert]");
  if (!alert) return;
  alert.scrollIntoView({ block: "nearest" });
  alert.focus();
}

function clearFieldError(control) {
  const field = control?.closest(".field.has-error");
  if (!field) return;
  field.classList.remove("has-error");
  for (const note of field.querySelectorAll("[data-refused]")) note.remove();
  for (const one of field.querySelectorAll("[aria-invalid]")) {
    one.removeAttribute("aria-invalid");
    one.removeAttribute("aria-errormessage");
  }
}
