//! Token buckets: how often an address, an account or a key may ask.
//!
//! A bucket is the generic cell rate algorithm: one number, the time at which it will be full again. So there is nothing
//! to refill, a bucket that is full need not be kept, and memory has a bound. (The crate `governor` does the same, but
//! has no bound on its keys.) Time is given from outside, so tests need not wait.
//!
//! What is absent: tries to log in; `tapeline_identity::guard` counts those, and shuts longer for who goes on.

use crate::principal::Principal;
use crate::problem::Problem;
use smol_str::SmolStr;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Microseconds of a second.
const SECOND_US: u64 = 1_000_000;

/// How much there may be: a bucket of `quota` that is full again after `window_s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Size of the bucket, the burst.
    pub quota: u32,
    /// Seconds in which an empty bucket fills: `quota / window_s` a second in the long run.
    pub window_s: u32,
}

/// All limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Requests of an address, of whatever kind.
    pub address: Rate,
    /// Commands of an account; of each API key as well.
    pub orders: Rate,
    /// Reads of an account and of each API key; without a log-in, of an address.
    pub reads: Rate,
    /// Sign-ups from an address.
    pub sign_ups: Rate,
    /// Most buckets of each kind that are kept.
    pub max_keys: usize,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            address: Rate { quota: 2_000, window_s: 2 },
            orders: Rate { quota: 400, window_s: 2 },
            reads: Rate { quota: 100, window_s: 2 },
            sign_ups: Rate { quota: 10, window_s: 3_600 },
            max_keys: 100_000,
        }
    }
}

/// How a bucket stands, for the headers of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Name of the policy.
    pub policy: &'static str,
    /// Its rate.
    pub rate: Rate,
    /// What is left.
    pub remaining: u32,
    /// Seconds until the bucket is full again, rounded up.
    pub full_in_s: u64,
    /// Seconds until the next one will pass, rounded up; 0 if this one did.
    pub retry_after_s: u64,
}

impl Standing {
    /// Whether there was something left.
    pub const fn passes(&self) -> bool {
        self.retry_after_s == 0
    }

    /// Value of the header `RateLimit-Policy`.
    pub fn policy_header(&self) -> String {
        format!("\"{}\";q={};w={}", self.policy, self.rate.quota, self.rate.window_s)
    }

    /// Value of the header `RateLimit`.
    pub fn limit_header(&self) -> String {
        format!("\"{}\";r={};t={}", self.policy, self.remaining, self.full_in_s)
    }

    /// The refusal that it means.
    pub fn problem(&self) -> Problem {
        let Self { policy, rate, retry_after_s, .. } = self;
        let detail = format!(
            "the limit `{policy}` of {} in {} s is reached: try again in {retry_after_s} s",
            rate.quota, rate.window_s
        );
        Problem::new(429, "too_many_requests", "Too many requests", detail).retry_after(*retry_after_s)
    }
}

/// Buckets of one kind, by key.
struct Buckets {
    policy: &'static str,
    rate: Rate,
    max_keys: usize,
    cells: Mutex<Cells>,
}

#[derive(Default)]
struct Cells {
    /// When each bucket is full again, microseconds of the clock.
    full_at_us: HashMap<SmolStr, u64>,
    /// Shared by all that find no place.
    others_full_at_us: u64,
    /// When full buckets were thrown away last.
    swept_at_us: u64,
}

impl Buckets {
    fn new(policy: &'static str, rate: Rate, max_keys: usize) -> Self {
        Self { policy, rate, max_keys, cells: Mutex::default() }
    }

    /// Takes one out of the bucket of `key`, if one is in it.
    fn take(&self, key: &str, now_us: u64) -> Standing {
        let window_us = u64::from(self.rate.window_s) * SECOND_US;
        let one_us = window_us / u64::from(self.rate.quota.max(1));
        let mut cells = self.cells.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let cell = cells.of(key, now_us, window_us, self.max_keys);
        let full_at_us = (*cell).max(now_us);
        let after_us = full_at_us + one_us;
        let wait_us = (after_us - now_us).saturating_sub(window_us);
        if wait_us == 0 {
            *cell = after_us;
        }
        let used_us = (*cell).max(now_us) - now_us;
        Standing {
            policy: self.policy,
            rate: self.rate,
            remaining: u32::try_from((window_us - used_us.min(window_us)) / one_us.max(1)).unwrap_or(u32::MAX),
            full_in_s: used_us.div_ceil(SECOND_US),
            retry_after_s: wait_us.div_ceil(SECOND_US),
        }
    }
}

impl Cells {
    fn of(&mut self, key: &str, now_us: u64, window_us: u64, max_keys: usize) -> &mut u64 {
        if !self.full_at_us.contains_key(key) {
            // Not at each new key: while there are too many, that would cost more than it saves.
            let may_sweep = self.swept_at_us == 0 || now_us.saturating_sub(self.swept_at_us) > window_us / 4;
            if self.full_at_us.len() >= max_keys && may_sweep {
                self.full_at_us.retain(|_, full_at_us| *full_at_us > now_us);
                self.swept_at_us = now_us.max(1);
            }
            if self.full_at_us.len() >= max_keys {
                return &mut self.others_full_at_us;
            }
        }
        self.full_at_us.entry(key.into()).or_insert(0)
    }
}

/// The time in microseconds since some moment.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// All buckets of a gateway.
pub struct Limits {
    clock: Clock,
    address: Buckets,
    orders: Buckets,
    order_keys: Buckets,
    reads: Buckets,
    read_keys: Buckets,
    public_reads: Buckets,
    sign_ups: Buckets,
}

impl Limits {
    /// Buckets that are all full.
    pub fn new(rates: &Rates) -> Self {
        let began_at = Instant::now();
        Self::with_clock(rates, Arc::new(move || u64::try_from(began_at.elapsed().as_micros()).unwrap_or(u64::MAX)))
    }

    /// The same with a clock of its own.
    pub fn with_clock(rates: &Rates, clock: Clock) -> Self {
        let buckets = |policy, rate| Buckets::new(policy, rate, rates.max_keys);
        Self {
            clock,
            address: buckets("address", rates.address),
            orders: buckets("orders", rates.orders),
            order_keys: buckets("orders-key", rates.orders),
            reads: buckets("reads", rates.reads),
            read_keys: buckets("reads-key", rates.reads),
            public_reads: buckets("reads", rates.reads),
            sign_ups: buckets("sign-ups", rates.sign_ups),
        }
    }

    /// A request of an address, of whatever kind.
    pub fn request(&self, address: IpAddr) -> Standing {
        self.address.take(&address_key(address), (self.clock)())
    }

    /// A command of an account.
    pub fn order(&self, principal: &Principal) -> Standing {
        self.of_principal(&self.orders, &self.order_keys, principal)
    }

    /// A read of an account.
    pub fn read(&self, principal: &Principal) -> Standing {
        self.of_principal(&self.reads, &self.read_keys, principal)
    }

    /// A read without a log-in.
    pub fn public_read(&self, address: IpAddr) -> Standing {
        self.public_reads.take(&address_key(address), (self.clock)())
    }

    /// A sign-up from an address.
    pub fn sign_up(&self, address: IpAddr) -> Standing {
        self.sign_ups.take(&address_key(address), (self.clock)())
    }

    /// The key's bucket first: a program that is out of order must not use up the account's.
    fn of_principal(&self, accounts: &Buckets, keys: &Buckets, principal: &Principal) -> Standing {
        let now_us = (self.clock)();
        let of_key = principal.key_id.as_ref().map(|key| keys.take(key, now_us));
        of_key.filter(|standing| !standing.passes()).unwrap_or_else(|| accounts.take(&principal.account, now_us))
    }
}

/// An IPv6 network of 64 bits is one customer's: its addresses share a bucket.
fn address_key(address: IpAddr) -> SmolStr {
    match address.to_canonical() {
        IpAddr::V4(address) => smol_str::format_smolstr!("{address}"),
        IpAddr::V6(address) => smol_str::format_smolstr!("{:x}", address.to_bits() >> 64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    const MS: u64 = 1_000;

    fn buckets(quota: u32, window_s: u32) -> Buckets {
        Buckets::new("test", Rate { quota, window_s }, 3)
    }

    #[test]
    fn a_burst_passes_then_the_rate_does() {
        let four_a_second = buckets(8, 2);
        for left in (0..8).rev() {
            let standing = four_a_second.take("ann", 0);
            assert!(standing.passes());
            assert_eq!(standing.remaining, left);
        }
        let refused = four_a_second.take("ann", 0);
        assert_eq!((refused.passes(), refused.remaining, refused.retry_after_s), (false, 0, 1));
        for (at_ms, passes) in [(249, false), (250, true), (251, false), (499, false), (500, true), (1_000, true)] {
            assert_eq!(four_a_second.take("ann", at_ms * MS).passes(), passes, "{at_ms} ms");
        }
        assert!(four_a_second.take("bob", 0).passes(), "another key has a bucket of its own");
    }

    #[test]
    fn refused_tries_cost_nothing() {
        let one_a_minute = buckets(1, 60);
        assert!(one_a_minute.take("ann", 0).passes());
        (0..1_000).for_each(|_| assert!(!one_a_minute.take("ann", 30_000 * MS).passes()));
        let refused = one_a_minute.take("ann", 30_000 * MS);
        assert_eq!(refused.retry_after_s, 30);
        assert!(one_a_minute.take("ann", 60_000 * MS).passes());
    }

    #[test]
    fn the_number_of_buckets_is_bounded_and_full_ones_make_room() {
        let buckets = buckets(1, 1);
        for name in ["a", "b", "c"] {
            assert!(buckets.take(name, MS).passes());
        }
        assert!(buckets.take("d", 2 * MS).passes());
        assert!(!buckets.take("e", 2 * MS).passes(), "those without a place share one bucket");
        assert!(!buckets.take("a", 2 * MS).passes(), "known ones keep theirs");
        assert_eq!(buckets.cells.lock().unwrap().full_at_us.len(), 3);
        assert!(buckets.take("e", 2_000 * MS).passes());
        assert_eq!(buckets.cells.lock().unwrap().full_at_us.len(), 1, "full ones were thrown away");
    }

    #[test]
    fn headers_say_policy_and_standing() {
        let standing = buckets(400, 2).take("ann", 0);
        assert_eq!(standing.policy_header(), "\"test\";q=400;w=2");
        assert_eq!(standing.limit_header(), "\"test\";r=399;t=1");
    }

    #[test]
    fn a_key_that_has_run_dry_leaves_the_account_its_own() {
        let now_us = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&now_us);
        let rates = Rates { orders: Rate { quota: 2, window_s: 2 }, ..Rates::default() };
        let limits = Limits::with_clock(&rates, Arc::new(move || clock.load(Ordering::Relaxed)));
        let of = |key: Option<&str>| Principal {
            user_id: "u1".into(),
            account: "ann".into(),
            scopes: vec![],
            key_id: key.map(Into::into),
            expires_ms: 0,
            second_factor_ms: None,
            has_second_factor: false,
        };
        assert!(limits.order(&of(Some("k1"))).passes());
        assert!(limits.order(&of(None)).passes());
        assert_eq!(limits.order(&of(Some("k1"))).policy, "orders", "the account's own bucket is empty first");
        let refused = limits.order(&of(Some("k1")));
        assert_eq!((refused.policy, refused.passes()), ("orders-key", false));
        now_us.store(1_000 * MS, Ordering::Relaxed);
        assert!(limits.order(&of(None)).passes());
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_a_bucket() {
        for (one, other, same) in [
            ("2001:db8:1:2:3::4", "2001:db8:1:2::9", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
            ("::ffff:10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
        ] {
            let key = |text: &str| address_key(text.parse().unwrap());
            assert_eq!(key(one) == key(other), same, "{one} {other}");
        }
    }
}
