// Changing the template syntax or the kind of a prompt: the texts are rewritten as far as that can be done without a
// guess, what cannot be is asked about first, and all of it can be undone.
import { ask } from "../behaviours/confirm.js";
import { toast } from "../behaviours/toasts.js";
import { t } from "../lib/dom.js";
import { convert } from "./template_syntax.js";

export async function changeSyntax(editor) {
  const from = editor.last.syntax;
  const to = editor.syntax;
  const before = structuredClone(editor.messages());
  const left = [];
  let rewritten = 0;
  const rewrite = (text) => {
    const result = convert(text, from, to);
    left.push(...result.left);
    rewritten += result.rewritten;
    return result.text;
  };
  const after = before.map((message) => eachText(structuredClone(message), rewrite));
  const shown = [...new Set(left)].slice(0, 3).map((tag) => (tag.length > 40 ? `${tag.slice(0, 39)}…` : tag)).join("  ");
  if (left.length > 0 && !(await ask({ title: t("syntax_title", { syntax: to }), text: t("syntax_left", { count: left.length, syntax: to, tags: shown }) }))) {
    editor.become("syntax", from);
    return;
  }
  editor.last.syntax = to;
  editor.load(after);
  if (rewritten > 0) offerUndo(editor, "syntax", from, before, t("syntax_changed", { count: rewritten, syntax: to }));
}

export async function changeKind(editor) {
  const from = editor.last.kind;
  const to = editor.kind;
  const before = structuredClone(editor.messages());
  if (to === "chat") {
    editor.last.kind = to;
    editor.load(before.map((message) => ({ role: "user", content: message.content ?? "" })));
    return;
  }
  const texts = before.map((message) => (typeof message.content === "string" ? message.content : partsText(message))).filter(Boolean);
  const loses = texts.length > 1 || before.some((message) => message.type || Array.isArray(message.content));
  if (loses && !(await ask({ title: t("kind_title"), text: t("kind_loses") }))) {
    editor.become("kind", from);
    return;
  }
  editor.last.kind = to;
  editor.load([{ content: texts.join("\n\n") }]);
  if (loses) offerUndo(editor, "kind", from, before, t("kind_changed"));
}

function offerUndo(editor, name, value, messages, text) {
  const undo = () => {
    editor.become(name, value);
    editor.load(messages);
  };
  toast(text, "info", { label: t("undo"), run: undo });
}

function eachText(message, rewrite) {
  if (typeof message.content === "string") message.content = rewrite(message.content);
  else if (Array.isArray(message.content)) for (const part of message.content) if (part.type === "text") part.text = rewrite(part.text ?? "");
  return message;
}

function partsText(message) {
  return (message.content ?? []).filter((part) => part.type === "text").map((part) => part.text ?? "").join("\n");
}
