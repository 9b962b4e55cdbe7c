// Two texts of one draft side by side: what this page holds, and what is stored. Nothing is lost: one of them goes on.
import { h, icon, t } from "../lib/dom.js";

/** `stored` is null where the draft is gone (it was saved as a version, or discarded). */
export function conflictPanel({ mine, stored, explanation, keepMine, takeTheirs }) {
  const [left, right] = readable(mine, stored);
  const column = (title, lines, buttons) => h("div", {}, h("h3", {}, title), h("pre", { tabindex: "0", role: "region", "aria-label": title }, lines), h("div", { class: "form-actions" }, buttons));
  return h("section", { class: "conflict-panel", role: "alertdialog", "aria-labelledby": "conflict-title", "aria-describedby": "conflict-text" },
    h("header", {}, h("h2", { id: "conflict-title" }, icon("git-merge"), " ", t("conflict_title")), h("p", { id: "conflict-text" }, explanation)),
    h("div", { class: "conflict-texts" },
      column(t("conflict_mine"), marked(left, stored && right), [
        h("button", { type: "button", class: "btn btn-primary", onclick: keepMine }, t("conflict_keep")),
        h("button", { type: "button", class: "btn", "data-copy": left }, t("conflict_copy")),
      ]),
      column(t("conflict_theirs"), marked(right, stored && left), [h("button", { type: "button", class: "btn", onclick: takeTheirs }, t(stored ? "conflict_take" : "conflict_reload"))])));
}

/** The lines of a text; those that the other text lacks are marked. */
function marked(text, other) {
  const known = new Set((other ?? text).split("\n"));
  return text.split("\n").map((line) => (known.has(line) ? `${line}\n` : h("mark", {}, `${line}\n`)));
}

/** Both drafts as texts that people can compare; what is the same in both is left out where it is no message. */
function readable(mine, stored) {
  if (!stored) return [text(mine, () => true), "—"];
  const differs = (name) => JSON.stringify(value(mine, name)) !== JSON.stringify(value(stored, name));
  return [text(mine, differs), text(stored, differs)];
}

function value(draft, name) {
  return draft.content?.[name] ?? draft.heading?.[name] ?? null;
}

function text(draft, isShown) {
  const messages = Array.isArray(draft.content?.messages) ? draft.content.messages : [];
  const texts = messages.map((message) => {
    const body = typeof message.content === "string" ? message.content : JSON.stringify(message.content ?? message.name);
    return `[${message.role ?? message.type ?? "text"}]\n${body}`;
  });
  const rest = Object.entries({ ...draft.content, ...draft.heading }).filter(([name, given]) => name !== "messages" && isShown(name) && given && JSON.stringify(given) !== "{}");
  return [...texts, ...rest.map(([name, given]) => `${name}: ${typeof given === "string" ? given : JSON.stringify(given)}`)].join("\n\n");
}
