//! What clients say.

use super::backend::{ClientCommand, CommandOp};
use crate::feed::candle::INTERVALS;
use crate::feed::market::Levels;
use crate::http::input::{MAX_DEPTH, depth};
use crate::problem::Problem;
use serde::Deserialize;
use serde_json::{Map, Value};
use smol_str::SmolStr;

/// The longest message, bytes.
pub const MAX_BYTES: usize = 16 << 10;

/// A channel, with what it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channel {
    /// The book of an instrument.
    Depth(SmolStr, Levels),
    /// Trades of an instrument.
    Trades(SmolStr),
    /// The running candle of an instrument, by [`INTERVALS`].
    Candles(SmolStr, usize),
    /// Ticker of an instrument.
    Ticker(SmolStr),
    /// All tickers.
    AllTickers,
    /// Status of an instrument.
    Status(SmolStr),
    /// The client's own account.
    Account,
    /// State of the pipeline.
    Pipeline,
}

/// What a client wants.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// To be known, by an access token or API key.
    Auth(String),
    /// To see a channel; the account from a position on.
    Subscribe(Channel, Option<String>),
    /// Not to see it any more.
    Unsubscribe(Channel),
    /// To hear that the gateway is there.
    Ping,
    /// To trade.
    Command(ClientCommand),
    /// That its orders are cancelled when the connection ends.
    CancelOnDisconnect(bool),
}

/// A message: its number, if it could be read, and what is wanted.
pub type Parsed = (Option<i64>, Result<Request, Problem>);

fn malformed(detail: impl Into<String>) -> Problem {
    Problem::new(400, "malformed", "The message can't be read", detail)
}

/// Reads a message.
pub fn parse(text: &str) -> Parsed {
    if depth(text.as_bytes()) > MAX_DEPTH {
        return (None, Err(malformed(format!("objects and lists may lie {MAX_DEPTH} deep in each other"))));
    }
    let mut fields: Map<String, Value> = match serde_json::from_str(text) {
        Ok(fields) => fields,
        Err(error) => return (None, Err(malformed(format!("a message is a JSON object: {error}")))),
    };
    let id = match fields.remove("id") {
        None => None,
        Some(id) => match id.as_i64() {
            Some(id) => Some(id),
            None => return (None, Err(malformed("`id` is a whole number of your own choice").of_field("id"))),
        },
    };
    (id, request(fields))
}

fn request(mut fields: Map<String, Value>) -> Result<Request, Problem> {
    let Some(Value::String(op)) = fields.remove("op") else {
        return Err(malformed("`op` says what is wanted, for example \"subscribe\"").of_field("op"));
    };
    Ok(match op.as_str() {
        "auth" => Request::Auth(read::<Auth>(fields)?.token),
        "subscribe" => {
            let mut of: Subscription = read(fields)?;
            let after = of.after.take();
            let channel = of.channel()?;
            if after.is_some() && channel != Channel::Account {
                return Err(malformed("only the channel `account` has a position to go on `after`").of_field("after"));
            }
            Request::Subscribe(channel, after)
        }
        "unsubscribe" => {
            let mut of: Subscription = read(fields)?;
            of.after = None;
            Request::Unsubscribe(of.channel()?)
        }
        "ping" => {
            read::<Nothing>(fields)?;
            Request::Ping
        }
        "cancel_on_disconnect" => Request::CancelOnDisconnect(read::<Enabled>(fields)?.enabled),
        "place" => Request::Command(ClientCommand { op: CommandOp::Place, fields }),
        "amend" => Request::Command(ClientCommand { op: CommandOp::Amend, fields }),
        "cancel" => Request::Command(ClientCommand { op: CommandOp::Cancel, fields }),
        "cancel_all" => Request::Command(ClientCommand { op: CommandOp::CancelAll, fields }),
        _ => {
            let known = "auth, subscribe, unsubscribe, ping, place, amend, cancel, cancel_all, cancel_on_disconnect";
            return Err(malformed(format!("`op` is one of {known}")).of_field("op"));
        }
    })
}

fn read<T: for<'a> Deserialize<'a>>(fields: Map<String, Value>) -> Result<T, Problem> {
    serde_json::from_value(Value::Object(fields)).map_err(|error| malformed(error.to_string()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Auth {
    token: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Enabled {
    enabled: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Subscription {
    channel: String,
    instrument: Option<SmolStr>,
    levels: Option<Value>,
    interval: Option<String>,
    after: Option<String>,
}

impl Subscription {
    fn channel(self) -> Result<Channel, Problem> {
        let Self { channel, instrument, levels, interval, after: _ } = self;
        let needs = |of: Option<SmolStr>| {
            of.ok_or_else(|| malformed(format!("`{channel}` needs an instrument")).of_field("instrument"))
        };
        let (takes_levels, takes_interval) = (channel == "depth", channel == "candles");
        if levels.is_some() && !takes_levels {
            return Err(malformed("only the channel `depth` has levels").of_field("levels"));
        }
        if interval.is_some() && !takes_interval {
            return Err(malformed("only the channel `candles` has an interval").of_field("interval"));
        }
        let found = match channel.as_str() {
            "depth" => Channel::Depth(needs(instrument)?, levels_of(levels)?),
            "trades" => Channel::Trades(needs(instrument)?),
            "candles" => Channel::Candles(needs(instrument)?, interval_of(interval)?),
            "ticker" => match needs(instrument)? {
                all if all == "*" => Channel::AllTickers,
                one => Channel::Ticker(one),
            },
            "status" => Channel::Status(needs(instrument)?),
            "account" | "pipeline" if instrument.is_some() => {
                return Err(malformed(format!("`{channel}` is of no instrument")).of_field("instrument"));
            }
            "account" => Channel::Account,
            "pipeline" => Channel::Pipeline,
            _ => {
                let known = "depth, trades, candles, ticker, status, account, pipeline";
                return Err(malformed(format!("`channel` is one of {known}")).of_field("channel"));
            }
        };
        Ok(found)
    }
}

fn levels_of(levels: Option<Value>) -> Result<Levels, Problem> {
    match levels {
        None => Ok(Levels::Ten),
        Some(Value::Number(number)) if number.as_i64() == Some(10) => Ok(Levels::Ten),
        Some(Value::Number(number)) if number.as_i64() == Some(50) => Ok(Levels::Fifty),
        Some(Value::String(text)) if text == "full" => Ok(Levels::Full),
        Some(_) => Err(malformed("`levels` is 10, 50 or \"full\"").of_field("levels")),
    }
}

fn interval_of(interval: Option<String>) -> Result<usize, Problem> {
    let place = |name: &str| INTERVALS.iter().position(|(known, _)| *known == name);
    interval
        .and_then(|name| place(&name))
        .ok_or_else(|| malformed("`interval` is 1s, 1m, 5m, 1h or 1d").of_field("interval"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_what_they_want() {
        let depth = |levels| Request::Subscribe(Channel::Depth("X".into(), levels), None);
        for (text, wanted) in [
            (r#"{"op":"auth","id":1,"token":"t"}"#, Request::Auth("t".into())),
            (r#"{"op":"subscribe","id":1,"channel":"depth","instrument":"X"}"#, depth(Levels::Ten)),
            (r#"{"op":"subscribe","id":1,"channel":"depth","instrument":"X","levels":50}"#, depth(Levels::Fifty)),
            (r#"{"op":"subscribe","id":1,"channel":"depth","instrument":"X","levels":"full"}"#, depth(Levels::Full)),
            (
                r#"{"op":"subscribe","id":1,"channel":"candles","instrument":"X","interval":"5m"}"#,
                Request::Subscribe(Channel::Candles("X".into(), 2), None),
            ),
            (
                r#"{"op":"unsubscribe","id":1,"channel":"ticker","instrument":"*"}"#,
                Request::Unsubscribe(Channel::AllTickers),
            ),
            (
                r#"{"op":"subscribe","id":1,"channel":"account","after":"abc"}"#,
                Request::Subscribe(Channel::Account, Some("abc".into())),
            ),
            (r#"{"op":"ping","id":1}"#, Request::Ping),
            (r#"{"op":"cancel_on_disconnect","id":1,"enabled":true}"#, Request::CancelOnDisconnect(true)),
        ] {
            assert_eq!(parse(text), (Some(1), Ok(wanted)), "{text}");
        }
        let (id, place) = parse(r#"{"op":"place","id":7,"instrument":"X","quantity":"1"}"#);
        let Ok(Request::Command(ClientCommand { op: CommandOp::Place, fields })) = place else { panic!("{place:?}") };
        assert_eq!((id, fields.len(), fields["quantity"].as_str()), (Some(7), 2, Some("1")));
    }

    #[test]
    fn what_can_not_be_read_is_refused_by_name() {
        for (text, id, field) in [
            ("", None, None),
            ("[]", None, None),
            ("{", None, None),
            (r#"{"id":1}"#, Some(1), Some("op")),
            (r#"{"id":"1","op":"ping"}"#, None, Some("id")),
            (r#"{"id":1,"op":"dance"}"#, Some(1), Some("op")),
            (r#"{"id":1,"op":"ping","extra":1}"#, Some(1), None),
            (r#"{"id":1,"op":"auth"}"#, Some(1), None),
            (r#"{"id":1,"op":"subscribe","channel":"news"}"#, Some(1), Some("channel")),
            (r#"{"id":1,"op":"subscribe","channel":"depth"}"#, Some(1), Some("instrument")),
            (r#"{"id":1,"op":"subscribe","channel":"depth","instrument":"X","levels":11}"#, Some(1), Some("levels")),
            (r#"{"id":1,"op":"subscribe","channel":"trades","instrument":"X","levels":10}"#, Some(1), Some("levels")),
            (r#"{"id":1,"op":"subscribe","channel":"candles","instrument":"X"}"#, Some(1), Some("interval")),
            (r#"{"id":1,"op":"subscribe","channel":"trades","instrument":"X","after":"a"}"#, Some(1), Some("after")),
            (r#"{"id":1,"op":"subscribe","channel":"account","instrument":"X"}"#, Some(1), Some("instrument")),
        ] {
            let (read_id, refused) = parse(text);
            let problem = refused.unwrap_err();
            assert_eq!((read_id, problem.field.as_deref(), problem.status), (id, field, 400), "{text}");
        }
    }

    #[test]
    fn a_message_may_lie_eight_deep_and_brackets_within_texts_do_not_count() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(depth(nested(8).as_bytes()), 8);
        assert_eq!(depth(br#"{"a":"[[[{\"[["}"#), 1);
        let of = |depth| parse(&format!(r#"{{"op":"place","id":1,"x":{}}}"#, nested(depth))).1.is_ok();
        assert!(of(7));
        assert!(!of(8));
        assert!(!of(10_000));
    }
}
