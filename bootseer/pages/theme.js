// Colours as the style sheet has them, for what is drawn by hand.

const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Calls back when the reader's theme changes. */
const onThemeChange = (callback) =>
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", callback);
