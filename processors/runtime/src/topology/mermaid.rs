//! The topology as a Mermaid flowchart, which GitHub and most wikis draw.

use super::Topology;
use super::graph::{EdgeKind, Graph, Node, NodeKind, graph};
use std::fmt::Write;

pub(super) fn mermaid(topology: &Topology) -> String {
    let Graph { nodes, edges } = graph(topology);
    let mut text = String::from("flowchart LR\n");
    for node in &nodes {
        let (open, close) = match node.kind {
            NodeKind::Topic | NodeKind::Own => ("([", "])"),
            NodeKind::Processor => ("[[", "]]"),
            NodeKind::Sink => ("[(", ")]"),
            NodeKind::Connector => ("{{", "}}"),
        };
        // Writing to a String can't fail.
        let _ = writeln!(text, "  {}{open}\"{}<br/>{}\"{close}", id(node), escape(&node.name), escape(&node.note));
    }
    for edge in &edges {
        let arrow = match (edge.feedback, edge.kind) {
            (true, _) => "-. feedback .->",
            (false, EdgeKind::Flow) => "-->",
            (false, EdgeKind::Broadcast) => "-. to every task .->",
            (false, EdgeKind::Own) => "<-.->",
        };
        let _ = writeln!(text, "  {} {arrow} {}", id(&nodes[edge.from]), id(&nodes[edge.to]));
    }
    for (class, kind) in CLASSES {
        let members: Vec<String> = nodes.iter().filter(|node| node.kind == kind).map(id).collect();
        if !members.is_empty() {
            let _ = writeln!(text, "  class {} {class}", members.join(","));
        }
    }
    text.push_str(COLOURS);
    text
}

const CLASSES: [(&str, NodeKind); 5] = [
    ("topic", NodeKind::Topic),
    ("journal", NodeKind::Own),
    ("processor", NodeKind::Processor),
    ("sink", NodeKind::Sink),
    ("connector", NodeKind::Connector),
];

/// Legible on a light and on a dark page.
const COLOURS: &str = "  classDef topic fill:#dbeafe,stroke:#2563eb,color:#0f172a
  classDef journal fill:#f1f5f9,stroke:#64748b,color:#0f172a,stroke-dasharray:4 3
  classDef processor fill:#fef3c7,stroke:#b45309,color:#0f172a
  classDef sink fill:#dcfce7,stroke:#15803d,color:#0f172a
  classDef connector fill:#f3e8ff,stroke:#7e22ce,color:#0f172a
";

/// An identifier that no two nodes share: kind, then the name with each byte but letters and digits replaced.
fn id(node: &Node) -> String {
    let mut id = String::from(match node.kind {
        NodeKind::Topic | NodeKind::Own => "topic_",
        NodeKind::Processor => "processor_",
        NodeKind::Sink => "sink_",
        NodeKind::Connector => "connector_",
    });
    for character in node.name.chars() {
        match character {
            '.' => id.push('_'),
            letter if letter.is_ascii_alphanumeric() => id.push(letter),
            other => {
                let _ = write!(id, "_{:x}_", u32::from(other));
            }
        }
    }
    id
}

/// Text within double quotes, where Mermaid reads `#code;` and HTML.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '#' | '&' | '<' | '>' => {
                let _ = write!(escaped, "#{};", u32::from(character));
            }
            other => escaped.push(other),
        }
    }
    escaped
}
