//! `tapeline apply`: makes topics, subjects and tables match the topology. It shows its plan first, is idempotent, and
//! never deletes or shrinks anything: what can't be made to match without that is refused by name.

use anyhow::{Context, Result, bail};
use std::fmt;
use tapeline_kafka::admin::Admin;
use tapeline_kafka::registry::Registry;
use tapeline_runtime::addresses::Addresses;
use tapeline_runtime::sink::SinkError;
use tapeline_runtime::topology::Topology;
use tapeline_schemas::codec::schema_of_stem;

/// Copies of each partition, if there are so many brokers.
const MOST_COPIES: usize = 3;
/// How many of [`MOST_COPIES`] must have a record before it is acknowledged: any one broker may be lost, and any one may be
/// away without stopping the writers.
const IN_SYNC_OF_MOST_COPIES: &str = "2";

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A topic is missing.
    CreateTopic {
        /// Name.
        name: String,
        /// Partitions.
        partitions: i32,
        /// Copies of each, on as many brokers.
        copies: i32,
        /// Settings.
        config: Vec<(String, String)>,
    },
    /// A topic has other settings.
    ConfigureTopic {
        /// Name.
        name: String,
        /// Settings that differ: name, found, wanted.
        differences: Vec<(String, String, String)>,
        /// All settings.
        config: Vec<(String, String)>,
    },
    /// A schema is not registered.
    RegisterSchema {
        /// Topic.
        topic: String,
        /// Stem of the schema file.
        stem: String,
    },
    /// A subject is not held to full transitive compatibility.
    GuardSubject {
        /// Topic.
        topic: String,
    },
    /// Something is missing in a database.
    Migrate {
        /// `timescale` or `clickhouse`.
        database: &'static str,
        /// What.
        name: String,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateTopic { name, partitions, copies: 1, .. } => {
                write!(f, "+ topic {name} ({partitions} partitions)")
            }
            Self::CreateTopic { name, partitions, copies, .. } => {
                write!(f, "+ topic {name} ({partitions} partitions, {copies} copies)")
            }
            Self::ConfigureTopic { name, differences, .. } => {
                write!(f, "~ topic {name}:")?;
                differences.iter().try_for_each(|(key, found, wanted)| write!(f, " {key} {found} -> {wanted}"))
            }
            Self::RegisterSchema { topic, stem } => write!(f, "+ subject {topic}-value (schemas/{stem}.avsc)"),
            Self::GuardSubject { topic } => write!(f, "~ subject {topic}-value: compatibility FULL_TRANSITIVE"),
            Self::Migrate { database, name } => write!(f, "+ {database} {name}"),
        }
    }
}

/// What must be done so that the servers match the topology.
///
/// # Errors
/// If a server does not answer, or if something can't be mended without losing or moving data.
pub fn plan(topology: &Topology, addresses: &Addresses) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    plan_topics(topology, &Admin::connect(&addresses.kafka)?, &mut steps)?;
    plan_subjects(topology, &Registry::new(&addresses.registry_url)?, &mut steps)?;
    let missing = tapeline_timescale::plan(&addresses.timescale_url).map_err(database("TimescaleDB"))?;
    let missing = missing.into_iter().filter(|migration| !migration.exists);
    steps.extend(missing.map(|migration| Step::Migrate { database: tapeline_timescale::NAME, name: migration.name }));
    let missing = tapeline_clickhouse::plan(&addresses.clickhouse_url).map_err(database("ClickHouse"))?;
    let missing = missing.into_iter().filter(|migration| !migration.exists);
    steps.extend(missing.map(|migration| Step::Migrate { database: tapeline_clickhouse::NAME, name: migration.name }));
    Ok(steps)
}

fn database(name: &'static str) -> impl Fn(SinkError) -> anyhow::Error {
    move |error| anyhow::anyhow!("{name}: {error}")
}

fn plan_topics(topology: &Topology, admin: &Admin, steps: &mut Vec<Step>) -> Result<()> {
    let found = admin.topics()?;
    let copies = admin.brokers()?.min(MOST_COPIES) as i32;
    for mut topic in topology.topics_with_dlq() {
        if copies == MOST_COPIES as i32 {
            topic.configs.push(("min.insync.replicas".into(), IN_SYNC_OF_MOST_COPIES.into()));
        }
        let Some(on_broker) = found.get(&topic.name) else {
            let (name, partitions, config) = (topic.name, topic.partitions, topic.configs);
            steps.push(Step::CreateTopic { name, partitions, copies, config });
            continue;
        };
        if on_broker.partitions != topic.partitions {
            bail!(
                "{}: topics.\"{}\".partitions is {}, the broker has {}. More or fewer partitions would move keys away \
                 from their state, so this is not done in place: set it to {}, or move to a new set of topics",
                topology.file_name,
                topic.name,
                topic.partitions,
                on_broker.partitions,
                on_broker.partitions
            );
        }
        let differs = |(key, wanted): &(String, String)| {
            let found = on_broker.config.get(key).cloned().unwrap_or_default();
            (found != *wanted).then(|| (key.clone(), found, wanted.clone()))
        };
        let differences: Vec<_> = topic.configs.iter().filter_map(differs).collect();
        if !differences.is_empty() {
            steps.push(Step::ConfigureTopic { name: topic.name, differences, config: topic.configs });
        }
    }
    Ok(())
}

fn plan_subjects(topology: &Topology, registry: &Registry, steps: &mut Vec<Step>) -> Result<()> {
    for topic in topology.topics_with_dlq() {
        let Some(stem) = topic.schema else { continue };
        let schema = schema(topology, &topic.name, &stem)?;
        if registry.find(&topic.name, schema)?.is_none() {
            steps.push(Step::RegisterSchema { topic: topic.name, stem });
        } else if !registry.is_guarded(&topic.name)? {
            steps.push(Step::GuardSubject { topic: topic.name });
        }
    }
    Ok(())
}

fn schema(topology: &Topology, topic: &str, stem: &str) -> Result<&'static str> {
    schema_of_stem(stem).with_context(|| {
        format!("{}: topics.\"{topic}\".schema is `{stem}`: there is no schemas/{stem}.avsc", topology.file_name)
    })
}

/// Carries the plan out; `done` hears of each step.
///
/// # Errors
/// If a server refuses; what was done before stays, and the next plan goes on from there.
pub fn carry_out(
    topology: &Topology,
    addresses: &Addresses,
    steps: &[Step],
    mut done: impl FnMut(&Step),
) -> Result<()> {
    let admin = Admin::connect(&addresses.kafka)?;
    let registry = Registry::new(&addresses.registry_url)?;
    let (mut timescale, mut clickhouse) = (false, false);
    for step in steps {
        match step {
            Step::CreateTopic { name, partitions, copies, config } => {
                admin.create_topic(name, *partitions, *copies, config)?;
            }
            Step::ConfigureTopic { name, config, .. } => admin.configure_topic(name, config)?,
            Step::RegisterSchema { topic, stem } => {
                registry.register(topic, schema(topology, topic, stem)?)?;
            }
            Step::GuardSubject { topic } => registry.require_compatibility(topic)?,
            Step::Migrate { database: name, .. } if *name == tapeline_timescale::NAME => {
                if !std::mem::replace(&mut timescale, true) {
                    tapeline_timescale::apply(&addresses.timescale_url).map_err(database("TimescaleDB"))?;
                }
            }
            Step::Migrate { .. } => {
                if !std::mem::replace(&mut clickhouse, true) {
                    tapeline_clickhouse::apply(&addresses.clickhouse_url).map_err(database("ClickHouse"))?;
                }
            }
        }
        done(step);
    }
    Ok(())
}
