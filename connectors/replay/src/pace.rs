//! When each command of a stream is due. Pure: the publisher sleeps.

use crate::Timed;
use std::str::FromStr;
use std::time::Duration;

/// How fast a stream is published.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// As recorded.
    Recorded,
    /// This many times as fast as recorded; above zero.
    Times(f64),
    /// As fast as possible: everything is due at once.
    Max,
    /// This many in a second, evenly, whatever was recorded; above zero.
    Rate(u64),
}

/// A pace that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no pace: use `recorded`, `max`, a factor above zero such as `10x`, or a rate such as `5000/s`")]
pub struct BadPace(String);

impl FromStr for Pace {
    type Err = BadPace;

    /// Reads `recorded`, `max`, `10x` or `5000/s`.
    fn from_str(text: &str) -> Result<Self, BadPace> {
        let pace = match text {
            "recorded" => Some(Self::Recorded),
            "max" => Some(Self::Max),
            _ => match (text.strip_suffix('x'), text.strip_suffix("/s")) {
                (Some(factor), _) => factor.parse().ok().map(Self::Times),
                (_, Some(rate)) => rate.parse().ok().map(Self::Rate),
                _ => None,
            },
        };
        pace.filter(|pace| pace.makes_sense()).ok_or_else(|| BadPace(text.to_owned()))
    }
}

impl Pace {
    fn makes_sense(self) -> bool {
        match self {
            Self::Recorded | Self::Max => true,
            Self::Times(factor) => factor.is_finite() && factor > 0.0,
            Self::Rate(per_second) => per_second > 0,
        }
    }

    /// Each command with the time after the start at which it is due.
    ///
    /// # Errors
    /// If the factor or the rate is not above zero.
    pub fn schedule<I>(self, commands: I) -> Result<impl Iterator<Item = (Duration, Timed)>, BadPace>
    where
        I: IntoIterator<Item = Timed>,
    {
        let mut schedule = Schedule::new(self)?;
        Ok(commands.into_iter().map(move |timed| (schedule.due(timed.at_ns), timed)))
    }
}

/// Computes due times one by one, for streams of something else than [`Timed`].
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    pace: Pace,
    index: u64,
}

impl Schedule {
    /// Begins a schedule.
    ///
    /// # Errors
    /// If the factor or the rate is not above zero.
    pub fn new(pace: Pace) -> Result<Self, BadPace> {
        if pace.makes_sense() { Ok(Self { pace, index: 0 }) } else { Err(BadPace(format!("{pace:?}"))) }
    }

    /// The time after the start at which the next record, recorded `at_ns` nanoseconds after the first, is due.
    pub fn due(&mut self, at_ns: u64) -> Duration {
        let index = self.index;
        self.index += 1;
        match self.pace {
            Pace::Recorded => Duration::from_nanos(at_ns),
            // The division saturates: a stream slowed down to more than 584 years waits no longer than that.
            Pace::Times(factor) => Duration::from_nanos((at_ns as f64 / factor) as u64),
            Pace::Max => Duration::ZERO,
            Pace::Rate(per_second) => {
                let rest_ns = u128::from(index % per_second) * 1_000_000_000 / u128::from(per_second);
                Duration::new(index / per_second, rest_ns as u32)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pace_has_its_due_times() {
        let due = |text: &str| -> Vec<u64> {
            let mut schedule = Schedule::new(text.parse().unwrap()).unwrap();
            [0, 500, 3_000_000_000, 3_000_000_000].map(|at_ns| schedule.due(at_ns).as_nanos() as u64).to_vec()
        };
        assert_eq!(due("recorded"), [0, 500, 3_000_000_000, 3_000_000_000]);
        assert_eq!(due("10x"), [0, 50, 300_000_000, 300_000_000]);
        assert_eq!(due("0.5x"), [0, 1_000, 6_000_000_000, 6_000_000_000]);
        assert_eq!(due("max"), [0, 0, 0, 0]);
        assert_eq!(due("2/s"), [0, 500_000_000, 1_000_000_000, 1_500_000_000]);
        assert_eq!(due("3/s"), [0, 333_333_333, 666_666_666, 1_000_000_000]);
    }

    #[test]
    fn a_pace_that_makes_no_sense_is_refused() {
        for text in ["", "x", "0x", "-1x", "NaNx", "infx", "0/s", "-5/s", "1.5/s", "/s", "fast", "10 x"] {
            let error = text.parse::<Pace>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{text}` is no pace: use `recorded`")), "{error}");
        }
        assert!(Schedule::new(Pace::Times(f64::NAN)).is_err());
        assert!(Pace::Rate(0).schedule([]).is_err());
    }
}
