// Reordering a list by dragging a handle with the pointer (mouse, pen or finger); the keyboard has its own buttons.

/** Calls `onMove(from, to)` with indexes among the elements that match `itemSelector`. */
export function draggable(list, itemSelector, handleSelector, onMove) {
  let dragged = null;
  let target = null;

  const items = () => [...list.querySelectorAll(itemSelector)];
  const clear = () => {
    for (const item of items()) item.classList.remove("drop-before", "drop-after", "is-dragged");
  };

  list.addEventListener("pointerdown", (event) => {
    const handle = event.target.closest(handleSelector);
    if (!handle || event.button !== 0) return;
    dragged = handle.closest(itemSelector);
    target = null;
    dragged.classList.add("is-dragged");
    list.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  list.addEventListener("pointermove", (event) => {
    if (!dragged) return;
    target = null;
    for (const item of items()) {
      item.classList.remove("drop-before", "drop-after");
      const box = item.getBoundingClientRect();
      if (item === dragged || event.clientY < box.top - 4 || event.clientY > box.bottom + 4) continue;
      const after = event.clientY > box.top + box.height / 2;
      item.classList.add(after ? "drop-after" : "drop-before");
      target = { item, after };
    }
  });
  const finish = (apply) => {
    if (!dragged) return;
    const all = items();
    const from = all.indexOf(dragged);
    clear();
    if (apply && target) {
      const others = all.filter((item) => item !== dragged);
      onMove(from, others.indexOf(target.item) + (target.after ? 1 : 0));
    }
    dragged = null;
  };
  list.addEventListener("pointerup", () => finish(true));
  list.addEventListener("pointercancel", () => finish(false));
}
