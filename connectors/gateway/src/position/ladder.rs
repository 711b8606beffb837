//! When a view includes all that a command led to: a ladder over offsets.
//!
//! A processor's outputs and its group's offsets move in one transaction. So once a group has taken a record, all that
//! it wrote because of it lies below the present end of its output; and whoever reads that output up to there has taken it.
//!
//! | rung | climbed when | what is noted |
//! |---|---|---|
//! | validation | the validator has taken the command | ends of `orders.validated` and `orders.rejected` |
//! | execution | the executor has taken the former | ends of `trades.executed` |
//! | settlement | the settler has taken that | ends of `trades.settled` |
//! | view | the view has taken all four | |
//!
//! Ends count records of open transactions too: the marker that decides on a record comes after the group's offset. And
//! since markers take offsets that no reader counts, a reader has all if no committed record is between it and the end.
//! The ends must have been read after the offsets.
//!
//! What is absent: Kafka, the database and time.

use super::CommandPosition;
use std::collections::BTreeMap;
use tapeline_kafka::protocol::Ahead;
use tapeline_schemas::topic;

/// How far a reader is in a partition, and what lies ahead of it there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Offset of the next record that it takes.
    pub next_offset: i64,
    /// From there on.
    pub ahead: Ahead,
}

impl Reach {
    /// Whether all committed records before `end` are taken.
    fn has(&self, end: i64) -> bool {
        self.next_offset >= end || self.ahead.is_empty_before(end)
    }
}

/// Reach by topic and partition.
pub type Reached = BTreeMap<(String, i32), Reach>;

/// What was seen in one look.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The validator's offsets in `orders`, by partition.
    pub validator: BTreeMap<i32, i64>,
    /// The executor in `orders.validated`, the settler in `trades.executed`.
    pub processors: Reached,
    /// The view in its four topics.
    pub view: Reached,
}

impl Seen {
    /// Ends of a topic's partitions, by whichever look at it.
    fn ends(&self, topic: &'static str) -> impl Iterator<Item = ((String, i32), i64)> {
        let of = move |((name, _), _): &(&(String, i32), &Reach)| name == topic;
        self.view.iter().filter(of).map(|(place, reach)| (place.clone(), reach.ahead.end))
    }
}

/// Rungs in their order: which topics' ends are noted when one is climbed, and in which topic a processor must have come
/// to what was noted before.
const RUNGS: [(Option<&str>, &[&str]); 3] = [
    (None, &[topic::VALIDATED, topic::REJECTED]),
    (Some(topic::VALIDATED), &[topic::EXECUTED]),
    (Some(topic::EXECUTED), &[topic::SETTLED]),
];

/// One who climbs: a command whose effects are waited for.
#[derive(Debug, Clone)]
pub struct Climb {
    position: CommandPosition,
    rung: usize,
    ends: BTreeMap<(String, i32), i64>,
}

impl Climb {
    /// At the foot.
    pub fn new(position: CommandPosition) -> Self {
        Self { position, rung: 0, ends: BTreeMap::new() }
    }

    /// Climbs as far as what was seen allows; whether the view includes all.
    pub fn climb(&mut self, seen: &Seen) -> bool {
        while let Some((read, written)) = RUNGS.get(self.rung) {
            let is_taken = match read {
                None => seen.validator.get(&self.position.partition).is_some_and(|next| *next > self.position.offset),
                Some(topic) => self.has(&seen.processors, Some(topic)),
            };
            if !is_taken {
                return false;
            }
            for topic in *written {
                self.ends.extend(seen.ends(topic));
            }
            self.rung += 1;
        }
        self.has(&seen.view, None)
    }

    /// Whether a reader has all that was noted, of one topic or of all.
    fn has(&self, reached: &Reached, topic: Option<&str>) -> bool {
        let wanted = self.ends.iter().filter(|((name, _), _)| topic.is_none_or(|topic| name == topic));
        wanted.into_iter().all(|(place, end)| reached.get(place).is_some_and(|reach| reach.has(*end)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPICS: [&str; 4] = [topic::VALIDATED, topic::REJECTED, topic::EXECUTED, topic::SETTLED];

    /// A reader at `next_offset` of a partition that ends at `end` and has its first record ahead at `record`.
    fn reach(next_offset: i64, record: Option<i64>, end: i64) -> Reach {
        let ahead = Ahead { end, last_stable: end, first_record: record, looked_to: record.unwrap_or(end) };
        Reach { next_offset, ahead }
    }

    /// One partition each; all at rest with 10 offsets in each topic, the last of them a marker.
    fn at_rest() -> Seen {
        let place = |topic: &str| (topic.to_owned(), 0);
        let all = |topics: &[&str]| topics.iter().map(|topic| (place(topic), reach(9, None, 10))).collect();
        Seen {
            validator: BTreeMap::from([(0, 5)]),
            processors: all(&[topic::VALIDATED, topic::EXECUTED]),
            view: all(&TOPICS),
        }
    }

    fn set(reached: &mut Reached, topic: &str, to: Reach) {
        reached.insert((topic.to_owned(), 0), to);
    }

    #[test]
    fn at_rest_all_that_was_taken_is_seen_at_once_and_nothing_beyond() {
        for (partition, offset, expected) in [(0, 4, true), (0, 0, true), (0, 5, false), (1, 0, false)] {
            let mut climb = Climb::new(CommandPosition { partition, offset });
            assert_eq!(climb.climb(&at_rest()), expected, "{partition} {offset}");
        }
    }

    #[test]
    fn whoever_has_not_taken_a_record_below_the_end_holds_the_climb_back() {
        type Behind = fn(&mut Seen);
        let behind: [(&str, Behind); 7] = [
            ("the executor", |seen| set(&mut seen.processors, topic::VALIDATED, reach(7, Some(8), 10))),
            ("the settler", |seen| set(&mut seen.processors, topic::EXECUTED, reach(7, Some(7), 10))),
            ("the view, of verdicts", |seen| set(&mut seen.view, topic::VALIDATED, reach(7, Some(7), 10))),
            ("the view, of rejections", |seen| set(&mut seen.view, topic::REJECTED, reach(7, Some(7), 10))),
            ("the view, of executions", |seen| set(&mut seen.view, topic::EXECUTED, reach(7, Some(7), 10))),
            ("the view, of settlements", |seen| set(&mut seen.view, topic::SETTLED, reach(7, Some(7), 10))),
            ("the validator", |seen| {
                seen.validator.insert(0, 4);
            }),
        ];
        for (who, hold_back) in behind {
            let mut climb = Climb::new(CommandPosition { partition: 0, offset: 4 });
            let mut seen = at_rest();
            hold_back(&mut seen);
            assert!(!climb.climb(&seen), "{who}");
            assert!(climb.climb(&at_rest()), "{who}, later");
        }
    }

    #[test]
    fn an_end_that_an_open_transaction_holds_is_waited_for() {
        let mut climb = Climb::new(CommandPosition { partition: 0, offset: 4 });
        let mut seen = at_rest();
        // The verdict is written, its marker is not: nobody is shown it, and it lies below the end.
        let open = Ahead { end: 10, last_stable: 9, first_record: None, looked_to: 9 };
        set(&mut seen.processors, topic::VALIDATED, Reach { next_offset: 9, ahead: open });
        assert!(!climb.climb(&seen));
    }

    #[test]
    fn what_is_written_after_the_ends_were_noted_is_not_waited_for() {
        let mut climb = Climb::new(CommandPosition { partition: 0, offset: 4 });
        let mut seen = at_rest();
        set(&mut seen.view, topic::SETTLED, reach(7, Some(7), 10));
        assert!(!climb.climb(&seen));
        // The view goes on to 10, while the topic has grown to 20.
        set(&mut seen.view, topic::SETTLED, reach(10, Some(10), 20));
        assert!(climb.climb(&seen));
    }

    #[test]
    fn effects_are_followed_from_stage_to_stage() {
        let mut climb = Climb::new(CommandPosition { partition: 0, offset: 5 });
        let mut seen = at_rest();
        assert!(!climb.climb(&seen), "not validated");
        seen.validator.insert(0, 6);
        set(&mut seen.processors, topic::VALIDATED, reach(9, Some(10), 12));
        set(&mut seen.view, topic::VALIDATED, reach(9, Some(10), 12));
        assert!(!climb.climb(&seen), "validated: the verdict is ahead of the executor");
        set(&mut seen.processors, topic::VALIDATED, reach(11, None, 12));
        set(&mut seen.view, topic::VALIDATED, reach(11, None, 12));
        set(&mut seen.processors, topic::EXECUTED, reach(9, Some(10), 14));
        set(&mut seen.view, topic::EXECUTED, reach(9, Some(10), 14));
        assert!(!climb.climb(&seen), "executed: that is ahead of the settler");
        set(&mut seen.processors, topic::EXECUTED, reach(13, None, 14));
        set(&mut seen.view, topic::EXECUTED, reach(13, None, 14));
        set(&mut seen.view, topic::SETTLED, reach(9, Some(10), 15));
        assert!(!climb.climb(&seen), "settled: that is ahead of the view");
        set(&mut seen.view, topic::SETTLED, reach(14, None, 15));
        assert!(climb.climb(&seen));
    }
}
