//! How much a client may say, and when it is asked whether it is there. Times are given, never looked up.

use tokio::time::{Duration, Instant};

/// How many messages a second a client may send, and how many at once.
const MESSAGES_PER_S: u32 = 100;
/// Time between two pings.
const PING: Duration = Duration::from_secs(15);
/// How many pings may stay unanswered.
const UNANSWERED: u32 = 2;
/// How long a connection may be neither known nor subscribed to anything.
const IDLE: Duration = Duration::from_secs(10);
/// How long before its end a token's end is told.
const WARNING: Duration = Duration::from_secs(30);

/// A bucket of messages that fills with time.
#[derive(Debug)]
pub(crate) struct Allowance {
    /// When the bucket would have been empty.
    empty_at: Instant,
}

impl Allowance {
    pub(crate) const fn new(now: Instant) -> Self {
        // Full after the first second: what a client sends at once on connecting is little.
        Self { empty_at: now }
    }

    /// Takes a message; false if it is one too many.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let each = Duration::from_secs(1) / MESSAGES_PER_S;
        self.empty_at = self.empty_at.max(now) + each;
        self.empty_at <= now + Duration::from_secs(1)
    }
}

/// What a session has to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing.
    Nothing,
    /// Ask whether the client is there.
    Ping,
    /// Tell that the token ends.
    Warn,
    /// End: the token has ended.
    Expired,
    /// End: the client did not answer.
    Unanswered,
    /// End: the client wants nothing.
    Idle,
}

/// The times of a session.
#[derive(Debug)]
pub(crate) struct Times {
    began: Instant,
    ping_at: Instant,
    unanswered: u32,
    expires_at: Option<Instant>,
    warned: bool,
}

impl Times {
    pub(crate) fn new(now: Instant) -> Self {
        Self { began: now, ping_at: now + PING, unanswered: 0, expires_at: None, warned: false }
    }

    /// The client has answered, or said something.
    pub(crate) const fn heard(&mut self) {
        self.unanswered = 0;
    }

    /// The client's token ends then.
    pub(crate) const fn renewed(&mut self, expires_at: Instant) {
        (self.expires_at, self.warned) = (Some(expires_at), false);
    }

    /// When something is due next. `idle` says whether the client wants nothing.
    pub(crate) fn next(&self, idle: bool) -> Instant {
        let idle_at = idle.then(|| self.began + IDLE);
        let token_at = self.expires_at.map(|at| if self.warned { at } else { at - WARNING.min(at - self.began) });
        [idle_at, token_at].into_iter().flatten().fold(self.ping_at, Instant::min)
    }

    /// What is due.
    pub(crate) fn due(&mut self, now: Instant, idle: bool) -> Due {
        if self.expires_at.is_some_and(|at| now >= at) {
            return Due::Expired;
        }
        if idle && now >= self.began + IDLE {
            return Due::Idle;
        }
        if self.expires_at.is_some_and(|at| now + WARNING >= at) && !self.warned {
            self.warned = true;
            return Due::Warn;
        }
        if now < self.ping_at {
            return Due::Nothing;
        }
        if self.unanswered == UNANSWERED {
            return Due::Unanswered;
        }
        (self.unanswered, self.ping_at) = (self.unanswered + 1, now + PING);
        Due::Ping
    }

    /// How long the token still lives, whole seconds.
    pub(crate) fn token_left_s(&self, now: Instant) -> i64 {
        self.expires_at.map_or(0, |at| at.saturating_duration_since(now).as_secs_f64().round() as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn a_hundred_messages_a_second_pass_and_the_next_does_not() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        assert!((0..100).all(|_| allowance.take(start)));
        assert!(!allowance.take(start));
        let mut allowance = Allowance::new(start);
        assert!((0..1_000).all(|index| allowance.take(start + S * index / 100)));
    }

    #[test]
    fn two_pings_may_stay_unanswered() {
        let start = Instant::now();
        let mut times = Times::new(start);
        for (at, heard, due) in [
            (14, false, Due::Nothing),
            (15, false, Due::Ping),
            (16, false, Due::Nothing),
            (30, true, Due::Ping),
            (45, false, Due::Ping),
            (59, false, Due::Nothing),
            (60, false, Due::Unanswered),
        ] {
            if heard {
                times.heard();
            }
            assert_eq!(times.due(start + S * at, false), due, "{at} s");
        }
    }

    #[test]
    fn a_token_is_warned_of_once_and_renewing_it_begins_anew() {
        let start = Instant::now();
        let mut times = Times::new(start);
        times.renewed(start + S * 40);
        assert_eq!(times.next(false), start + S * 10);
        assert_eq!(times.due(start + S * 10, false), Due::Warn);
        assert_eq!(times.token_left_s(start + S * 10), 30);
        assert_eq!(times.due(start + S * 11, false), Due::Nothing);
        times.renewed(start + S * 60);
        assert_eq!(times.due(start + S * 40, false), Due::Warn);
        assert_eq!(times.due(start + S * 41, false), Due::Ping);
        assert_eq!(times.due(start + S * 60, false), Due::Expired);
    }

    #[test]
    fn who_wants_nothing_is_cut_after_ten_seconds() {
        let start = Instant::now();
        let mut times = Times::new(start);
        assert_eq!(times.next(true), start + S * 10);
        assert_eq!(times.due(start + S * 9, true), Due::Nothing);
        assert_eq!(times.due(start + S * 10, true), Due::Idle);
        assert_eq!(times.due(start + S * 11, false), Due::Nothing);
    }
}
