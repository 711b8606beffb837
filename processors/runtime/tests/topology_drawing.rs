//! The drawings of the topology: Mermaid to the letter, SVG well-formed and with nothing clipped.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;
use tapeline_runtime::topology::Topology;

#[test]
fn mermaid_is_as_expected() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/topology.mmd");
    let drawn = Topology::embedded().unwrap().mermaid();
    if std::env::var_os("TAPELINE_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, &drawn).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    assert_eq!(drawn, golden, "if the change is meant: TAPELINE_WRITE_GOLDEN=1 cargo test -p tapeline-runtime mermaid");
}

/// Leaves the drawing in `target/tmp/topology.svg` for a look.
#[test]
fn svg_is_well_formed_and_shows_everything() {
    let topology = Topology::embedded().unwrap();
    let svg = topology.svg();
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("topology.svg"), &svg).unwrap();
    let document = roxmltree::Document::parse(&svg).unwrap();
    let texts: Vec<&str> =
        document.descendants().filter(|node| node.has_tag_name("text")).filter_map(|n| n.text()).collect();
    let names = topology.topics.iter().map(|topic| &topic.name);
    let names = names.chain(topology.processors.iter().map(|spec| &spec.name));
    let names = names.chain(topology.sinks.iter().map(|spec| &spec.name));
    for name in names.chain(topology.connectors.iter().map(|spec| &spec.name)) {
        assert!(texts.contains(&name.as_str()), "{name} is not drawn");
    }
    assert_eq!(svg, Topology::embedded().unwrap().svg(), "drawn twice, it is the same");
}

#[test]
fn svg_boxes_are_within_the_page_and_apart() {
    let svg = Topology::embedded().unwrap().svg();
    let document = roxmltree::Document::parse(&svg).unwrap();
    let number = |node: &roxmltree::Node<'_, '_>, name: &str| node.attribute(name).unwrap().parse::<f64>().unwrap();
    let page = (number(&document.root_element(), "width"), number(&document.root_element(), "height"));
    let boxes: Vec<(f64, f64, f64, f64)> = document
        .descendants()
        .filter(|node| node.has_tag_name("rect") && node.attribute("x").is_some())
        .map(|rect| (number(&rect, "x"), number(&rect, "y"), number(&rect, "width"), number(&rect, "height")))
        .collect();
    for (index, (x, y, width, height)) in boxes.iter().enumerate() {
        assert!(*x >= 0.0 && *y >= 0.0 && x + width <= page.0 && y + height <= page.1, "box {index} leaves the page");
        for (other_x, other_y, other_width, other_height) in &boxes[..index] {
            let beside = x + width <= *other_x || other_x + other_width <= *x;
            assert!(
                beside || y + height <= *other_y || other_y + other_height <= *y,
                "box {index} lies on another one"
            );
        }
    }
}

#[test]
fn text_is_escaped() {
    let text = r#"
        [topics.a]
        doc = "Quotes \" and <tags> & more"
        key = "<b>\"k\" & #1"
        partitions = 1
    "#;
    let topology = Topology::parse(text, "<x>&.toml").unwrap();
    assert!(roxmltree::Document::parse(&topology.svg()).is_ok(), "{}", topology.svg());
    assert!(topology.mermaid().contains("topic_a([\"a<br/>by #60;b#62;#34;k#34; #38; #35;1 · 1\"])"));
}

#[test]
fn an_empty_topology_and_a_circle_can_be_drawn() {
    let empty = Topology::parse("", "empty.toml").unwrap();
    assert!(roxmltree::Document::parse(&empty.svg()).is_ok());
    let circle = "
        [topics.a]\ndoc = 'a'\npartitions = 1\n[topics.b]\ndoc = 'b'\npartitions = 1
        [processors.p]\ndoc = 'p'\ninputs = ['a', 'b']\noutputs = ['b']
        [processors.q]\ndoc = 'q'\ninputs = ['b']\noutputs = ['a']";
    let circle = Topology::parse(circle, "circle.toml").unwrap();
    assert!(roxmltree::Document::parse(&circle.svg()).is_ok());
    assert_eq!(circle.mermaid().matches("feedback").count(), 2);
}
