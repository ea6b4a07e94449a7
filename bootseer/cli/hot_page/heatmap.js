// A layer's data area as rows of squares: where the hot blocks lie, coloured by first touch.

const NARROW = 700;

/** Draws one layer's map into `host`; returns {host, outline(first block, blocks) or outline(null)}. */
function heatMap(host, report, row, clock) {
  const layer = report.layers[row];
  const { cells } = layer;
  const blocks = layer.data_bytes / report.block_bytes;
  const total = Math.ceil(blocks / report.cell_blocks);
  const place = new Map(cells.cell.map((cell, n) => [cell, n]));
  const canvas = el("canvas", { tabIndex: 0 });
  canvas.setAttribute("role", "img");
  canvas.setAttribute(
    "aria-label",
    `${layerName(layer)}: ${bytes(layer.hot_blocks * report.block_bytes)} of ${bytes(layer.data_bytes)} hot. Arrow keys walk through it.`,
  );
  host.append(canvas);
  let theme = readTheme();
  let columns = 1;
  let pitch = 9;
  let chosen = null; // the cell under the pointer or the keyboard
  let marked = null; // [first, last] cell of a file

  const blocksIn = (cell) => Math.min(report.cell_blocks, blocks - cell * report.cell_blocks);

  function draw() {
    pitch = host.clientWidth < NARROW ? 7 : 9;
    columns = Math.max(1, Math.floor(host.clientWidth / pitch));
    const height = Math.ceil(total / columns) * pitch;
    const width = Math.min(total, columns) * pitch;
    const scale = devicePixelRatio || 1;
    Object.assign(canvas, { width: width * scale, height: height * scale });
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    const side = pitch - 1;
    pen.fillStyle = theme.cold;
    for (let cell = 0; cell < total; cell++) pen.fillRect((cell % columns) * pitch, Math.floor(cell / columns) * pitch, side, side);
    cells.cell.forEach((cell, n) => {
      if (cells.first_ms[n] > clock.ms) return;
      // The area tells how much of the cell is hot, but never so little that the colour is lost.
      const size = Math.max(3, Math.round(side * Math.sqrt(cells.hot[n] / blocksIn(cell))));
      const inset = (side - size) / 2;
      pen.fillStyle = theme.ramp(clock.share(cells.first_ms[n]));
      pen.fillRect((cell % columns) * pitch + inset, Math.floor(cell / columns) * pitch + inset, size, size);
    });
    pen.strokeStyle = theme.ink;
    if (marked) drawOutline(pen);
    if (chosen !== null) {
      pen.lineWidth = 2;
      pen.strokeRect((chosen % columns) * pitch - 0.5, Math.floor(chosen / columns) * pitch - 0.5, side + 1, side + 1);
    }
  }

  /** Draws the edge around the cells of a file: between those that belong to it and those that don't. */
  function drawOutline(pen) {
    const inside = (cell) => cell >= marked[0] && cell <= marked[1];
    pen.lineWidth = 1.5;
    pen.beginPath();
    for (let cell = marked[0]; cell <= marked[1]; cell++) {
      const [x, y] = [(cell % columns) * pitch - 0.5, Math.floor(cell / columns) * pitch - 0.5];
      const line = (a, b, c, d) => (pen.moveTo(a, b), pen.lineTo(c, d));
      if (!inside(cell - columns)) line(x, y, x + pitch, y);
      if (!inside(cell + columns)) line(x, y + pitch, x + pitch, y + pitch);
      if (!inside(cell - 1) || cell % columns === 0) line(x, y, x, y + pitch);
      if (!inside(cell + 1) || cell % columns === columns - 1) line(x + pitch, y, x + pitch, y + pitch);
    }
    pen.stroke();
  }

  function describe(cell) {
    const first = cell * report.cell_blocks * report.block_bytes;
    const last = Math.min(first + report.cell_blocks * report.block_bytes, layer.data_bytes);
    const where = el("div.muted", {}, `${layerName(layer)}, ${offset(first)} to ${offset(last)} of its data area`);
    const n = place.get(cell);
    if (n === undefined) return [where, "not touched"];
    const size = report.block_bytes;
    const file = report.files[cells.file[n]];
    const inFile = file && (cells.block[n] - file.start) * size;
    return [
      file ? el("div", {}, ...pathParts(file.path)) : el("b", {}, layer.named ? "no file's" : "unknown file"),
      file ? `from ${offset(inFile)} in the file of ${bytes(file.size)}` : null,
      `first touched after ${time(cells.first_ms[n])}`,
      `hot: ${bytes(cells.hot[n] * size)}, ${plural(cells.hot[n], "block")} of ${count(blocksIn(cell))}`,
      where,
    ].filter((line) => line !== null);
  }

  function choose(cell, x, y) {
    if (cell === null) tooltip.hide();
    else tooltip.show(x, y, ...describe(cell));
    if (cell !== chosen) {
      chosen = cell;
      draw();
    }
  }

  canvas.addEventListener("pointermove", (event) => {
    const column = Math.floor(event.offsetX / pitch);
    const cell = Math.floor(event.offsetY / pitch) * columns + column;
    const hit = column >= 0 && column < columns && cell >= 0 && cell < total;
    choose(hit ? cell : null, event.clientX, event.clientY);
  });
  canvas.addEventListener("pointerleave", () => choose(null));
  canvas.addEventListener("blur", () => choose(null));
  canvas.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
    if (!(event.key in steps)) return;
    event.preventDefault();
    const cell = chosen === null ? 0 : Math.min(Math.max(chosen + steps[event.key], 0), total - 1);
    const box = canvas.getBoundingClientRect();
    choose(cell, box.left + (cell % columns) * pitch, box.top + Math.floor(cell / columns) * pitch);
  });
  clock.listen(draw);
  onThemeChange(() => {
    theme = readTheme();
    draw();
  });
  onResize(host, draw);
  return {
    host,
    outline(first, length) {
      const last = first + length - 1;
      marked = first === null ? null : [Math.floor(first / report.cell_blocks), Math.floor(last / report.cell_blocks)];
      draw();
    },
  };
}
