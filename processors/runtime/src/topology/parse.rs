//! From the text of the topology file to its types. Collects all problems instead of stopping at the first, and names
//! the key of each.

use super::model::{Cleanup, ConnectorSpec, DEAD_LETTER_HEADER_BYTES, ProcessorSpec, Retention, SinkSpec, Topic};
use super::{Problem, Topology};
use tapeline_schemas::topic::DEAD_LETTER_SUFFIX;
use toml::{Table, Value};

const DEFAULT_MAX_MESSAGE_BYTES: i64 = 1 << 20;
const MAX_PARTITIONS: i64 = 1_024;
/// Kafka's own limit, with room for the dead-letter ending.
const MAX_NAME_BYTES: usize = 249 - DEAD_LETTER_SUFFIX.len();

pub(super) fn parse(text: &str, file_name: &str) -> Result<Topology, Vec<Problem>> {
    let table: Table = text.parse().map_err(|error| vec![syntax_problem(text, file_name, &error)])?;
    let mut problems = Vec::new();
    let mut root = Section::new(file_name.to_owned(), ": ", table, &mut problems);
    let [topics, processors, sinks, connectors] =
        ["topics", "processors", "sinks", "connectors"].map(|kind| (kind, root.table(kind)));
    root.finish();
    let topology = Topology {
        file_name: file_name.to_owned(),
        topics: entries(topics, file_name, &mut problems, topic),
        processors: entries(processors, file_name, &mut problems, processor),
        sinks: entries(sinks, file_name, &mut problems, sink),
        connectors: entries(connectors, file_name, &mut problems, connector),
    };
    if problems.is_empty() { Ok(topology) } else { Err(problems) }
}

fn syntax_problem(text: &str, file_name: &str, error: &toml::de::Error) -> Problem {
    let before = text.get(..error.span().map_or(0, |span| span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    Problem {
        at: format!("{file_name}: line {line}"),
        what: error.message().replace('\n', " "),
        mend: "write it as TOML 1.0".into(),
    }
}

/// Reads the named tables under `kind`.
fn entries<T>(
    (kind, table): (&str, Table),
    file_name: &str,
    problems: &mut Vec<Problem>,
    read: impl Fn(&str, &mut Section<'_>) -> T,
) -> Vec<T> {
    let mut found = Vec::new();
    for (name, value) in table {
        let at = format!("{file_name}: {kind}.\"{name}\"");
        if !is_name(&name) {
            let mend = format!("use letters, digits, `.`, `_` and `-`, up to {MAX_NAME_BYTES} of them");
            problems.push(Problem { at: at.clone(), what: "is no name for Kafka".into(), mend });
        }
        match value {
            Value::Table(table) => {
                let mut section = Section::new(at, ".", table, problems);
                found.push(read(&name, &mut section));
                section.finish();
            }
            other => problems.push(wrong_kind(at, &other, "a table")),
        }
    }
    found
}

fn is_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(legal) && !name.trim_matches('.').is_empty()
}

fn topic(name: &str, section: &mut Section<'_>) -> Topic {
    if name.ends_with(DEAD_LETTER_SUFFIX) {
        let mend = "take it out, and set `dlq = true` on the topic whose dead letters it holds";
        section.problem("", "dead-letter topics are not declared by themselves".into(), mend);
    }
    let max_message_bytes = section.whole("max_message_bytes").unwrap_or(DEFAULT_MAX_MESSAGE_BYTES);
    // Brokers hold it in 31 bits, and the dead letters' topic takes a little more.
    if !(1..=i64::from(i32::MAX) - DEAD_LETTER_HEADER_BYTES).contains(&max_message_bytes) {
        section.problem(
            "max_message_bytes",
            format!("is {max_message_bytes}"),
            "give it 1 to 2147418111, or take it out",
        );
    }
    let partitions = section.whole("partitions").unwrap_or_else(|| section.missing("partitions", 1));
    if !(1..=MAX_PARTITIONS).contains(&partitions) {
        section.problem("partitions", format!("is {partitions}"), "give it 1 to 1024");
    }
    Topic {
        name: name.to_owned(),
        doc: section.required_text("doc"),
        key: section.text("key"),
        partitions: i32::try_from(partitions).unwrap_or_default(),
        schema: section.text("schema"),
        cleanup: cleanup(section),
        max_message_bytes,
        dead_letters_by: dead_letters_by(section),
    }
}

fn cleanup(section: &mut Section<'_>) -> Cleanup {
    let policy = section.text("cleanup");
    let retention = section.text("retention");
    let min_lag = section.text("min_compaction_lag");
    match policy.as_deref() {
        None | Some("delete") => {
            if min_lag.is_some() {
                let what = "has no meaning where cleanup is \"delete\"".into();
                section.problem("min_compaction_lag", what, "take it out, or set `cleanup = \"compact\"`");
            }
            Cleanup::Delete { retention: keep_for(section, retention.as_deref()) }
        }
        Some("compact") => {
            if retention.is_some() {
                let what = "has no meaning where cleanup is \"compact\"".into();
                section.problem("retention", what, "take it out");
            }
            Cleanup::Compact { min_compaction_lag_ms: lag(section, min_lag.as_deref()) }
        }
        Some(other) => {
            section.problem("cleanup", format!("is `{other}`"), "write \"delete\" or \"compact\"");
            Cleanup::Delete { retention: Retention::Forever }
        }
    }
}

fn keep_for(section: &mut Section<'_>, retention: Option<&str>) -> Retention {
    match retention {
        None | Some("forever") => Retention::Forever,
        Some(time) => Retention::Ms(section.time("retention", time)),
    }
}

fn lag(section: &mut Section<'_>, min_lag: Option<&str>) -> i64 {
    const KEY: &str = "min_compaction_lag";
    match min_lag {
        Some(time) => section.time(KEY, time),
        None => {
            let what = "is missing, so a restart could miss a version that was compacted away".into();
            section.problem(KEY, what, "give a time longer than the oldest restart point, such as \"7d\"");
            0
        }
    }
}

fn dead_letters_by(section: &mut Section<'_>) -> Option<String> {
    let owner = section.text("dead_letters_by");
    match (section.flag("dlq"), &owner) {
        (true, None) => {
            section.problem("dead_letters_by", "is missing".into(), "name the one reader that writes the dead letters");
        }
        (false, Some(_)) => {
            section.problem("dead_letters_by", "is set, but `dlq` is not".into(), "set `dlq = true`, or take it out");
        }
        _ => {}
    }
    owner
}

fn processor(name: &str, section: &mut Section<'_>) -> ProcessorSpec {
    ProcessorSpec {
        name: name.to_owned(),
        doc: section.required_text("doc"),
        inputs: section.texts("inputs"),
        broadcast: section.texts("broadcast"),
        outputs: section.texts("outputs"),
        state: section.flag("state"),
        journal: section.text("journal"),
        snapshots: section.text("snapshots"),
    }
}

fn sink(name: &str, section: &mut Section<'_>) -> SinkSpec {
    SinkSpec {
        name: name.to_owned(),
        doc: section.required_text("doc"),
        inputs: section.texts("inputs"),
        offsets: section.required_text("offsets"),
    }
}

fn connector(name: &str, section: &mut Section<'_>) -> ConnectorSpec {
    ConnectorSpec {
        name: name.to_owned(),
        doc: section.required_text("doc"),
        inputs: section.texts("inputs"),
        outputs: section.texts("outputs"),
    }
}

/// A table of the file that is read key by key; what is left at the end is unknown.
struct Section<'a> {
    at: String,
    separator: &'static str,
    table: Table,
    known: Vec<&'static str>,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Section<'a> {
    fn new(at: String, separator: &'static str, table: Table, problems: &'a mut Vec<Problem>) -> Self {
        Self { at, separator, table, known: Vec::new(), problems }
    }

    fn place(&self, key: &str) -> String {
        if key.is_empty() { self.at.clone() } else { format!("{}{}{key}", self.at, self.separator) }
    }

    fn problem(&mut self, key: &str, what: String, mend: &str) {
        self.problems.push(Problem { at: self.place(key), what, mend: mend.to_owned() });
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.table.remove(key)
    }

    /// The value under `key`, if it is what `convert` takes; `wanted` names that for the message.
    fn typed<T>(&mut self, key: &'static str, wanted: &str, convert: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let value = self.take(key)?;
        let converted = convert(&value);
        if converted.is_none() {
            self.problems.push(wrong_kind(self.place(key), &value, wanted));
        }
        converted
    }

    fn text(&mut self, key: &'static str) -> Option<String> {
        self.typed(key, "a text that is not empty", |value| {
            value.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned)
        })
    }

    fn required_text(&mut self, key: &'static str) -> String {
        if self.table.contains_key(key) {
            return self.text(key).unwrap_or_default();
        }
        self.known.push(key);
        self.missing(key, String::new())
    }

    fn missing<T>(&mut self, key: &'static str, instead: T) -> T {
        self.problem(key, "is missing".into(), "add it");
        instead
    }

    fn texts(&mut self, key: &'static str) -> Vec<String> {
        let texts = self.typed(key, "a list of topic names", |value| {
            value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
        });
        texts.unwrap_or_default()
    }

    fn flag(&mut self, key: &'static str) -> bool {
        self.typed(key, "true or false", Value::as_bool).unwrap_or_default()
    }

    fn whole(&mut self, key: &'static str) -> Option<i64> {
        let given = self.table.contains_key(key);
        let value = self.typed(key, "a whole number", Value::as_integer);
        // What is of the wrong kind is told already: no second problem for it.
        given.then(|| value.unwrap_or(1))
    }

    fn table(&mut self, key: &'static str) -> Table {
        self.typed(key, "a table", |value| value.as_table().cloned()).unwrap_or_default()
    }

    /// Milliseconds of a time such as `90d`, `12h`, `30m` or `45s`.
    fn time(&mut self, key: &'static str, text: &str) -> i64 {
        let units = [('s', 1_000), ('m', 60_000), ('h', 3_600_000), ('d', 86_400_000)];
        let ms = units.iter().find_map(|(unit, ms)| {
            let count: u32 = text.strip_suffix(*unit)?.parse().ok()?;
            i64::from(count).checked_mul(*ms).filter(|ms| *ms > 0)
        });
        ms.unwrap_or_else(|| {
            self.problem(
                key,
                format!("is `{text}`"),
                "write a whole number with s, m, h or d after it, such as \"90d\"",
            );
            1
        })
    }

    /// Refuses what nobody asked for.
    fn finish(self) {
        let mend = format!("take it out; known keys here: {}", self.known.join(", "));
        for key in self.table.keys() {
            let what = "is an unknown key".into();
            self.problems.push(Problem { at: self.place(key), what, mend: mend.clone() });
        }
    }
}

fn wrong_kind(at: String, found: &Value, wanted: &str) -> Problem {
    Problem {
        at,
        what: format!("is `{}`", found.to_string().trim().replace('\n', " ")),
        mend: format!("write {wanted}"),
    }
}
