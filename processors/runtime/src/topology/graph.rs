//! The topology as nodes and edges, for drawing. Dead-letter topics are left out: they would hide the flow.

use super::Topology;
use super::model::Topic;

/// What a node stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NodeKind {
    Topic,
    Own,
    Processor,
    Sink,
    Connector,
}

/// What an edge stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum EdgeKind {
    /// Records flow.
    Flow,
    /// Every task reads all of it.
    Broadcast,
    /// Written and read by its processor alone.
    Own,
}

/// A box of the drawing.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: NodeKind,
    pub(super) name: String,
    /// A few words under the name.
    pub(super) note: String,
    pub(super) doc: String,
}

/// An arrow of the drawing, between indexes of nodes.
#[derive(Debug)]
pub(super) struct Edge {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) kind: EdgeKind,
    /// Closes a circle; a layout draws it back.
    pub(super) feedback: bool,
}

/// Nodes and edges.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    pub(super) edges: Vec<Edge>,
}

pub(super) fn graph(topology: &Topology) -> Graph {
    let mut nodes = Vec::new();
    let mut node = |kind, name: &str, note: String, doc: &str| {
        nodes.push(Node { kind, name: name.to_owned(), note, doc: doc.to_owned() });
    };
    for topic in &topology.topics {
        let own = topology.is_own(&topic.name);
        let kind = if own { NodeKind::Own } else { NodeKind::Topic };
        node(kind, &topic.name, topic_note(topic), &topic.doc);
    }
    for spec in &topology.processors {
        let note = if spec.state { "keeps state" } else { "no state" };
        node(NodeKind::Processor, &spec.name, note.into(), &spec.doc);
    }
    for spec in &topology.sinks {
        node(NodeKind::Sink, &spec.name, "view".into(), &spec.doc);
    }
    for spec in &topology.connectors {
        node(NodeKind::Connector, &spec.name, "outside".into(), &spec.doc);
    }
    let edges = edges(topology);
    let mut graph = Graph { nodes, edges };
    mark_feedback(&mut graph);
    graph
}

fn topic_note(topic: &Topic) -> String {
    let count = topic.partitions;
    match topic.key.as_deref() {
        None => format!("{count} partitions"),
        Some(key) => format!("by {key} · {count}"),
    }
}

fn edges(topology: &Topology) -> Vec<Edge> {
    let topic_index = |name: &str| topology.topics.iter().position(|topic| topic.name == name);
    let mut edges = Vec::new();
    for (index, component) in topology.components().iter().enumerate() {
        let component_index = topology.topics.len() + index;
        for (key, topic) in &component.reads {
            let kind = if *key == "broadcast" { EdgeKind::Broadcast } else { EdgeKind::Flow };
            edges.extend(topic_index(topic).map(|from| Edge { from, to: component_index, kind, feedback: false }));
        }
        for (key, topic) in &component.writes {
            let kind = if matches!(*key, "journal" | "snapshots") { EdgeKind::Own } else { EdgeKind::Flow };
            edges.extend(topic_index(topic).map(|to| Edge { from: component_index, to, kind, feedback: false }));
        }
    }
    edges
}

/// Marks each edge that leads back to a node on the way to it. The walk begins at nodes that nothing flows into, so
/// that the main flow keeps its direction.
fn mark_feedback(graph: &mut Graph) {
    let count = graph.nodes.len();
    let has_input = |node: usize| graph.edges.iter().any(|edge| edge.to == node);
    let mut starts: Vec<usize> = (0..count).collect();
    starts.sort_by_key(|node| has_input(*node));
    let mut walk = Walk { edges: &mut graph.edges, on_path: vec![false; count], done: vec![false; count] };
    for start in starts {
        walk.visit(start);
    }
}

struct Walk<'a> {
    edges: &'a mut [Edge],
    on_path: Vec<bool>,
    done: Vec<bool>,
}

impl Walk<'_> {
    fn visit(&mut self, node: usize) {
        if self.done[node] {
            return;
        }
        self.on_path[node] = true;
        for index in 0..self.edges.len() {
            let Edge { from, to, .. } = self.edges[index];
            if from == node && self.on_path[to] {
                self.edges[index].feedback = true;
            } else if from == node {
                self.visit(to);
            }
        }
        self.on_path[node] = false;
        self.done[node] = true;
    }
}
