// Places on a chart, and what its axes say.

const MARGIN = { left: 58, right: 14, top: 10, bottom: 40 };

/** Seconds, with as many digits as say something. */
function seconds(value) {
  if (value < 10) return `${value.toFixed(1)} s`;
  if (value < 1000) return `${Math.round(value)} s`;
  return `${count(Math.round(value))} s`;
}

/** A place for each value of a logarithmic axis. */
const logScale = (least, most, from, to) => (value) =>
  from + ((Math.log(value) - Math.log(least)) / (Math.log(most) - Math.log(least))) * (to - from);

/** 1, 2, 5, 10, ... between two values; whole powers of ten only where those would be many. */
function logTicks(least, most) {
  const made = [];
  const factors = Math.log10(most / least) > 3.2 ? [1] : [1, 2, 5];
  for (let power = Math.floor(Math.log10(least)); power <= Math.ceil(Math.log10(most)); power++)
    for (const factor of factors) {
      const value = factor * 10 ** power;
      if (value >= least * 0.999 && value <= most * 1.001) made.push(value);
    }
  return made;
}

/** The frame of a chart: lines across at `ticks` of y, words below at those of x. */
function axes(width, height, x, y, xTicks, yTicks, xText, yText, xTitle) {
  const across = yTicks.flatMap((value) => [
    svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value) }),
    svg("text", { x: MARGIN.left - 8, y: y(value) + 4, "text-anchor": "end" }, yText(value)),
  ]);
  const below = xTicks.map((value) =>
    svg("text", { x: x(value), y: height - MARGIN.bottom + 18, "text-anchor": "middle" }, xText(value)));
  const title = svg("text", { x: (MARGIN.left + width - MARGIN.right) / 2, y: height - 4, "text-anchor": "middle" }, xTitle);
  return [...across, ...below, title];
}

/** A legend: [colour, text] each. */
const legendOf = (items) => items.map(([colour, text]) => {
  const dot = el("i.swatch", {});
  dot.style.background = colour;
  return el("li", {}, dot, text);
});
