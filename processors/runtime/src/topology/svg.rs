//! The topology as an SVG drawing: shapes, lines and a legend around what [`super::layout`] placed.

use super::Topology;
use super::graph::{Edge, EdgeKind, Graph, Node, NodeKind, graph};
use super::layout::{Input, Layout, layout};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

const MARGIN: f64 = 24.0;
/// Height of a node, and for each edge that comes in, so that tips don't lie on each other.
const NODE_HEIGHT: f64 = 46.0;
const TIP_HEIGHT: f64 = 10.0;
/// Width of a character of the name (13 px) and of the note (11 px) in a monospaced face, rounded up.
const NAME_CHARACTER: f64 = 8.0;
const NOTE_CHARACTER: f64 = 6.8;
const PADDING: f64 = 13.0;
/// How far beneath everything the feedback runs.
const FEEDBACK_DROP: f64 = 26.0;
const LEGEND_HEIGHT: f64 = 44.0;
/// How far beneath the other edges those of a journal and of snapshots start.
const JOURNAL_DROP: f64 = 13.0;
const CORNER: f64 = 10.0;

const STYLE: &str = "
  .page { fill: #ffffff }
  text { font-family: ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; text-anchor: middle; fill: #0f172a }
  .name { font-size: 13px; font-weight: 600 }
  .note { font-size: 11px; fill: #475569 }
  .left { text-anchor: start }
  .shape { stroke-width: 1.5 }
  .topic { fill: #dbeafe; stroke: #2563eb }
  .journal { fill: #f1f5f9; stroke: #64748b; stroke-dasharray: 4 3 }
  .processor { fill: #fef3c7; stroke: #b45309 }
  .sink { fill: #dcfce7; stroke: #15803d }
  .connector { fill: #f3e8ff; stroke: #7e22ce }
  .edge { fill: none; stroke: #64748b; stroke-width: 1.5 }
  .dashed { stroke-dasharray: 5 4 }
  .back { stroke: #dc2626 }
  .tip { fill: #64748b }
  .backtip { fill: #dc2626 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0b1220 }
    text { fill: #e2e8f0 }
    .note { fill: #a3b1c6 }
    .topic { fill: #172a4d; stroke: #60a5fa }
    .journal { fill: #1b2434; stroke: #94a3b8 }
    .processor { fill: #3a2a0d; stroke: #f59e0b }
    .sink { fill: #12301f; stroke: #4ade80 }
    .connector { fill: #2c1a41; stroke: #c084fc }
    .edge { stroke: #8796ad }
    .back { stroke: #f87171 }
    .tip { fill: #8796ad }
    .backtip { fill: #f87171 }
  }
";

const MARKERS: &str = "  <defs>
    <marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" \
markerUnits=\"userSpaceOnUse\" orient=\"auto-start-reverse\"><path class=\"tip\" d=\"M0,0.5 L8,4 L0,7.5 Z\"/></marker>
    <marker id=\"backtip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" \
markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path class=\"backtip\" d=\"M0,0.5 L8,4 L0,7.5 Z\"/></marker>
  </defs>
";

pub(super) fn svg(topology: &Topology) -> String {
    let graph = graph(topology);
    let layout = layout(&layout_input(&graph));
    let feedback = graph.edges.iter().filter(|edge| edge.feedback).count() as f64;
    let bottom = layout.height + feedback * FEEDBACK_DROP;
    let legend_width = LEGEND.iter().map(|(_, text)| legend_entry_width(text)).sum();
    let width = layout.columns.last().map_or(0.0, |(_, right)| *right).max(legend_width) + 2.0 * MARGIN;
    let height = bottom + LEGEND_HEIGHT + 2.0 * MARGIN;
    let mut drawing = Drawing { graph: &graph, layout: &layout, text: String::new() };
    drawing.add(format_args!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\" role=\"img\" aria-labelledby=\"title\">\n  <title id=\"title\">Topics and components of \
         {}</title>\n  <style>{STYLE}  </style>\n{MARKERS}  <rect class=\"page\" width=\"100%\" height=\"100%\"/>\n  \
         <g transform=\"translate({MARGIN},{MARGIN})\">\n",
        escape(&topology.file_name)
    ));
    drawing.edges();
    drawing.feedback();
    for index in 0..graph.nodes.len() {
        drawing.node(index);
    }
    drawing.legend(bottom + LEGEND_HEIGHT);
    drawing.add(format_args!("  </g>\n</svg>\n"));
    drawing.text
}

fn layout_input(graph: &Graph) -> Input {
    let is = |node: usize, kind: NodeKind| graph.nodes[node].kind == kind;
    let from_outside = |topic: usize| {
        let mut writers = graph.edges.iter().filter(|edge| edge.to == topic);
        is(topic, NodeKind::Topic) && writers.all(|edge| is(edge.from, NodeKind::Connector))
    };
    let only_writes = |node: usize| is(node, NodeKind::Connector) && !graph.edges.iter().any(|edge| edge.to == node);
    Input {
        sizes: (0..graph.nodes.len()).map(|node| (node_width(&graph.nodes[node]), node_height(graph, node))).collect(),
        edges: graph.edges.iter().filter(|edge| !edge.feedback).map(|edge| (edge.from, edge.to)).collect(),
        late: (0..graph.nodes.len()).map(|node| from_outside(node) || only_writes(node)).collect(),
    }
}

fn node_width(node: &Node) -> f64 {
    let name = node.name.chars().count() as f64 * NAME_CHARACTER;
    let note = node.note.chars().count() as f64 * NOTE_CHARACTER;
    name.max(note) + 2.0 * PADDING
}

fn node_height(graph: &Graph, node: usize) -> f64 {
    let arriving = graph.edges.iter().filter(|edge| edge.to == node).count() as f64;
    NODE_HEIGHT.max((arriving + 1.0) * TIP_HEIGHT)
}

/// A point between two nodes or lanes.
type Point = (f64, f64);

struct Drawing<'a> {
    graph: &'a Graph,
    layout: &'a Layout,
    text: String,
}

impl Drawing<'_> {
    fn add(&mut self, what: std::fmt::Arguments<'_>) {
        // Writing to a String can't fail.
        let _ = self.text.write_fmt(what);
    }

    fn right_of(&self, node: usize) -> Point {
        let (x, y) = self.layout.centers[node];
        (x + node_width(&self.graph.nodes[node]) / 2.0, y)
    }

    /// Forward edges: each piece of a shared trunk once, then the end of each edge with its tip.
    fn edges(&mut self) {
        let ports = self.ports();
        let mut drawn = BTreeSet::new();
        for (index, edge) in self.graph.edges.iter().enumerate().filter(|(_, edge)| !edge.feedback) {
            let mut from = self.right_of(edge.from);
            if edge.kind == EdgeKind::Own {
                from.1 += JOURNAL_DROP;
            }
            for layer in self.layout.layer[edge.from] + 1..self.layout.layer[edge.to] {
                let Some(y) = self.layout.lanes.get(&(edge.from, layer)) else { continue };
                let (left, right) = self.layout.columns[layer];
                if drawn.insert((edge.from, layer)) {
                    let curve = curve(from, (left, *y));
                    self.add(format_args!("    <path class=\"edge\" d=\"{curve} H{right:.1}\"/>\n"));
                }
                from = (right, *y);
            }
            let class = if edge.kind == EdgeKind::Flow { "edge" } else { "edge dashed" };
            let both = if edge.kind == EdgeKind::Own { " marker-start=\"url(#tip)\"" } else { "" };
            let curve = curve(from, ports[&index]);
            self.add(format_args!("    <path class=\"{class}\" d=\"{curve}\"{both} marker-end=\"url(#tip)\"/>\n"));
        }
    }

    /// Where each edge arrives: spread over the left border of its target, in the order in which they come.
    fn ports(&self) -> BTreeMap<usize, Point> {
        let mut ports = BTreeMap::new();
        for (node, (x, y)) in self.layout.centers.iter().enumerate() {
            let mut arriving: Vec<(f64, usize)> = Vec::new();
            for (index, edge) in self.graph.edges.iter().enumerate().filter(|(_, edge)| edge.to == node) {
                let lane =
                    self.layout.layer[node].checked_sub(1).and_then(|at| self.layout.lanes.get(&(edge.from, at)));
                // What is fed back comes from beneath.
                let from = if edge.feedback {
                    f64::INFINITY
                } else {
                    lane.copied().unwrap_or(self.layout.centers[edge.from].1)
                };
                arriving.push((from, index));
            }
            arriving.sort_by(|a, b| a.0.total_cmp(&b.0));
            let first = y - TIP_HEIGHT * (arriving.len() as f64 - 1.0) / 2.0;
            let left = x - node_width(&self.graph.nodes[node]) / 2.0;
            for (place, (_, index)) in arriving.iter().enumerate() {
                ports.insert(*index, (left, first + TIP_HEIGHT * place as f64));
            }
        }
        ports
    }

    /// Edges that close a circle run back beneath everything.
    fn feedback(&mut self) {
        let ports = self.ports();
        let back: Vec<(usize, &Edge)> = self.graph.edges.iter().enumerate().filter(|(_, edge)| edge.feedback).collect();
        for (place, (index, edge)) in back.into_iter().enumerate() {
            let (x, y) = self.right_of(edge.from);
            let (end_x, end_y) = ports[&index];
            let bottom = self.layout.height + FEEDBACK_DROP * (place as f64 + 1.0) - 4.0;
            let right = self.layout.columns[self.layout.layer[edge.from]].1 + 16.0;
            let left = self.layout.columns[self.layout.layer[edge.to]].0 - 16.0;
            self.add(format_args!(
                "    <path class=\"edge dashed back\" d=\"M{x:.1},{y:.1} H{:.1} q{CORNER},0 {CORNER},{CORNER} V{:.1} \
                 q0,{CORNER} -{CORNER},{CORNER} H{:.1} q-{CORNER},0 -{CORNER},-{CORNER} V{:.1} q0,-{CORNER} \
                 {CORNER},-{CORNER} H{end_x:.1}\" marker-end=\"url(#backtip)\"/>\n",
                right - CORNER,
                bottom - CORNER,
                left + CORNER,
                end_y + CORNER,
            ));
        }
    }

    fn node(&mut self, index: usize) {
        let (node, (x, y)) = (&self.graph.nodes[index], self.layout.centers[index]);
        let (width, height) = (node_width(node), node_height(self.graph, index));
        self.add(format_args!("    <g><title>{}: {}</title>\n", escape(&node.name), escape(&node.doc)));
        self.shape(node.kind, (x - width / 2.0, y - height / 2.0), (width, height));
        // The lid of a database takes the top of its shape.
        let shift = if node.kind == NodeKind::Sink { 4.0 } else { 0.0 };
        let (name_y, note_y) = (y - 3.0 + shift, y + 13.0 + shift);
        self.add(format_args!(
            "      <text class=\"name\" x=\"{x:.1}\" y=\"{name_y:.1}\">{}</text>\n      \
             <text class=\"note\" x=\"{x:.1}\" y=\"{note_y:.1}\">{}</text>\n    </g>\n",
            escape(&node.name),
            escape(&node.note),
        ));
    }

    fn shape(&mut self, kind: NodeKind, (x, y): Point, (width, height): (f64, f64)) {
        let (class, half) = (class(kind), height / 2.0);
        match kind {
            NodeKind::Topic | NodeKind::Own | NodeKind::Processor => {
                let radius = if kind == NodeKind::Processor { 4.0 } else { half };
                self.add(format_args!(
                    "      <rect class=\"shape {class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" \
                     height=\"{height:.1}\" rx=\"{radius:.1}\"/>\n"
                ));
            }
            NodeKind::Sink => {
                let (lid, radius) = (height / 9.0, width / 2.0);
                let side = height - 2.0 * lid;
                let top = y + lid;
                self.add(format_args!(
                    "      <path class=\"shape {class}\" d=\"M{x:.1},{top:.1} a{radius:.1},{lid:.1} 0 0 1 {width:.1},0 \
                     v{side:.1} a{radius:.1},{lid:.1} 0 0 1 -{width:.1},0 Z m0,0 a{radius:.1},{lid:.1} 0 0 0 \
                     {width:.1},0\"/>\n"
                ));
            }
            NodeKind::Connector => {
                let cut = height / 4.0;
                let flat = width - 2.0 * cut;
                let start = x + cut;
                self.add(format_args!(
                    "      <path class=\"shape {class}\" d=\"M{start:.1},{y:.1} h{flat:.1} l{cut:.1},{half:.1} \
                     l-{cut:.1},{half:.1} h-{flat:.1} l-{cut:.1},-{half:.1} Z\"/>\n"
                ));
            }
        }
    }

    fn legend(&mut self, y: f64) {
        let mut x = 0.0;
        for (sample, text) in LEGEND {
            let middle = y - 4.0;
            let end = x + SAMPLE_WIDTH;
            match sample {
                Sample::Shape(kind) => self.shape(kind, (x, middle - 9.0), (SAMPLE_WIDTH, 18.0)),
                Sample::Line(class) => {
                    let tip = if class.contains("back") { "backtip" } else { "tip" };
                    self.add(format_args!(
                        "      <path class=\"{class}\" d=\"M{x:.1},{middle:.1} H{end:.1}\" marker-end=\"url(#{tip})\"/>\n"
                    ));
                }
            }
            let start = end + 8.0;
            self.add(format_args!("      <text class=\"note left\" x=\"{start:.1}\" y=\"{y:.1}\">{text}</text>\n"));
            x += legend_entry_width(text);
        }
    }
}

const SAMPLE_WIDTH: f64 = 34.0;

enum Sample {
    Shape(NodeKind),
    Line(&'static str),
}

const LEGEND: [(Sample, &str); 7] = [
    (Sample::Shape(NodeKind::Connector), "from outside"),
    (Sample::Shape(NodeKind::Topic), "topic: by key · partitions"),
    (Sample::Shape(NodeKind::Processor), "processor"),
    (Sample::Shape(NodeKind::Own), "its journal, its snapshots"),
    (Sample::Shape(NodeKind::Sink), "view in a database"),
    (Sample::Line("edge dashed"), "every task reads all"),
    (Sample::Line("edge dashed back"), "feedback"),
];

fn legend_entry_width(text: &str) -> f64 {
    SAMPLE_WIDTH + 8.0 + text.chars().count() as f64 * NOTE_CHARACTER + 24.0
}

const fn class(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::Topic => "topic",
        NodeKind::Own => "journal",
        NodeKind::Processor => "processor",
        NodeKind::Sink => "sink",
        NodeKind::Connector => "connector",
    }
}

fn curve((x, y): Point, (to_x, to_y): Point) -> String {
    let middle = (x + to_x) / 2.0;
    format!("M{x:.1},{y:.1} C{middle:.1},{y:.1} {middle:.1},{to_y:.1} {to_x:.1},{to_y:.1}")
}

/// Text as XML wants it; what XML can't hold at all is left out.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            control if control.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}
