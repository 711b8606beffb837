//! The rest of the gateway as WebSocket sessions need it: who asks, commands into the log, the account as the view has it.

use crate::auth::{now_ms, require};
use crate::feed::account::{AccountSnapshot, Balance, Position, Source};
use crate::gateway::Gateway;
use crate::http::input::read;
use crate::orders::fields::Name;
use crate::orders::made_up_id;
use crate::orders::request::{self, AmendOrder, PlaceOrder};
use crate::principal::{Principal, Scope};
use crate::problem::Problem;
use crate::reads::account;
use crate::ws::backend::{Acknowledged, Answer, Backend, ClientCommand, CommandOp};
use serde::Deserialize;
use smol_str::SmolStr;
use std::sync::Arc;
use tapeline_schemas::topic;
use tapeline_schemas::wire::Command;

/// The gateway, for sessions.
pub struct Live(pub Arc<Gateway>);

impl Backend for Live {
    fn authenticate(&self, token: String) -> Answer<Principal> {
        let gateway = Arc::clone(&self.0);
        Box::pin(async move { gateway.authenticator.authenticate(&token, now_ms()) })
    }

    fn command(&self, principal: Arc<Principal>, command: ClientCommand) -> Answer<Acknowledged> {
        let gateway = Arc::clone(&self.0);
        Box::pin(async move {
            require(&principal, Scope::Trade)?;
            let standing = gateway.limits.order(&principal);
            if !standing.passes() {
                return Err(standing.problem());
            }
            let command = command_of(principal.account.clone(), command)?;
            let client_order_id = command.client_order_id.clone();
            let position = gateway.commands.append(command).await?;
            Ok(Acknowledged { command_id: position.command_id(), client_order_id, position: position.token() })
        })
    }

    fn account_snapshot(&self, account: SmolStr) -> Answer<AccountSnapshot> {
        let gateway = Arc::clone(&self.0);
        Box::pin(async move { snapshot(&gateway, &account).await })
    }

    fn open_instruments(&self, account: SmolStr) -> Answer<Vec<SmolStr>> {
        let gateway = Arc::clone(&self.0);
        Box::pin(async move {
            let instruments = account::open_instruments(&gateway.views, &account).await?;
            Ok(instruments.into_iter().map(SmolStr::from).collect())
        })
    }
}

/// A cancel by message.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cancel {
    target_client_order_id: Name,
    client_order_id: Option<Name>,
}

/// A cancel of all by message.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CancelAll {
    instrument: Name,
    client_order_id: Option<Name>,
}

/// The command that a message gives; its fields are those of the REST call.
fn command_of(account: SmolStr, ClientCommand { op, mut fields }: ClientCommand) -> Result<Command, Problem> {
    let target = if op == CommandOp::Amend { fields.remove("target_client_order_id") } else { None };
    let fields = serde_json::Value::Object(fields);
    let id = |given: Option<Name>| given.map_or_else(made_up_id, Ok);
    match op {
        CommandOp::Place => Ok(read::<PlaceOrder>(fields)?.command(account)),
        CommandOp::Amend => {
            let Some(target) = target.as_ref().and_then(|target| target.as_str()) else {
                let detail = "`target_client_order_id` is missing: the order that is meant";
                return Err(
                    Problem::new(422, "missing_field", "A field is missing", detail).of_field("target_client_order_id")
                );
            };
            let target = Name::of_field("target_client_order_id", target)?;
            read::<AmendOrder>(fields)?.command(account, target)
        }
        CommandOp::Cancel => {
            let Cancel { target_client_order_id, client_order_id } = read(fields)?;
            Ok(request::cancel(account, id(client_order_id)?, target_client_order_id))
        }
        CommandOp::CancelAll => {
            let CancelAll { instrument, client_order_id } = read(fields)?;
            Ok(request::cancel_all(account, id(client_order_id)?, instrument))
        }
    }
}

/// Orders, balances and offsets of one moment of the view.
async fn snapshot(gateway: &Gateway, account: &str) -> Result<AccountSnapshot, Problem> {
    let moment = account::moment(&gateway.views, account).await?;
    let mut offsets = Position::default();
    for (name, partition, next_offset) in moment.offsets {
        let source = match name.as_str() {
            topic::VALIDATED => Source::Validated,
            topic::REJECTED => Source::Rejected,
            topic::EXECUTED => Source::Executed,
            topic::SETTLED => Source::Settled,
            _ => continue,
        };
        offsets.set(source, partition, next_offset);
    }
    let orders = moment.orders.iter().map(serde_json::to_value).collect::<Result<_, _>>();
    let orders = orders.map_err(|error| Problem::new(500, "internal", "A bug", format!("an order: {error}")))?;
    let balance = |(asset, available, reserved): (String, String, String)| {
        let units = |text: &str| {
            let wrong = || Problem::new(500, "internal", "A bug", format!("the view says that a balance is `{text}`"));
            text.parse::<i128>().map_err(|_| wrong())
        };
        Ok(Balance { asset: asset.into(), available: units(&available)?, reserved: units(&reserved)? })
    };
    let balances = moment.balances.into_iter().map(balance).collect::<Result<_, Problem>>()?;
    Ok(AccountSnapshot { orders, balances, offsets })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use tapeline_domain::types::ONE;
    use tapeline_schemas::wire::CommandKind;

    fn command(op: CommandOp, fields: Value) -> Result<Command, Problem> {
        let Value::Object(fields) = fields else { panic!("an object") };
        command_of("ann".into(), ClientCommand { op, fields })
    }

    #[test]
    fn messages_become_the_commands_of_the_rest_calls() {
        let placed = command(
            CommandOp::Place,
            json!({"client_order_id": "a", "instrument": "X-USD", "side": "buy", "type": "limit", "quantity": "2", "price": "1.5"}),
        );
        let placed = placed.expect("an order");
        assert_eq!(
            (placed.kind, placed.quantity, placed.price),
            (CommandKind::Place, Some(2 * ONE), Some(ONE + ONE / 2))
        );
        let amended =
            command(CommandOp::Amend, json!({"client_order_id": "b", "target_client_order_id": "a", "quantity": "3"}));
        let amended = amended.expect("an amend");
        assert_eq!((amended.kind, amended.target_client_order_id.as_deref()), (CommandKind::Amend, Some("a")));
        let cancelled = command(CommandOp::Cancel, json!({"target_client_order_id": "a"})).expect("a cancel");
        assert_eq!(cancelled.target_client_order_id.as_deref(), Some("a"));
        assert!(cancelled.client_order_id.starts_with("gw-"), "an id is made up");
        let all = command(CommandOp::CancelAll, json!({"instrument": "X-USD", "client_order_id": "c"})).expect("all");
        assert_eq!((all.kind, all.instrument.as_deref()), (CommandKind::CancelAll, Some("X-USD")));
    }

    #[test]
    fn what_is_wrong_with_a_message_is_named() {
        for (op, fields, code, field) in [
            (
                CommandOp::Amend,
                json!({"client_order_id": "b", "quantity": "3"}),
                "missing_field",
                "target_client_order_id",
            ),
            (CommandOp::Amend, json!({"target_client_order_id": 7}), "missing_field", "target_client_order_id"),
            (CommandOp::Cancel, json!({}), "missing_field", "target_client_order_id"),
            (CommandOp::Cancel, json!({"target_client_order_id": "a", "x": 1}), "unknown_field", "x"),
            (CommandOp::CancelAll, json!({}), "missing_field", "instrument"),
            (CommandOp::Place, json!({"client_order_id": "a"}), "missing_field", "instrument"),
        ] {
            let problem = command(op, fields).expect_err(field);
            assert_eq!((problem.code, problem.field.as_deref()), (code, Some(field)), "{op:?}");
        }
    }
}
