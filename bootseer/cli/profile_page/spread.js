// How a stage's time spreads over nodes: a line from nothing to the slowest, a dot at the median.

/** Returns a picture of {median, p95, max}, in which `most` seconds are the whole width. */
function spreadPicture(spread, most) {
  const place = (value) => 4 + (92 * value) / Math.max(most, 1e-9);
  const picture = svg("svg", { class: "spread", viewBox: "0 0 100 16", preserveAspectRatio: "none", role: "img" });
  picture.setAttribute("aria-label", `median ${seconds(spread.median)}, slowest ${seconds(spread.max)}`);
  const line = (name, from, to, top, bottom) =>
    svg("line", { class: name, x1: from, x2: to, y1: top, y2: bottom, "vector-effect": "non-scaling-stroke" });
  const middle = Math.max(place(spread.p95) - place(spread.median), 0.6);
  picture.append(
    line("reach", 4, place(spread.max), 8, 8),
    svg("rect", { class: "middle", x: place(spread.median), width: middle, y: 4, height: 8 }),
    line("most", place(spread.max), place(spread.max), 3, 13),
  );
  return picture;
}
