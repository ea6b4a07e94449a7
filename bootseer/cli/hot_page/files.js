// The table of files: sorted, filtered, a page at a time.

const FIRST_ROWS = 25;
const MORE_ROWS = 500;
const FILE_COLUMNS = [
  { title: "file", key: (file) => file.path },
  { title: "layer", key: (file) => file.layer },
  { title: "hot data", key: (file) => -file.hot_blocks, number: true },
  { title: "of the file", key: (file) => -file.hot_blocks / Math.max(file.size, 1), number: true },
  { title: "first touch", key: (file) => file.first_ms, number: true },
];

/** Draws the table of files; `places` shows where one lies. */
function fileTable(report, colours, clock, places) {
  const body = byId("files").tBodies[0];
  const most = Math.max(...report.files.map((file) => file.hot_blocks), 1);
  let sorted = 2;
  let rows = FIRST_ROWS;
  let theme;

  const headers = FILE_COLUMNS.map((column, number) => {
    const sort = el("button", { type: "button" }, column.title);
    sort.addEventListener("click", () => {
      sorted = number;
      draw();
    });
    return el(column.number ? "th.number" : "th", {}, sort);
  });
  byId("files").tHead.append(el("tr", {}, ...headers));

  function line(file) {
    const path = el("button.path", { type: "button", title: "Show in the map" }, ...pathParts(file.path));
    const links = file.other_names ? el("span.links", {}, ` +${plural(file.other_names, "hard link")}`) : null;
    const layer = el("span.swatch", {});
    layer.style.background = colours[file.layer];
    const when = el("span.swatch", {});
    when.style.background = theme.ramp(clock.share(file.first_ms));
    const bar = el("i", {});
    bar.style.width = `${(100 * file.hot_blocks) / most}%`;
    const size = file.hot_blocks * report.block_bytes;
    const position = report.layers[file.layer].position;
    const made = el(
      "tr",
      {},
      el("td", {}, path, links),
      el("td", {}, layer, position === null ? "none" : String(position)),
      el("td.number", {}, bytes(size), el("span.bar", {}, bar)),
      el("td.number", {}, `${percent(Math.min(size, file.size), file.size)} of ${bytes(file.size)}`),
      el("td.number", {}, when, time(file.first_ms)),
    );
    places.pointTo(file, made);
    path.addEventListener("click", () => places.go(file));
    return made;
  }

  function draw() {
    theme = readTheme();
    const wanted = byId("filter").value.toLowerCase();
    const key = FILE_COLUMNS[sorted].key;
    const found = report.files
      .filter((file) => file.path.toLowerCase().includes(wanted))
      .sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
    const shown = found.slice(0, rows);
    body.replaceChildren(...shown.map(line));
    headers.forEach((header, number) => {
      if (number === sorted) header.setAttribute("aria-sort", "ascending");
      else header.removeAttribute("aria-sort");
    });
    const size = found.reduce((sum, file) => sum + file.hot_blocks, 0) * report.block_bytes;
    byId("matches").textContent = `${plural(found.length, "file")}, ${bytes(size)} hot`;
    byId("more").hidden = shown.length === found.length;
    byId("more").textContent = `Show more (${count(found.length - shown.length)} left)`;
  }

  byId("filter").addEventListener("input", draw);
  byId("more").addEventListener("click", () => {
    rows += MORE_ROWS;
    draw();
  });
  onThemeChange(draw);
  draw();
}
