//! The real `topology.toml` fits together, and each way to break it is found, named and located.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use tapeline_runtime::topology::{KafkaTopic, Problem, Topology};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn real_text() -> String {
    std::fs::read_to_string(repository().join("topology.toml")).unwrap()
}

fn real() -> Topology {
    Topology::parse(&real_text(), "topology.toml").unwrap()
}

/// All problems of a text: those of reading it, else those of the check.
fn problems(text: &str) -> Vec<String> {
    let found = match Topology::parse(text, "topology.toml") {
        Ok(topology) => topology.check(),
        Err(problems) => problems,
    };
    found.iter().map(Problem::to_string).collect()
}

/// The real file with `old`, which must be there once, replaced.
fn edited(old: &str, new: &str) -> String {
    let text = real_text();
    assert_eq!(text.matches(old).count(), 1, "the edit must hit one place: {old}");
    text.replace(old, new)
}

#[test]
fn the_real_topology_has_no_problem() {
    assert_eq!(problems(&real_text()), Vec::<String>::new());
    let embedded = Topology::embedded().unwrap();
    assert_eq!(embedded, Topology { file_name: embedded.file_name.clone(), ..real() });
}

#[test]
fn names_in_code_are_declared() {
    use tapeline_schemas::topic;
    for name in [
        topic::ORDERS,
        topic::VALIDATED,
        topic::REJECTED,
        topic::EXECUTED,
        topic::DEPTH,
        topic::SETTLED,
        topic::INSTRUMENTS,
        topic::ACCOUNTS,
        topic::MARKET_TICKS,
        topic::CLOCK,
        topic::IDENTITY_USERS,
        topic::IDENTITY_SESSIONS,
        topic::IDENTITY_KEYS,
        topic::IDENTITY_SIGNERS,
        topic::GATEWAY_AUDIT,
    ] {
        let topic = real().topic(name).cloned().unwrap_or_else(|| panic!("{name} is not in topology.toml"));
        assert_eq!(topic.schema.as_deref(), Some(name));
    }
}

/// Each row: what is replaced by what in the real file, and all problems that must come of it.
const BROKEN: &[(&str, &str, &[&str])] = &[
    (
        "outputs = [\"market.ticks\"]",
        "outputs = []",
        &[
            "topology.toml: topics.\"market.ticks\": has no writer; add it to the `outputs` of one processor or connector, \
           or take the topic out",
        ],
    ),
    (
        "outputs = [\"clock\"]",
        "outputs = [\"clock\", \"orders\"]",
        &[
            "topology.toml: topics.\"orders\": is written by upstream and clock; each topic has one writing component: give \
           each its own topic",
        ],
    ),
    (
        "journal = \"executor.journal\"",
        "journal = \"validator.journal\"",
        &[
            "topology.toml: topics.\"validator.journal\": is written by validator and executor; each topic has one writing \
             component: give each its own topic",
            "topology.toml: topics.\"executor.journal\": has no writer; add it to the `outputs` of one processor or \
             connector, or take the topic out",
            "topology.toml: topics.\"executor.journal\": is read by nobody; add it to the `inputs` of a component, or take \
             the topic out",
        ],
    ),
    (
        "[connectors.venues]",
        "[topics.\"market.news\"]\ndoc = \"News.\"\nkey = \"instrument\"\npartitions = 4\n\n[connectors.desk]\ndoc = \
         \"Desk.\"\noutputs = [\"market.news\"]\n\n[connectors.venues]",
        &[
            "topology.toml: topics.\"market.news\": is read by nobody; add it to the `inputs` of a component, or take the \
           topic out",
        ],
    ),
    (
        "outputs = [\"trades.settled\"]",
        "outputs = [\"trades.settled\", \"trades.netted\"]",
        &[
            "topology.toml: processors.\"settler\".outputs: names the topic `trades.netted`, which is not declared; add \
           [topics.\"trades.netted\"], or mend the name",
        ],
    ),
    (
        "broadcast = [\"reference.instruments\"]",
        "broadcast = [\"reference.instruments\", \"reference.assets\"]",
        &[
            "topology.toml: processors.\"validator\".broadcast: names the topic `reference.assets`, which is not declared; \
           add [topics.\"reference.assets\"], or mend the name",
        ],
    ),
    (
        "schema = \"market.ticks\"\n",
        "",
        &[
            "topology.toml: topics.\"market.ticks\".schema: is missing, but timescale must read the topic; name a file in \
           schemas/, without `.avsc`",
        ],
    ),
    (
        "schema = \"clock\"",
        "schema = \"clocks\"",
        &[
            "topology.toml: topics.\"clock\".schema: is `clocks`, and this build knows no schemas/clocks.avsc; name a file \
           in schemas/, or add schemas/clocks.avsc and its wire type",
        ],
    ),
    (
        "key = \"partition\"\npartitions = 4\nschema = \"clock\"",
        "key = \"partition\"\npartitions = 3\nschema = \"clock\"",
        &[
            "topology.toml: processors.\"executor\".inputs: must have equally many partitions, but orders.validated has 4, \
           clock has 3; give them the same number of partitions, or move the small ones to `broadcast`",
        ],
    ),
    (
        "key = \"account\"\npartitions = 4\nschema = \"reference.accounts\"",
        "key = \"branch\"\npartitions = 4\nschema = \"reference.accounts\"",
        &[
            "topology.toml: processors.\"validator\".inputs: must be keyed alike to meet in one task, but are keyed orders by \
           account, trades.settled by account, reference.accounts by branch; key them alike, or move the small ones to \
           `broadcast`",
        ],
    ),
    (
        "inputs = [\"trades.executed\"]",
        "inputs = []\nbroadcast = [\"trades.executed\"]",
        &["topology.toml: processors.\"settler\".inputs: is empty; name at least one topic: its partitions are the \
           processor's tasks"],
    ),
    (
        "journal = \"executor.journal\"\n",
        "outputs_of_old = 1\n",
        &[
            "topology.toml: processors.\"executor\".outputs_of_old: is an unknown key; take it out; known keys here: doc, \
           inputs, broadcast, outputs, state, journal, \
           snapshots",
        ],
    ),
    (
        "outputs = [\"trades.executed\", \"book.depth\"]\nstate = true\njournal = \"executor.journal\"",
        "outputs = [\"trades.executed\", \"book.depth\", \"executor.journal\"]\nstate = true",
        &[
            "topology.toml: topics.\"executor.journal\": is read by nobody; add it to the `inputs` of a component, or take \
             the topic out",
            "topology.toml: processors.\"executor\".journal: is missing, but its state depends on the order of 2 inputs; \
             declare a topic with `schema = \"journal\"` and name it",
        ],
    ),
    (
        "journal = \"executor.journal\"\nsnapshots = \"executor.snapshots\"",
        "journal = \"executor.journal\"",
        &[
            "topology.toml: topics.\"executor.snapshots\": has no writer; add it to the `outputs` of one processor or \
             connector, or take the topic out",
            "topology.toml: topics.\"executor.snapshots\": is read by nobody; add it to the `inputs` of a component, or \
             take the topic out",
            "topology.toml: processors.\"executor\".snapshots: is missing, so a restart would replay the whole log; \
             declare a compacted topic with `schema = \"snapshot\"` and name it",
        ],
    ),
    (
        "partitions = 4\nschema = \"snapshot\"\ncleanup = \"compact\"\nmin_compaction_lag = \"1m\"\n\n\n",
        "partitions = 2\nschema = \"snapshot\"\nretention = \"30d\"\n\n\n",
        &[
            "topology.toml: processors.\"executor\".snapshots: `executor.snapshots` is not compacted, so a processor that \
             rests for long would lose its own; set `cleanup = \"compact\"` on the topic",
            "topology.toml: processors.\"executor\".snapshots: `executor.snapshots` has 2 partitions, its inputs 4; give \
             the topic as many partitions as the inputs: each task has its own",
        ],
    ),
    (
        "schema = \"clock\"\nretention = \"30d\"",
        "schema = \"clock\"\nretention = \"12h\"",
        &[
            "topology.toml: topics.\"clock\".retention: is shorter than a day, so executor may outlive what it restarts \
             from; keep it for a day at least, such as \"30d\"",
        ],
    ),
    (
        "running hash of its outputs.\"\nkey = \"partition\"\npartitions = 4\nschema = \"journal\"\n\n[topics",
        "running hash of its outputs.\"\nkey = \"partition\"\npartitions = 2\nschema = \"journal\"\n\n[topics",
        &[
            "topology.toml: processors.\"validator\".journal: `validator.journal` has 2 partitions, its inputs 4; give the \
           topic as many partitions as the inputs: each task has its own",
        ],
    ),
    (
        "key = \"account\"\npartitions = 4\nschema = \"orders.rejected\"",
        "partitions = 4\nschema = \"orders.rejected\"",
        &[
            "topology.toml: topics.\"orders.rejected\".key: is missing; say what the record key is, such as \"account\"; \
           \"partition\" for one record to each partition",
        ],
    ),
    (
        "partitions = 4\nschema = \"market.ticks\"",
        "partitions = 0\nschema = \"market.ticks\"",
        &["topology.toml: topics.\"market.ticks\".partitions: is 0; give it 1 to 1024"],
    ),
    (
        "partitions = 4\nschema = \"market.ticks\"",
        "partitions = 1025\nschema = \"market.ticks\"",
        &["topology.toml: topics.\"market.ticks\".partitions: is 1025; give it 1 to 1024"],
    ),
    (
        "partitions = 4\nschema = \"market.ticks\"",
        "partitions = \"four\"\nschema = \"market.ticks\"",
        &["topology.toml: topics.\"market.ticks\".partitions: is `\"four\"`; write a whole number"],
    ),
    (
        "partitions = 4\nschema = \"market.ticks\"",
        "schema = \"market.ticks\"",
        &["topology.toml: topics.\"market.ticks\".partitions: is missing; add it"],
    ),
    (
        "dead_letters_by = \"settler\"",
        "dead_letters_by = \"validator\"",
        &[
            "topology.toml: topics.\"trades.executed\".dead_letters_by: is `validator`, which does not read the topic; name \
           one of: settler, timescale, clickhouse",
        ],
    ),
    (
        "dlq = true\ndead_letters_by = \"settler\"\n",
        "",
        &[
            "topology.toml: topics.\"trades.executed\".dlq: is missing, but settler, timescale, clickhouse may meet records \
           that can't be read; set `dlq = true` and name the one that writes the dead letters in `dead_letters_by`",
        ],
    ),
    (
        "dead_letters_by = \"settler\"\n",
        "",
        &[
            "topology.toml: topics.\"trades.executed\".dead_letters_by: is missing; name the one reader that writes the dead \
           letters",
        ],
    ),
    (
        "dlq = true\ndead_letters_by = \"settler\"\n",
        "dead_letters_by = \"settler\"\n",
        &[
            "topology.toml: topics.\"trades.executed\".dead_letters_by: is set, but `dlq` is not; set `dlq = true`, or take \
           it out",
        ],
    ),
    (
        "schema = \"reference.accounts\"\ncleanup = \"compact\"\nmin_compaction_lag = \"30d\"",
        "schema = \"reference.accounts\"\ncleanup = \"compact\"",
        &[
            "topology.toml: topics.\"reference.accounts\".min_compaction_lag: is missing, so a restart could miss a version \
           that was compacted away; give a time longer than the oldest restart point, such as \"7d\"",
        ],
    ),
    (
        "schema = \"reference.accounts\"\ncleanup = \"compact\"",
        "schema = \"reference.accounts\"\ncleanup = \"squeeze\"",
        &["topology.toml: topics.\"reference.accounts\".cleanup: is `squeeze`; write \"delete\" or \"compact\""],
    ),
    (
        "schema = \"clock\"\nretention = \"30d\"",
        "schema = \"clock\"\nretention = \"a week\"",
        &[
            "topology.toml: topics.\"clock\".retention: is `a week`; write a whole number with s, m, h or d after it, such \
           as \"90d\"",
        ],
    ),
    (
        "schema = \"clock\"\nretention = \"30d\"",
        "schema = \"clock\"\nmin_compaction_lag = \"7d\"",
        &[
            "topology.toml: topics.\"clock\".min_compaction_lag: has no meaning where cleanup is \"delete\"; take it out, or \
           set `cleanup = \"compact\"`",
        ],
    ),
    (
        "[topics.clock]",
        "[topics.clock]\nreplicas = 3",
        &["topology.toml: topics.\"clock\".replicas: is an unknown key; take it out; known keys here: \
           max_message_bytes, partitions, doc, key, schema, cleanup, retention, min_compaction_lag, dead_letters_by, dlq"],
    ),
    (
        "[connectors.upstream]",
        "[connector.upstream]",
        &["topology.toml: connector: is an unknown key; take it out; known keys here: topics, processors, sinks, \
           connectors"],
    ),
    (
        "[connectors.clock]",
        "[connectors.settler]",
        &[
            "topology.toml: connectors.\"settler\": has the name of processors.\"settler\"; give one of them another name",
        ],
    ),
    (
        "[processors.settler]",
        "[processors.executor-x]",
        &[
            "topology.toml: processors.\"executor-x\": begins with the name of processors.\"executor\" and `-`; give it a \
             name that begins otherwise",
            "topology.toml: topics.\"trades.executed\".dead_letters_by: is `settler`, which does not read the topic; name \
             one of: executor-x, timescale, clickhouse",
        ],
    ),
    (
        "[topics.clock]",
        "[topics.\"clock.dlq\"]",
        &[
            "topology.toml: topics.\"clock.dlq\": dead-letter topics are not declared by themselves; take it out, and set \
           `dlq = true` on the topic whose dead letters it holds",
        ],
    ),
    (
        "[topics.clock]",
        "[topics.\"the clock\"]",
        &[
            "topology.toml: topics.\"the clock\": is no name for Kafka; use letters, digits, `.`, `_` and `-`, up to 245 of \
           them",
        ],
    ),
    (
        "schema = \"clock\"\n",
        "schema = \"clock\"\nmax_message_bytes = 0\n",
        &["topology.toml: topics.\"clock\".max_message_bytes: is 0; give it 1 to 2147418111, or take it out"],
    ),
    (
        "schema = \"clock\"\n",
        "schema = \"clock\"\nmax_message_bytes = 2147418112\n",
        &["topology.toml: topics.\"clock\".max_message_bytes: is 2147418112; give it 1 to 2147418111, or take it out"],
    ),
    (
        "doc = \"Market data of outside venues.\"\n",
        "",
        &["topology.toml: connectors.\"venues\".doc: is missing; add it"],
    ),
];

#[test]
fn each_way_to_break_it_gives_its_problem() {
    for (old, new, expected) in BROKEN {
        assert_eq!(problems(&edited(old, new)), *expected, "after replacing {old:?} by {new:?}");
    }
}

#[test]
fn all_problems_are_told_at_once_and_syntax_errors_have_a_line() {
    let text = "[topics.a]\npartitions = 0\ncolour = 1\n[sinks]\nb = 3\n";
    assert_eq!(problems(text).len(), 4, "partitions, doc, colour, sink b: {:#?}", problems(text));
    let syntax = problems("[topics.a]\npartitions = = 4\n");
    assert_eq!(syntax.len(), 1);
    assert!(syntax[0].starts_with("topology.toml: line 2: "), "{syntax:?}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let problems = Topology::load(Path::new("no/such/topology.toml")).unwrap_err();
    assert!(problems[0].to_string().starts_with("no/such/topology.toml: can't be read: "), "{problems:?}");
}

fn kafka_topic(name: &str) -> KafkaTopic {
    real().topics_with_dlq().into_iter().find(|topic| topic.name == name).unwrap_or_else(|| panic!("no topic {name}"))
}

fn configs(name: &str) -> String {
    let configs = kafka_topic(name).configs;
    configs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn topics_get_their_final_configuration() {
    let rest = "message.timestamp.type=LogAppendTime max.message.bytes=1048576";
    let forever = format!("cleanup.policy=delete retention.ms=-1 retention.bytes=-1 {rest}");
    assert_eq!(configs("orders"), forever);
    assert_eq!(configs("validator.journal"), forever);
    let days_30_ms = 30 * 24 * 60 * 60 * 1_000_i64;
    assert_eq!(
        configs("clock"),
        format!("cleanup.policy=delete retention.ms={days_30_ms} segment.ms=604800000 {rest}")
    );
    let compacted =
        |lag_ms: i64| format!("cleanup.policy=compact min.compaction.lag.ms={lag_ms} segment.bytes=67108864 {rest}");
    assert_eq!(configs("reference.instruments"), compacted(days_30_ms));
    assert_eq!(configs("executor.snapshots"), compacted(60_000));
    assert_eq!(
        configs("orders.dlq"),
        "cleanup.policy=delete retention.ms=31536000000 segment.ms=604800000 message.timestamp.type=LogAppendTime \
         max.message.bytes=1114112"
    );
}

#[test]
fn each_topic_that_components_read_has_a_dead_letter_topic() {
    let all = real().topics_with_dlq();
    assert_eq!(all.len(), 19 + 9);
    // Which only connectors read.
    let shown =
        ["book.depth", "identity.users", "identity.sessions", "identity.keys", "identity.signers", "gateway.audit"];
    for topic in real().topics {
        let dlq = topic.dead_letter_topic();
        assert_eq!(dlq.is_none(), real().is_own(&topic.name) || shown.contains(&topic.name.as_str()), "{}", topic.name);
        let Some(dlq) = dlq else { continue };
        let dlq = kafka_topic(&dlq);
        assert_eq!((dlq.partitions, dlq.schema), (topic.partitions, None));
    }
}
