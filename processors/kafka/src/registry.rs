//! The schema registry, over its Confluent interface. Subjects are named `<topic>-value`.

use anyhow::{Context, Result, bail};
use reqwest::StatusCode;
use reqwest::blocking::Client;
use schema_registry_converter::blocking::schema_registry::{SrSettings, get_schema_by_id, post_schema};
use schema_registry_converter::schema_registry_common::{SchemaType, SuppliedSchema};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tapeline_schemas::codec::{SchemaIds, SchemaSource};

/// Compatibility of all subjects: each version can read what any other one wrote.
pub const COMPATIBILITY: &str = "FULL_TRANSITIVE";

/// A connection to the registry; what it has answered is remembered.
pub struct Registry {
    url: String,
    /// Made when it is needed: to make an HTTP client reads the root certificates, 60 ms of a restart.
    settings: OnceLock<SrSettings>,
    http: Client,
    by_id: Mutex<HashMap<u32, Option<String>>>,
}

/// The subject of a topic's values.
pub fn subject(topic: &str) -> String {
    format!("{topic}-value")
}

impl Registry {
    /// A client for the registry at `url`; asks nothing yet.
    ///
    /// # Errors
    /// If the HTTP client can't be made.
    pub fn new(url: &str) -> Result<Self> {
        let url = url.trim_end_matches('/').to_owned();
        let http = Client::builder().timeout(Duration::from_secs(10)).build().context("HTTP client")?;
        Ok(Self { settings: OnceLock::new(), url, http, by_id: Mutex::default() })
    }

    fn settings(&self) -> &SrSettings {
        self.settings.get_or_init(|| SrSettings::new(self.url.clone()))
    }

    /// Asks for the ids of all `wanted` topics' schemas at the same time: one after the other they take half a second where
    /// the registry is busy. What can't be found is asked for again by who needs it, and said then.
    pub fn ask_together<'a>(self: &Arc<Self>, wanted: impl Iterator<Item = (&'a str, &'static str)>) -> AskedTogether {
        let answers = std::thread::scope(|scope| {
            let ask = |(topic, schema_json)| {
                scope.spawn(move || {
                    let id = self.find(topic, schema_json).ok()??;
                    Some(Answer { topic: topic.to_owned(), schema_json, id })
                })
            };
            let asked: Vec<_> = wanted.map(ask).collect();
            asked.into_iter().filter_map(|asked| asked.join().ok()?).collect()
        });
        AskedTogether { registry: Arc::clone(self), answers }
    }

    /// The id of `schema` in the subject of `topic`, if it is registered there.
    ///
    /// # Errors
    /// If the registry does not answer or refuses.
    pub fn find(&self, topic: &str, schema: &str) -> Result<Option<u32>> {
        let url = format!("{}/subjects/{}", self.url, subject(topic));
        let answer = self.http.post(&url).json(&json!({ "schema": schema })).send().with_context(|| self.away())?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let body: Value = answer.error_for_status().with_context(|| self.away())?.json()?;
        Ok(body.get("id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok()))
    }

    /// Registers `schema` for `topic` and holds the subject to [`COMPATIBILITY`].
    ///
    /// # Errors
    /// If the registry does not answer, or if `schema` breaks the compatibility with an earlier version.
    pub fn register(&self, topic: &str, schema: &str) -> Result<u32> {
        let supplied = SuppliedSchema::new(None, SchemaType::Avro, schema.to_owned());
        let registered = post_schema(self.settings(), subject(topic), supplied)
            .with_context(|| format!("the registry refuses the schema of {topic} (it must be {COMPATIBILITY})"))?;
        self.require_compatibility(topic)?;
        Ok(registered.id)
    }

    /// Whether the subject of `topic` is held to [`COMPATIBILITY`].
    ///
    /// # Errors
    /// If the registry does not answer.
    pub fn is_guarded(&self, topic: &str) -> Result<bool> {
        let url = format!("{}/config/{}", self.url, subject(topic));
        let answer = self.http.get(&url).send().with_context(|| self.away())?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        let body: Value = answer.error_for_status().with_context(|| self.away())?.json()?;
        Ok(body.get("compatibilityLevel").and_then(Value::as_str) == Some(COMPATIBILITY))
    }

    /// Holds the subject of `topic` to [`COMPATIBILITY`].
    ///
    /// # Errors
    /// If the registry does not answer or refuses.
    pub fn require_compatibility(&self, topic: &str) -> Result<()> {
        let url = format!("{}/config/{}", self.url, subject(topic));
        let answer = self.http.put(&url).json(&json!({ "compatibility": COMPATIBILITY })).send();
        let answer = answer.with_context(|| self.away())?;
        if !answer.status().is_success() {
            bail!("the registry refuses to hold {} to {COMPATIBILITY}: {}", subject(topic), answer.text()?);
        }
        Ok(())
    }

    fn away(&self) -> String {
        format!("the registry at {} (run `tapeline up`, or set TAPELINE_REGISTRY_URL)", self.url)
    }
}

impl SchemaSource for Registry {
    fn schema_json(&self, id: u32) -> Result<Option<String>, String> {
        if let Some(known) = self.by_id.lock().ok().and_then(|known| known.get(&id).cloned()) {
            return Ok(known);
        }
        let found = match get_schema_by_id(id, self.settings()) {
            Ok(schema) => Some(schema.schema),
            Err(error) => match self.http.get(format!("{}/schemas/ids/{id}", self.url)).send() {
                Ok(answer) if answer.status() == StatusCode::NOT_FOUND => None,
                _ => return Err(error.to_string()),
            },
        };
        // An id that is not there now may be registered later: only answers that can't change are kept.
        if let (Some(_), Ok(mut known)) = (&found, self.by_id.lock()) {
            known.insert(id, found.clone());
        }
        Ok(found)
    }
}

impl SchemaIds for Registry {
    fn registered_id(&self, topic: &str, schema_json: &str) -> Result<u32, String> {
        let found = self.find(topic, schema_json).map_err(|error| format!("{error:#}"))?;
        found.ok_or_else(|| format!("the schema of {topic} is not registered: run `tapeline apply`"))
    }
}

/// The registry with what it has answered to [`Registry::ask_together`]. For one life of a component: a registry that is
/// rebuilt may give other ids.
pub struct AskedTogether {
    registry: Arc<Registry>,
    answers: Vec<Answer>,
}

struct Answer {
    topic: String,
    schema_json: &'static str,
    id: u32,
}

impl SchemaSource for AskedTogether {
    fn schema_json(&self, id: u32) -> Result<Option<String>, String> {
        self.registry.schema_json(id)
    }
}

impl SchemaIds for AskedTogether {
    fn registered_id(&self, topic: &str, schema_json: &str) -> Result<u32, String> {
        match self.answers.iter().find(|answer| answer.topic == topic && answer.schema_json == schema_json) {
            Some(answer) => Ok(answer.id),
            None => self.registry.registered_id(topic, schema_json),
        }
    }
}
