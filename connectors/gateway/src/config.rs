//! What the gateway is told by its environment.

use anyhow::{Context, Result, bail, ensure};
use axum::http::HeaderValue;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Where the gateway listens unless it is told; `TAPELINE_PORT_OFFSET` moves the port.
const DEFAULT_PORT: u16 = 18_080;

/// The gateway's settings. Where the servers are is told by [`tapeline_runtime::addresses::Addresses`].
///
/// | variable | default |
/// |---|---|
/// | `TAPELINE_GATEWAY` | `127.0.0.1:18080`, the port moved by `TAPELINE_PORT_OFFSET` |
/// | `TAPELINE_GATEWAY_TLS_CERT`, `TAPELINE_GATEWAY_TLS_KEY` | none: plain HTTP. Files in PEM, the certificate with its chain |
/// | `TAPELINE_GATEWAY_ORIGINS` | none: pages of the gateway's own origin only. Origins, separated by commas |
/// | `TAPELINE_GATEWAY_PROXIES` | none: no header is believed. Addresses of load balancers, separated by commas, whose `X-Forwarded-For` tells where a request comes from |
/// | `TAPELINE_GATEWAY_DEMO` | off. `1`: whoever may trade may deposit too |
/// | `TAPELINE_GATEWAY_RP` | `http://localhost:<port>`, `https` with TLS: the origin whose pages may use passkeys. Its host is their domain for ever: a passkey counts for no other one |
/// | `TAPELINE_GATEWAY_OPERATORS` | none. Logins, separated by commas, that have the role `operator`; the same on all gateways |
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Certificate and key, if TLS is spoken.
    pub tls: Option<TlsFiles>,
    /// Origins whose pages may ask.
    pub origins: Vec<HeaderValue>,
    /// Load balancers, which are believed when they tell for whom they ask.
    pub proxies: Vec<IpAddr>,
    /// Whether deposits are open.
    pub demo: bool,
    /// The origin whose pages may use passkeys.
    pub relying_party: String,
    /// Logins that have the role `operator`.
    pub operators: Vec<String>,
    /// Longest time from a request's head to its answer.
    pub request_timeout: Duration,
    /// Longest time for a request's head to come in.
    pub header_timeout: Duration,
    /// Most connections at a time.
    pub max_connections: usize,
}

/// Files of a server's identity, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and its chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// If a variable is malformed; the message names it and says what to set.
    pub fn from_env() -> Result<Self> {
        Self::from_lookup(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    /// Listens at `listen` in plain HTTP; all else as if nothing was set.
    pub fn at(listen: SocketAddr) -> Self {
        Self {
            listen,
            tls: None,
            origins: Vec::new(),
            proxies: Vec::new(),
            demo: false,
            relying_party: format!("http://localhost:{}", listen.port()),
            operators: Vec::new(),
            // A command may wait for its 5 s behind another one that does.
            request_timeout: Duration::from_secs(12),
            header_timeout: Duration::from_secs(10),
            max_connections: 10_000,
        }
    }

    fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let listen = match lookup("TAPELINE_GATEWAY") {
            Some(text) => text.parse().with_context(|| {
                format!("TAPELINE_GATEWAY is `{text}`: set it to an address such as 127.0.0.1:18080")
            })?,
            None => SocketAddr::from(([127, 0, 0, 1], DEFAULT_PORT + port_offset(&lookup)?)),
        };
        let tls = match (lookup("TAPELINE_GATEWAY_TLS_CERT"), lookup("TAPELINE_GATEWAY_TLS_KEY")) {
            (Some(certificate), Some(key)) => Some(TlsFiles { certificate: certificate.into(), key: key.into() }),
            (None, None) => None,
            _ => bail!("set both TAPELINE_GATEWAY_TLS_CERT and TAPELINE_GATEWAY_TLS_KEY, or none of them"),
        };
        let origins = list(&lookup, "TAPELINE_GATEWAY_ORIGINS");
        let origins = origins.iter().map(|text| origin("TAPELINE_GATEWAY_ORIGINS", text)).collect::<Result<_>>()?;
        let proxies = list(&lookup, "TAPELINE_GATEWAY_PROXIES");
        let proxies = proxies.iter().map(|text| {
            let wrong = || format!("TAPELINE_GATEWAY_PROXIES has `{text}`: set it to addresses such as 10.0.0.1");
            text.parse().map(|address: IpAddr| address.to_canonical()).with_context(wrong)
        });
        let proxies = proxies.collect::<Result<_>>()?;
        let demo = match lookup("TAPELINE_GATEWAY_DEMO").as_deref() {
            None | Some("0") => false,
            Some("1") => true,
            Some(text) => bail!("TAPELINE_GATEWAY_DEMO is `{text}`: set it to 1 or 0"),
        };
        let mut settings = Self { tls, origins, proxies, demo, ..Self::at(listen) };
        if let Some(text) = lookup("TAPELINE_GATEWAY_RP") {
            origin("TAPELINE_GATEWAY_RP", &text)?;
            settings.relying_party = text;
        } else if settings.tls.is_some() {
            settings.relying_party = format!("https://localhost:{}", listen.port());
        }
        settings.operators = list(&lookup, "TAPELINE_GATEWAY_OPERATORS");
        Ok(settings)
    }
}

/// What a variable lists, separated by commas.
fn list(lookup: &impl Fn(&str) -> Option<String>, variable: &str) -> Vec<String> {
    let listed = lookup(variable).unwrap_or_default();
    listed.split(',').map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

fn port_offset(lookup: &impl Fn(&str) -> Option<String>) -> Result<u16> {
    let Some(text) = lookup("TAPELINE_PORT_OFFSET") else { return Ok(0) };
    let offset = text.parse::<u16>().ok().filter(|offset| *offset <= 9_999);
    offset.with_context(|| format!("TAPELINE_PORT_OFFSET is `{text}`: set it to a whole number from 0 to 9999"))
}

/// Scheme, host and port, as browsers send them.
fn origin(variable: &str, text: &str) -> Result<HeaderValue> {
    let wrong = || format!("{variable} has `{text}`: an origin is such as https://desk.example:8443");
    let url = url::Url::parse(text).with_context(wrong)?;
    ensure!(url.origin().ascii_serialization() == text, wrong());
    text.parse().with_context(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings> {
        let variables: Vec<(String, String)> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings::from_lookup(move |wanted| {
            variables.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone())
        })
    }

    #[test]
    fn the_environment_is_read_with_defaults() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:18080");
        assert_eq!(settings.relying_party, "http://localhost:18080");
        assert!(settings.tls.is_none() && settings.origins.is_empty() && !settings.demo);
        let settings = read(&[
            ("TAPELINE_PORT_OFFSET", "500"),
            ("TAPELINE_GATEWAY_ORIGINS", "https://a.example, http://127.0.0.1:3000"),
            ("TAPELINE_GATEWAY_PROXIES", "10.0.0.1,::1"),
            ("TAPELINE_GATEWAY_DEMO", "1"),
            ("TAPELINE_GATEWAY_RP", "https://desk.example"),
            ("TAPELINE_GATEWAY_OPERATORS", "ada, Bob,"),
        ])
        .unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:18580");
        assert_eq!(settings.origins, ["https://a.example", "http://127.0.0.1:3000"]);
        assert_eq!(settings.proxies, ["10.0.0.1".parse::<IpAddr>().unwrap(), "::1".parse().unwrap()]);
        assert!(settings.demo);
        assert_eq!(settings.relying_party, "https://desk.example");
        assert_eq!(settings.operators, ["ada", "Bob"]);
    }

    #[test]
    fn with_tls_pages_of_localhost_are_those_of_https() {
        let files = [("TAPELINE_GATEWAY_TLS_CERT", "cert.pem"), ("TAPELINE_GATEWAY_TLS_KEY", "key.pem")];
        assert_eq!(read(&files).unwrap().relying_party, "https://localhost:18080");
    }

    #[test]
    fn what_is_malformed_is_named() {
        for (name, value) in [
            ("TAPELINE_GATEWAY", "localhost"),
            ("TAPELINE_PORT_OFFSET", "x"),
            ("TAPELINE_GATEWAY_TLS_CERT", "cert.pem"),
            ("TAPELINE_GATEWAY_ORIGINS", "*"),
            ("TAPELINE_GATEWAY_ORIGINS", "https://a.example/"),
            ("TAPELINE_GATEWAY_PROXIES", "10.0.0.0/8"),
            ("TAPELINE_GATEWAY_DEMO", "yes"),
            ("TAPELINE_GATEWAY_RP", "desk.example"),
        ] {
            let error = read(&[(name, value)]).expect_err(name);
            assert!(format!("{error:#}").contains(name), "{error:#}");
        }
    }
}
