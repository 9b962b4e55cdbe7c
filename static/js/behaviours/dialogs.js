// <dialog> opened by data-dialog-open="id" and closed by data-dialog-close, Escape or a click on the backdrop.
// A dialog that the server sends with data-dialog-auto (after an invalid form, say) opens by itself.
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-dialog-open]");
  if (opener) {
    const dialog = document.getElementById(opener.dataset.dialogOpen);
    if (dialog && !dialog.open) dialog.showModal();
    return;
  }
  if (event.target.closest("[data-dialog-close]")) {
    event.target.closest("dialog")?.close();
    return;
  }
  if (event.target instanceof HTMLDialogElement && event.target.open && event.target.matches("[data-dialog-light]")) {
    event.target.close();
  }
});

function openWanted(root) {
  const wanted = root.querySelector?.("dialog[data-dialog-auto]:not([open])");
  if (wanted) wanted.showModal();
}

openWanted(document);
document.addEventListener("htmx:load", (event) => openWanted(event.detail.elt.parentElement ?? document));
// HX-Trigger: {"dialog:close": {"id": "…"}} closes a dialog after its form succeeded.
document.addEventListener("dialog:close", (event) => document.getElementById(event.detail?.id ?? "")?.close());
