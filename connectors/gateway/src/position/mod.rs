//! Read your own writes: a command's position, and waiting until the views include all that the command led to.
//!
//! | module | what is in it |
//! |---|---|
//! | [`ladder`] | when a view includes a command: over offsets alone |
//! | [`watch`] | one task that asks Kafka and the view for all who wait |

pub mod ladder;
pub mod watch;

use crate::problem::Problem;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tapeline_domain::types::{SEQUENCE_BITS, position_id};

/// First byte of a token; another layout would have another.
const TOKEN_VERSION: u8 = 1;
const TOKEN_BYTES: usize = 13;

/// Where a command lies in the topic `orders`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CommandPosition {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
}

impl CommandPosition {
    /// Identity of the command; of a PLACE it is the order's too.
    pub const fn command_id(&self) -> i64 {
        position_id(self.partition, self.offset)
    }

    /// The position as a text that clients keep and give back.
    pub fn token(&self) -> String {
        let mut bytes = [0; TOKEN_BYTES];
        bytes[0] = TOKEN_VERSION;
        bytes[1..5].copy_from_slice(&self.partition.to_be_bytes());
        bytes[5..].copy_from_slice(&self.offset.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a token.
    ///
    /// # Errors
    /// 422 if it is none of ours.
    pub fn of_token(token: &str) -> Result<Self, Problem> {
        Self::read(token).ok_or_else(|| {
            Problem::invalid("position", "is none that a gateway gave: use that of an answer to a command as it is")
        })
    }

    fn read(token: &str) -> Option<Self> {
        let bytes: [u8; TOKEN_BYTES] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
        let [version, p0, p1, p2, p3, offset @ ..] = bytes;
        let (partition, offset) = (i32::from_be_bytes([p0, p1, p2, p3]), i64::from_be_bytes(offset));
        let fits = version == TOKEN_VERSION && partition >= 0 && (0..1 << SEQUENCE_BITS).contains(&offset);
        fits.then_some(Self { partition, offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_as_they_were_written_and_nothing_else_is() {
        for (partition, offset) in [(0, 0), (3, 7), (1_023, (1 << SEQUENCE_BITS) - 1)] {
            let position = CommandPosition { partition, offset };
            assert_eq!(CommandPosition::of_token(&position.token()), Ok(position));
        }
        let other_version = URL_SAFE_NO_PAD.encode([2; TOKEN_BYTES]);
        let negative = CommandPosition { partition: -1, offset: 0 }.token();
        let too_far = CommandPosition { partition: 0, offset: 1 << SEQUENCE_BITS }.token();
        for token in ["", "x", "AAAA", "AQAAAAEAAAAAAAAABw==", &other_version, &negative, &too_far] {
            let problem = CommandPosition::of_token(token).expect_err(token);
            assert_eq!((problem.status, problem.field.as_deref()), (422, Some("position")));
        }
    }
}
