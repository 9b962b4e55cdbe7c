// data-filter-rows="#table-id" on a search field hides rows of a short, complete table that lack the words;
// long tables filter on the server instead. j and k move through rows, Enter opens a row's first link.
import { announce, isTyping, t } from "../lib/dom.js";

function filter(field) {
  const table = document.querySelector(field.dataset.filterRows);
  if (!table) return;
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of table.querySelectorAll("tbody > tr")) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
    if (!row.hidden) shown += 1;
  }
  announce(t("rows_shown", { count: shown }));
}

document.addEventListener("input", (event) => {
  if (event.target.matches?.("[data-filter-rows]")) filter(event.target);
});

document.addEventListener("keydown", (event) => {
  if ((event.key !== "j" && event.key !== "k") || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (document.querySelector("dialog[open]")) return;
  const links = [...document.querySelectorAll("table.dense tbody tr:not([hidden]) .row-link")];
  if (links.length === 0) return;
  const at = links.indexOf(document.activeElement);
  const to = event.key === "j" ? Math.min(at + 1, links.length - 1) : Math.max(at - 1, 0);
  links[to].focus();
  event.preventDefault();
});
