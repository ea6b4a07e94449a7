// One tooltip for the whole page, beside the pointer and inside the window.

const tooltip = {
  /** Shows lines (elements or text) beside a point of the window. */
  show(x, y, ...lines) {
    const box = byId("tooltip");
    box.replaceChildren(...lines.map((line) => (line instanceof Node ? line : el("div", {}, line))));
    box.hidden = false;
    const { width, height } = box.getBoundingClientRect();
    const left = x + 16 + width < innerWidth ? x + 16 : Math.max(8, x - 16 - width);
    const top = y + 16 + height < innerHeight ? y + 16 : Math.max(8, y - 16 - height);
    box.style.left = `${Math.min(left, Math.max(8, innerWidth - width - 8))}px`;
    box.style.top = `${top}px`;
  },
  hide() {
    byId("tooltip").hidden = true;
  },
};
