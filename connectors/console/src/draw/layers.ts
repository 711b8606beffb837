/**
 * A layered layout for the pipeline's graph: each node stands right of what it comes from, neighbours stand close.
 * Plain steps for small graphs (tens of nodes): cut cycles, longest-path layers, a few sweeps by the mean of neighbours.
 */

export interface Node {
  id: string;
  kind: "topic" | "component";
}
export type Edge = readonly [from: string, to: string];

export interface Placed extends Node {
  layer: number;
  row: number;
}
export interface Layout {
  nodes: Placed[];
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

function layerOf(nodes: readonly Node[], forward: readonly Edge[]): Map<string, number> {
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

export function layout(nodes: readonly Node[], edges: readonly Edge[]): Layout {
  const ids = new Set(nodes.map((node) => node.id));
  const known = edges.filter(([from, to]) => ids.has(from) && ids.has(to) && from !== to);
  const back = backEdges(nodes, known);
  const forward = known.filter((edge) => !back.has(edge));
  const layers = layerOf(nodes, forward);
  const columns: Node[][] = [];
  for (const node of nodes) (columns[layers.get(node.id) ?? 0] ??= []).push(node);
  for (let index = 0; index < columns.length; index++) columns[index] ??= [];

  const place = new Map<string, number>();
  const spread = () => {
    for (const column of columns) {
      column.forEach((node, index) => place.set(node.id, index - (column.length - 1) / 2));
    }
  };
  spread();
  for (let sweep = 0; sweep < 6; sweep++) {
    const order = sweep % 2 === 0 ? columns : [...columns].reverse();
    for (const column of order) {
      const pull = new Map(
        column.map((node) => {
          const near = forward.flatMap(([a, b]) => (a === node.id ? [b] : b === node.id ? [a] : []));
          const sum = near.reduce((total, id) => total + (place.get(id) ?? 0), 0);
          return [node.id, near.length > 0 ? sum / near.length : (place.get(node.id) ?? 0)];
        }),
      );
      column.sort((a, b) => (pull.get(a.id) ?? 0) - (pull.get(b.id) ?? 0));
      column.forEach((node, index) => place.set(node.id, index - (column.length - 1) / 2));
    }
  }
  const rows = Math.max(1, ...columns.map((column) => column.length));
  const middle = (rows - 1) / 2;
  return {
    nodes: nodes.map((node) => ({
      ...node,
      layer: layers.get(node.id) ?? 0,
      row: (place.get(node.id) ?? 0) + middle,
    })),
    edges: known.map((edge) => ({ from: edge[0], to: edge[1], back: back.has(edge) })),
    layers: columns.length,
    rows,
  };
}
