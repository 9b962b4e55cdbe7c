// Ctrl+K: go anywhere. Lists the navigation ([data-nav]) and the page's commands ([data-command]); where the palette
// names data-search-url, what the server finds is added: GET ?q= answers {"items": [{label, url, hint, icon}]}.
import { debounce, h, icon, t } from "../lib/dom.js";

const dialog = document.getElementById("palette");
const input = dialog?.querySelector("input");
const list = dialog?.querySelector("[role=listbox]");
let items = [];
let chosen = 0;
let search = null;

function symbol(name) {
  return name ? icon(name) : icon("chevron-right");
}

function pageItems() {
  const seen = new Set(); // a page may link to the same place from the sidebar and from a menu
  const places = [...document.querySelectorAll("[data-nav]")].filter((link) => !seen.has(link.href) && seen.add(link.href));
  const links = places.map((link) => ({
    label: link.dataset.nav,
    hint: t("palette_go"),
    icon: link.dataset.navIcon,
    run: () => link.click(),
  }));
  const commands = [...document.querySelectorAll("[data-command]")].map((element) => ({
    label: element.dataset.command,
    hint: t("palette_do"),
    icon: "bolt",
    run: () => element.click(),
  }));
  return [...commands, ...links];
}

function matches(label, query) {
  const text = label.toLowerCase();
  return query.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

function draw() {
  list.replaceChildren(
    ...items.map((item, index) =>
      h("li", { role: "option", id: `palette-${index}`, "aria-selected": String(index === chosen), onclick: () => run(item) },
        symbol(item.icon), h("span", { class: "clip" }, item.label), h("span", { class: "hint" }, item.hint ?? "")),
    ),
  );
  dialog.querySelector("[data-part=none]").hidden = items.length > 0;
  if (items.length > 0) input.setAttribute("aria-activedescendant", `palette-${chosen}`);
  else input.removeAttribute("aria-activedescendant");
  list.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" });
}

function run(item) {
  dialog.close();
  if (item.url) window.location.assign(item.url);
  else item.run();
}

const askServer = debounce(async (query) => {
  search?.abort();
  search = new AbortController();
  try {
    const response = await fetch(`${dialog.dataset.searchUrl}?q=${encodeURIComponent(query)}`, { signal: search.signal, headers: { Accept: "application/json" } });
    if (!response.ok) return;
    const found = await response.json();
    if (input.value.trim() !== query) return;
    items = [...items.filter((item) => !item.url), ...found.items];
    draw();
  } catch {
    // A search that fails or is overtaken by the next key leaves the page's own entries.
  }
}, 120);

function refresh() {
  const query = input.value.trim();
  items = pageItems().filter((item) => matches(item.label, query));
  chosen = 0;
  draw();
  if (query && dialog.dataset.searchUrl) askServer(query);
}

function openPalette() {
  document.querySelector("dialog[open]")?.close();
  input.value = "";
  refresh();
  dialog.showModal();
  input.focus();
}

if (dialog) {
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-palette-open]")) openPalette();
  });
  input.addEventListener("input", refresh);
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      chosen = items.length ? (chosen + (event.key === "ArrowDown" ? 1 : -1) + items.length) % items.length : 0;
      draw();
    }
    if (event.key === "Enter" && items[chosen]) {
      event.preventDefault();
      run(items[chosen]);
    }
  });
}
