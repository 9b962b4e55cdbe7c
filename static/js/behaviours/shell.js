// The sidebar: collapsed on a desktop (kept in a cookie), a drawer on a phone.
const YEAR_S = 365 * 24 * 3600;
const root = document.documentElement;

function setDrawer(open) {
  root.dataset.drawer = open ? "open" : "closed";
  for (const button of document.querySelectorAll("[data-drawer-toggle]")) button.setAttribute("aria-expanded", String(open));
  if (open) document.querySelector(".sidebar a, .sidebar summary")?.focus();
  else document.querySelector(".drawer-button")?.focus({ preventScroll: true });
}

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-drawer-toggle]")) setDrawer(root.dataset.drawer !== "open");
  const collapse = event.target.closest("[data-sidebar-toggle]");
  if (collapse) {
    const collapsed = root.dataset.sidebar !== "collapsed";
    root.dataset.sidebar = collapsed ? "collapsed" : "open";
    collapse.setAttribute("aria-expanded", String(!collapsed));
    document.cookie = `sidebar=${root.dataset.sidebar};path=/;max-age=${YEAR_S};samesite=lax`;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && root.dataset.drawer === "open") setDrawer(false);
});
