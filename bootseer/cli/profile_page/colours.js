// A colour for each stage, in the order in which stages usually begin.

const STAGE_HUES = [212, 172, 45, 18, 338, 285, 255, 135, 85, 0, 195, 310];

/** Gives each stage a colour: {name: CSS colour}; neighbours in time differ most. */
function stageColours(names) {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const colour = (row) => {
    const round = Math.floor(row / STAGE_HUES.length);
    const light = (dark ? 62 : 47) + (round % 3) * 9;
    return `hsl(${STAGE_HUES[row % STAGE_HUES.length]} ${58 - (round % 3) * 12}% ${light}%)`;
  };
  return names.map((_, row) => colour(row));
}
