/**
 * A layered layout for the pipeline's graph: each node stands right of what it comes from, neighbours stand close.
 * Plain steps for small graphs (tens of nodes): cut cycles, longest-path layers, waypoints for edges that pass layers
 * (shared by all edges of one node, so that a topic with many readers is one line that branches), a few sweeps by the
 * mean of neighbours.
 */

export interface Node {
  id: string;
  kind: "topic" | "component";
}
export type Edge = readonly [from: string, to: string];

export interface Spot {
  layer: number;
  /** Rows may be halves: each layer is centred. */
  row: number;
}
export interface Layout {
  nodes: (Node & Spot)[];
  /** Waypoints by the node that they lead away from, in the order of their layers. */
  waypoints: Map<string, Spot[]>;
  edges: { from: string; to: string; back: boolean }[];
  layers: number;
  rows: number;
}

/** Edges that close a cycle, found depth first from the nodes that nothing feeds. */
function backEdges(nodes: readonly Node[], edges: readonly Edge[]): Set<Edge> {
  const out = new Map<string, Edge[]>(nodes.map((node) => [node.id, []]));
  const fed = new Set(edges.map(([, to]) => to));
  for (const edge of edges) out.get(edge[0])?.push(edge);
  const state = new Map<string, "open" | "done">();
  const back = new Set<Edge>();
  const visit = (id: string) => {
    state.set(id, "open");
    for (const edge of out.get(id) ?? []) {
      const seen = state.get(edge[1]);
      if (seen === "open") back.add(edge);
      else if (!seen) visit(edge[1]);
    }
    state.set(id, "done");
  };
  const sourcesFirst = [...nodes].sort((a, b) => Number(fed.has(a.id)) - Number(fed.has(b.id)));
  for (const node of sourcesFirst) if (!state.has(node.id)) visit(node.id);
  return back;
}

function layersOf(nodes: readonly Node[], forward: readonly Edge[]): Map<string, number> {
  const layers = new Map(nodes.map((node) => [node.id, 0]));
  // Longest paths; no cycles are left, so as many rounds as there are nodes suffice.
  for (let round = 0; round < nodes.length; round++) {
    let moved = false;
    for (const [from, to] of forward) {
      const least = (layers.get(from) ?? 0) + 1;
      if ((layers.get(to) ?? 0) < least) {
        layers.set(to, least);
        moved = true;
      }
    }
    if (!moved) break;
  }
  // What feeds only a later layer stands next to it, not at the far left; last layers first, so that chains follow.
  const lastFirst = [...nodes].sort((a, b) => (layers.get(b.id) ?? 0) - (layers.get(a.id) ?? 0));
  for (const node of lastFirst) {
    const targets = forward.filter(([from]) => from === node.id).map(([, to]) => layers.get(to) ?? 0);
    if (targets.length > 0) layers.set(node.id, Math.min(...targets) - 1);
  }
  return layers;
}

const waypoint = (from: string, layer: number) => `${from}@${layer}`;

/** Columns of ids, waypoints included, and the links between neighbouring columns. */
function columnsOf(nodes: readonly Node[], forward: readonly Edge[], layers: ReadonlyMap<string, number>) {
  const columns: string[][] = [];
  const links: Edge[] = [];
  const put = (layer: number, id: string) => (columns[layer] ??= []).push(id);
  for (const node of nodes) put(layers.get(node.id) ?? 0, node.id);
  for (const node of nodes) {
    const start = layers.get(node.id) ?? 0;
    const targets = forward.filter(([from]) => from === node.id).map(([, to]) => to);
    const last = Math.max(start, ...targets.map((to) => layers.get(to) ?? 0));
    for (let layer = start + 1; layer < last; layer++) {
      put(layer, waypoint(node.id, layer));
      links.push([layer === start + 1 ? node.id : waypoint(node.id, layer - 1), waypoint(node.id, layer)]);
    }
    for (const to of targets) {
      const before = (layers.get(to) ?? 0) - 1;
      links.push([before === start ? node.id : waypoint(node.id, before), to]);
    }
  }
  return { columns: Array.from(columns, (column) => column ?? []), links };
}

/** Orders each column by where its neighbours stand; the row of each id, centred on 0. */
function rowsOf(columns: string[][], links: readonly Edge[]): Map<string, number> {
  const near = new Map<string, string[]>();
  const join = (a: string, b: string) => near.set(a, [...(near.get(a) ?? []), b]);
  for (const [a, b] of links) {
    join(a, b);
    join(b, a);
  }
  const rows = new Map<string, number>();
  const settle = (column: string[]) => column.forEach((id, index) => rows.set(id, index - (column.length - 1) / 2));
  columns.forEach(settle);
  for (let sweep = 0; sweep < 8; sweep++) {
    for (const column of sweep % 2 === 0 ? columns : [...columns].reverse()) {
      const pull = new Map(
        column.map((id) => {
          const around = near.get(id) ?? [];
          const sum = around.reduce((total, other) => total + (rows.get(other) ?? 0), 0);
          return [id, around.length > 0 ? sum / around.length : (rows.get(id) ?? 0)];
        }),
      );
      column.sort((a, b) => (pull.get(a) ?? 0) - (pull.get(b) ?? 0));
      settle(column);
    }
  }
  return rows;
}

export function layout(nodes: readonly Node[], edges: readonly Edge[]): Layout {
  const ids = new Set(nodes.map((node) => node.id));
  const known = edges.filter(([from, to]) => ids.has(from) && ids.has(to) && from !== to);
  const back = backEdges(nodes, known);
  const forward = known.filter((edge) => !back.has(edge));
  const layers = layersOf(nodes, forward);
  const { columns, links } = columnsOf(nodes, forward, layers);
  const placed = rowsOf(columns, links);
  const rows = Math.max(1, ...columns.map((column) => column.length));
  const row = (id: string) => (placed.get(id) ?? 0) + (rows - 1) / 2;
  const waypoints = new Map<string, Spot[]>();
  for (const { id } of nodes) {
    const spots: Spot[] = [];
    for (let layer = (layers.get(id) ?? 0) + 1; placed.has(waypoint(id, layer)); layer++) {
      spots.push({ layer, row: row(waypoint(id, layer)) });
    }
    waypoints.set(id, spots);
  }
  return {
    nodes: nodes.map((node) => ({ ...node, layer: layers.get(node.id) ?? 0, row: row(node.id) })),
    waypoints,
    edges: known.map((edge) => ({ from: edge[0], to: edge[1], back: back.has(edge) })),
    layers: columns.length,
    rows,
  };
}
