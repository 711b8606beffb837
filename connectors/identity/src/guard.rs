//! Against guessing of passwords: each login and each address has a bucket of tries.
//!
//! A bucket that runs empty stays shut for a minute, the next time for two, and so on up to a quarter of an hour; a right
//! password or a quiet hour takes that back. The memory is bounded: of too many buckets the half that was idle for longest goes.
//!
//! What is absent: other gateways. Each counts for itself, so behind n of them a guesser has n times the tries. And strangers can shut
//! a login for a quarter of an hour; open sessions and API keys go on.

use crate::refusal::{Code, Refusal};
use smol_str::{SmolStr, ToSmolStr};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

const MINUTE_MS: i64 = 60_000;
const TRIES_BY_LOGIN: i64 = 5;
const TRIES_BY_ADDRESS: i64 = 20;
const LONGEST_WAIT_MS: i64 = 15 * MINUTE_MS;
const FORGIVEN_AFTER_MS: i64 = 60 * MINUTE_MS;
/// Buckets of each kind; about 100 bytes each.
const MAX_BUCKETS: usize = 100_000;
/// No login is longer; a longer one shares its bucket with others that begin alike.
const MAX_LOGIN_BYTES: usize = 64;

/// Counts tries to log in.
#[derive(Debug)]
pub struct LoginGuard {
    logins: Buckets,
    addresses: Buckets,
}

impl Default for LoginGuard {
    fn default() -> Self {
        Self::with_capacity(MAX_BUCKETS)
    }
}

impl LoginGuard {
    fn with_capacity(buckets: usize) -> Self {
        Self { logins: Buckets::new(TRIES_BY_LOGIN, buckets), addresses: Buckets::new(TRIES_BY_ADDRESS, buckets) }
    }

    /// Counts a try; called before the password is looked at.
    ///
    /// # Errors
    /// [`Code::TooManyTries`] with the seconds to wait.
    pub fn try_log_in(&mut self, login: &str, address: IpAddr, now_ms: i64) -> Result<(), Refusal> {
        let wait_ms = match self.addresses.take(&network(address), now_ms) {
            Ok(()) => self.logins.take(&login_key(login), now_ms),
            shut => shut,
        };
        wait_ms.map_err(|wait_ms| {
            let wait_s = wait_ms.saturating_add(999).div_euclid(1_000).max(1);
            let text = format!("too many tries to log in; wait {wait_s} s");
            Refusal { retry_after_s: Some(wait_s), ..Refusal::new(Code::TooManyTries, text) }
        })
    }

    /// The password was right: the login's tries are forgotten. The address's are not, or a guesser could log in to an own user
    /// in between.
    pub fn succeeded(&mut self, login: &str) {
        self.logins.forget(&login_key(login));
    }
}

fn login_key(login: &str) -> SmolStr {
    let cut = login.floor_char_boundary(MAX_LOGIN_BYTES.min(login.len()));
    login[..cut].to_ascii_lowercase().into()
}

/// What is given to one customer: an IPv4 address, or an IPv6 network of 64 bits.
fn network(address: IpAddr) -> SmolStr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_smolstr(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).to_smolstr(),
    }
}

#[derive(Debug, Clone)]
struct Bucket {
    /// Tries left, in units of which one try has [`MINUTE_MS`]: so a millisecond refills `tries_a_minute`.
    level: i64,
    touched_ms: i64,
    shut_until_ms: i64,
    /// How often it ran empty since it was last forgiven.
    ran_empty: u32,
}

/// Two generations: what is touched moves into the young one; when that is full, the old one goes.
#[derive(Debug)]
struct Buckets {
    tries_a_minute: i64,
    max_young: usize,
    young: HashMap<SmolStr, Bucket>,
    old: HashMap<SmolStr, Bucket>,
}

impl Buckets {
    fn new(tries_a_minute: i64, capacity: usize) -> Self {
        Self { tries_a_minute, max_young: (capacity / 2).max(1), young: HashMap::new(), old: HashMap::new() }
    }

    fn forget(&mut self, key: &str) {
        self.young.remove(key);
        self.old.remove(key);
    }

    /// Takes a try out of the bucket; how many milliseconds to wait, if it is shut.
    fn take(&mut self, key: &SmolStr, now_ms: i64) -> Result<(), i64> {
        let full = self.tries_a_minute * MINUTE_MS;
        let fresh = Bucket { level: full, touched_ms: now_ms, shut_until_ms: now_ms, ran_empty: 0 };
        let mut bucket = self.young.remove(key).or_else(|| self.old.remove(key)).unwrap_or(fresh);
        let taken = bucket.take(self.tries_a_minute, now_ms);
        if self.young.len() >= self.max_young {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key.clone(), bucket);
        taken
    }
}

impl Bucket {
    fn take(&mut self, tries_a_minute: i64, now_ms: i64) -> Result<(), i64> {
        let full = tries_a_minute * MINUTE_MS;
        // A clock that was set back must not refill anything later.
        let idle_ms = now_ms.saturating_sub(self.touched_ms).max(0);
        self.touched_ms = now_ms.max(self.touched_ms);
        if idle_ms >= FORGIVEN_AFTER_MS {
            self.ran_empty = 0;
        }
        self.level = full.min(self.level.saturating_add(idle_ms.saturating_mul(tries_a_minute)));
        if now_ms < self.shut_until_ms {
            return Err(self.shut_until_ms - now_ms);
        }
        if self.level >= MINUTE_MS {
            self.level -= MINUTE_MS;
            return Ok(());
        }
        let wait_ms = (MINUTE_MS << self.ran_empty.min(4)).min(LONGEST_WAIT_MS);
        self.ran_empty = self.ran_empty.saturating_add(1);
        self.shut_until_ms = now_ms.saturating_add(wait_ms);
        Err(wait_ms)
    }
}

#[cfg(test)]
mod tests;
