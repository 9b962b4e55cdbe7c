// A light reading of the three template syntaxes: where the tags are, and which variables they name. It colours the
// text and lists variables while somebody types; what the server finds when it renders the preview is the truth.

const JINJA_TAG = /\{#[\s\S]*?#\}|\{%[\s\S]*?%\}|\{\{[\s\S]*?\}\}/g;
const MUSTACHE_TAG = /\{\{\{[\s\S]*?\}\}\}|\{\{[\s\S]*?\}\}/g;
const FSTRING_TAG = /\{\{|\}\}|\{[^{}\n]*\}/g;
const STRING = /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/g;
const NAME = /[A-Za-z_]\w*/g;
const JINJA_WORDS = new Set(
  ("and or not in is if else elif endif for endfor set endset macro endmacro call endcall filter endfilter with endwith block endblock " +
    "raw endraw autoescape endautoescape do true false none True False None recursive ignore missing without context import include from as extends loop self").split(" "),
);

/** Tags of `text` in order: {from, to, kind: "var" | "tag" | "include" | "note", names: [...]}. Names may repeat. */
export function scan(text, syntax) {
  if (syntax === "mustache") return scanMustache(text);
  if (syntax === "fstring") return scanFstring(text);
  return scanJinja(text);
}

/** Distinct variable names over several texts, in order of appearance. */
export function variableNames(texts, syntax) {
  const names = new Set();
  for (const text of texts) for (const tag of scan(text, syntax)) for (const name of tag.names) names.add(name);
  return [...names];
}

function scanJinja(text) {
  const tags = [];
  const locals = new Set();
  let rawUntil = -1;
  for (const match of text.matchAll(JINJA_TAG)) {
    const from = match.index;
    const to = from + match[0].length;
    if (from < rawUntil) continue;
    if (match[0].startsWith("{#")) {
      tags.push({ from, to, kind: "note", names: [] });
      continue;
    }
    const inner = match[0].slice(2, -2).replace(/^[-+]|[-+]$/g, "").trim();
    const statement = match[0].startsWith("{%");
    if (statement && /^raw\b/.test(inner)) {
      const end = /\{%[-+]?\s*endraw\s*[-+]?%\}/g;
      end.lastIndex = to;
      const found = end.exec(text);
      rawUntil = found ? found.index : text.length;
    }
    if (statement) for (const name of jinjaLocals(inner)) locals.add(name);
    const kind = !statement ? "var" : /^include\b/.test(inner) ? "include" : "tag";
    tags.push({ from, to, kind, names: kind === "include" ? [] : jinjaNames(inner) });
  }
  for (const tag of tags) tag.names = tag.names.filter((name) => !locals.has(name));
  return tags;
}

function jinjaLocals(inner) {
  const loop = /^for\s+([\w\s,()]+?)\s+in\b/.exec(inner);
  if (loop) return loop[1].match(NAME) ?? [];
  const set = /^set\s+([\w\s,]+?)\s*(?:=|$|\|)/.exec(inner);
  if (set) return set[1].match(NAME) ?? [];
  const macro = /^(?:macro|call)\s*(\w*)\s*\(([^)]*)\)/.exec(inner);
  if (macro) return `${macro[1]} ${macro[2].replace(STRING, "")}`.match(NAME) ?? [];
  if (/^with\b/.test(inner)) return [...inner.matchAll(/(\w+)\s*=(?!=)/g)].map((match) => match[1]);
  return [];
}

function jinjaNames(inner) {
  const plain = inner.replace(STRING, (text) => " ".repeat(text.length));
  const names = [];
  for (const match of plain.matchAll(NAME)) {
    const before = plain.slice(0, match.index).trimEnd();
    const after = plain.slice(match.index + match[0].length).trimStart();
    const isAttribute = before.endsWith(".");
    const isFilter = before.endsWith("|") && !before.endsWith("||");
    const isTest = /\bis(\s+not)?$/.test(before);
    const isKeyword = after.startsWith("=") && !after.startsWith("==");
    const isCall = after.startsWith("(");
    if (JINJA_WORDS.has(match[0]) || isAttribute || isFilter || isTest || isKeyword || isCall || /\d$/.test(before)) continue;
    names.push(match[0]);
  }
  return names;
}

function scanMustache(text) {
  const tags = [];
  for (const match of text.matchAll(MUSTACHE_TAG)) {
    const from = match.index;
    const to = from + match[0].length;
    const inner = match[0].replace(/^\{\{\{?|\}?\}\}$/g, "").trim();
    const sigil = /^[!#^/&>=]/.test(inner) ? inner[0] : "";
    const name = inner.slice(sigil.length).trim().split(".")[0];
    if (sigil === "!") tags.push({ from, to, kind: "note", names: [] });
    else if (sigil === ">") tags.push({ from, to, kind: "include", names: [] });
    else if (sigil === "/" || sigil === "=") tags.push({ from, to, kind: "tag", names: [] });
    else tags.push({ from, to, kind: sigil === "#" || sigil === "^" ? "tag" : "var", names: name ? [name] : [] });
  }
  return tags;
}

function scanFstring(text) {
  const tags = [];
  for (const match of text.matchAll(FSTRING_TAG)) {
    if (match[0] === "{{" || match[0] === "}}") continue;
    const name = match[0].slice(1, -1);
    const valid = /^[A-Za-z_]\w*$/.test(name);
    tags.push({ from: match.index, to: match.index + match[0].length, kind: valid ? "var" : "tag", names: valid ? [name] : [] });
  }
  return tags;
}

/** How a variable is written, for hints and completion. */
export function written(name, syntax) {
  return syntax === "fstring" ? `{${name}}` : `{{ ${name} }}`;
}

const VARIABLE = /^[A-Za-z_]\w*$/;
const PATH = /^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*$/;

/**
 * Rewrites a text from one syntax to another: plain variables and comments, and braces that are only braces.
 * Answers {text, rewritten (how many tags), left (tags without a counterpart, kept as they are)}.
 */
export function convert(text, from, to) {
  const left = [];
  let rewritten = 0;
  let done = "";
  let at = 0;
  const literal = (piece) => {
    const plain = from === "fstring" ? piece.replaceAll("{{", "{").replaceAll("}}", "}") : piece;
    return to === "fstring" ? plain.replaceAll("{", "{{").replaceAll("}", "}}") : plain;
  };
  for (const tag of scan(text, from)) {
    const source = text.slice(tag.from, tag.to);
    const target = rewrite(source, tag, from, to);
    done += literal(text.slice(at, tag.from));
    done += target ?? source;
    if (target === null) left.push(source);
    else if (target !== source) rewritten += 1;
    at = tag.to;
  }
  done += literal(text.slice(at));
  return { text: done, rewritten, left };
}

/** The tag in the other syntax; null where it has none. */
function rewrite(source, tag, from, to) {
  if (tag.kind === "note") {
    if (to === "fstring") return null;
    const words = source.replace(/^\{\{!|^\{#|#\}$|\}\}$/g, "").trim();
    return to === "jinja" ? `{# ${words} #}` : `{{! ${words} }}`;
  }
  if (tag.kind !== "var") return null;
  const inner = source.replace(/^\{+[-+&]?\s*|\s*[-+]?\}+$/g, "");
  const isName = to === "fstring" || from === "fstring" ? VARIABLE.test(inner) : PATH.test(inner);
  return isName ? written(inner, to) : null;
}
