// One CodeMirror view for one text of a prompt: variables coloured and completed, lines wrapped, Tab left alone (so that
// the keyboard can leave the field).
import { autocompletion, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { Compartment, EditorState, RangeSetBuilder, StateEffect, StateField } from "@codemirror/state";
import { Decoration, EditorView, ViewPlugin, drawSelection, keymap, placeholder } from "@codemirror/view";
import { cspNonce } from "../lib/csp.js";
import { includable } from "./includable.js";
import { scan } from "./template_syntax.js";

// Alt+↑/↓ moves whole messages here, so the lines keep still.
const KEYS = defaultKeymap.filter((binding) => binding.key !== "Alt-ArrowUp" && binding.key !== "Alt-ArrowDown" && binding.key !== "Mod-Enter");
const MARKS = {
  var: Decoration.mark({ class: "cm-var" }),
  tag: Decoration.mark({ class: "cm-tag" }),
  include: Decoration.mark({ class: "cm-tag cm-include" }),
  note: Decoration.mark({ class: "cm-note" }),
};
const problemLine = Decoration.line({ class: "cm-problem-line" });

const setProblem = StateEffect.define();
const problemField = StateField.define({
  create: () => Decoration.none,
  update(marks, transaction) {
    let next = marks.map(transaction.changes);
    for (const effect of transaction.effects) {
      if (!effect.is(setProblem)) continue;
      const line = effect.value;
      const inside = line !== null && line >= 1 && line <= transaction.state.doc.lines;
      next = inside ? Decoration.set([problemLine.range(transaction.state.doc.line(line).from)]) : Decoration.none;
    }
    return next;
  },
  provide: (field) => EditorView.decorations.from(field),
});

function highlighter(syntaxOf) {
  const decorate = (view) => {
    const builder = new RangeSetBuilder();
    for (const tag of scan(view.state.doc.toString(), syntaxOf())) builder.add(tag.from, tag.to, MARKS[tag.kind]);
    return builder.finish();
  };
  return ViewPlugin.fromClass(
    class {
      constructor(view) {
        this.decorations = decorate(view);
      }
      update(update) {
        if (update.docChanged || update.transactions.some((transaction) => transaction.reconfigured)) this.decorations = decorate(update.view);
      }
    },
    { decorations: (plugin) => plugin.decorations },
  );
}

function completeVariables(syntaxOf, namesOf) {
  return (context) => {
    const opening = syntaxOf() === "fstring" ? /\{(\w*)$/ : /\{\{\s*(\w*)$/;
    const before = context.matchBefore(syntaxOf() === "fstring" ? /\{\w*/ : /\{\{\s*\w*/);
    if (!before) return null;
    const typed = opening.exec(before.text)?.[1] ?? "";
    const close = syntaxOf() === "fstring" ? "}" : " }}";
    const pad = syntaxOf() === "fstring" || / $/.test(before.text.slice(0, before.text.length - typed.length)) ? "" : " ";
    return {
      from: context.pos - typed.length,
      options: namesOf().map((name) => ({
        label: name,
        type: "variable",
        apply: (view, completion, from, to) => {
          const closed = view.state.sliceDoc(to, to + 3).trimStart().startsWith("}");
          const insert = pad + name + (closed ? "" : close);
          view.dispatch({ changes: { from, to, insert }, selection: { anchor: from + insert.length } });
        },
      })),
    };
  };
}

const INCLUDE = { jinja: /\{%[-+]?\s*include\s*["']([^"'{}]*)$/, mustache: /\{\{>\s*([^\s{}]*)$/ };

/** Completes the name of an included prompt: greeting@production. */
function completeIncludes(syntaxOf, includesUrl) {
  return async (context) => {
    const opening = INCLUDE[syntaxOf()];
    if (!includesUrl || !opening) return null;
    const line = context.state.doc.lineAt(context.pos);
    const found = opening.exec(line.text.slice(0, context.pos - line.from));
    if (!found) return null;
    const prompts = await includable(includesUrl, "text", syntaxOf());
    return { from: context.pos - found[1].length, options: prompts.map(({ name, detail }) => ({ label: name, detail, type: "text" })) };
  };
}

/**
 * @param {{parent: Element, text: string, label: string, hint: string, syntaxOf: () => string, namesOf: () => string[], includesUrl: string, onChange: (text: string) => void}} options
 */
export function createTextView({ parent, text, label, hint, syntaxOf, namesOf, includesUrl, onChange }) {
  const naming = new Compartment();
  const highlighting = new Compartment();
  const labelled = (value) => EditorView.contentAttributes.of({ "aria-label": value, spellcheck: "true", autocorrect: "on" });
  const view = new EditorView({
    parent,
    state: EditorState.create({
      doc: text,
      extensions: [
        EditorView.cspNonce.of(cspNonce()),
        history(),
        drawSelection(),
        EditorView.lineWrapping,
        placeholder(hint),
        problemField,
        highlighting.of(highlighter(syntaxOf)),
        naming.of(labelled(label)),
        autocompletion({ override: [completeVariables(syntaxOf, namesOf), completeIncludes(syntaxOf, includesUrl)], icons: false }),
        keymap.of([...completionKeymap, ...KEYS, ...historyKeymap]),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) onChange(update.state.doc.toString());
        }),
      ],
    }),
  });
  return {
    view,
    setLabel: (value) => view.dispatch({ effects: naming.reconfigure(labelled(value)) }),
    repaint: () => view.dispatch({ effects: highlighting.reconfigure(highlighter(syntaxOf)) }),
    markLine: (line) => view.dispatch({ effects: setProblem.of(line) }),
    goTo: (line, column) => {
      const at = view.state.doc.line(Math.min(Math.max(1, line), view.state.doc.lines));
      view.dispatch({ selection: { anchor: Math.min(at.from + column - 1, at.to) }, scrollIntoView: true });
      view.focus();
    },
    focus: () => view.focus(),
    destroy: () => view.destroy(),
  };
}
