// role="tablist" with arrow keys; each tab names its panel by aria-controls. The choice is kept per data-tabs name.
function select(tab, focus) {
  const list = tab.closest('[role="tablist"]');
  for (const other of list.querySelectorAll('[role="tab"]')) {
    const chosen = other === tab;
    other.setAttribute("aria-selected", String(chosen));
    other.tabIndex = chosen ? 0 : -1;
    const panel = document.getElementById(other.getAttribute("aria-controls"));
    if (panel) panel.hidden = !chosen;
  }
  if (focus) tab.focus();
  if (list.dataset.tabs) {
    try {
      localStorage.setItem(`tab:${list.dataset.tabs}`, tab.dataset.tab ?? "");
    } catch {
      // Storage can be switched off; then the choice lasts for this page only.
    }
  }
}

function restore(root) {
  for (const list of root.querySelectorAll?.('[role="tablist"][data-tabs]') ?? []) {
    let kept = null;
    try {
      kept = localStorage.getItem(`tab:${list.dataset.tabs}`);
    } catch {
      kept = null;
    }
    const tab = kept && list.querySelector(`[role="tab"][data-tab="${CSS.escape(kept)}"]`);
    if (tab) select(tab, false);
  }
}

document.addEventListener("click", (event) => {
  const tab = event.target.closest('[role="tab"]');
  if (tab) select(tab, false);
});
document.addEventListener("keydown", (event) => {
  const tab = event.target.closest?.('[role="tab"]');
  if (!tab) return;
  const tabs = [...tab.closest('[role="tablist"]').querySelectorAll('[role="tab"]')];
  const at = tabs.indexOf(tab);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  select(tabs[(to + tabs.length) % tabs.length], true);
});
restore(document);
document.addEventListener("htmx:load", (event) => restore(event.detail.elt));
