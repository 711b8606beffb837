//! What an account has: its orders, fills and balances, as TimescaleDB shows them.

use super::views::{self, Views, from_row};
use super::{id, page};
use crate::auth::{Allowed, ToRead};
use crate::gateway::Gateway;
use crate::http::input::{Query, Segment};
use crate::http::openapi::{AnyProblem, HasFields, NeedsLogIn, ReadsAt};
use crate::orders::fields::Name;
use crate::problem::Problem;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of what an account has.
pub fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new().routes(routes!(orders)).routes(routes!(order)).routes(routes!(fills)).routes(routes!(balances))
}

/// An order as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({
    "order_id": "17592186044423", "client_order_id": "my-order-1", "instrument": "AAPL-USD", "side": "buy",
    "type": "limit", "time_in_force": "gtc", "price": "101.25", "stop_price": null, "quantity": "5", "filled": "2",
    "leaves": "3", "status": "partly_filled", "reason": null, "updated_ms": 1700000000000_i64
}))]
pub struct Order {
    /// Identity of the order.
    pub order_id: String,
    /// Your own.
    pub client_order_id: String,
    /// Its book; null if a rejected command named none.
    pub instrument: Option<String>,
    /// `buy` or `sell`; null for rejected.
    pub side: Option<String>,
    /// `limit`, `market`, `stop` or `stop_limit`; null for rejected.
    #[serde(rename = "type")]
    pub order_type: Option<String>,
    /// `gtc`, `day`, `gtd`, `ioc` or `fok`; null for rejected.
    pub time_in_force: Option<String>,
    /// Worst price that it may trade at (market and stop: the collar's edge); null for rejected.
    pub price: Option<String>,
    /// Price that wakes a stop; null for others.
    pub stop_price: Option<String>,
    /// Total quantity; null for rejected.
    pub quantity: Option<String>,
    /// Filled so far.
    pub filled: String,
    /// Still open; of an ended order what was given up.
    pub leaves: String,
    /// `open`, `waiting` (a stop that sleeps), `partly_filled`, `filled`, `cancelled`, `expired` or `rejected`.
    pub status: String,
    /// Why it was cancelled or rejected.
    pub reason: Option<String>,
    /// Time of the last change, milliseconds since the Unix epoch.
    pub updated_ms: i64,
}

from_row!(Order {
    order_id,
    client_order_id,
    instrument,
    side,
    order_type,
    time_in_force,
    price,
    stop_price,
    quantity,
    filled,
    leaves,
    status,
    reason,
    updated_ms,
});

/// Columns of an order, as text where they are of any length.
macro_rules! order_columns {
    () => {
        "order_id::text, client_order_id, instrument, side, order_type, time_in_force, trim_scale(price)::text AS price, \
         trim_scale(stop_price)::text AS stop_price, trim_scale(quantity)::text AS quantity, \
         trim_scale(filled)::text AS filled, trim_scale(leaves)::text AS leaves, status, reason, \
         (extract(epoch FROM updated_at) * 1000)::bigint AS updated_ms"
    };
}

/// Newest first: an account's orders are all in one partition, so their ids grow with time.
const ORDERS: &str = concat!(
    "SELECT ",
    order_columns!(),
    " FROM orders WHERE account = $1 AND orders.order_id < $2 AND ($3::text IS NULL OR instrument = $3)
      AND (NOT $4 OR status IN ('open', 'waiting', 'partly_filled'))
      ORDER BY orders.order_id DESC LIMIT $5"
);

/// An id can have been used again by a command that was rejected as its repetition: that one is not meant.
const ORDER: &str = concat!(
    "SELECT ",
    order_columns!(),
    " FROM orders WHERE account = $1 AND client_order_id = $2
      ORDER BY status = 'rejected', orders.order_id DESC LIMIT 1"
);

/// Which orders are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum WhichOrders {
    /// Those that have not ended.
    #[default]
    Open,
    /// All, ended and rejected ones included.
    All,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OrdersQuery {
    /// `open` (if absent) or `all`.
    #[serde(default)]
    #[param(inline)]
    status: WhichOrders,
    /// Of this instrument only.
    instrument: Option<Name>,
    /// Most orders of the answer, 1 to 500; 100 if absent.
    limit: Option<u32>,
    /// Orders before this order_id only: the `next_before` of the page before.
    before: Option<String>,
    /// Wait until the view includes what the command at this position led to.
    position: Option<String>,
}

/// A page of orders.
#[derive(Debug, Serialize, ToSchema)]
pub struct Orders {
    /// Newest first.
    pub orders: Vec<Order>,
    /// `before` of the next page; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_before: Option<String>,
}

/// The account's orders.
#[utoipa::path(
    get,
    path = "/v1/orders",
    tag = "orders",
    security(("bearer" = [])),
    params(OrdersQuery),
    responses((status = 200, description = "A page of orders.", body = Orders), NeedsLogIn, HasFields, ReadsAt, AnyProblem)
)]
async fn orders(
    State(gateway): State<Arc<Gateway>>,
    Allowed(who, _): Allowed<ToRead>,
    Query(query): Query<OrdersQuery>,
) -> Result<Json<Orders>, Problem> {
    let limit = page(query.limit)?;
    let before = query.before.map_or(Ok(i64::MAX), |before| id("before", &before))?;
    gateway.positions.wait(query.position.as_deref()).await?;
    let asked = sqlx::query_as(ORDERS)
        .bind(who.account.as_str())
        .bind(before)
        .bind(query.instrument.as_ref().map(|name| name.0.as_str()))
        .bind(query.status == WhichOrders::Open)
        .bind(limit);
    let orders: Vec<Order> = gateway.views.rows(asked).await?;
    let next_before = next_before(&orders, limit, |order| &order.order_id);
    Ok(Json(Orders { orders, next_before }))
}

/// The key of a page's last row, if the page is full.
fn next_before<T>(rows: &[T], limit: i64, key: impl Fn(&T) -> &String) -> Option<String> {
    rows.last().filter(|_| i64::try_from(rows.len()) == Ok(limit)).map(|last| key(last).clone())
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AtPosition {
    /// Wait until the view includes what the command at this position led to.
    position: Option<String>,
}

/// An order of the account.
#[utoipa::path(
    get,
    path = "/v1/orders/{client_order_id}",
    tag = "orders",
    security(("bearer" = [])),
    params(("client_order_id" = Name, Path, description = "Your own identity of the order."), AtPosition),
    responses(
        (status = 200, description = "The order as it stands.", body = Order),
        (
            status = 404,
            description = "`unknown_order`: the view has no such order of the account (yet).",
            body = Problem,
            content_type = "application/problem+json"
        ),
        NeedsLogIn,
        HasFields,
        ReadsAt,
        AnyProblem
    )
)]
async fn order(
    State(gateway): State<Arc<Gateway>>,
    Allowed(who, _): Allowed<ToRead>,
    Segment(wanted): Segment,
    Query(query): Query<AtPosition>,
) -> Result<Json<Order>, Problem> {
    let wanted = Name::of_field("client_order_id", &wanted)?.0;
    gateway.positions.wait(query.position.as_deref()).await?;
    let asked = sqlx::query_as(ORDER).bind(who.account.as_str()).bind(wanted.as_str());
    let found: Vec<Order> = gateway.views.rows(asked).await?;
    found.into_iter().next().map(Json).ok_or_else(|| {
        let detail =
            format!("the account has no order `{wanted}`; one that was just placed is found with its `position`");
        Problem::new(404, "unknown_order", "Unknown order", detail)
    })
}

/// One side of a trade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({
    "trade_id": "17592186044417", "order_id": "17592186044423", "client_order_id": "my-order-1", "instrument": "AAPL-USD",
    "side": "buy", "liquidity": "taker", "price": "101.25", "quantity": "2", "notional": "202.5", "fee": "0.050625",
    "fee_asset": "USD", "traded_ms": 1700000000000_i64
}))]
pub struct Fill {
    /// Identity of the trade.
    pub trade_id: String,
    /// The account's order.
    pub order_id: String,
    /// Your own identity of it.
    pub client_order_id: String,
    /// The book.
    pub instrument: String,
    /// `buy` or `sell`: the account's side.
    pub side: String,
    /// `maker` (its order rested) or `taker`.
    pub liquidity: String,
    /// Price.
    pub price: String,
    /// Quantity, in the base asset.
    pub quantity: String,
    /// Price times quantity, rounded down, in the quote asset.
    pub notional: String,
    /// Fee, in `fee_asset`.
    pub fee: String,
    /// The quote asset; null while the gateway does not know the instrument.
    pub fee_asset: Option<String>,
    /// Time of the trade, milliseconds since the Unix epoch.
    pub traded_ms: i64,
}

from_row!(Fill {
    trade_id,
    order_id,
    client_order_id,
    instrument,
    side,
    liquidity,
    price,
    quantity,
    notional,
    fee,
    traded_ms,
} fee_asset: None);

/// Columns of a fill of the side `$side`, whose side of the book is `$book_side`.
macro_rules! fills_of {
    ($side:literal, $book_side:literal) => {
        concat!(
            "(SELECT t.trade_id, t.traded_at, t.",
            $side,
            "_order_id AS order_id, t.instrument, ",
            $book_side,
            " AS side, '",
            $side,
            "' AS liquidity, t.price, t.quantity, t.notional, t.",
            $side,
            "_fee AS fee FROM trades t WHERE t.",
            $side,
            "_account = $1 AND t.traded_at <= $2::text::timestamptz AND (t.traded_at, t.trade_id) < ($2::text::timestamptz, $3)
             AND ($4::text IS NULL OR t.instrument = $4) ORDER BY t.traded_at DESC, t.trade_id DESC LIMIT $5)"
        )
    };
}

/// Newest first. Each side is read from its own index, and of the two the newest are taken.
const FILLS: &str = concat!(
    "SELECT f.trade_id::text, f.order_id::text, coalesce(o.client_order_id, '') AS client_order_id, f.instrument, f.side,
            f.liquidity, trim_scale(f.price)::text AS price, trim_scale(f.quantity)::text AS quantity,
            trim_scale(f.notional)::text AS notional, trim_scale(f.fee)::text AS fee,
            (extract(epoch FROM f.traded_at) * 1000)::bigint AS traded_ms
     FROM (SELECT * FROM (",
    fills_of!("taker", "t.taker_side"),
    " UNION ALL ",
    fills_of!("maker", "CASE t.taker_side WHEN 'buy' THEN 'sell' ELSE 'buy' END"),
    ") AS sides ORDER BY traded_at DESC, trade_id DESC LIMIT $5) AS f
     LEFT JOIN orders o ON o.order_id = f.order_id
     ORDER BY f.traded_at DESC, f.trade_id DESC"
);

/// Where a page of fills begins: at the trade's time.
const TRADE_TIME: &str =
    "SELECT traded_at::text FROM trades WHERE trade_id = $1 AND $2 IN (taker_account, maker_account)";
/// Later than all.
const NO_TIME: &str = "infinity";

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FillsQuery {
    /// Of this instrument only.
    instrument: Option<Name>,
    /// Most fills of the answer, 1 to 500; 100 if absent.
    limit: Option<u32>,
    /// Fills before this trade_id only: the `next_before` of the page before.
    before: Option<String>,
    /// Wait until the view includes what the command at this position led to.
    position: Option<String>,
}

/// A page of fills.
#[derive(Debug, Serialize, ToSchema)]
pub struct Fills {
    /// Newest first.
    pub fills: Vec<Fill>,
    /// `before` of the next page; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_before: Option<String>,
}

/// The account's fills.
#[utoipa::path(
    get,
    path = "/v1/fills",
    tag = "orders",
    security(("bearer" = [])),
    params(FillsQuery),
    responses((status = 200, description = "A page of fills.", body = Fills), NeedsLogIn, HasFields, ReadsAt, AnyProblem)
)]
async fn fills(
    State(gateway): State<Arc<Gateway>>,
    Allowed(who, _): Allowed<ToRead>,
    Query(query): Query<FillsQuery>,
) -> Result<Json<Fills>, Problem> {
    let limit = page(query.limit)?;
    let before = query.before.map(|before| id("before", &before)).transpose()?;
    gateway.positions.wait(query.position.as_deref()).await?;
    let (before_at, before_id) = match before {
        None => (NO_TIME.to_owned(), i64::MAX),
        Some(before) => (trade_time(&gateway, &who.account, before).await?, before),
    };
    let asked = sqlx::query_as(FILLS)
        .bind(who.account.as_str())
        .bind(before_at)
        .bind(before_id)
        .bind(query.instrument.as_ref().map(|name| name.0.as_str()))
        .bind(limit);
    let mut fills: Vec<Fill> = gateway.views.rows(asked).await?;
    for fill in &mut fills {
        fill.fee_asset = gateway.hub.instrument(&fill.instrument).map(|instrument| instrument.quote_asset.to_string());
    }
    let next_before = next_before(&fills, limit, |fill| &fill.trade_id);
    Ok(Json(Fills { fills, next_before }))
}

/// Time of a trade of the account, as PostgreSQL writes it.
async fn trade_time(gateway: &Gateway, account: &str, trade_id: i64) -> Result<String, Problem> {
    let found: Vec<(String,)> = gateway.views.rows(sqlx::query_as(TRADE_TIME).bind(trade_id).bind(account)).await?;
    let unknown = || Problem::invalid("before", format_args!("is `{trade_id}`: the account has no such trade"));
    found.into_iter().next().map(|(at,)| at).ok_or_else(unknown)
}

/// What the account has of an asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"asset": "USD", "available": "797.5", "reserved": "202.5", "total": "1000"}))]
pub struct Balance {
    /// The asset.
    pub asset: String,
    /// Free to use.
    pub available: String,
    /// Held for open orders and withdrawals.
    pub reserved: String,
    /// Both together.
    pub total: String,
}

from_row!(Balance { asset, available, reserved, total });

/// What the account has.
#[derive(Debug, Serialize, ToSchema)]
pub struct Balances {
    /// By asset.
    pub balances: Vec<Balance>,
}

const BALANCES: &str = "SELECT asset, trim_scale(available)::text AS available, trim_scale(reserved)::text AS reserved, \
     trim_scale(available + reserved)::text AS total FROM balances WHERE account = $1 ORDER BY asset";

/// The account's balances.
#[utoipa::path(
    get,
    path = "/v1/balances",
    tag = "account",
    security(("bearer" = [])),
    params(AtPosition),
    responses((status = 200, description = "By asset.", body = Balances), NeedsLogIn, HasFields, ReadsAt, AnyProblem)
)]
async fn balances(
    State(gateway): State<Arc<Gateway>>,
    Allowed(who, _): Allowed<ToRead>,
    Query(query): Query<AtPosition>,
) -> Result<Json<Balances>, Problem> {
    gateway.positions.wait(query.position.as_deref()).await?;
    let balances = gateway.views.rows(sqlx::query_as(BALANCES).bind(who.account.as_str())).await?;
    Ok(Json(Balances { balances }))
}

/// An account at one moment of the view.
pub struct AtOnce {
    /// Its open orders, newest first.
    pub orders: Vec<Order>,
    /// Asset, available and reserved, in units of 10^-8.
    pub balances: Vec<(String, String, String)>,
    /// Topic, partition, next offset.
    pub offsets: Vec<(String, i32, i64)>,
}

const OPEN_ORDERS: &str = concat!(
    "SELECT ",
    order_columns!(),
    " FROM orders WHERE account = $1 AND status IN ('open', 'waiting', 'partly_filled') ORDER BY orders.order_id DESC"
);

const BALANCES_IN_UNITS: &str = "SELECT asset, trunc(available * 100000000)::text, trunc(reserved * 100000000)::text \
     FROM balances WHERE account = $1 ORDER BY asset";

/// What the view has of an account, with the offsets that it holds for.
///
/// # Errors
/// 503 if the database is away.
pub async fn moment(views: &Views, account: &str) -> Result<AtOnce, Problem> {
    views
        .at_once(async |connection| {
            let orders = sqlx::query_as(OPEN_ORDERS).bind(account).fetch_all(&mut *connection).await?;
            let balances = sqlx::query_as(BALANCES_IN_UNITS).bind(account).fetch_all(&mut *connection).await?;
            let offsets = sqlx::query_as(views::OFFSETS).fetch_all(connection).await?;
            Ok(AtOnce { orders, balances, offsets })
        })
        .await
}

/// Instruments in which an account has open orders.
///
/// # Errors
/// 503 if the database is away.
pub async fn open_instruments(views: &Views, account: &str) -> Result<Vec<String>, Problem> {
    let asked = sqlx::query_as(
        "SELECT DISTINCT instrument FROM orders WHERE account = $1 AND status IN ('open', 'waiting', 'partly_filled')",
    );
    let found: Vec<(String,)> = views.rows(asked.bind(account)).await?;
    Ok(found.into_iter().map(|(instrument,)| instrument).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_page_has_a_next_one() {
        let rows = ["3".to_owned(), "2".to_owned()];
        assert_eq!(next_before(&rows, 2, |row| row), Some("2".into()));
        assert_eq!(next_before(&rows, 3, |row| row), None);
        assert_eq!(next_before(&rows[..0], 3, |row: &String| row), None);
    }
}
