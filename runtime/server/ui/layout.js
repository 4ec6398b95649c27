// Where the nodes of the tree lie: on rings by depth, leaves evenly round the circle. Used by
// tree.js. Linear in the number of nodes; the same tree always lies the same way.

const RING = 90;
const LEAF_ARC = 16;

// parents: index of each node's parent, -1 below the root, parents before children.
export function layOut({ parents, sizes }) {
  const n = parents.length;
  const depth = new Int32Array(n);
  const leaves = new Int32Array(n);
  const children = new Int32Array(n);
  let deepest = 0;
  for (let i = 0; i < n; i++) {
    const parent = parents[i];
    depth[i] = parent < 0 ? 1 : depth[parent] + 1;
    if (parent >= 0) children[parent]++;
    if (depth[i] > deepest) deepest = depth[i];
  }
  let total = 0;
  for (let i = n - 1; i >= 0; i--) {
    if (!children[i]) leaves[i] = 1;
    if (parents[i] >= 0) leaves[parents[i]] += leaves[i];
    else total += leaves[i];
  }
  // Far enough out that the leaves of the outer ring do not touch.
  const ring = Math.max(RING, (total * LEAF_ARC) / (2 * Math.PI * Math.max(deepest, 1)));
  const start = new Float64Array(n);
  const used = new Float64Array(n);
  const x = new Float32Array(n);
  const y = new Float32Array(n);
  const r = new Float32Array(n);
  const turn = (2 * Math.PI) / Math.max(total, 1);
  let rootUsed = 0;
  for (let i = 0; i < n; i++) {
    const parent = parents[i];
    const before = parent < 0 ? rootUsed : used[parent];
    start[i] = parent < 0 ? before : start[parent] + before;
    if (parent < 0) rootUsed += leaves[i];
    else used[parent] += leaves[i];
    const angle = (start[i] + leaves[i] / 2) * turn - Math.PI / 2;
    x[i] = Math.cos(angle) * depth[i] * ring;
    y[i] = Math.sin(angle) * depth[i] * ring;
    // The area stands for the tokens.
    r[i] = Math.min(26, 2 + Math.sqrt(sizes[i]) * 0.9);
  }
  return { x, y, r, extent: (deepest + 0.5) * ring };
}

// Finds the node under a point without looking at all of them: squares of a grid.
export function makeIndex({ x, y, r, extent }) {
  const cell = Math.max(60, (2 * extent) / 200);
  const cells = new Map();
  const keyOf = (column, row) => column * 100003 + row;
  for (let i = 0; i < x.length; i++) {
    const key = keyOf(Math.floor(x[i] / cell), Math.floor(y[i] / cell));
    const members = cells.get(key);
    if (members) members.push(i);
    else cells.set(key, [i]);
  }
  return (px, py, slack) => {
    let best = -1;
    let bestGap = slack;
    const column = Math.floor(px / cell);
    const row = Math.floor(py / cell);
    for (let c = column - 1; c <= column + 1; c++) {
      for (let w = row - 1; w <= row + 1; w++) {
        for (const i of cells.get(keyOf(c, w)) ?? []) {
          const gap = Math.hypot(x[i] - px, y[i] - py) - r[i];
          if (gap < bestGap) {
            best = i;
            bestGap = gap;
          }
        }
      }
    }
    return best;
  };
}
