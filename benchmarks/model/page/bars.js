// Bars of stages, one for each way, in groups by the size of the job.

/** Draws into `host`: for each size a bar for each line, its stages one behind the other. */
function drawBars(host, lines, sizes, stages, colours) {
  const width = Math.max(host.clientWidth, 300);
  const [tall, gap, group] = [15, 3, 16];
  const names = width < 560 ? 66 : 150;
  const total = (point) => stages.reduce((sum, stage) => sum + point.stages[stage], 0);
  const pointOf = (line, size) => line.points.find((point) => point.nodes === size);
  const most = Math.max(...lines.flatMap((line) => sizes.map((size) => total(pointOf(line, size)))));
  const x = (value) => names + (value / most) * (width - names - 70);
  const high = lines.length * (tall + gap) + group;
  const height = sizes.length * high;
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": "Stages of the median node by size of the job" });
  sizes.forEach((size, row) => {
    const top = row * high;
    picture.append(svg("text", { class: "value", x: 0, y: top + tall }, width < 560 ? count(size) : plural(size, "node")));
    lines.forEach((line, number) => {
      const point = pointOf(line, size);
      const y = top + number * (tall + gap);
      let from = 0;
      picture.append(svg("text", { x: names - 8, y: y + 12, "text-anchor": "end" }, line.name));
      stages.forEach((stage, one) => {
        const to = from + point.stages[stage];
        picture.append(svg("rect", { x: x(from), y, width: Math.max(x(to) - x(from), 0), height: tall, fill: colours[one] }));
        from = to;
      });
      picture.append(svg("text", { x: x(from) + 6, y: y + 12 }, seconds(from)));
    });
  });
  host.replaceChildren(picture);
}
