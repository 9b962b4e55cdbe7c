// A textarea that holds JSON, edited with colours and checked as it is typed. An invalid text stays on screen, is
// marked, and is not written to the draft (the last valid value is kept in data-valid).
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { json } from "@codemirror/lang-json";
import { bracketMatching, ensureSyntaxTree, syntaxHighlighting } from "@codemirror/language";
import { EditorState } from "@codemirror/state";
import { EditorView, drawSelection, keymap } from "@codemirror/view";
import { tagHighlighter, tags } from "@lezer/highlight";
import { cspNonce } from "../lib/csp.js";
import { h, t } from "../lib/dom.js";

const KEYS = defaultKeymap.filter((binding) => binding.key !== "Mod-Enter");
const COLOURS = tagHighlighter([
  { tag: tags.string, class: "tok-string" },
  { tag: tags.number, class: "tok-number" },
  { tag: [tags.bool, tags.null], class: "tok-bool" },
  { tag: tags.propertyName, class: "tok-property" },
]);

export function start(textarea) {
  const label = textarea.getAttribute("aria-label") || document.querySelector(`label[for="${textarea.id}"]`)?.textContent.trim() || textarea.name;
  const box = h("div", { class: "code-field" });
  const error = h("div", { class: "field-error", hidden: true, role: "status" });
  textarea.after(box, error);
  textarea.hidden = true;
  const check = (state) => {
    const problem = problemOf(state);
    box.classList.toggle("has-error", Boolean(problem));
    error.hidden = !problem;
    error.textContent = problem ?? "";
    return !problem;
  };
  const view = new EditorView({
    parent: box,
    state: EditorState.create({
      doc: textarea.value,
      extensions: [
        EditorView.cspNonce.of(cspNonce()),
        history(),
        drawSelection(),
        EditorView.lineWrapping,
        bracketMatching(),
        json(),
        syntaxHighlighting(COLOURS),
        EditorView.contentAttributes.of({ "aria-label": label, spellcheck: "false" }),
        keymap.of([...KEYS, ...historyKeymap]),
        EditorView.updateListener.of((update) => {
          if (!update.docChanged) return;
          textarea.value = update.state.doc.toString();
          if (check(update.state)) textarea.dispatchEvent(new CustomEvent("editor:changed", { bubbles: true }));
        }),
      ],
    }),
  });
  check(view.state);
  document.querySelector(`label[for="${textarea.id}"]`)?.addEventListener("click", () => view.focus());
  textarea.addEventListener("editor:load", (event) => {
    const text = event.detail === null || event.detail === undefined ? "" : JSON.stringify(event.detail, null, 2);
    view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
  });
}

function problemOf(state) {
  const text = state.doc.toString();
  if (!text.trim()) return null;
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    return t("json_error", { line: lineOfProblem(state), detail: error.message });
  }
}

/** Browsers say in different ways, or not at all, where JSON fails; the editor's own parser knows. */
function lineOfProblem(state) {
  let at = null;
  ensureSyntaxTree(state, state.doc.length, 200)?.iterate({
    enter: (node) => {
      if (node.type.isError) at ??= node.from;
    },
  });
  return at === null ? "?" : state.doc.lineAt(at).number;
}
