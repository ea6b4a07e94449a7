// A chart of lines over the size of a job, both axes logarithmic, with boxes behind them.

/** Draws into `host`: lines are {colour, name, points}, `value` what is drawn of a point. */
function drawLines(host, lines, { value, text, boxes = [], name }) {
  const width = Math.max(host.clientWidth, 300);
  const height = width < 560 ? 300 : 400;
  const points = lines.flatMap((line) => line.points);
  const heights = [...points.map(value), ...boxes.flatMap((box) => [box.lower, box.whisker])];
  const least = 10 ** Math.floor(Math.log10(Math.min(...heights)));
  const most = Math.max(...heights) * 1.15;
  const gpus = points.map((point) => point.gpus);
  const [first, last] = [Math.min(...gpus), Math.max(...gpus)];
  const x = logScale(first, last, MARGIN.left + 14, width - MARGIN.right - 14);
  const y = logScale(least, most, height - MARGIN.bottom, MARGIN.top);
  const ticks = [8, 32, 128, 512, 2048, 8192, 40000].filter((one, row) => one >= first && one <= last && (width >= 560 || row % 2 === 0));
  const drawn = axes(width, height, x, y, ticks, logTicks(least, most), count, text, "GPUs of the job (8 a node)");
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": name });
  picture.append(...drawn, ...boxes.flatMap((box) => boxShape(box, x, y, first, last)));
  for (const line of lines) picture.append(...lineShape(line, x, y, value));
  picture.addEventListener("pointermove", (event) => tellLines(event, picture, lines, x, value, text));
  picture.addEventListener("pointerleave", () => tooltip.hide());
  host.replaceChildren(picture);
}

/** The paper's jobs of one size; of 1 to 10 GPUs only what the chart has room for is seen. */
function boxShape(box, x, y, first, last) {
  const left = x(Math.min(Math.max(box.least_gpus, first * 0.86), last)) + 1;
  const right = x(Math.min(box.most_gpus, last)) - 1;
  const middle = (left + right) / 2;
  return [
    svg("line", { class: "whisker", x1: middle, x2: middle, y1: y(box.upper), y2: y(box.whisker) }),
    svg("rect", { class: "box", x: left, width: Math.max(right - left, 4), y: y(box.upper), height: y(box.lower) - y(box.upper) }),
    svg("line", { class: "middle", x1: left, x2: Math.max(right, left + 4), y1: y(box.median), y2: y(box.median) }),
  ];
}

function lineShape(line, x, y, value) {
  const path = line.points.map((point, row) => `${row ? "L" : "M"}${x(point.gpus).toFixed(1)},${y(value(point)).toFixed(1)}`);
  const dots = line.points.map((point) =>
    svg("circle", { class: "dot", cx: x(point.gpus), cy: y(value(point)), r: 4, fill: line.colour }));
  return [svg("path", { class: "line", d: path.join(""), stroke: line.colour }), ...dots];
}

/** Says what all lines have at the size that is nearest to the pointer. */
function tellLines(event, picture, lines, x, value, text) {
  const box = picture.getBoundingClientRect();
  const place = event.clientX - box.left;
  const nearest = (points) => points.reduce((best, one) => (Math.abs(x(one.gpus) - place) < Math.abs(x(best.gpus) - place) ? one : best));
  const at = nearest(lines[0].points);
  const rows = lines.map((line) =>
    el("div.row", {}, el("span", {}, line.name), el("span", {}, text(value(nearest(line.points))))));
  tooltip.show(event.clientX, event.clientY, el("b", {}, `${plural(at.nodes, "node")}, ${count(at.gpus)} GPUs`), ...rows);
}
