//! What is learned of a request on its way, for the headers, metrics and audit of its answer.

use crate::limits::Standing;
use crate::principal::Principal;
use axum::http::HeaderMap;
use smol_str::SmolStr;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The header in which proxies tell for whom they ask: the client, then each proxy but the last.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Where a request comes from; the server puts it into each one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddress(pub IpAddr);

impl PeerAddress {
    /// Of a connection from `connected`: that address, or, as long as it is one of our own `proxies`, the one that the
    /// proxy tells. What stands before that the client may have made up.
    pub fn of(connected: IpAddr, headers: &HeaderMap, proxies: &[IpAddr]) -> Self {
        let mut address = connected.to_canonical();
        let lines = headers.get_all(FORWARDED_FOR).iter().rev().filter_map(|line| line.to_str().ok());
        let mut told = lines.flat_map(|line| line.rsplit(',')).map(str::trim);
        while proxies.contains(&address) {
            let with_port = |text: &str| text.parse::<SocketAddr>().map(|address| address.ip());
            let next = told.next().and_then(|text| text.parse().or_else(|_| with_port(text)).ok());
            let Some(next): Option<IpAddr> = next else { break };
            address = next.to_canonical();
        }
        Self(address)
    }
}

/// Notes of one request: an extension of it.
#[derive(Clone, Default)]
pub struct Notes(Arc<Mutex<Noted>>);

/// What was noted.
#[derive(Debug, Clone, Default)]
pub struct Noted {
    /// Where the request came from.
    pub address: Option<IpAddr>,
    /// How the limit stands that it counted towards; the narrowest.
    pub standing: Option<Standing>,
    /// Who asked: user and API key.
    pub user: Option<(SmolStr, Option<SmolStr>)>,
    /// Whether the auditor has been told already, by whoever knows more than the status.
    pub is_audited: bool,
}

impl Notes {
    /// Notes of a request from `address`.
    pub fn of(address: Option<IpAddr>) -> Self {
        Self(Arc::new(Mutex::new(Noted { address, ..Noted::default() })))
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the request came from.
    pub fn address(&self) -> Option<IpAddr> {
        self.noted().address
    }

    /// Notes who asks.
    pub fn set_principal(&self, principal: &Principal) {
        self.noted().user = Some((principal.user_id.clone(), principal.key_id.clone()));
    }

    /// Notes how a limit stands; it takes the place of a wider one.
    pub fn set_standing(&self, standing: Standing) {
        self.noted().standing = Some(standing);
    }

    /// Notes that the auditor has been told.
    pub fn set_audited(&self) {
        self.noted().is_audited = true;
    }

    /// All of it.
    pub fn read(&self) -> Noted {
        self.noted().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_comes_from_who_the_last_of_our_own_proxies_says() {
        let proxies: [IpAddr; 2] = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
        for (connected, lines, expected) in [
            ("192.0.2.7", &[][..], "192.0.2.7"),
            ("192.0.2.7", &["198.51.100.1"], "192.0.2.7"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.9", "198.51.100.1, 10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", &["2001:db8::1"], "2001:db8::1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["10.0.0.2, 10.0.0.1"], "10.0.0.2"),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FORWARDED_FOR, line.parse().unwrap());
            }
            let found = PeerAddress::of(connected.parse().unwrap(), &headers, &proxies);
            assert_eq!(found.0.to_string(), expected, "{connected} {lines:?}");
        }
    }
}
