// Numbers and names as text, and elements out of text. Nothing on this page parses HTML.

/** Makes an element: `el("p.note", {title: "x"}, "text", child)`. Children that are null are left out. */
function el(kind, properties, ...children) {
  const [tag, ...classes] = kind.split(".");
  const made = Object.assign(document.createElement(tag), properties);
  if (classes.length) made.className = classes.join(" ");
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Makes an SVG element with attributes. */
function svg(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Calls back, in the next frame, when an element's width changes, and at the beginning. */
function onResize(host, callback) {
  let width = -1;
  new ResizeObserver(() => {
    if (host.clientWidth === width) return;
    width = host.clientWidth;
    requestAnimationFrame(callback);
  }).observe(host);
}

const byId = (id) => document.getElementById(id);

const count = (number) => number.toLocaleString("en");

/** A size in decimal units. */
function bytes(size) {
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (size < 1000) return unit === "B" ? `${size} B` : `${size.toFixed(1)} ${unit}`;
    size /= 1000;
  }
  return `${size.toFixed(1)} TB`;
}

/** A part of something; never "0 %" of what is there, nor "100 %" of what is not whole. */
function percent(part, whole) {
  if (!whole || !part) return "0 %";
  const share = (100 * part) / whole;
  if (part === whole) return "100 %";
  if (share < 0.1) return "< 0.1 %";
  return `${Math.min(share, 99.9).toFixed(share < 10 ? 1 : 0)} %`;
}

/** A time since the start. */
function time(ms) {
  if (ms < 1000) return `${ms} ms`;
  return ms < 100_000 ? `${(ms / 1000).toFixed(2)} s` : `${Math.round(ms / 1000)} s`;
}

/** A moment of the calendar; records may claim moments that no calendar has. */
function moment(seconds) {
  const when = new Date(seconds * 1000);
  return Number.isNaN(when.valueOf()) ? "unknown" : `${when.toISOString().slice(0, -8).replace("T", " ")} UTC`;
}

const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

/** A name with what cannot be seen (controls, marks that turn the direction of text) made visible. */
const visible = (name) =>
  name.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);

/** The smallest of 1, 2, 5, 10, ... (times `unit`) that cuts `most` into at most `steps`. */
function niceStep(most, steps, unit = 1) {
  for (let step = unit; ; step *= 10)
    for (const factor of [1, 2, 5]) if (most / (step * factor) <= steps) return step * factor;
}

/** Fills a table: `columns` are [title, class, row => content]. */
function fillTable(table, columns, rows) {
  const head = columns.map(([title, kind]) => el(`th${kind}`, { scope: "col" }, title));
  table.tHead.replaceChildren(el("tr", {}, ...head));
  const line = (row) => el("tr", {}, ...columns.map(([, kind, content]) => el(`td${kind}`, {}, content(row))));
  table.tBodies[0].replaceChildren(...rows.map(line));
}
