// The colours of heat maps.

/** The colours of the current theme. `ramp(0..1)` is the colour of a moment, early to late. */
function readTheme() {
  const stops = [0, 1, 2, 3, 4].map((n) => variable(`--t${n}`).match(/\w\w/g).map((hex) => parseInt(hex, 16)));
  return {
    cold: variable("--cold"),
    ink: variable("--ink"),
    ramp(share) {
      const place = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
      const at = Math.min(Math.floor(place), stops.length - 2);
      const mixed = stops[at].map((from, n) => Math.round(from + (stops[at + 1][n] - from) * (place - at)));
      return `rgb(${mixed.join(" ")})`;
    },
  };
}

const LAYER_COLOURS = 6;

/** Gives the layers with the most hot blocks a colour each, all others one: a list by row. */
function layerColours(layers) {
  const order = layers.map((_, row) => row).sort((a, b) => layers[b].hot_blocks - layers[a].hot_blocks);
  const colours = layers.map(() => "var(--other)");
  order.slice(0, LAYER_COLOURS).forEach((row, rank) => (colours[row] = `var(--l${rank})`));
  return colours;
}
