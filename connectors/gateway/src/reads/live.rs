//! What the feed holds in memory, for those who ask once: depth and tickers.

use super::market::{are_read, known};
use crate::auth::Anyone;
use crate::gateway::Gateway;
use crate::http::input::{Query, Segment};
use crate::http::openapi::{AnyProblem, HasFields};
use crate::problem::Problem;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Most levels of each side.
const MAX_LEVELS: usize = 1_000;
/// Levels of each side, unless it is told.
const DEFAULT_LEVELS: usize = 50;

/// The routes of what is live.
pub fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new().routes(routes!(depth)).routes(routes!(tickers))
}

/// A message of the feed, which is JSON already.
struct Written(String);

impl IntoResponse for Written {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DepthQuery {
    /// Most levels of each side, 1 to 1000; 50 if absent.
    levels: Option<usize>,
}

/// The best levels of a book.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "type": "depth", "instrument": "AAPL-USD", "kind": "snapshot", "levels": "2", "sequence": 7,
    "bids": [["585.4", "100"], ["585.35", "300"]], "asks": [["585.5", "50"]], "checksum": 2_863_311_530_u32,
    "time_ms": 1700000000000_i64
}))]
#[allow(dead_code, reason = "it stands in the document only")]
struct Depth {
    /// `depth`.
    r#type: String,
    /// The book.
    instrument: String,
    /// `snapshot`.
    kind: String,
    /// How many levels were asked for.
    levels: u32,
    /// The last change that is in it.
    sequence: i64,
    /// Price and quantity, highest price first.
    bids: Vec<[String; 2]>,
    /// Price and quantity, lowest price first.
    asks: Vec<[String; 2]>,
    /// Of these levels, as in the channel `depth`.
    checksum: u32,
    /// Time of that change, milliseconds since the Unix epoch.
    time_ms: i64,
}

/// The best levels of a book.
#[utoipa::path(
    get,
    path = "/v1/instruments/{symbol}/depth",
    tag = "market",
    params(("symbol" = String, Path, description = "The instrument."), DepthQuery),
    responses(
        (status = 200, description = "A snapshot, as the channel `depth` sends it.", body = Depth),
        (status = 404, description = "`unknown_instrument`.", body = Problem, content_type = "application/problem+json"),
        HasFields,
        AnyProblem
    )
)]
async fn depth(
    State(gateway): State<Arc<Gateway>>,
    _: Anyone,
    Segment(symbol): Segment,
    Query(query): Query<DepthQuery>,
) -> Result<Written, Problem> {
    let levels = query.levels.unwrap_or(DEFAULT_LEVELS);
    if !(1..=MAX_LEVELS).contains(&levels) {
        return Err(Problem::invalid("levels", format_args!("is {levels}: it must be from 1 to {MAX_LEVELS}")));
    }
    known(&gateway, &symbol)?;
    let market = gateway.hub.market(&symbol);
    let frame = market.and_then(|market| market.depth_now(levels)).ok_or_else(|| {
        let detail =
            format!("the gateway has missed changes of the book of {symbol}: its next snapshot comes within a minute");
        Problem::new(503, "book_unknown", "The book is not known", detail).retry_after(1)
    })?;
    Ok(Written(frame.to_string()))
}

/// An instrument's last 24 hours and best quotes.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "instrument": "AAPL-USD", "last": "585.4", "bid": "585.35", "bid_quantity": "300", "ask": "585.5",
    "ask_quantity": "50", "open_24h": "580", "high_24h": "590", "low_24h": "579.5", "volume_24h": "12000", "trades_24h": 321
}))]
#[allow(dead_code, reason = "it stands in the document only")]
struct Ticker {
    /// The instrument.
    instrument: String,
    /// Price of the last trade of the last 24 hours.
    last: Option<String>,
    /// Best bid.
    bid: Option<String>,
    /// What shows at the best bid.
    bid_quantity: Option<String>,
    /// Best ask.
    ask: Option<String>,
    /// What shows at the best ask.
    ask_quantity: Option<String>,
    /// First price of the last 24 hours.
    open_24h: Option<String>,
    /// Highest price of the last 24 hours.
    high_24h: Option<String>,
    /// Lowest price of the last 24 hours.
    low_24h: Option<String>,
    /// Quantity traded in the last 24 hours.
    volume_24h: String,
    /// Trades of the last 24 hours.
    trades_24h: i64,
}

/// All tickers.
#[derive(Serialize, ToSchema)]
#[allow(dead_code, reason = "it stands in the document only")]
struct Tickers {
    /// By instrument.
    tickers: Vec<Ticker>,
}

/// All tickers.
#[utoipa::path(
    get,
    path = "/v1/tickers",
    tag = "market",
    responses((status = 200, description = "By instrument.", body = Tickers), AnyProblem)
)]
async fn tickers(State(gateway): State<Arc<Gateway>>, _: Anyone) -> Result<Written, Problem> {
    are_read(&gateway)?;
    let listed = gateway.hub.instruments();
    let markets = listed.iter().filter_map(|instrument| gateway.hub.market(&instrument.symbol));
    let tickers: Vec<String> = markets.map(|market| market.ticker_now()).collect();
    Ok(Written(format!("{{\"tickers\":[{}]}}", tickers.join(","))))
}
