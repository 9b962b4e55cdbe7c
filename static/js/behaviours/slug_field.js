// data-slug-from="#name-field": the slug follows the name until somebody writes one; the server has the last word.
const LONGEST = 60;

function slugOf(text) {
  const plain = text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  return plain.replace(/[^a-z0-9]+/g, "-").slice(0, LONGEST).replace(/^-+|-+$/g, "");
}

document.addEventListener("input", (event) => {
  if (event.target.matches?.("[data-slug-from]")) {
    event.target.dataset.written = event.target.value ? "1" : "";
    return;
  }
  if (!event.target.id) return;
  for (const field of document.querySelectorAll(`[data-slug-from="#${CSS.escape(event.target.id)}"]`)) {
    // A form that came back with errors holds what was written before.
    if (field.dataset.written === undefined) field.dataset.written = field.defaultValue ? "1" : "";
    if (!field.dataset.written) field.value = slugOf(event.target.value);
  }
});
