// Translated texts: base.html puts them into one JSON block, so that scripts need no catalogue of their own.
let strings = null;

/** The translation of `key`; `{name}` in it is replaced from `values`. An unknown key answers itself. */
export function t(key, values = {}) {
  if (strings === null) {
    const block = document.getElementById("ui-strings");
    strings = block ? JSON.parse(block.textContent) : {};
  }
  return (strings[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}
