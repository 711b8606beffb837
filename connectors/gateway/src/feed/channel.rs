//! Frames that wait for clients: streams, of which a client needs each frame, and latest values, of which it needs the last.

use super::frame::Frame;
use super::ring::Ring;
use super::wake::Subscribers;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// Whether a client has had all that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Reading {
    /// It has.
    UpToDate,
    /// Frames that it had not read have given way to newer ones.
    FellOut,
}

/// A stream of frames. A client's place is the number of the frame that it reads next.
#[derive(Debug)]
pub struct Stream {
    /// The next frame's number: tells without the lock that there is nothing new.
    next: AtomicU64,
    ring: RwLock<Ring<Frame>>,
    subscribers: Arc<Subscribers>,
}

impl Stream {
    /// An empty stream that keeps the last `max_bytes`.
    pub fn new(max_bytes: usize) -> Self {
        Self { next: AtomicU64::new(0), ring: RwLock::new(Ring::new(max_bytes)), subscribers: Arc::default() }
    }

    /// Its clients.
    pub const fn subscribers(&self) -> &Arc<Subscribers> {
        &self.subscribers
    }

    /// Appends a frame.
    pub fn push(&self, frame: Frame) {
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        let bytes = frame.len() + size_of::<Frame>();
        ring.push(frame, bytes, drop);
        self.next.store(ring.next(), Ordering::Release);
    }

    /// The number of the next frame: where a client begins that has all that came before.
    pub fn next(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    /// Appends to `frames` what came since `cursor`, and moves it.
    pub fn read(&self, cursor: &mut u64, frames: &mut Vec<Frame>) -> Reading {
        if self.next() == *cursor {
            return Reading::UpToDate;
        }
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        let Some(fresh) = ring.since(*cursor) else { return Reading::FellOut };
        frames.extend(fresh.cloned());
        *cursor = ring.next();
        Reading::UpToDate
    }
}

/// A value of which only the last state counts, and with it what was final before it. A client's place is the version that
/// it has seen.
#[derive(Debug, Default)]
pub struct Latest {
    version: AtomicU64,
    shown: RwLock<Shown>,
    subscribers: Arc<Subscribers>,
}

#[derive(Debug, Default)]
struct Shown {
    /// The last state of what came before, and its version.
    closed: Option<(u64, Frame)>,
    current: Option<Frame>,
}

impl Latest {
    /// Its clients.
    pub const fn subscribers(&self) -> &Arc<Subscribers> {
        &self.subscribers
    }

    /// Shows `current` under a version that is higher than the one before. `closed` is the final state of what came before,
    /// if it has changed since it was shown.
    pub fn show(&self, version: u64, closed: Option<Frame>, current: Frame) {
        let mut shown = self.shown.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(closed) = closed {
            shown.closed = Some((version, closed));
        }
        shown.current = Some(current);
        self.version.store(version, Ordering::Release);
    }

    /// The version that is shown; 0 if none is.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Appends to `frames` what is newer than `seen`, and returns the version after it.
    pub fn read(&self, seen: u64, frames: &mut Vec<Frame>) -> u64 {
        if self.version() <= seen {
            return seen;
        }
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        // Who has seen nothing yet began after it was closed.
        if let Some((version, closed)) = &shown.closed
            && *version > seen
            && seen > 0
        {
            frames.push(closed.clone());
        }
        frames.extend(shown.current.clone());
        self.version()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(frames: &[Frame]) -> Vec<&str> {
        frames.iter().map(Frame::as_str).collect()
    }

    #[test]
    fn clients_of_a_stream_share_frames_and_each_goes_on_from_its_own_place() {
        let stream = Stream::new(4 * (1 + size_of::<Frame>()));
        let (mut early, mut frames) = (stream.next(), Vec::new());
        for text in ["a", "b", "c"] {
            stream.push(Frame::from_static(text));
        }
        let mut late = stream.next();
        assert_eq!(stream.read(&mut early, &mut frames), Reading::UpToDate);
        assert_eq!(texts(&frames), ["a", "b", "c"]);
        frames.clear();
        stream.push(Frame::from_static("d"));
        assert_eq!(stream.read(&mut late, &mut frames), Reading::UpToDate);
        assert_eq!(texts(&frames), ["d"]);
        for _ in 0..4 {
            stream.push(Frame::from_static("e"));
        }
        assert_eq!(stream.read(&mut early, &mut frames), Reading::FellOut);
        assert_eq!(stream.read(&mut late, &mut frames), Reading::UpToDate);
        assert_eq!(frames.len(), 5);
    }

    #[test]
    fn of_a_value_a_client_gets_the_last_state_and_the_final_one_before_it() {
        let latest = Latest::default();
        let read = |seen| {
            let mut frames = Vec::new();
            let version = latest.read(seen, &mut frames);
            (version, frames.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(read(0), (0, vec![]));
        latest.show(3, None, Frame::from_static("first"));
        latest.show(4, None, Frame::from_static("first, longer"));
        assert_eq!(read(0), (4, vec!["first, longer".into()]));
        assert_eq!(read(4), (4, vec![]));
        latest.show(9, Some(Frame::from_static("first, final")), Frame::from_static("second"));
        latest.show(12, None, Frame::from_static("second, longer"));
        assert_eq!(read(4), (12, vec!["first, final".into(), "second, longer".into()]));
        assert_eq!(read(9), (12, vec!["second, longer".into()]));
        assert_eq!(read(0), (12, vec!["second, longer".into()]), "who has just come gets the present only");
    }
}
