//! Market data of the own books, for everybody: instruments, trades, candles.
//!
//! What is absent: depth and tickers, which the feed holds in memory.

use super::page;
use super::views::from_row;
use crate::amount;
use crate::auth::Anyone;
use crate::gateway::Gateway;
use crate::http::input::{Query, Segment};
use crate::http::openapi::{AnyProblem, HasFields};
use crate::orders::fields::Name;
use crate::problem::Problem;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tapeline_schemas::{topic, wire};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of market data.
pub fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new().routes(routes!(instruments)).routes(routes!(trades)).routes(routes!(candles))
}

/// An instrument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({
    "symbol": "AAPL-USD", "base_asset": "AAPL", "quote_asset": "USD", "tick_size": "0.01", "lot_size": "1",
    "min_quantity": "1", "max_quantity": "1000", "min_notional": "1", "max_notional": "1000000",
    "reference_price": "101.25", "collar_ppm": 500_000, "maker_fee_ppm": 100, "taker_fee_ppm": 250, "status": "open"
}))]
pub struct Instrument {
    /// Its name.
    pub symbol: String,
    /// What is bought and sold.
    pub base_asset: String,
    /// What it is paid with.
    pub quote_asset: String,
    /// Prices are multiples of it.
    pub tick_size: String,
    /// Quantities are multiples of it.
    pub lot_size: String,
    /// Smallest quantity of an order.
    pub min_quantity: String,
    /// Largest quantity of an order.
    pub max_quantity: String,
    /// Smallest price times quantity of an order.
    pub min_notional: String,
    /// Largest price times quantity of an order.
    pub max_notional: String,
    /// The price around which the collar lies.
    pub reference_price: String,
    /// How far a price may lie from it, parts per million.
    pub collar_ppm: i64,
    /// Fee of resting orders, parts per million of the notional.
    pub maker_fee_ppm: i64,
    /// Fee of incoming orders, parts per million of the notional.
    pub taker_fee_ppm: i64,
    /// `open`, `halted` or `closed`.
    pub status: String,
}

impl From<&wire::Instrument> for Instrument {
    fn from(of: &wire::Instrument) -> Self {
        Self {
            symbol: of.symbol.to_string(),
            base_asset: of.base_asset.to_string(),
            quote_asset: of.quote_asset.to_string(),
            tick_size: amount::text(of.tick_size),
            lot_size: amount::text(of.lot_size),
            min_quantity: amount::text(of.min_quantity),
            max_quantity: amount::text(of.max_quantity),
            min_notional: amount::text(of.min_notional),
            max_notional: amount::text(of.max_notional),
            reference_price: amount::text(of.reference_price),
            collar_ppm: of.collar_ppm,
            maker_fee_ppm: of.maker_fee_ppm,
            taker_fee_ppm: of.taker_fee_ppm,
            status: of.status.symbol().to_ascii_lowercase(),
        }
    }
}

/// All instruments.
#[derive(Debug, Serialize, ToSchema)]
pub struct Instruments {
    /// By symbol.
    pub instruments: Vec<Instrument>,
}

/// All instruments.
#[utoipa::path(
    get,
    path = "/v1/instruments",
    tag = "market",
    responses((status = 200, description = "By symbol.", body = Instruments), AnyProblem)
)]
async fn instruments(State(gateway): State<Arc<Gateway>>, _: Anyone) -> Result<Json<Instruments>, Problem> {
    are_read(&gateway)?;
    Ok(Json(Instruments { instruments: gateway.hub.instruments().iter().map(Into::into).collect() }))
}

/// 503 while the topic of instruments has not been read.
pub(super) fn are_read(gateway: &Gateway) -> Result<(), Problem> {
    if gateway.hub.metrics.is_ready(topic::INSTRUMENTS) {
        return Ok(());
    }
    let detail = "the gateway has not read the instruments yet: try again";
    Err(Problem::new(503, "starting", "Not ready", detail).retry_after(1))
}

/// The instrument of a path; 404 if there is none.
pub(super) fn known(gateway: &Gateway, symbol: &str) -> Result<(), Problem> {
    are_read(gateway)?;
    if gateway.hub.instrument(symbol).is_some() {
        return Ok(());
    }
    let detail = format!("there is no instrument `{symbol}`: see /v1/instruments");
    Err(Problem::new(404, "unknown_instrument", "Unknown instrument", detail))
}

/// A trade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({
    "trade_id": "17592186044417", "price": "101.25", "quantity": "2", "taker_side": "buy", "traded_ms": 1700000000000_i64
}))]
pub struct Trade {
    /// Its identity.
    pub trade_id: String,
    /// Price.
    pub price: String,
    /// Quantity, in the base asset.
    pub quantity: String,
    /// `buy` or `sell`: side of the incoming order.
    pub taker_side: String,
    /// Its time, milliseconds since the Unix epoch.
    pub traded_ms: i64,
}

from_row!(Trade { trade_id, price, quantity, taker_side, traded_ms });

/// Trades of an instrument.
#[derive(Debug, Serialize, ToSchema)]
pub struct Trades {
    /// Newest first.
    pub trades: Vec<Trade>,
}

const TRADES: &str = "SELECT trade_id::text, trim_scale(price)::text AS price, trim_scale(quantity)::text AS quantity, \
     taker_side, (extract(epoch FROM traded_at) * 1000)::bigint AS traded_ms FROM trades WHERE instrument = $1 \
     ORDER BY traded_at DESC, trades.trade_id DESC LIMIT $2";

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TradesQuery {
    /// Most trades of the answer, 1 to 500; 100 if absent.
    limit: Option<u32>,
}

/// Newest trades of an instrument.
#[utoipa::path(
    get,
    path = "/v1/instruments/{symbol}/trades",
    tag = "market",
    params(("symbol" = Name, Path, description = "The instrument."), TradesQuery),
    responses(
        (status = 200, description = "Newest first.", body = Trades),
        (status = 404, description = "`unknown_instrument`", body = Problem, content_type = "application/problem+json"),
        HasFields,
        AnyProblem
    )
)]
async fn trades(
    State(gateway): State<Arc<Gateway>>,
    _: Anyone,
    Segment(symbol): Segment,
    Query(query): Query<TradesQuery>,
) -> Result<Json<Trades>, Problem> {
    let limit = page(query.limit)?;
    known(&gateway, &symbol)?;
    let trades = gateway.views.rows(sqlx::query_as(TRADES).bind(symbol).bind(limit)).await?;
    Ok(Json(Trades { trades }))
}

/// A candle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({
    "bucket_ms": 1700000000000_i64, "open": "101", "high": "102", "low": "100.5", "close": "101.25", "volume": "40",
    "trades": 12
}))]
pub struct Candle {
    /// Begin of the interval, milliseconds since the Unix epoch.
    pub bucket_ms: i64,
    /// Price of the first trade.
    pub open: String,
    /// Highest price.
    pub high: String,
    /// Lowest price.
    pub low: String,
    /// Price of the last trade.
    pub close: String,
    /// Sum of the quantities, in the base asset.
    pub volume: String,
    /// Number of trades.
    pub trades: i64,
}

from_row!(Candle { bucket_ms, open, high, low, close, volume, trades });

/// Candles of an instrument. An interval without a trade has none.
#[derive(Debug, Serialize, ToSchema)]
pub struct Candles {
    /// Oldest first.
    pub candles: Vec<Candle>,
}

/// Length of a candle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
enum Interval {
    /// A second.
    #[serde(rename = "1s")]
    Second,
    /// A minute.
    #[serde(rename = "1m")]
    Minute,
    /// Five minutes.
    #[serde(rename = "5m")]
    FiveMinutes,
    /// An hour.
    #[serde(rename = "1h")]
    Hour,
    /// A day, UTC.
    #[serde(rename = "1d")]
    Day,
}

impl Interval {
    const fn name(self) -> &'static str {
        match self {
            Self::Second => "1s",
            Self::Minute => "1m",
            Self::FiveMinutes => "5m",
            Self::Hour => "1h",
            Self::Day => "1d",
        }
    }
}

/// The newest, or, where a beginning is given, the first from there on; either way oldest first.
macro_rules! candles_ordered {
    ($order:literal) => {
        concat!(
            "SELECT (extract(epoch FROM c.bucket) * 1000)::bigint AS bucket_ms, trim_scale(open)::text AS open, \
             trim_scale(high)::text AS high, trim_scale(low)::text AS low, trim_scale(close)::text AS close, \
             trim_scale(volume)::text AS volume, trades FROM (SELECT * FROM candles WHERE venue = 'tapeline' \
             AND instrument = $1 AND \"interval\" = $2 AND bucket >= to_timestamp($3::bigint / 1000.0) \
             AND bucket < to_timestamp($4::bigint / 1000.0) ORDER BY bucket ",
            $order,
            " LIMIT $5) AS c ORDER BY c.bucket"
        )
    };
}

const NEWEST_CANDLES: &str = candles_ordered!("DESC");
const FIRST_CANDLES: &str = candles_ordered!("ASC");
/// End of the year 9999: later times are none of PostgreSQL's.
const MAX_MS: i64 = 253_402_300_799_999;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CandlesQuery {
    /// Length: `1s`, `1m`, `5m`, `1h` or `1d`.
    #[param(inline)]
    interval: Interval,
    /// Candles that begin at or after this time, milliseconds since the Unix epoch; without it the newest ones.
    from_ms: Option<i64>,
    /// Candles that begin before this time.
    to_ms: Option<i64>,
    /// Most candles of the answer, 1 to 500; 100 if absent.
    limit: Option<u32>,
}

/// Candles of an instrument.
#[utoipa::path(
    get,
    path = "/v1/instruments/{symbol}/candles",
    tag = "market",
    params(("symbol" = Name, Path, description = "The instrument."), CandlesQuery),
    responses(
        (status = 200, description = "Oldest first.", body = Candles),
        (status = 404, description = "`unknown_instrument`", body = Problem, content_type = "application/problem+json"),
        HasFields,
        AnyProblem
    )
)]
async fn candles(
    State(gateway): State<Arc<Gateway>>,
    _: Anyone,
    Segment(symbol): Segment,
    Query(query): Query<CandlesQuery>,
) -> Result<Json<Candles>, Problem> {
    let limit = page(query.limit)?;
    let time = |field: &'static str, at_ms: i64| match at_ms {
        0..=MAX_MS => Ok(at_ms),
        _ => Err(Problem::invalid(field, "must be from 0 to the end of the year 9999, in milliseconds")),
    };
    let from_ms = query.from_ms.map(|at_ms| time("from_ms", at_ms)).transpose()?;
    let to_ms = time("to_ms", query.to_ms.unwrap_or(MAX_MS))?;
    known(&gateway, &symbol)?;
    let sql = if from_ms.is_some() { FIRST_CANDLES } else { NEWEST_CANDLES };
    let asked = sqlx::query_as(sql).bind(symbol).bind(query.interval.name());
    let asked = asked.bind(from_ms.unwrap_or(0)).bind(to_ms).bind(limit);
    Ok(Json(Candles { candles: gateway.views.rows(asked).await? }))
}
