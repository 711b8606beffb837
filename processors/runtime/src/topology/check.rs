//! What must fit together in a topology, rule by rule. Each rule says where it is broken and how to mend it.

use super::model::{Cleanup, Component, KEY_PARTITION, ProcessorSpec, Retention, Topic};
use super::{Problem, Topology};
use tapeline_schemas::codec::schema_of_stem;

/// Snapshots are minutes old while a processor works; a day leaves time to mend one that does not.
const SHORTEST_INPUT_RETENTION_MS: i64 = 24 * 60 * 60 * 1_000;

pub(super) fn check(topology: &Topology) -> Vec<Problem> {
    let components = topology.components();
    let mut checker = Checker { topology, components: &components, problems: Vec::new() };
    checker.component_names_are_unique();
    checker.transactional_ids_are_apart();
    checker.named_topics_are_declared();
    for topic in &topology.topics {
        checker.one_writer(topic);
        checker.some_reader(topic);
        checker.schema_is_known(topic);
        checker.key_is_declared(topic);
        checker.dead_letters_have_a_place(topic);
    }
    for processor in &topology.processors {
        checker.inputs_are_co_partitioned(processor);
        checker.order_of_inputs_is_kept(processor);
        checker.state_has_snapshots(processor);
        checker.inputs_outlast_snapshots(processor);
    }
    checker.problems
}

struct Checker<'a> {
    topology: &'a Topology,
    components: &'a [Component<'a>],
    problems: Vec<Problem>,
}

impl Checker<'_> {
    fn problem(&mut self, (kind, name, key): (&str, &str, &str), what: String, mend: &str) {
        self.problems.push(Problem { at: self.topology.at(kind, name, key), what, mend: mend.to_owned() });
    }

    /// Names stand for consumer groups and in `dead_letters_by`.
    fn component_names_are_unique(&mut self) {
        for (index, component) in self.components.iter().enumerate() {
            if let Some(other) = self.components[..index].iter().find(|other| other.name == component.name) {
                let what = format!("has the name of {}.\"{}\"", other.kind, other.name);
                self.problem((component.kind, component.name, ""), what, "give one of them another name");
            }
        }
    }

    /// A processor's transactional ids begin with its name and `-`; by that its lanes know what is theirs to fence.
    fn transactional_ids_are_apart(&mut self) {
        for processor in &self.topology.processors {
            let begins = |other: &&ProcessorSpec| processor.name.starts_with(&format!("{}-", other.name));
            if let Some(other) = self.topology.processors.iter().find(begins) {
                let what = format!("begins with the name of processors.\"{}\" and `-`", other.name);
                self.problem(("processors", &processor.name, ""), what, "give it a name that begins otherwise");
            }
        }
    }

    fn named_topics_are_declared(&mut self) {
        for component in self.components {
            for (key, topic) in component.reads.iter().chain(&component.writes) {
                if self.topology.topic(topic).is_none() {
                    let what = format!("names the topic `{topic}`, which is not declared");
                    let mend = format!("add [topics.\"{topic}\"], or mend the name");
                    self.problem((component.kind, component.name, key), what, &mend);
                }
            }
        }
    }

    fn readers(&self, topic: &Topic) -> Vec<&str> {
        self.reading(topic).map(|component| component.name).collect()
    }

    fn reading(&self, topic: &Topic) -> impl Iterator<Item = &Component<'_>> {
        let name = topic.name.clone();
        self.components.iter().filter(move |component| component.reads.iter().any(|(_, read)| *read == name))
    }

    fn one_writer(&mut self, topic: &Topic) {
        let writes = |component: &&Component<'_>| component.writes.iter().any(|(_, name)| *name == topic.name);
        let writers: Vec<&str> = self.components.iter().filter(writes).map(|component| component.name).collect();
        let at = ("topics", topic.name.as_str(), "");
        match writers[..] {
            [_] => {}
            [] => self.problem(
                at,
                "has no writer".into(),
                "add it to the `outputs` of one processor or connector, or take the topic out",
            ),
            _ => self.problem(
                at,
                format!("is written by {}", writers.join(" and ")),
                "each topic has one writing component: give each its own topic",
            ),
        }
    }

    fn some_reader(&mut self, topic: &Topic) {
        if self.readers(topic).is_empty() && !self.topology.is_own(&topic.name) {
            let mend = "add it to the `inputs` of a component, or take the topic out";
            self.problem(("topics", &topic.name, ""), "is read by nobody".into(), mend);
        }
    }

    fn schema_is_known(&mut self, topic: &Topic) {
        let at = ("topics", topic.name.as_str(), "schema");
        match &topic.schema {
            None => {
                let mut readers = self.readers(topic).join(", ");
                if readers.is_empty() && self.topology.is_own(&topic.name) {
                    readers = "its processor".into();
                }
                if !readers.is_empty() {
                    let mend = "name a file in schemas/, without `.avsc`";
                    self.problem(at, format!("is missing, but {readers} must read the topic"), mend);
                }
            }
            Some(stem) if schema_of_stem(stem).is_none() => {
                let mend = format!("name a file in schemas/, or add schemas/{stem}.avsc and its wire type");
                self.problem(at, format!("is `{stem}`, and this build knows no schemas/{stem}.avsc"), &mend);
            }
            Some(_) => {}
        }
    }

    fn key_is_declared(&mut self, topic: &Topic) {
        if topic.key.is_none() {
            let mend =
                "say what the record key is, such as \"account\"; \"partition\" for one record to each partition";
            self.problem(("topics", &topic.name, "key"), "is missing".into(), mend);
        }
    }

    /// Connectors need none: they show what passes and fold nothing, so what they can't read is counted and passed over.
    fn dead_letters_have_a_place(&mut self, topic: &Topic) {
        let folding = self.reading(topic).filter(|component| component.kind != "connectors");
        let readers = folding.map(|component| component.name).collect::<Vec<_>>().join(", ");
        match &topic.dead_letters_by {
            None if !readers.is_empty() => {
                let what = format!("is missing, but {readers} may meet records that can't be read");
                let mend = "set `dlq = true` and name the one that writes the dead letters in `dead_letters_by`";
                self.problem(("topics", &topic.name, "dlq"), what, mend);
            }
            Some(owner) if !self.readers(topic).contains(&owner.as_str()) => {
                let what = format!("is `{owner}`, which does not read the topic");
                let mend =
                    if readers.is_empty() { "name a reader".to_owned() } else { format!("name one of: {readers}") };
                self.problem(("topics", &topic.name, "dead_letters_by"), what, &mend);
            }
            _ => {}
        }
    }

    fn inputs_are_co_partitioned(&mut self, processor: &ProcessorSpec) {
        let topology = self.topology;
        let inputs: Vec<&Topic> = processor.inputs.iter().filter_map(|name| topology.topic(name)).collect();
        let at = ("processors", processor.name.as_str(), "inputs");
        let Some(first) = inputs.first() else {
            if processor.inputs.is_empty() {
                self.problem(
                    at,
                    "is empty".into(),
                    "name at least one topic: its partitions are the processor's tasks",
                );
            }
            return;
        };
        if inputs.iter().any(|topic| topic.partitions != first.partitions) {
            let counts = inputs.iter().map(|topic| format!("{} has {}", topic.name, topic.partitions));
            let mend = "give them the same number of partitions, or move the small ones to `broadcast`";
            self.problem(at, format!("must have equally many partitions, but {}", join(counts)), mend);
        }
        let keyed = || inputs.iter().filter_map(|topic| Some((topic, topic.key.as_deref()?)));
        let mut keys = keyed().map(|(_, key)| key).filter(|key| *key != KEY_PARTITION);
        let key = keys.next();
        if keys.any(|other| Some(other) != key) {
            let keys = keyed().map(|(topic, key)| format!("{} by {key}", topic.name));
            let mend = "key them alike, or move the small ones to `broadcast`";
            self.problem(at, format!("must be keyed alike to meet in one task, but are keyed {}", join(keys)), mend);
        }
    }

    fn order_of_inputs_is_kept(&mut self, processor: &ProcessorSpec) {
        let at = ("processors", processor.name.as_str(), "journal");
        let inputs = processor.inputs.len() + processor.broadcast.len();
        let Some(journal) = &processor.journal else {
            if processor.state && inputs > 1 {
                let what = format!("is missing, but its state depends on the order of {inputs} inputs");
                self.problem(at, what, "declare a topic with `schema = \"journal\"` and name it");
            }
            return;
        };
        self.has_a_partition_for_each_task(at, journal, processor);
    }

    fn has_a_partition_for_each_task(&mut self, at: (&str, &str, &str), own: &str, processor: &ProcessorSpec) {
        let (own, first) = (self.topology.topic(own), processor.inputs.first());
        let first = first.and_then(|name| self.topology.topic(name));
        if let (Some(own), Some(first)) = (own, first)
            && own.partitions != first.partitions
        {
            let what = format!("`{}` has {} partitions, its inputs {}", own.name, own.partitions, first.partitions);
            self.problem(at, what, "give the topic as many partitions as the inputs: each task has its own");
        }
    }

    fn state_has_snapshots(&mut self, processor: &ProcessorSpec) {
        let at = ("processors", processor.name.as_str(), "snapshots");
        let Some(snapshots) = &processor.snapshots else {
            if processor.state {
                let what = "is missing, so a restart would replay the whole log".into();
                self.problem(at, what, "declare a compacted topic with `schema = \"snapshot\"` and name it");
            }
            return;
        };
        if let Some(topic) = self.topology.topic(snapshots)
            && !matches!(topic.cleanup, Cleanup::Compact { .. })
        {
            let what = format!("`{snapshots}` is not compacted, so a processor that rests for long would lose its own");
            self.problem(at, what, "set `cleanup = \"compact\"` on the topic");
        }
        self.has_a_partition_for_each_task(at, snapshots, processor);
    }

    /// A restart takes the newest snapshot, or the one before, and needs all input from there on.
    fn inputs_outlast_snapshots(&mut self, processor: &ProcessorSpec) {
        if !processor.state {
            return;
        }
        let topology = self.topology;
        for name in processor.inputs.iter().chain(&processor.broadcast).chain(&processor.journal) {
            let Some(topic) = topology.topic(name) else { continue };
            let (key, kept_ms) = match topic.cleanup {
                Cleanup::Delete { retention: Retention::Forever } => continue,
                Cleanup::Delete { retention: Retention::Ms(ms) } => ("retention", ms),
                Cleanup::Compact { min_compaction_lag_ms } => ("min_compaction_lag", min_compaction_lag_ms),
            };
            if kept_ms < SHORTEST_INPUT_RETENTION_MS {
                let what = format!("is shorter than a day, so {} may outlive what it restarts from", processor.name);
                self.problem(("topics", name, key), what, "keep it for a day at least, such as \"30d\"");
            }
        }
    }
}

fn join(items: impl Iterator<Item = impl AsRef<str>>) -> String {
    items.map(|item| item.as_ref().to_owned()).collect::<Vec<_>>().join(", ")
}
