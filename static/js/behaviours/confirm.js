// One accessible dialog asks before destructive acts. On a form or button: data-confirm="What will happen" with
// data-confirm-title, data-confirm-action (the button's text), data-confirm-type="name to type". hx-confirm works too.
import { t } from "../lib/strings.js";

/** Resolves to true where the person goes on. */
export function ask({ title, text, action, typed }) {
  const dialog = document.getElementById("confirm-dialog");
  dialog.querySelector("[data-part=title]").textContent = title || t("confirm_title");
  dialog.querySelector("[data-part=text]").textContent = text;
  const go = dialog.querySelector("[data-part=go]");
  go.textContent = action || t("confirm_action");
  const typing = dialog.querySelector("[data-part=typing]");
  const input = typing.querySelector("input");
  typing.hidden = !typed;
  typing.querySelector("code").textContent = typed ?? "";
  input.value = "";
  const check = () => {
    go.disabled = Boolean(typed) && input.value.trim() !== typed;
  };
  input.oninput = check;
  check();
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

function question(element) {
  const { confirm, confirmTitle, confirmAction, confirmType } = element.dataset;
  return { text: confirm, title: confirmTitle, action: confirmAction, typed: confirmType };
}

document.addEventListener("submit", async (event) => {
  const source = event.submitter?.matches("[data-confirm]") ? event.submitter : event.target;
  if (!source.matches("[data-confirm]") || source.dataset.confirmed) return;
  event.preventDefault();
  event.stopPropagation();
  if (!(await ask(question(source)))) return;
  source.dataset.confirmed = "1";
  event.target.requestSubmit(event.submitter ?? undefined);
  delete source.dataset.confirmed;
}, true);

document.addEventListener("htmx:confirm", async (event) => {
  const element = event.detail.elt;
  const isForm = element instanceof HTMLFormElement;
  const text = event.detail.question || (isForm ? "" : element.dataset.confirm);
  if (!text) return;
  event.preventDefault();
  if (await ask({ ...question(element), text })) event.detail.issueRequest(true);
});
