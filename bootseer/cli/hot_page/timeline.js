// What was touched by when: areas stacked by layer.

const TIMELINE = { height: 250, left: 62, right: 12, top: 10, bottom: 24 };

/** The layers to draw, bottom of the stack first: {name, colour, blocks: touched by the end of each bucket}. */
function timelineSeries(report, colours) {
  const rows = report.timeline.blocks;
  const other = { name: "other layers", colour: "var(--other)", blocks: rows[0]?.map(() => 0) ?? [] };
  const series = [];
  report.layers.forEach((layer, row) => {
    if (colours[row] !== other.colour) {
      series.push({ name: layerName(layer), colour: colours[row], blocks: rows[row] });
    } else {
      other.blocks = other.blocks.map((blocks, bucket) => blocks + rows[row][bucket]);
    }
  });
  return [...series, other].filter((one) => one.blocks.at(-1) > 0);
}

/** Draws the timeline into `host`; `clock` is the moment that the page looks at. */
function drawTimeline(host, report, series, clock) {
  const bucket = report.timeline.bucket_ms;
  const buckets = report.timeline.blocks[0]?.length ?? 0;
  const end = Math.max(buckets, 1) * bucket;
  const total = Math.max(report.hot_bytes, 1);
  const block = report.block_bytes;
  const { height, left, right, top, bottom } = TIMELINE;

  function draw() {
    const width = Math.max(host.clientWidth, 240);
    const x = (ms) => left + ((width - left - right) * Math.min(ms, end)) / end;
    const y = (size) => height - bottom - ((height - top - bottom) * size) / total;
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img" });
    picture.setAttribute("aria-label", `${bytes(report.hot_bytes)} touched within ${time(report.last_ms)}`);
    drawAxes(picture, x, y, width);
    let below = new Array(buckets).fill(0);
    for (const one of series) {
      const above = below.map((blocks, n) => blocks + one.blocks[n]);
      const edge = (line) => line.map((blocks, n) => `${x((n + 1) * bucket)},${y(blocks * block)}`);
      const outline = [`${x(0)},${y(0)}`, ...edge(above), ...edge(below).reverse()];
      picture.append(svg("path", { d: `M${outline.join("L")}Z`, fill: one.colour }));
      below = above;
    }
    const later = svg("rect", { class: "later", y: top, height: height - top - bottom });
    const now = svg("line", { class: "moment", y1: top, y2: height - bottom });
    const cursor = svg("line", { class: "cursor", y1: top, y2: height - bottom, visibility: "hidden" });
    picture.append(later, now, cursor);
    listen(picture, cursor, (place) => ((place - left) / (width - left - right)) * end, x);
    host.replaceChildren(picture);
    show = () => {
      const at = x(clock.ms);
      later.setAttribute("x", at);
      later.setAttribute("width", Math.max(width - right - at, 0));
      now.setAttribute("x1", at);
      now.setAttribute("x2", at);
      now.setAttribute("visibility", clock.ms < clock.end ? "visible" : "hidden");
      later.setAttribute("visibility", clock.ms < clock.end ? "visible" : "hidden");
    };
    show();
  }

  function drawAxes(picture, x, y, width) {
    const size = niceStep(total, 4, block > total ? 1 : 1000);
    for (let at = 0; at <= total; at += size) {
      picture.append(svg("line", { class: "grid", x1: left, x2: width - right, y1: y(at), y2: y(at) }));
      picture.append(svg("text", { x: left - 8, y: y(at) + 4, "text-anchor": "end" }, at ? bytes(at).replace(".0 ", " ") : "0"));
    }
    const step = niceStep(end, width < 500 ? 4 : 8);
    for (let at = 0; at <= end; at += step) {
      const anchor = x(at) + 16 > width ? "end" : "middle";
      picture.append(svg("text", { x: x(at), y: height - 6, "text-anchor": anchor }, at === 0 || at >= 1000 ? `${at / 1000} s` : `${at} ms`));
    }
  }

  function listen(picture, cursor, msAt, x) {
    const momentAt = (event) =>
      Math.min(Math.max(msAt(event.clientX - picture.getBoundingClientRect().left), 0), end);
    picture.addEventListener("pointermove", (event) => {
      const ms = momentAt(event);
      const at = Math.min(Math.floor(ms / bucket), buckets - 1);
      cursor.setAttribute("x1", x(ms));
      cursor.setAttribute("x2", x(ms));
      cursor.setAttribute("visibility", "visible");
      const line = (name, blocks, mark) =>
        el("div.row", {}, el("span", {}, mark, name), el("span", {}, bytes(blocks * block)));
      const mark = (colour) => {
        const made = el("span.swatch", {});
        made.style.background = colour;
        return made;
      };
      const sum = series.reduce((blocks, one) => blocks + one.blocks[at], 0);
      const lines = [...series].reverse().map((one) => line(one.name, one.blocks[at], mark(one.colour)));
      tooltip.show(event.clientX, event.clientY, el("b", {}, `After ${time((at + 1) * bucket)}`), ...lines, line("all", sum, ""));
      if (event.buttons & 1) clock.set(Math.round(ms));
    });
    picture.addEventListener("pointerleave", () => {
      cursor.setAttribute("visibility", "hidden");
      tooltip.hide();
    });
    picture.addEventListener("pointerdown", (event) => clock.set(Math.round(momentAt(event))));
  }

  let show = () => {};
  clock.listen(() => show());
  onResize(host, draw);
}
