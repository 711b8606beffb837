//! The one list of environment variables that say where the servers are.

/// Addresses of the four servers, from the environment or the local parts' defaults.
///
/// | variable | default |
/// |---|---|
/// | `TAPELINE_KAFKA` | `127.0.0.1:19092` (bootstrap servers) |
/// | `TAPELINE_REGISTRY_URL` | `http://127.0.0.1:18081/apis/ccompat/v7` |
/// | `TAPELINE_TIMESCALE_URL` | `postgres://postgres@127.0.0.1:55432/tapeline` |
/// | `TAPELINE_CLICKHOUSE_URL` | `http://127.0.0.1:18123` (with `user:password@` where needed; database `tapeline`) |
/// | `TAPELINE_PORT_OFFSET` | `0`, added to each default port above |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// Kafka's bootstrap servers.
    pub kafka: String,
    /// Base URL of the registry's Confluent interface.
    pub registry_url: String,
    /// PostgreSQL URL of the TimescaleDB database.
    pub timescale_url: String,
    /// HTTP URL of ClickHouse.
    pub clickhouse_url: String,
}

impl Addresses {
    /// Reads the environment.
    ///
    /// # Errors
    /// If `TAPELINE_PORT_OFFSET` is not a number from 0 to 9999.
    pub fn from_env() -> anyhow::Result<Self> {
        Self::from_lookup(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let offset = match lookup("TAPELINE_PORT_OFFSET") {
            None => 0,
            Some(text) => text.parse::<u16>().ok().filter(|offset| *offset <= 9_999).ok_or_else(|| {
                anyhow::anyhow!("TAPELINE_PORT_OFFSET is `{text}`: set it to a whole number from 0 to 9999")
            })?,
        };
        let port = |default: u16| default + offset;
        let or = |name: &str, default: String| lookup(name).unwrap_or(default);
        Ok(Self {
            kafka: or("TAPELINE_KAFKA", format!("127.0.0.1:{}", port(19_092))),
            registry_url: or("TAPELINE_REGISTRY_URL", format!("http://127.0.0.1:{}/apis/ccompat/v7", port(18_081))),
            timescale_url: or(
                "TAPELINE_TIMESCALE_URL",
                format!("postgres://postgres@127.0.0.1:{}/tapeline", port(55_432)),
            ),
            clickhouse_url: or("TAPELINE_CLICKHOUSE_URL", format!("http://127.0.0.1:{}", port(18_123))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_wins_over_defaults_and_the_offset_moves_defaults_only() -> anyhow::Result<()> {
        let addresses = Addresses::from_lookup(|name| match name {
            "TAPELINE_KAFKA" => Some("broker:9092".into()),
            "TAPELINE_PORT_OFFSET" => Some("1000".into()),
            _ => None,
        })?;
        assert_eq!(addresses.kafka, "broker:9092");
        assert_eq!(addresses.clickhouse_url, "http://127.0.0.1:19123");
        Ok(())
    }

    #[test]
    fn a_bad_offset_is_named() {
        let error = Addresses::from_lookup(|name| (name == "TAPELINE_PORT_OFFSET").then(|| "x".into()));
        assert!(error.is_err_and(|error| error.to_string().contains("TAPELINE_PORT_OFFSET is `x`")));
    }
}
