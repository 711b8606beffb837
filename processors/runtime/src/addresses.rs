//! The one list of environment variables that say where the servers are.

/// Addresses of the four servers, from the environment or the local parts' defaults.
///
/// | variable | default |
/// |---|---|
/// | `TAPELINE_KAFKA` | `127.0.0.1:19092` (bootstrap servers); of three local brokers also ports 19094 and 19096 |
/// | `TAPELINE_BROKERS` | `1`: how many brokers the local parts have, 1 or 3 |
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
    /// If `TAPELINE_PORT_OFFSET` is not a number from 0 to 9999, or `TAPELINE_BROKERS` neither 1 nor 3.
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
        let brokers = match lookup("TAPELINE_BROKERS").as_deref() {
            None | Some("1") => 1,
            Some("3") => 3,
            Some(text) => anyhow::bail!("TAPELINE_BROKERS is `{text}`: set it to 1 or 3"),
        };
        let local = Self::local(offset, brokers);
        Ok(Self {
            kafka: lookup("TAPELINE_KAFKA").unwrap_or(local.kafka),
            registry_url: lookup("TAPELINE_REGISTRY_URL").unwrap_or(local.registry_url),
            timescale_url: lookup("TAPELINE_TIMESCALE_URL").unwrap_or(local.timescale_url),
            clickhouse_url: lookup("TAPELINE_CLICKHOUSE_URL").unwrap_or(local.clickhouse_url),
        })
    }

    /// Where the local parts listen: all ports moved by `port_offset`, `brokers` brokers with two ports each.
    pub fn local(port_offset: u16, brokers: u16) -> Self {
        let port = |default: u16| default + port_offset;
        let broker = |index: u16| format!("127.0.0.1:{}", port(19_092 + 2 * index));
        Self {
            kafka: (0..brokers).map(broker).collect::<Vec<_>>().join(","),
            registry_url: format!("http://127.0.0.1:{}/apis/ccompat/v7", port(18_081)),
            timescale_url: format!("postgres://postgres@127.0.0.1:{}/tapeline", port(55_432)),
            clickhouse_url: format!("http://127.0.0.1:{}", port(18_123)),
        }
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
    fn three_local_brokers_are_all_in_the_bootstrap_address() -> anyhow::Result<()> {
        let with = |brokers: &'static str| {
            Addresses::from_lookup(move |name| match name {
                "TAPELINE_BROKERS" => Some(brokers.into()),
                "TAPELINE_PORT_OFFSET" => Some("1000".into()),
                _ => None,
            })
        };
        assert_eq!(with("3")?.kafka, "127.0.0.1:20092,127.0.0.1:20094,127.0.0.1:20096");
        assert_eq!(with("1")?.kafka, "127.0.0.1:20092");
        assert!(with("2").is_err_and(|error| error.to_string().contains("TAPELINE_BROKERS is `2`")));
        Ok(())
    }

    #[test]
    fn a_bad_offset_is_named() {
        let error = Addresses::from_lookup(|name| (name == "TAPELINE_PORT_OFFSET").then(|| "x".into()));
        assert!(error.is_err_and(|error| error.to_string().contains("TAPELINE_PORT_OFFSET is `x`")));
    }
}
