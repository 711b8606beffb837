//! Requests as commands of the topic `orders`, the same over REST and WebSocket.

use super::fields::{Amount, Name, OrderType, SelfTradePrevention, Side, TimeInForce};
use crate::problem::Problem;
use serde::Deserialize;
use smol_str::SmolStr;
use tapeline_schemas::wire::{Command, CommandKind};
use utoipa::ToSchema;

/// Places an order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "client_order_id": "my-order-1", "instrument": "AAPL-USD", "side": "buy", "type": "limit",
    "quantity": "5", "price": "101.25", "time_in_force": "gtc", "post_only": true
}))]
pub struct PlaceOrder {
    /// Your own identity of the order, unique within the account for 24 hours: a repeated one has no second effect.
    pub client_order_id: Name,
    /// The instrument.
    pub instrument: Name,
    /// Buy or sell.
    pub side: Side,
    /// How its price is found.
    #[serde(rename = "type")]
    pub order_type: OrderType,
    /// Total quantity, in the base asset.
    pub quantity: Amount,
    /// Limit price; `limit` and `stop_limit` only.
    pub price: Option<Amount>,
    /// Price that wakes it; `stop` and `stop_limit` only.
    pub stop_price: Option<Amount>,
    /// How long it lives; `ioc` for market orders if absent, else `gtc`.
    pub time_in_force: Option<TimeInForce>,
    /// When it ends, milliseconds since the Unix epoch; `gtd` only.
    pub expires_at_ms: Option<i64>,
    /// Cancel it rather than trade on entry; `limit` only.
    #[serde(default)]
    pub post_only: bool,
    /// Iceberg: at most this much shows; `limit` only.
    pub display_quantity: Option<Amount>,
    /// What happens when it meets an own order; `cancel_newest` if absent.
    pub self_trade_prevention: Option<SelfTradePrevention>,
}

impl PlaceOrder {
    /// The command of `account`.
    pub fn command(self, account: SmolStr) -> Command {
        let units = |amount: Option<Amount>| amount.map(|amount| amount.0);
        Command {
            instrument: Some(self.instrument.0),
            side: Some(self.side.into()),
            order_type: Some(self.order_type.into()),
            time_in_force: self.time_in_force.map(Into::into),
            quantity: Some(self.quantity.0),
            price: units(self.price),
            stop_price: units(self.stop_price),
            display_quantity: units(self.display_quantity),
            post_only: self.post_only,
            expires_at_ms: self.expires_at_ms,
            self_trade_prevention: self.self_trade_prevention.map(Into::into),
            ..Command::blank(account, self.client_order_id.0, CommandKind::Place)
        }
    }
}

/// Amends an order: a new total quantity, a new price, or both.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"client_order_id": "my-amend-1", "quantity": "4"}))]
pub struct AmendOrder {
    /// Your own identity of the amend itself.
    pub client_order_id: Name,
    /// New total quantity, what has been filled included.
    pub quantity: Option<Amount>,
    /// New limit price.
    pub price: Option<Amount>,
}

impl AmendOrder {
    /// The command of `account` for its order `target`.
    ///
    /// # Errors
    /// 422 if it changes nothing.
    pub fn command(self, account: SmolStr, target: Name) -> Result<Command, Problem> {
        if self.quantity.is_none() && self.price.is_none() {
            let detail = "an amend has a new `quantity`, a new `price`, or both";
            return Err(Problem::new(422, "missing_field", "A field is missing", detail).of_field("quantity"));
        }
        Ok(Command {
            target_client_order_id: Some(target.0),
            quantity: self.quantity.map(|amount| amount.0),
            price: self.price.map(|amount| amount.0),
            ..Command::blank(account, self.client_order_id.0, CommandKind::Amend)
        })
    }
}

/// A deposit or withdrawal.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"client_order_id": "my-deposit-1", "asset": "USD", "amount": "1000"}))]
pub struct Transfer {
    /// Your own identity of the transfer.
    pub client_order_id: Name,
    /// The asset that moves.
    pub asset: Name,
    /// How much.
    pub amount: Amount,
}

impl Transfer {
    /// The command of `account`; `kind` is DEPOSIT or WITHDRAW.
    pub fn command(self, account: SmolStr, kind: CommandKind) -> Command {
        Command {
            asset: Some(self.asset.0),
            amount: Some(self.amount.0),
            ..Command::blank(account, self.client_order_id.0, kind)
        }
    }
}

/// The command that cancels the order `target`; `id` is that of the command itself.
pub fn cancel(account: SmolStr, id: Name, target: Name) -> Command {
    Command { target_client_order_id: Some(target.0), ..Command::blank(account, id.0, CommandKind::Cancel) }
}

/// The command that cancels all orders in `instrument`; `id` is that of the command itself.
pub fn cancel_all(account: SmolStr, id: Name, instrument: Name) -> Command {
    Command { instrument: Some(instrument.0), ..Command::blank(account, id.0, CommandKind::CancelAll) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::input::parse;
    use tapeline_domain::types::ONE;
    use tapeline_schemas::wire;

    fn place(body: &str) -> Result<Command, Problem> {
        parse::<PlaceOrder>(body.as_bytes()).map(|order| order.command("ann".into()))
    }

    #[test]
    fn an_order_becomes_a_command_with_all_its_fields() {
        let least = place(r#"{"client_order_id":"a","instrument":"X-Y","side":"sell","type":"market","quantity":"2"}"#);
        let blank = || Command::blank("ann".into(), "a".into(), CommandKind::Place);
        let expected = Command {
            instrument: Some("X-Y".into()),
            side: Some(wire::Side::Sell),
            order_type: Some(wire::OrderType::Market),
            quantity: Some(2 * ONE),
            ..blank()
        };
        assert_eq!(least, Ok(expected));
        let all = place(
            r#"{"client_order_id":"a","instrument":"X-Y","side":"buy","type":"stop_limit","quantity":"2.5","price":"1.01",
            "stop_price":"1.00000001","time_in_force":"gtd","expires_at_ms":1700000000000,"post_only":true,
            "display_quantity":"1","self_trade_prevention":"decrement_and_cancel"}"#,
        );
        let expected = Command {
            instrument: Some("X-Y".into()),
            side: Some(wire::Side::Buy),
            order_type: Some(wire::OrderType::StopLimit),
            time_in_force: Some(wire::TimeInForce::Gtd),
            quantity: Some(250_000_000),
            price: Some(101_000_000),
            stop_price: Some(100_000_001),
            display_quantity: Some(ONE),
            post_only: true,
            expires_at_ms: Some(1_700_000_000_000),
            self_trade_prevention: Some(wire::SelfTradePrevention::DecrementAndCancel),
            ..blank()
        };
        assert_eq!(all, Ok(expected));
    }

    #[test]
    fn a_wrong_field_is_named() {
        let base = [
            ("client_order_id", "\"a\""),
            ("instrument", "\"X-Y\""),
            ("side", "\"buy\""),
            ("type", "\"limit\""),
            ("quantity", "\"1\""),
            ("price", "\"1\""),
        ];
        let long = format!("\"{}\"", "x".repeat(65));
        for (field, value, code, says) in [
            ("price", "1.5", "invalid_field", "a decimal number as a text"),
            ("price", "\"1.123456789\"", "invalid_field", "more than 8 decimal places"),
            ("price", "\"-1\"", "invalid_field", "is not a decimal number"),
            ("quantity", "\"1e3\"", "invalid_field", "is not a decimal number"),
            ("quantity", "\"99999999999999\"", "invalid_field", "is too large"),
            ("side", "\"hold\"", "invalid_field", "expected `buy` or `sell`"),
            ("side", "\"BUY\"", "invalid_field", "expected `buy` or `sell`"),
            ("type", "null", "invalid_field", "can't be read"),
            ("client_order_id", "\"\"", "invalid_field", "1 to 64 bytes"),
            ("client_order_id", &long, "invalid_field", "1 to 64 bytes"),
            ("instrument", "\"a\\nb\"", "invalid_field", "no control characters"),
            ("time_in_force", "\"gtx\"", "invalid_field", "expected one of `gtc`"),
            ("post_only", "1", "invalid_field", "can't be read"),
            ("expires_at_ms", "\"soon\"", "invalid_field", "can't be read"),
            ("leverage", "2", "unknown_field", "there is no field `leverage`"),
        ] {
            let mut fields: Vec<(&str, &str)> = base.into_iter().filter(|(name, _)| *name != field).collect();
            fields.push((field, value));
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
            let problem = place(&format!("{{{}}}", fields.join(","))).expect_err(field);
            assert_eq!((problem.status, problem.code, problem.field.as_deref()), (422, code, Some(field)), "{value}");
            assert!(problem.detail.contains(says), "{}", problem.detail);
        }
        for (missing, _) in base.into_iter().filter(|(name, _)| *name != "price") {
            let fields = base.iter().filter(|(name, _)| *name != missing);
            let fields: Vec<String> = fields.map(|(name, value)| format!("\"{name}\":{value}")).collect();
            let problem = place(&format!("{{{}}}", fields.join(","))).expect_err(missing);
            assert_eq!((problem.code, problem.field.as_deref()), ("missing_field", Some(missing)));
        }
    }

    #[test]
    fn amends_cancels_and_transfers_become_commands() {
        let name = |text: &str| Name::parse(text).unwrap();
        let amend = |body: &str| parse::<AmendOrder>(body.as_bytes())?.command("ann".into(), name("a"));
        let blank = |kind| Command::blank("ann".into(), "b".into(), kind);
        let amended =
            Command { target_client_order_id: Some("a".into()), price: Some(3 * ONE), ..blank(CommandKind::Amend) };
        assert_eq!(amend(r#"{"client_order_id":"b","price":"3"}"#), Ok(amended));
        let nothing = amend(r#"{"client_order_id":"b"}"#).expect_err("changes nothing");
        assert_eq!((nothing.code, nothing.status), ("missing_field", 422));
        let cancelled = Command { target_client_order_id: Some("a".into()), ..blank(CommandKind::Cancel) };
        assert_eq!(cancel("ann".into(), name("b"), name("a")), cancelled);
        let all = Command { instrument: Some("X-Y".into()), ..blank(CommandKind::CancelAll) };
        assert_eq!(cancel_all("ann".into(), name("b"), name("X-Y")), all);
        let transfer: Transfer = parse(br#"{"client_order_id":"b","asset":"USD","amount":"0.5"}"#).unwrap();
        let moved = Command { asset: Some("USD".into()), amount: Some(ONE / 2), ..blank(CommandKind::Withdraw) };
        assert_eq!(transfer.command("ann".into(), CommandKind::Withdraw), moved);
    }
}
