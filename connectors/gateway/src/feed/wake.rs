//! Who is told that there is something new, and how often.
//!
//! A client that has been woken is not woken again before it has looked, and all clients are woken in rounds: a round begins
//! once the clients of the last one have looked, so that under load the rounds grow further apart, and each client finds more
//! to send at once, instead of the machine doing a system call for each message.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

/// Rounds begin at least so far apart.
const SHORTEST_ROUND: Duration = Duration::from_millis(2);
/// A round that takes longer, for there are more clients than the machine can serve in it, does not hold up the next one.
const LONGEST_ROUND: Duration = Duration::from_millis(25);

/// The longest pause between two rounds.
const LONGEST_REST: Duration = Duration::from_millis(10);

/// The bell of one client.
#[derive(Debug)]
pub struct Wake {
    id: u64,
    notify: Notify,
    raised: AtomicBool,
    /// Whether a round waits for the client.
    awaited: AtomicBool,
    /// Whether the client waits for its socket: no round waits for it then.
    writing: AtomicBool,
    rounds: Arc<Rounds>,
}

impl Wake {
    /// Rings, unless it has rung and the client has not looked yet.
    pub fn raise(&self) {
        if !self.raised.swap(true, Ordering::AcqRel) {
            if !self.writing.load(Ordering::Acquire) {
                self.awaited.store(true, Ordering::Release);
                self.rounds.unserved.fetch_add(1, Ordering::AcqRel);
            }
            self.notify.notify_one();
        }
    }

    /// Waits until it rings.
    pub async fn wait(&self) {
        self.notify.notified().await;
    }

    /// Says that the client looks now; what comes later rings again.
    pub fn lower(&self) {
        self.raised.store(false, Ordering::Release);
        self.let_go();
    }

    /// Says whether the client waits for its socket.
    pub fn set_writing(&self, writing: bool) {
        self.writing.store(writing, Ordering::Release);
        if writing {
            self.let_go();
        }
    }

    fn let_go(&self) {
        if self.awaited.swap(false, Ordering::AcqRel) && self.rounds.unserved.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.rounds.served.notify_one();
        }
    }
}

impl Drop for Wake {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// The clients of a channel, in the order of their ids.
#[derive(Debug, Default)]
pub struct Subscribers {
    wakes: Mutex<Vec<Arc<Wake>>>,
    count: AtomicUsize,
    due: AtomicBool,
}

impl Subscribers {
    /// Adds a client; it may be there already.
    pub fn add(&self, wake: &Arc<Wake>) {
        let mut wakes = self.wakes.lock().unwrap_or_else(PoisonError::into_inner);
        let place = wakes.partition_point(|at| at.id < wake.id);
        if wakes.get(place).is_none_or(|at| at.id != wake.id) {
            wakes.insert(place, Arc::clone(wake));
        }
        self.count.store(wakes.len(), Ordering::Release);
    }

    /// Takes a client away.
    pub fn remove(&self, wake: &Wake) {
        let mut wakes = self.wakes.lock().unwrap_or_else(PoisonError::into_inner);
        let place = wakes.partition_point(|at| at.id < wake.id);
        if wakes.get(place).is_some_and(|at| at.id == wake.id) {
            wakes.remove(place);
        }
        self.count.store(wakes.len(), Ordering::Release);
    }

    /// Whether nobody listens.
    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    fn raise(&self) {
        self.due.store(false, Ordering::Release);
        self.wakes.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(|wake| wake.raise());
    }
}

/// The rounds in which clients are woken.
#[derive(Debug, Default)]
pub struct Rounds {
    next_id: AtomicUsize,
    due: Mutex<Vec<Arc<Subscribers>>>,
    any_due: Notify,
    unserved: AtomicUsize,
    served: Notify,
}

impl Rounds {
    /// The bell of a new client.
    pub fn wake(self: &Arc<Self>) -> Arc<Wake> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed) as u64;
        Arc::new(Wake {
            id,
            notify: Notify::new(),
            raised: AtomicBool::new(false),
            awaited: AtomicBool::new(false),
            writing: AtomicBool::new(false),
            rounds: Arc::clone(self),
        })
    }

    /// Has these clients woken in the next round.
    pub fn mark(&self, subscribers: &Arc<Subscribers>) {
        if !subscribers.is_empty() && !subscribers.due.swap(true, Ordering::AcqRel) {
            self.due.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(subscribers));
        }
    }

    /// Says that a batch of records is in: a round may begin.
    pub fn begin(&self) {
        if !self.due.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            self.any_due.notify_one();
        }
    }

    /// Wakes all whose channels have been marked.
    pub fn ring(&self) {
        let due = std::mem::take(&mut *self.due.lock().unwrap_or_else(PoisonError::into_inner));
        due.iter().for_each(|subscribers| subscribers.raise());
    }

    /// Wakes clients, round by round, without end.
    pub async fn run(&self) {
        loop {
            self.any_due.notified().await;
            let began = Instant::now();
            self.ring();
            let all_served = async {
                while self.unserved.load(Ordering::Acquire) > 0 {
                    self.served.notified().await;
                }
            };
            // Too late is no error: the next round begins all the same.
            let _ = timeout(LONGEST_ROUND, all_served).await;
            // Half as long again belongs to whatever else the machine has to do.
            let rest = (began.elapsed() / 2).clamp(SHORTEST_ROUND / 2, LONGEST_REST);
            sleep_until((began + SHORTEST_ROUND).max(Instant::now() + rest)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    /// Whether the client would go on now.
    fn rung(wake: &Wake) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        pin!(wake.wait()).poll(&mut context) == Poll::Ready(())
    }

    #[test]
    fn a_client_of_several_channels_is_woken_once_a_round_and_again_after_it_has_looked() {
        let rounds = Arc::new(Rounds::default());
        let (wake, other) = (rounds.wake(), rounds.wake());
        let channels: [Arc<Subscribers>; 3] = Default::default();
        channels.iter().take(2).for_each(|channel| channel.add(&wake));
        channels[2].add(&other);
        channels.iter().take(2).for_each(|channel| rounds.mark(channel));
        assert!(!rung(&wake), "only a round wakes");
        rounds.ring();
        assert_eq!((rung(&wake), rung(&wake), rung(&other)), (true, false, false));
        rounds.mark(&channels[0]);
        rounds.ring();
        assert!(!rung(&wake), "it has not looked since");
        wake.lower();
        rounds.mark(&channels[0]);
        rounds.ring();
        assert!(rung(&wake));
    }

    #[test]
    fn a_round_does_not_wait_for_a_client_that_waits_for_its_socket() {
        let rounds = Arc::new(Rounds::default());
        let (wake, channel) = (rounds.wake(), Arc::new(Subscribers::default()));
        let unserved = || rounds.unserved.load(Ordering::Acquire);
        channel.add(&wake);
        rounds.mark(&channel);
        rounds.ring();
        assert_eq!(unserved(), 1);
        wake.set_writing(true);
        assert_eq!(unserved(), 0);
        wake.lower();
        rounds.mark(&channel);
        rounds.ring();
        assert_eq!((unserved(), rung(&wake)), (0, true), "it is told all the same");
    }

    #[test]
    fn who_has_gone_is_not_woken_and_does_not_hold_up_a_round() {
        let rounds = Arc::new(Rounds::default());
        let (wake, channel) = (rounds.wake(), Arc::new(Subscribers::default()));
        channel.add(&wake);
        channel.add(&wake);
        rounds.mark(&channel);
        rounds.ring();
        channel.remove(&wake);
        assert!(channel.is_empty());
        drop(wake);
        assert_eq!(rounds.unserved.load(Ordering::Acquire), 0);
    }
}
