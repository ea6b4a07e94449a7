// Every node's stages over time. Only the rows in view are drawn: 5,000 nodes scroll like fifty.

const GANTT = { axis: 24, names: 150, fewest: 5, tallest: 22, slimmest: 2 };

/** Draws into `host`; `state` says what: {start, byNode, rows, hidden: Set of stages, from, to}. */
function gantt(host, state, stages, colours) {
  const canvas = el("canvas", {});
  const room = el("div.room", {});
  host.replaceChildren(canvas, room);
  const brush = canvas.getContext("2d");
  let pending = false;

  const names = () => (host.clientWidth < 560 ? 0 : GANTT.names);
  const rowHeight = () => {
    const fitting = (host.clientHeight - GANTT.axis - 4) / Math.max(state.rows.length, GANTT.fewest);
    return Math.min(Math.max(fitting, state.rows.length > 400 ? GANTT.slimmest + 2 : 9), GANTT.tallest);
  };
  const x = (ms) => names() + ((ms - state.from) / (state.to - state.from)) * (host.clientWidth - names());
  const msAt = (place) => state.from + ((place - names()) / (host.clientWidth - names())) * (state.to - state.from);

  function draw() {
    pending = false;
    const width = host.clientWidth;
    const height = host.clientHeight;
    const scale = devicePixelRatio || 1;
    const tall = rowHeight();
    canvas.width = width * scale;
    canvas.height = height * scale;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    room.style.height = `${Math.max(state.rows.length * tall + GANTT.axis - height, 0)}px`;
    brush.setTransform(scale, 0, 0, scale, 0, 0);
    brush.clearRect(0, 0, width, height);
    drawAxis(width, height);
    const first = Math.floor(host.scrollTop / tall);
    const last = Math.min(first + Math.ceil((height - GANTT.axis) / tall) + 1, state.rows.length);
    brush.save();
    brush.beginPath();
    brush.rect(0, GANTT.axis, width, height);
    brush.clip();
    for (let row = first; row < last; row++) drawRow(row, GANTT.axis + row * tall - host.scrollTop, tall);
    brush.restore();
  }

  function drawAxis(width, height) {
    const step = timeStep(state.to - state.from, width < 560 ? 4 : 9);
    brush.font = "12px system-ui, sans-serif";
    brush.fillStyle = variable("--muted");
    brush.strokeStyle = variable("--line");
    for (let at = Math.ceil(state.from / step) * step; at <= state.to; at += step) {
      const place = Math.round(x(at)) + 0.5;
      brush.beginPath();
      brush.moveTo(place, GANTT.axis - 5);
      brush.lineTo(place, height);
      brush.stroke();
      brush.textAlign = place + 30 > width ? "right" : place < 30 ? "left" : "center";
      brush.fillText(tick(at), place, 14);
    }
  }

  function drawRow(row, top, tall) {
    const { start, byNode } = state;
    const node = state.rows[row];
    const inner = Math.max(tall - (tall > 6 ? 2 : tall > 3 ? 1 : 0), 1);
    for (const span of byNode[node]) {
      const stage = start.stage[span];
      if (stage >= 0 && state.hidden.has(stage)) continue;
      const open = start.length[span] < 0;
      const end = open ? state.end : start.begin[span] + start.length[span];
      if (end < state.from || start.begin[span] > state.to) continue;
      const left = Math.max(x(start.begin[span]), names());
      const right = Math.max(x(end), left + 1);
      brush.globalAlpha = open ? 0.35 : 1;
      brush.fillStyle = stage < 0 ? variable("--other") : colours[stage];
      brush.fillRect(left, top, right - left, inner);
    }
    brush.globalAlpha = 1;
    if (names() && tall >= 9) {
      brush.textAlign = "left";
      brush.fillStyle = variable("--ink");
      brush.font = `${Math.min(tall - 1, 12)}px system-ui, sans-serif`;
      brush.fillText(shortened(visible(start.nodes[node])), 8, top + inner / 2 + 4);
    }
  }

  const shortened = (name) => (name.length > 20 ? `${name.slice(0, 9)}…${name.slice(-9)}` : name);

  /** Draws in the next frame; as often as one likes. */
  function soon() {
    if (pending) return;
    pending = true;
    requestAnimationFrame(draw);
  }

  /** Shows `factor` of the time that is shown, around a moment. */
  function zoom(factor, around = (state.from + state.to) / 2) {
    const length = Math.min(Math.max((state.to - state.from) * factor, 1), state.end);
    const share = (around - state.from) / (state.to - state.from);
    state.from = Math.min(Math.max(around - length * share, 0), state.end - length);
    state.to = state.from + length;
    soon();
  }

  function move(ms) {
    const length = state.to - state.from;
    state.from = Math.min(Math.max(state.from + ms, 0), state.end - length);
    state.to = state.from + length;
    soon();
  }

  function tell(event) {
    const box = canvas.getBoundingClientRect();
    const ms = msAt(event.clientX - box.left);
    const row = Math.floor((event.clientY - box.top - GANTT.axis + host.scrollTop) / rowHeight());
    const node = state.rows[row];
    if (node === undefined || event.clientY - box.top < GANTT.axis) return tooltip.hide();
    const { start, byNode } = state;
    const goingOn = byNode[node].filter((span) => {
      const length = start.length[span] < 0 ? state.end : start.length[span];
      return start.begin[span] <= ms && ms <= start.begin[span] + length && !state.hidden.has(start.stage[span]);
    });
    const line = (span) =>
      el("div.row", {},
        el("span", {}, stageName(span)),
        el("span", {}, start.length[span] < 0 ? "never ended" : seconds(start.length[span] / 1000)));
    const stageName = (span) => {
      const rank = start.rank[span] < 0 ? "" : `, rank ${start.rank[span]}`;
      return `${start.stage[span] < 0 ? "a stage that never ended" : visible(stages[start.stage[span]])}${rank}`;
    };
    const head = el("b", {}, `${visible(start.nodes[node])}: ${seconds(start.totals[node] / 1000)}`);
    const shown = goingOn.slice(0, 12).map(line);
    const more = goingOn.length > 12 ? [el("div.muted", {}, `and ${goingOn.length - 12} more`)] : [];
    tooltip.show(event.clientX, event.clientY, head, el("div.muted", {}, `after ${seconds(ms / 1000)}`), ...shown, ...more);
  }

  let held = null;
  canvas.addEventListener("pointerdown", (event) => (held = event.pointerType === "mouse" ? event.clientX : null));
  addEventListener("pointerup", () => (held = null));
  canvas.addEventListener("pointermove", (event) => {
    if (held !== null) {
      move(((held - event.clientX) / (host.clientWidth - names())) * (state.to - state.from));
      held = event.clientX;
    }
    tell(event);
  });
  canvas.addEventListener("pointerleave", () => tooltip.hide());
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey && !event.shiftKey) return;
    event.preventDefault();
    const around = msAt(event.clientX - canvas.getBoundingClientRect().left);
    zoom(Math.exp((event.deltaY || event.deltaX) / 400), around);
  }, { passive: false });
  host.addEventListener("keydown", (event) => {
    const keys = {
      "+": () => zoom(0.5),
      "-": () => zoom(2),
      ArrowLeft: () => move((state.from - state.to) / 5),
      ArrowRight: () => move((state.to - state.from) / 5),
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  host.addEventListener("scroll", () => {
    tooltip.hide();
    soon();
  });
  onResize(host, soon);
  return { soon, zoom };
}
