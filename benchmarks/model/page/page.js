// Puts the page together.

const model = JSON.parse(byId("report").textContent);
const COLOURS = { a: "--t0", b: "--l3", c: "--t2" };
const colourOf = (line) => variable(COLOURS[line.name]);
const stageColours = () => ["--l0", "--l1", "--t0", "--t3"].map(variable);

const chosen = () => model.lines.filter((line) => line.name in COLOURS && line.supply === byId("supply").value);
const last = (line) => line.points[line.points.length - 1];

function showHead() {
  const find = (name, supply) => model.lines.find((line) => line.name === name && line.supply === supply);
  const [full, ours] = [find("a", "mirrors"), find("c", "mirrors")];
  byId("title").textContent = `${plural(last(ours).nodes, "node")} start in ${seconds(last(ours).seconds)} instead of ${seconds(last(full).seconds)}`;
  byId("lead").textContent =
    "A simulation with the laboratory's measured costs and an assumed data centre: what is shared is shared fairly, and a job waits for its slowest node. With a caching mirror a rack, all of ours against a full pull, pip and plain files.";
  const tile = (name, big, small) =>
    el("div", {}, el("dt", {}, name), el("dd", {}, el("div.big", {}, big), el("div.small", {}, small)));
  const tiles = [full.points[0], full.points.find((one) => one.nodes >= 100), last(full)]
    .filter((point) => point)
    .map((point) => {
      const other = ours.points.find((one) => one.nodes === point.nodes);
      return tile(plural(point.nodes, "node"), `${(point.seconds / other.seconds).toFixed(1)}×`, `${seconds(point.seconds)} → ${seconds(other.seconds)}`);
    });
  const worst = Math.max(...model.checks.map((one) => Math.abs(one.error)));
  if (model.checks.length) tiles.push(tile("worst error", `${Math.round(100 * worst)} %`, `of ${plural(model.checks.length, "measured figure")}`));
  byId("tiles").replaceChildren(...tiles);
}

function showCharts() {
  const lines = chosen().map((line) => ({ ...line, colour: colourOf(line), name: `(${line.name}) ${line.title}` }));
  const legend = lines.map((line) => [line.colour, line.name]);
  byId("time-legend").replaceChildren(...legendOf([...legend, [variable("--cold"), "the paper's jobs"]]));
  drawLines(byId("time-chart"), lines, {
    value: (point) => point.seconds, text: seconds, boxes: model.published, name: "Seconds to the first step by size of the job",
  });
  byId("bytes-legend").replaceChildren(...legendOf(legend));
  drawLines(byId("bytes-chart"), lines, {
    value: (point) => point.registry_bytes, text: (value) => bytes(Math.round(value)).replace(".0 ", " "), name: "Bytes from the registry by size of the job",
  });
  byId("stages-hint").textContent = "Of the ways (a), (b) and (c) above, for some sizes.";
  byId("stages-legend").replaceChildren(...legendOf(model.stages.map((stage, row) => [stageColours()[row], stage])));
  const all = lines[0].points.map((point) => point.nodes);
  const some = all.filter((_, row) => row === 0 || row === all.length - 1 || row % 3 === 0);
  drawBars(byId("stages-chart"), chosen(), some, model.stages, stageColours());
}

function showTables() {
  const less = model.lines.filter((line) => line.supply === "mirrors");
  const sizes = less[0].points.map((point) => point.nodes).filter((_, row, all) => row === 0 || row === all.length - 1 || row % 4 === 0);
  const cell = (size) => (line) => {
    const point = line.points.find((one) => one.nodes === size);
    return `${seconds(point.seconds)} (${point.straggler.toFixed(2)})`;
  };
  fillTable(byId("less-table"), [
    ["way", "", (line) => `(${line.name}) ${line.title}`],
    ...sizes.map((size) => [plural(size, "node"), ".number", cell(size)]),
  ], less);
  const error = (row) => el(Math.abs(row.error) > 0.2 ? "span.off" : "span", {}, `${row.error > 0 ? "+" : "−"}${Math.abs(100 * row.error).toFixed(0)} %`);
  byId("check-hint").textContent = model.checks.length
    ? "Fitted: a number of the model was chosen by this figure. Predicted: none was."
    : "No figures of a benchmark were at hand.";
  fillTable(byId("check-table"), [
    ["figure", ".text", (row) => row.what],
    ["measured", ".number", (row) => seconds(row.measured)],
    ["model", ".number", (row) => seconds(row.model)],
    ["error", ".number", error],
    ["", "", (row) => row.kind],
  ], model.checks);
  byId("assumptions").replaceChildren(...model.assumptions.map((text) => el("li", {}, text)));
  const value = (number) => (Math.abs(number) >= 1e5 ? number.toExponential(2).replace("e+", "e") : String(number));
  fillTable(byId("numbers-table"), [
    ["", "", (row) => row.place],
    ["number", "", (row) => el("code", {}, row.name)],
    ["value", ".number", (row) => `${value(row.value)} ${row.unit}`],
    ["", "", (row) => el(row.kind === "assumed" ? "span.assumed" : "span", {}, row.kind)],
    ["from", ".text", (row) => row.source],
  ], model.numbers);
  byId("foot").textContent = "Made by scripts/bench model.";
}

showHead();
showTables();
byId("supply").value = "mirrors";
byId("supply").addEventListener("change", showCharts);
onThemeChange(showCharts);
onResize(byId("time-chart"), showCharts);
