//! Commands over REST: place, amend, cancel, deposit, withdraw. Each is answered once Kafka has it, with its position.
//!
//! | module | what is in it |
//! |---|---|
//! | [`fields`] | names, amounts and symbols of requests |
//! | [`request`] | requests as commands |
//! | [`log`] | where commands go |
//! | [`kafka`] | the topic `orders` as that |
//!
//! What is absent: the rules of trading. A command that is taken may be rejected by the validator all the same.

pub mod fields;
pub mod kafka;
pub mod log;
pub mod request;

use crate::auth::{Allowed, ToTrade, ToWithdraw, now_ms};
use crate::gateway::Gateway;
use crate::http::input::{Json, Query, Segment};
use crate::http::openapi::{AnyProblem, HasBody, HasFields, NeedsLogIn};
use crate::principal::Principal;
use crate::problem::Problem;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fields::Name;
use request::{AmendOrder, PlaceOrder, Transfer};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tapeline_schemas::wire::{Command, CommandKind};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How long a second factor counts for withdrawals.
const SECOND_FACTOR_LASTS_MS: i64 = 5 * 60 * 1_000;

/// The routes of commands.
pub fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new()
        .routes(routes!(place, cancel_all))
        .routes(routes!(amend, cancel))
        .routes(routes!(deposit))
        .routes(routes!(withdraw))
}

/// An order that Kafka has.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "order_id": "17592186044423", "client_order_id": "my-order-1", "status": "pending", "position": "AQAAAAEAAAAAAAAABw"
}))]
pub struct OrderTaken {
    /// Identity of the order.
    pub order_id: String,
    /// Your own.
    pub client_order_id: String,
    /// `pending`: the validator has not judged it yet.
    pub status: &'static str,
    /// Give it to a GET to see what the order led to.
    pub position: String,
}

/// A command that Kafka has.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "command_id": "17592186044424", "client_order_id": "my-amend-1", "position": "AQAAAAEAAAAAAAAACA"
}))]
pub struct CommandTaken {
    /// Identity of the command.
    pub command_id: String,
    /// Your own.
    pub client_order_id: String,
    /// Give it to a GET to see what the command led to.
    pub position: String,
}

/// What was taken, with status 202.
type Taken<T> = Result<(StatusCode, axum::Json<T>), Problem>;

async fn take(gateway: &Gateway, command: Command) -> Taken<CommandTaken> {
    let client_order_id = command.client_order_id.to_string();
    let position = gateway.commands.append(command).await?;
    let taken =
        CommandTaken { command_id: position.command_id().to_string(), client_order_id, position: position.token() };
    Ok((StatusCode::ACCEPTED, axum::Json(taken)))
}

/// Place an order.
///
/// 202 says that the order is in the log, not that it is valid: the validator's verdict comes by the account's channel, and
/// `GET /v1/orders/{client_order_id}?position=` has it.
#[utoipa::path(
    post,
    path = "/v1/orders",
    tag = "orders",
    security(("bearer" = [])),
    request_body = PlaceOrder,
    responses((status = 202, description = "Kafka has it.", body = OrderTaken), NeedsLogIn, HasBody, HasFields, AnyProblem)
)]
async fn place(
    State(gateway): State<Arc<Gateway>>,
    Allowed(who, _): Allowed<ToTrade>,
    Json(order): Json<PlaceOrder>,
) -> Taken<OrderTaken> {
    let (status, axum::Json(taken)) = take(&gateway, order.command(who.account)).await?;
    let CommandTaken { command_id: order_id, client_order_id, position } = taken;
    Ok((status, axum::Json(OrderTaken { order_id, client_order_id, status: "pending", position })))
}

/// Amend an order.
#[utoipa::path(
    patch,
    path = "/v1/orders/{client_order_id}",
    tag = "orders",
    security(("bearer" = [])),
    params(("client_order_id" = Name, Path, description = "The order's own client_order_id.")),
    request_body = AmendOrder,
    responses((status = 202, description = "Kafka has it.", body = CommandTaken), NeedsLogIn, HasBody, HasFields, AnyProblem)
)]
async fn amend(
    State(gateway): State<Arc<Gateway>>,
    Allowed(who, _): Allowed<ToTrade>,
    Segment(target): Segment,
    Json(amend): Json<AmendOrder>,
) -> Taken<CommandTaken> {
    let target = Name::of_field("client_order_id", &target)?;
    take(&gateway, amend.command(who.account, target)?).await
}

/// What a cancel may have.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CancelQuery {
    /// Your own identity of the cancel itself; made up if absent.
    request_id: Option<Name>,
}

/// Cancel an order.
#[utoipa::path(
    delete,
    path = "/v1/orders/{client_order_id}",
    tag = "orders",
    security(("bearer" = [])),
    params(("client_order_id" = Name, Path, description = "The order's own client_order_id."), CancelQuery),
    responses((status = 202, description = "Kafka has it.", body = CommandTaken), NeedsLogIn, HasFields, AnyProblem)
)]
async fn cancel(
    State(gateway): State<Arc<Gateway>>,
    Allowed(who, _): Allowed<ToTrade>,
    Segment(target): Segment,
    Query(query): Query<CancelQuery>,
) -> Taken<CommandTaken> {
    let target = Name::of_field("client_order_id", &target)?;
    let id = query.request_id.map_or_else(made_up_id, Ok)?;
    take(&gateway, request::cancel(who.account, id, target)).await
}

/// What a cancel of all has.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CancelAllQuery {
    /// The instrument.
    instrument: Name,
    /// Your own identity of the cancel itself; made up if absent.
    request_id: Option<Name>,
}

/// Cancel all orders in an instrument.
#[utoipa::path(
    delete,
    path = "/v1/orders",
    tag = "orders",
    security(("bearer" = [])),
    params(CancelAllQuery),
    responses((status = 202, description = "Kafka has it.", body = CommandTaken), NeedsLogIn, HasFields, AnyProblem)
)]
async fn cancel_all(
    State(gateway): State<Arc<Gateway>>,
    Allowed(who, _): Allowed<ToTrade>,
    Query(query): Query<CancelAllQuery>,
) -> Taken<CommandTaken> {
    let id = query.request_id.map_or_else(made_up_id, Ok)?;
    take(&gateway, request::cancel_all(who.account, id, query.instrument)).await
}

/// Deposit; where the gateway runs for a demonstration only.
#[utoipa::path(
    post,
    path = "/v1/deposits",
    tag = "account",
    security(("bearer" = [])),
    request_body = Transfer,
    responses(
        (status = 202, description = "Kafka has it.", body = CommandTaken),
        (status = 401, description = "No valid token or key.", body = Problem, content_type = "application/problem+json"),
        (
            status = 403,
            description = "`deposits_closed`: no demonstration. `scope_missing`: the token or key lacks `trade`.",
            body = Problem,
            content_type = "application/problem+json"
        ),
        HasBody,
        HasFields,
        AnyProblem
    )
)]
async fn deposit(
    State(gateway): State<Arc<Gateway>>,
    Allowed(who, _): Allowed<ToTrade>,
    Json(transfer): Json<Transfer>,
) -> Taken<CommandTaken> {
    if !gateway.settings.demo {
        let detail = "deposits come from operations; only a demonstration's gateway takes them from traders";
        return Err(Problem::new(403, "deposits_closed", "Deposits are closed", detail));
    }
    take(&gateway, transfer.command(who.account, CommandKind::Deposit)).await
}

/// Withdraw.
#[utoipa::path(
    post,
    path = "/v1/withdrawals",
    tag = "account",
    security(("bearer" = [])),
    request_body = Transfer,
    responses(
        (status = 202, description = "Kafka has it.", body = CommandTaken),
        (status = 401, description = "No valid token or key.", body = Problem, content_type = "application/problem+json"),
        (
            status = 403,
            description = "`second_factor_needed`: show a passkey first. `scope_missing`: the token or key lacks `withdraw`.",
            body = Problem,
            content_type = "application/problem+json"
        ),
        HasBody,
        HasFields,
        AnyProblem
    )
)]
async fn withdraw(
    State(gateway): State<Arc<Gateway>>,
    Allowed(who, _): Allowed<ToWithdraw>,
    Json(transfer): Json<Transfer>,
) -> Taken<CommandTaken> {
    check_second_factor(&who, now_ms())?;
    take(&gateway, transfer.command(who.account, CommandKind::Withdraw)).await
}

/// Users with a second factor have shown it within the last five minutes.
fn check_second_factor(who: &Principal, now_ms: i64) -> Result<(), Problem> {
    let is_fresh =
        who.second_factor_ms.is_some_and(|shown_ms| now_ms.saturating_sub(shown_ms) < SECOND_FACTOR_LASTS_MS);
    if !who.has_second_factor || is_fresh {
        return Ok(());
    }
    let detail = "show a passkey (POST /v1/second-factor/options) and try again within five minutes";
    Err(Problem::new(403, "second_factor_needed", "A second factor is needed", detail))
}

/// An id for a command whose sender gave none.
pub(crate) fn made_up_id() -> Result<Name, Problem> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Problem::new(500, "internal", "A bug", format!("no random id: {error}")))?;
    let id = format!("gw-{}", URL_SAFE_NO_PAD.encode(bytes));
    Name::of_field("request_id", &id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_withdrawal_needs_a_second_factor_of_the_last_five_minutes_where_there_is_one() {
        let now_ms = 1_000_000_000;
        for (has, shown_ms, passes) in [
            (false, None, true),
            (true, None, false),
            (true, Some(now_ms - SECOND_FACTOR_LASTS_MS), false),
            (true, Some(now_ms - SECOND_FACTOR_LASTS_MS + 1), true),
        ] {
            let who = Principal {
                user_id: "u".into(),
                account: "ann".into(),
                scopes: vec![],
                key_id: None,
                expires_ms: 0,
                second_factor_ms: shown_ms,
                has_second_factor: has,
            };
            let checked = check_second_factor(&who, now_ms);
            assert_eq!(checked.is_ok(), passes, "{has} {shown_ms:?}");
            assert!(checked.is_ok() || checked.is_err_and(|problem| problem.code == "second_factor_needed"));
        }
    }

    #[test]
    fn made_up_ids_differ() {
        assert_ne!(made_up_id().unwrap(), made_up_id().unwrap());
    }
}
