// Puts the page together.

const report = JSON.parse(byId("report").textContent);
const colours = layerColours(report.layers);
const REPLAY_MS = 6000;
const CHIPS = 5;

/** The moment that the page looks at: what was touched later is not shown. */
const clock = {
  ms: report.last_ms,
  end: report.last_ms,
  listeners: [],
  set(ms) {
    this.ms = Math.min(Math.max(ms, 0), this.end);
    for (const listener of this.listeners) listener();
  },
  listen(listener) {
    this.listeners.push(listener);
  },
  share(ms) {
    return ms / Math.max(this.end, 1);
  },
};

function showSummary() {
  const data = `${bytes(report.hot_bytes)} of ${bytes(report.data_bytes)}`;
  const share = percent(report.hot_bytes, report.data_bytes);
  // Of a digest the beginning is enough; a long reference breaks behind a slash or colon, if it must.
  const name = visible(report.reference).replace(/(@sha256:\w{12})\w+$/, "$1");
  byId("title").append(...name.split(/(?<=[/:@])/).flatMap((part) => [part, document.createElement("wbr")]));
  byId("lead").append(
    "To start, a container of this image reads ",
    el("b", {}, data),
    `: ${share}. Which blocks those are, and in which order, was recorded in ${plural(report.runs.length, "start")},`,
    " so that a node can fetch them first and leave the rest for later.",
  );
  const bar = el("i", {});
  bar.style.width = `${(100 * report.hot_bytes) / Math.max(report.data_bytes, 1)}%`;
  const tile = (name, big, small, more = null) =>
    byId("tiles").append(el("div", {}, el("dt", {}, name), el("dd.big", {}, big), el("dd.small", {}, small), more));
  tile("hot data", bytes(report.hot_bytes), `${count(report.hot_blocks)} blocks of 4 KiB`);
  tile("part of the image", share, `of ${bytes(report.data_bytes)}`, el("dd", {}, el("div.share", {}, bar)));
  tile("files touched", count(report.hot_files), `in ${plural(report.layers.filter((one) => one.hot_blocks).length, "layer")} of ${report.layers.length}`);
  tile("all touched within", time(report.last_ms), "of the container's start");
  tile("recorded starts", count(report.runs.length), report.workload ? `of workload ${visible(report.workload)}` : "of the default workload");
}

function showLegend(series) {
  for (const one of series) {
    const mark = el("span.swatch", {});
    mark.style.background = one.colour;
    byId("legend").append(el("li", {}, mark, `${one.name}: ${bytes(one.blocks.at(-1) * report.block_bytes)}`));
  }
}

/** Draws the map of every layer that was touched; returns them by row. */
function showMaps() {
  const cell = binary(report.cell_blocks * report.block_bytes);
  byId("scale").textContent =
    `Each square is ${cell} of a layer's file contents, in the order of the layer, on one scale for all layers.` +
    " Its colour says when it was touched first, its filled part how much of it is hot. Grey was never touched.";
  const maps = report.layers.map((layer, row) => {
    if (!layer.hot_blocks) return null;
    const size = layer.hot_blocks * report.block_bytes;
    const mark = el("span.swatch", {});
    mark.style.background = colours[row];
    const facts = [`${bytes(size)} of ${bytes(layer.data_bytes)} hot (${percent(size, layer.data_bytes)})`];
    facts.push(layer.named ? plural(layer.hot_files, "file") : "no index for these blocks: file names unknown");
    if (layer.runs < report.runs.length) facts.push(`watched in ${plural(layer.runs, "start")}`);
    const host = el("div", {});
    const head = el("h3.layer-head", {}, el("b", {}, mark, layerName(layer)), el("code", { title: layer.digest }, shortDigest(layer.digest)));
    head.append(el("span.facts", {}, facts.join(", ")));
    byId("maps").append(el("div.layer", {}, head, host));
    return heatMap(host, report, row, clock);
  });
  const quiet = report.layers.filter((layer) => !layer.hot_blocks);
  if (quiet.length) {
    const size = quiet.reduce((sum, layer) => sum + layer.data_bytes, 0);
    byId("maps").append(el("p.hint.quiet", {}, `Not touched at all: ${quiet.map(layerName).join(", ")} (${bytes(size)}).`));
  }
  return maps;
}

/** Where files lie in the maps: pointed at for a moment, or gone to and kept in sight. */
function filePlaces(maps) {
  let kept = null;
  function outline(file) {
    for (const map of maps) map?.outline(null);
    if (file) maps[file.layer]?.outline(file.start, Math.ceil(file.size / report.block_bytes));
  }
  return {
    /** Outlines a file while the pointer or the keyboard is on an element. */
    pointTo(file, element) {
      for (const event of ["pointerenter", "focusin"]) element.addEventListener(event, () => outline(file));
      for (const event of ["pointerleave", "focusout"]) element.addEventListener(event, () => outline(kept));
    },
    go(file) {
      kept = kept === file ? null : file;
      outline(kept);
      if (kept) maps[file.layer]?.host.scrollIntoView({ block: "center", behavior: "smooth" });
    },
  };
}

/** Shows, below each map, its layer's files with the most hot data. */
function showChips(maps, places) {
  maps.forEach((map, row) => {
    if (!map) return;
    const chips = el("div.chips", {});
    for (const file of report.files.filter((one) => one.layer === row).slice(0, CHIPS)) {
      const name = visible(file.path.slice(file.path.lastIndexOf("/") + 1));
      const size = ` ${bytes(file.hot_blocks * report.block_bytes)}`;
      const chip = el("button", { type: "button", title: visible(file.path) }, el("b", {}, name), size);
      places.pointTo(file, chip);
      chip.addEventListener("click", () => places.go(file));
      chips.append(chip);
    }
    map.host.after(chips);
  });
}

function showPlayer() {
  const slider = byId("moment");
  let began = null;
  slider.max = clock.end;
  byId("end").textContent = time(clock.end);
  const { blocks, bucket_ms: bucket } = report.timeline;

  /** Blocks touched by the moment of the clock. */
  function touched() {
    if (clock.ms >= clock.end) return report.hot_blocks;
    const before = Math.floor(clock.ms / bucket) - 1;
    return before < 0 ? 0 : blocks.reduce((sum, row) => sum + row[before], 0);
  }

  function step(now) {
    if (began === null) return;
    began ||= now;
    const share = Math.min((now - began) / REPLAY_MS, 1);
    clock.set(Math.round(share * clock.end));
    if (share < 1) requestAnimationFrame(step);
    else stop();
  }

  function stop() {
    began = null;
    byId("play").textContent = "Replay";
  }

  clock.listen(() => {
    slider.value = clock.ms;
    byId("now").replaceChildren(el("b", {}, time(clock.ms)), ` · ${bytes(touched() * report.block_bytes)} touched`);
  });
  slider.addEventListener("input", () => {
    stop();
    clock.set(Number(slider.value));
  });
  byId("play").addEventListener("click", () => {
    if (began !== null) return stop();
    began = 0;
    byId("play").textContent = "Stop";
    requestAnimationFrame(step);
  });
}

function showRuns() {
  const reasons = {
    window: "time was over",
    quiet: "nothing new for a while",
    full: "enough was recorded",
    stopped: "the container ended or was told to",
    interrupted: "interrupted",
  };
  for (const run of report.runs) {
    byId("runs").tBodies[0].append(
      el(
        "tr",
        {},
        el("td", {}, moment(run.created)),
        el("td.number", {}, bytes(run.hot_blocks * report.block_bytes)),
        el("td.number", {}, time(run.length_ms)),
        el("td", {}, reasons[run.ended]),
        el("td", {}, visible(run.kernel)),
        el("td", {}, visible(run.architecture)),
      ),
    );
  }
}

function showReading() {
  const item = (...parts) => byId("reading").append(el("li", {}, ...parts));
  item("A ", el("b", {}, "block"), " is 4 KiB of a file in the image. ", el("b", {}, "Hot"), " is what the container itself read while it started, not what a read-ahead guessed.");
  item("A layer's ", el("b", {}, "data area"), " is the contents of its files, one behind the other; names and attributes are not in it. A file whose name is touched, but not its contents, is not here.");
  if (report.runs.length > 1) item("Starts are merged: a block stays if two of them touched it, or if fewer than three could have. Times are those of a median start.");
  item("Times are first touches: a block that was read a hundred times counts once, at its first.");
  byId("foot").textContent = `manifest ${report.manifest}. Made by bootseer hot show; this page fetches nothing.`;
}

showSummary();
const series = timelineSeries(report, colours);
showLegend(series);
drawTimeline(byId("timeline"), report, series, clock);
const maps = showMaps();
const places = filePlaces(maps);
showChips(maps, places);
fileTable(report, colours, clock, places);
showPlayer();
showRuns();
showReading();
clock.set(clock.end);
