// Puts the page together.

const { report, picture } = JSON.parse(byId("report").textContent);
const colours = stageColours(picture.stages);

function showHead() {
  const worst = [...report.starts].sort((a, b) => b.seconds - a.seconds)[0];
  const nodes = Math.max(0, ...report.starts.map((start) => start.nodes));
  byId("title").textContent = `${plural(report.starts.length, "start")} on up to ${plural(nodes, "node")}`;
  const kinds = report.kinds.map((kind) => `${plural(kind.starts, kind.kind)}, median ${seconds(kind.job.median)}`);
  byId("lead").textContent = kinds.length ? `${kinds.join("; ")}.` : "There are no stages in these events.";
  const tile = (name, big, small) =>
    el("div", {}, el("dt", {}, name), el("dd", {}, el("div.big", {}, big), el("div.small", {}, small)));
  const tiles = report.kinds.map((kind) =>
    tile(kind.kind, seconds(kind.job.median), `a node: ${seconds(kind.node.median)}, slowest ${times(kind.straggler)} of that`));
  if (worst) tiles.push(tile("slowest start", seconds(worst.seconds), startName(worst)));
  if (report.gpu_hours !== null)
    tiles.push(tile("GPU hours lost", report.gpu_hours.toFixed(report.gpu_hours < 10 ? 2 : 0), `${count(report.gpus)} GPUs held up`));
  byId("tiles").replaceChildren(...tiles);
}

function showKinds() {
  byId("kinds").replaceChildren(...report.kinds.map(kindSection));
}

function kindSection(kind, number) {
  const table = el("table", {}, el("thead", {}), el("tbody", {}));
  const most = Math.max(...kind.stages.map((row) => row.node.max), 0);
  const share = (row) => {
    const bar = el("i.stage", {});
    bar.style.width = `${Math.min(row.share, 1) * 100}%`;
    bar.style.background = colours[picture.stages.indexOf(row.stage)];
    return el("span", {}, percent(Math.min(row.share, 1), 1), el("span.bar", {}, bar));
  };
  const name = (row) => {
    const dot = el("i.swatch", {});
    dot.style.background = colours[picture.stages.indexOf(row.stage)];
    return el("span", {}, dot, visible(row.stage));
  };
  fillTable(table, [
    ["stage", "", name],
    ["median", ".number", (row) => seconds(row.node.median)],
    ["p95", ".number", (row) => seconds(row.node.p95)],
    ["slowest", ".number", (row) => seconds(row.node.max)],
    ["over nodes", ".wide", (row) => spreadPicture(row.node, most)],
    ["straggler", ".number", (row) => el(row.straggler > 1.5 ? "span.worse" : "span", {}, times(row.straggler))],
    ["of all time", ".number", share],
    ["job waits", ".number.phone-hidden", (row) => seconds(row.job.median)],
    ["samples", ".number.phone-hidden", (row) => count(row.samples)],
  ], kind.stages);
  return el("section", {},
    el("h2", { id: `kind-${number}` }, `Stages of a ${kind.kind}`),
    el("p.hint", {}, `${plural(kind.starts, "attempt")}. In no stage: ${percent(kind.idle_share, 1)} of the nodes' time.`),
    el("div.scroll", {}, table));
}

function showStarts() {
  fillTable(byId("starts"), [
    ["start", "", startName],
    ["kind", "", (row) => row.kind],
    ["nodes", ".number", (row) => count(row.nodes)],
    ["took", ".number", (row) => seconds(row.seconds)],
    ["straggler", ".number", (row) => times(row.straggler)],
    ["slowest node", "", (row) => visible(row.slowest[0]?.node ?? "")],
    ["never ended", ".number", (row) => count(row.unended)],
    ["clocks off by", ".number", (row) => (row.aligned_at ? seconds(row.clocks_off_seconds) : "not known")],
    ["began", ".phone-hidden", (row) => moment(row.began_ns / 1e9)],
  ], report.starts);
}

function showChanges() {
  byId("compared").hidden = !report.changes.length;
  const ratio = (row) =>
    row.ratio === null ? "–" : el(row.ratio >= 1 ? "span.better" : "span.worse", {}, times(row.ratio));
  fillTable(byId("changes"), [
    ["stage", "", (row) => (row.stage ? visible(row.stage) : el("b", {}, `whole ${row.kind}`))],
    ["baseline", ".number", (row) => seconds(row.before?.median)],
    ["these", ".number", (row) => seconds(row.after?.median)],
    ["faster", ".number", ratio],
    ["slowest, baseline", ".number", (row) => seconds(row.before?.max)],
    ["slowest, these", ".number", (row) => seconds(row.after?.max)],
  ], report.changes);
}

function showGantt() {
  if (!picture.starts.length) return;
  const state = { hidden: new Set(), start: null, byNode: [], rows: [], from: 0, to: 1, end: 1 };
  const which = byId("which");
  const label = (start) => `${startName(report.starts[start.row])}: ${seconds(report.starts[start.row].seconds)}`;
  which.replaceChildren(...picture.starts.map((start, number) => el("option", { value: number }, label(start))));
  const chart = gantt(byId("gantt"), state, picture.stages, colours);

  function choose() {
    state.start = picture.starts[Number(which.value)];
    state.byNode = spansByNode(state.start);
    state.from = 0;
    state.to = state.end = endOf(state.start);
    const used = new Set(state.start.stage);
    byId("legend").replaceChildren(...picture.stages.map((name, stage) => (used.has(stage) ? legendItem(name, stage) : null)).filter(Boolean));
    arrange();
  }
  function arrange() {
    state.rows = orderedNodes(state.start, state.byNode, byId("order").value, byId("filter").value);
    byId("matches").textContent = `${count(state.rows.length)} of ${plural(state.start.nodes.length, "node")}`;
    byId("gantt").setAttribute("aria-label", `Stages of ${plural(state.rows.length, "node")} over ${seconds(state.end / 1000)}`);
    byId("gantt").scrollTop = 0;
    chart.soon();
  }
  function legendItem(name, stage) {
    const dot = el("i.swatch", {});
    dot.style.background = colours[stage];
    const button = el("button", { type: "button" }, dot, visible(name));
    button.setAttribute("aria-pressed", String(!state.hidden.has(stage)));
    button.addEventListener("click", () => {
      if (!state.hidden.delete(stage)) state.hidden.add(stage);
      button.setAttribute("aria-pressed", String(!state.hidden.has(stage)));
      chart.soon();
    });
    return el("li", {}, button);
  }
  which.addEventListener("change", choose);
  byId("order").addEventListener("change", arrange);
  byId("filter").addEventListener("input", arrange);
  byId("nearer").addEventListener("click", () => chart.zoom(0.5));
  byId("farther").addEventListener("click", () => chart.zoom(2));
  byId("whole").addEventListener("click", () => chart.zoom(Infinity));
  const left = picture.left_out ? ` ${plural(picture.left_out, "more start")} did not fit on this page.` : "";
  byId("gantt-hint").textContent = `A row a node. Click a stage to hide it; Ctrl and the wheel, or + and -, zoom; drag to move. Pale: never ended.${left}`;
  onThemeChange(() => {
    colours.splice(0, colours.length, ...stageColours(picture.stages));
    showKinds();
    choose();
  });
  choose();
}

function showReading() {
  const trouble = report.trouble;
  const said = {
    broken: "lines were no events", duplicates: "events were there twice", disordered: "were written out of order",
    unended: "stages never ended", unbegun: "ends had no beginning", lost: "could not be written",
    homeless: "stages of daemons belong to no start",
  };
  const found = Object.entries(said).filter(([name]) => trouble[name]).map(([name, text]) => `${count(trouble[name])} ${text}`);
  byId("reading").replaceChildren(...[
    "A stage's time on a node is how long it went on there, on any rank. Stages may overlap and hold others, so shares may add up to more than all.",
    "Straggler: the slowest node's time by the median node's, the median over attempts. The job waits from the first node's beginning to the last one's end.",
    "A full start makes an image ready on a node; a hot update starts processes in containers that are there.",
    report.starts.some((start) => start.aligned_at)
      ? "Clocks of nodes were set against each other by a stage that all leave at once."
      : "Clocks of nodes are taken as they are: no stage said that all leave it at once. What is between nodes may be off by as much.",
    found.length ? `Of the events, ${found.join("; ")}. The rest is shown.` : "All events could be used.",
    ...report.notes.map(visible),
  ].map((text) => el("li", {}, text)));
  byId("foot").textContent = "Made by bootseer profile report.";
}

showHead();
showKinds();
showChanges();
showStarts();
showReading();
showGantt();
