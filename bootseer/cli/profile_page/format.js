// Times as text.

/** Seconds, with as many digits as say something. */
function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 100) return `${value.toFixed(value < 10 ? 2 : 1)} s`;
  if (value < 6000) return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
  return `${(value / 3600).toFixed(1)} h`;
}

/** A moment on an axis: what is smaller than the step is not said. */
function tick(ms) {
  if (!ms) return "0";
  if (ms < 1000) return `${ms} ms`;
  const minutes = Math.floor(ms / 60_000);
  const rest = (ms % 60_000) / 1000;
  if (minutes >= 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return minutes ? `${minutes} min${rest ? ` ${rest}` : ""}` : `${rest} s`;
}

/** The smallest time that people count in which cuts `most` ms into at most `steps`. */
function timeStep(most, steps) {
  const minutes = [1, 2, 5, 10, 15, 30, 60, 120, 360, 720, 1440].map((count) => count * 60_000);
  const small = niceStep(most, steps);
  return small <= 20_000 ? small : [30_000, ...minutes].find((step) => most / step <= steps) ?? niceStep(most, steps, 86_400_000);
}

const times = (ratio) => `${ratio.toFixed(2)}×`;

/** What a start is called. */
const startName = (start) => `${visible(start.job) || "no job"}, attempt ${start.attempt}`;
