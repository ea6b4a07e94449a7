// The nodes of a start in the order in which they are drawn, each with its spans.

/** Groups the columns of a start by node: for every node the numbers of its spans, long ones first. */
function spansByNode(start) {
  const byNode = start.nodes.map(() => []);
  start.node.forEach((node, span) => byNode[node].push(span));
  // Short stages inside long ones stay to be seen when they are drawn last.
  for (const spans of byNode) spans.sort((a, b) => start.length[b] - start.length[a]);
  return byNode;
}

/** Returns the numbers of the nodes whose name holds `text`, in an order. */
function orderedNodes(start, byNode, order, text) {
  const rows = start.nodes.map((_, node) => node).filter((node) => start.nodes[node].includes(text));
  const first = (node) => Math.min(...byNode[node].map((span) => start.begin[span]));
  const keys = {
    slow: (a, b) => start.totals[b] - start.totals[a],
    name: (a, b) => start.nodes[a].localeCompare(start.nodes[b], "en", { numeric: true }),
    begin: (a, b) => first(a) - first(b),
  };
  return rows.sort(keys[order]);
}

/** The end of the last span, in ms: stages without an end go on until then. */
const endOf = (start) =>
  start.begin.reduce((end, begin, span) => Math.max(end, begin + Math.max(start.length[span], 0)), 1);
