//! Where the nodes of a graph stand: layers from left to right by longest path, few crossings, straight long edges.
//!
//! An edge over several layers runs in a lane through each layer between; edges of one node share their lanes, so that a
//! topic that three components read has one trunk. Nothing here knows what a node looks like beyond its size.

use std::collections::BTreeMap;

/// Between two layers, for the edges, pixels: at least, and for each edge.
const COLUMN_GAP: f64 = 36.0;
const EDGE_GAP: f64 = 5.0;
/// Between two nodes of a layer, pixels.
const NODE_GAP: f64 = 18.0;
/// Height that a lane takes up, pixels.
const LANE_HEIGHT: f64 = 2.0;
/// How much stronger a lane is drawn to its trunk than to anything else.
const LANE_PULL: f64 = 20.0;
const SWEEPS: usize = 24;

/// A graph without circles, to be laid out.
pub(super) struct Input {
    /// Width and height of each node, pixels.
    pub(super) sizes: Vec<(f64, f64)>,
    /// Edges between indexes of nodes.
    pub(super) edges: Vec<(usize, usize)>,
    /// Nodes that stand just before what they feed, however far right that is, instead of as far left as they can.
    pub(super) late: Vec<bool>,
}

/// Where everything stands.
pub(super) struct Layout {
    /// Middle of each node.
    pub(super) centers: Vec<(f64, f64)>,
    /// Left and right border of each layer.
    pub(super) columns: Vec<(f64, f64)>,
    /// Layer of each node.
    pub(super) layer: Vec<usize>,
    /// Height of each lane, by node that its edges start from and layer.
    pub(super) lanes: BTreeMap<(usize, usize), f64>,
    /// Lowest point.
    pub(super) height: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    Node(usize),
    /// The lane of this node's edges.
    Lane(usize),
}

pub(super) fn layout(input: &Input) -> Layout {
    let layer = layers(input);
    let mut grid = Grid::new(input, &layer);
    grid.reduce_crossings();
    let tops = grid.heights(input);
    let mut x = 0.0;
    let mut columns = Vec::new();
    for (items, links) in grid.layers.iter().zip(&grid.links) {
        let width = items.iter().map(|item| size(input, *item).0).fold(0.0, f64::max);
        columns.push((x, x + width));
        x += width + COLUMN_GAP + EDGE_GAP * links.len() as f64;
    }
    let mut centers = vec![(0.0, 0.0); input.sizes.len()];
    let mut lanes = BTreeMap::new();
    let mut height = 0.0_f64;
    for (at, (items, ys)) in grid.layers.iter().zip(&tops).enumerate() {
        for (item, y) in items.iter().zip(ys) {
            height = height.max(y + size(input, *item).1 / 2.0);
            match item {
                Item::Node(node) => centers[*node] = ((columns[at].0 + columns[at].1) / 2.0, *y),
                Item::Lane(node) => drop(lanes.insert((*node, at), *y)),
            }
        }
    }
    Layout { centers, columns, layer, lanes, height }
}

/// The longest path to each node; then what is late moves right, up to what it feeds.
fn layers(input: &Input) -> Vec<usize> {
    let count = input.sizes.len();
    let mut layer = vec![0_usize; count];
    // As many rounds as the longest path can have edges; a circle, which the caller rules out, would end here too.
    for _ in 0..count {
        for (from, to) in &input.edges {
            layer[*to] = layer[*to].max(layer[*from] + 1);
        }
    }
    for _ in 0..count {
        for node in (0..count).filter(|node| input.late[*node]) {
            let fed = input.edges.iter().filter(|(from, _)| *from == node).map(|(_, to)| layer[*to]).min();
            layer[node] = fed.map_or(layer[node], |fed| fed.saturating_sub(1));
        }
    }
    layer
}

fn size(input: &Input, item: Item) -> (f64, f64) {
    match item {
        Item::Node(node) => input.sizes[node],
        Item::Lane(_) => (0.0, LANE_HEIGHT),
    }
}

/// Nodes and lanes by layer, and what is connected from one layer to the next.
struct Grid {
    layers: Vec<Vec<Item>>,
    /// Between layer n and n + 1.
    links: Vec<Vec<(Item, Item)>>,
}

impl Grid {
    fn new(input: &Input, layer: &[usize]) -> Self {
        let count = layer.iter().max().map_or(0, |last| last + 1);
        let mut layers = vec![Vec::new(); count];
        for (node, at) in layer.iter().enumerate() {
            layers[*at].push(Item::Node(node));
        }
        let mut links: Vec<Vec<(Item, Item)>> = vec![Vec::new(); count];
        for (from, to) in &input.edges {
            let mut last = Item::Node(*from);
            for at in layer[*from] + 1..layer[*to] {
                let lane = Item::Lane(*from);
                if !layers[at].contains(&lane) {
                    layers[at].push(lane);
                }
                links[at - 1].push((last, lane));
                last = lane;
            }
            links[layer[*to] - 1].push((last, Item::Node(*to)));
        }
        for links in &mut links {
            links.sort();
            links.dedup();
        }
        Self { layers, links }
    }

    /// What `item` of layer `at` is connected to in the layer before or after.
    fn neighbours(&self, at: usize, item: Item, before: bool) -> Vec<Item> {
        if before {
            let links = at.checked_sub(1).map_or(&[][..], |at| &self.links[at]);
            links.iter().filter(|(_, to)| *to == item).map(|(from, _)| *from).collect()
        } else {
            self.links[at].iter().filter(|(from, _)| *from == item).map(|(_, to)| *to).collect()
        }
    }

    fn place(&self, at: usize, item: Item) -> usize {
        self.layers[at].iter().position(|other| *other == item).unwrap_or_default()
    }

    /// Sweeps right and left, each time sorting a layer by the mean place of its neighbours; keeps the best order.
    fn reduce_crossings(&mut self) {
        let mut best = self.layers.clone();
        let mut fewest = self.crossings();
        for sweep in 0..SWEEPS {
            let before = sweep % 2 == 0;
            for step in 0..self.layers.len() {
                let at = if before { step } else { self.layers.len() - 1 - step };
                let mean = |item: &Item| {
                    let neighbours = self.neighbours(at, *item, before);
                    let beside = if before { at.wrapping_sub(1) } else { at + 1 };
                    let sum: usize = neighbours.iter().map(|other| self.place(beside, *other)).sum();
                    if neighbours.is_empty() {
                        self.place(at, *item) as f64
                    } else {
                        sum as f64 / neighbours.len() as f64
                    }
                };
                let mut sorted: Vec<(f64, Item)> = self.layers[at].iter().map(|item| (mean(item), *item)).collect();
                sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
                self.layers[at] = sorted.into_iter().map(|(_, item)| item).collect();
            }
            let crossings = self.crossings();
            if crossings < fewest {
                fewest = crossings;
                best.clone_from(&self.layers);
            }
        }
        self.layers = best;
    }

    fn crossings(&self) -> usize {
        let mut count = 0;
        for (at, links) in self.links.iter().enumerate().filter(|(_, links)| !links.is_empty()) {
            let places: Vec<(usize, usize)> =
                links.iter().map(|(from, to)| (self.place(at, *from), self.place(at + 1, *to))).collect();
            for (index, a) in places.iter().enumerate() {
                count +=
                    places[..index].iter().filter(|b| (a.0 < b.0 && a.1 > b.1) || (a.0 > b.0 && a.1 < b.1)).count();
            }
        }
        count
    }

    /// The height of each item's middle: as near to its neighbours as the order within the layer lets it.
    fn heights(&self, input: &Input) -> Vec<Vec<f64>> {
        let gaps: Vec<Vec<f64>> = self.layers.iter().map(|items| stacked(input, items)).collect();
        let mut heights = gaps.clone();
        for sweep in 0..20 * SWEEPS {
            for step in 0..self.layers.len() {
                let at = if sweep % 2 == 0 { step } else { self.layers.len() - 1 - step };
                let wished: Vec<(f64, f64)> = (0..self.layers[at].len()).map(|n| self.wish(&heights, at, n)).collect();
                heights[at] = settle(&wished, &gaps[at]);
            }
        }
        let top = |(items, ys): (&Vec<Item>, &Vec<f64>)| {
            items.iter().zip(ys).map(|(item, y)| y - size(input, *item).1 / 2.0).fold(f64::INFINITY, f64::min)
        };
        let highest = self.layers.iter().zip(&heights).map(top).fold(f64::INFINITY, f64::min);
        heights.iter().map(|ys| ys.iter().map(|y| y - highest).collect()).collect()
    }

    /// Where an item would like to be, and how much: a node at the mean of its neighbours, a lane at the mean of all
    /// lanes of its trunk, so that the trunk is straight.
    fn wish(&self, heights: &[Vec<f64>], at: usize, index: usize) -> (f64, f64) {
        let item = self.layers[at][index];
        let (mut sum, mut weight) = (0.0, 0.0);
        for before in [true, false] {
            let beside = if before { at.wrapping_sub(1) } else { at + 1 };
            for other in self.neighbours(at, item, before) {
                sum += heights[beside][self.place(beside, other)];
                weight += 1.0;
            }
        }
        if matches!(item, Item::Lane(_)) {
            for (items, ys) in self.layers.iter().zip(heights) {
                for (_, y) in items.iter().zip(ys).filter(|(other, _)| **other == item) {
                    sum += LANE_PULL * y;
                    weight += LANE_PULL;
                }
            }
        }
        if weight > 0.0 { (sum / weight, weight) } else { (heights[at][index], 0.1) }
    }
}

/// The middles of a layer's items when they are stacked as closely as they may be.
fn stacked(input: &Input, items: &[Item]) -> Vec<f64> {
    let mut y = 0.0;
    let mut middles = Vec::new();
    for item in items {
        let height = size(input, *item).1;
        middles.push(y + height / 2.0);
        y += height + NODE_GAP;
    }
    middles
}

/// The places nearest to the wished ones (weighted least squares) with at least the distances of `stacked`: items that
/// would overlap join into a block that settles at its members' mean wish.
fn settle(wished: &[(f64, f64)], stacked: &[f64]) -> Vec<f64> {
    struct Block {
        offset: f64,
        weight: f64,
        count: usize,
    }
    let mut blocks: Vec<Block> = Vec::new();
    for ((wish, weight), place) in wished.iter().zip(stacked) {
        let mut block = Block { offset: wish - place, weight: *weight, count: 1 };
        while let Some(above) = blocks.pop_if(|above| above.offset > block.offset) {
            let weight = above.weight + block.weight;
            let offset = (above.offset * above.weight + block.offset * block.weight) / weight;
            block = Block { offset, weight, count: above.count + block.count };
        }
        blocks.push(block);
    }
    let offsets = blocks.iter().flat_map(|block| std::iter::repeat_n(block.offset, block.count));
    stacked.iter().zip(offsets).map(|(place, offset)| place + offset).collect()
}
