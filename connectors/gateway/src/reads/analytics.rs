//! Analysts' figures from ClickHouse, over the record views that `docs/clickhouse.md` documents: they show each record once.

use crate::auth::{Allowed, ToRead};
use crate::gateway::Gateway;
use crate::http::input::Query;
use crate::http::openapi::{AnyProblem, HasFields, NeedsLogIn};
use crate::problem::Problem;
use anyhow::{Context, Result};
use axum::Json;
use axum::extract::State;
use clickhouse::{Client, Compression, Row, RowOwned, RowRead};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use url::Url;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Hours of an answer, unless it is told.
const DEFAULT_HOURS: u32 = 24;
const MAX_HOURS: u32 = 7 * 24;
/// Longest time that the server works on a query, and that is waited for it.
const MAX_SECONDS: &str = "4";
const TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_DATABASE: &str = "tapeline";

/// The views in ClickHouse.
pub struct Analytics {
    client: Client,
}

impl Analytics {
    /// Of the database at `url`, `http[s]://[user:password@]host:port/[?database=NAME]`; connects when it is needed.
    ///
    /// # Errors
    /// If it is no URL; the URL is not repeated, it may hold a password.
    pub fn open(url: &str) -> Result<Self> {
        let mut url = Url::parse(url)
            .context("TAPELINE_CLICKHOUSE_URL is no URL: set it to http://[user:password@]host:8123/?database=NAME")?;
        let named = url.query_pairs().find(|(name, _)| name == "database").map(|(_, database)| database.into_owned());
        let (user, password) = (unescaped(url.username()), url.password().and_then(unescaped));
        url.set_query(None);
        // Neither can fail: the URL has a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let mut client = Client::default()
            .with_url(url.as_str())
            .with_database(named.unwrap_or_else(|| DEFAULT_DATABASE.to_owned()))
            .with_compression(Compression::None)
            .with_setting("max_execution_time", MAX_SECONDS)
            .with_setting("readonly", "2");
        if let Some(user) = user {
            client = client.with_user(user);
        }
        if let Some(password) = password {
            client = client.with_password(password);
        }
        Ok(Self { client })
    }

    /// Rows of a query; each of its parameters is the number of hours.
    async fn rows<T: RowOwned + RowRead>(&self, sql: &str, hours: u32) -> Result<Vec<T>, Problem> {
        let places = sql.matches('?').count();
        let asked = (0..places).fold(self.client.query(sql), |query, _| query.bind(hours)).fetch_all::<T>();
        match tokio::time::timeout(TIMEOUT, asked).await {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(error)) => {
                tracing::warn!(%error, "ClickHouse can't be read");
                let detail = "the analysts' database is away or too slow: try again, or fewer hours";
                Err(Problem::new(503, "view_away", "The view is away", detail).retry_after(5))
            }
            Err(_) => {
                let detail = "the analysts' database took too long: try fewer hours";
                Err(Problem::new(503, "view_slow", "The view is slow", detail).retry_after(5))
            }
        }
    }
}

/// Undoes percent escapes, which are a form's but for `+`; `None` of nothing.
fn unescaped(text: &str) -> Option<String> {
    let form = text.replace('+', "%2B");
    url::form_urlencoded::parse(form.as_bytes()).next().map(|(text, _)| text.into_owned())
}

/// The route of analytics.
pub fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new().routes(routes!(analytics))
}

/// What was traded in a minute.
#[derive(Debug, Clone, Serialize, Deserialize, Row, ToSchema)]
pub struct Volume {
    /// Begin of the minute, milliseconds since the Unix epoch.
    pub minute_ms: i64,
    /// The instrument.
    pub instrument: String,
    /// Traded quantity, in the base asset.
    pub volume: String,
    /// Price times quantity, in the quote asset.
    pub notional: String,
    /// Number of trades.
    pub trades: u64,
}

/// How much of what was ordered was filled.
#[derive(Debug, Clone, Serialize, Deserialize, Row, ToSchema)]
pub struct FillRatio {
    /// The instrument.
    pub instrument: String,
    /// Orders that entered its book.
    pub orders: u64,
    /// Orders with any fill.
    pub filled: u64,
    /// Filled quantity by ordered quantity.
    pub ratio: f64,
}

/// Times between stages, of settled trades.
#[derive(Debug, Clone, Serialize, Deserialize, Row, ToSchema)]
pub struct Latency {
    /// From where to where.
    pub stage: String,
    /// Median, milliseconds.
    pub p50_ms: i64,
    /// 99th percentile, milliseconds.
    pub p99_ms: i64,
    /// Largest, milliseconds.
    pub max_ms: i64,
}

/// How often commands were refused, by reason.
#[derive(Debug, Clone, Serialize, Deserialize, Row, ToSchema)]
pub struct Rejects {
    /// Reason code.
    pub reason: String,
    /// How often.
    pub rejects: u64,
}

/// Figures of the last hours.
#[derive(Debug, Serialize, ToSchema)]
pub struct Figures {
    /// Oldest first.
    pub volume: Vec<Volume>,
    /// By instrument.
    pub fill_ratio: Vec<FillRatio>,
    /// By stage, in their order.
    pub latency: Vec<Latency>,
    /// Most frequent first.
    pub rejects: Vec<Rejects>,
}

/// In all queries the one parameter is a number of hours.
const VOLUME: &str = "SELECT toInt64(toUnixTimestamp(toStartOfMinute(traded_at))) * 1000 AS minute_ms,
        toString(instrument) AS instrument, toString(sum(quantity)) AS volume, toString(sum(notional)) AS notional,
        count() AS trades
    FROM trades WHERE traded_at >= now64(3) - toIntervalHour(?)
    GROUP BY minute_ms, instrument ORDER BY minute_ms, instrument";

/// As the view `fill_ratio`, of the last hours.
const FILL_RATIO: &str = "SELECT toString(part.instrument) AS instrument, sum(part.entered) AS orders,
        sum(part.hit) AS filled,
        if(sum(part.ordered) = 0, 0., toFloat64(sum(part.got)) / toFloat64(sum(part.ordered))) AS ratio
    FROM (
        SELECT instrument, count() AS entered, toUInt64(0) AS hit, sum(assumeNotNull(order_quantity)) AS ordered,
            toDecimal128(0, 8) AS got
        FROM executions WHERE kind = 'ACCEPTED' AND validated_at >= now64(3) - toIntervalHour(?) GROUP BY instrument
        UNION ALL
        SELECT instrument, toUInt64(0), countIf(taker_filled = quantity) + countIf(maker_filled = quantity),
            toDecimal128(0, 8), sum(quantity) * 2
        FROM trades WHERE traded_at >= now64(3) - toIntervalHour(?) GROUP BY instrument
    ) AS part
    GROUP BY instrument ORDER BY instrument";

/// As the view `latency_by_stage`, of the last hours.
const LATENCY: &str = "SELECT step.1 AS stage, step.2[1] AS p50_ms, step.2[2] AS p99_ms, step.2[3] AS max_ms
    FROM (
        SELECT
            quantilesExactWeighted(0.5, 0.99, 1)(date_diff('ms', commanded_at, validated_at), 1) AS validated,
            quantilesExactWeighted(0.5, 0.99, 1)(date_diff('ms', validated_at, executed_at), 1) AS executed,
            quantilesExactWeighted(0.5, 0.99, 1)(date_diff('ms', executed_at, settled_at), 1) AS settled,
            quantilesExactWeighted(0.5, 0.99, 1)(date_diff('ms', commanded_at, settled_at), 1) AS total
        FROM settlements WHERE kind = 'TRADE' AND settled_at >= now64(3) - toIntervalHour(?)
        HAVING count() > 0
    )
    ARRAY JOIN [('ordered to validated', validated), ('validated to executed', executed),
        ('executed to settled', settled), ('total', total)] AS step";

const REJECTS: &str = "SELECT lower(toString(reason)) AS reason, count() AS rejects FROM verdicts
    WHERE NOT accepted AND decided_at >= now64(3) - toIntervalHour(?) GROUP BY reason ORDER BY rejects DESC, reason";

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Hours {
    /// How far to look back, 1 to 168; 24 if absent.
    hours: Option<u32>,
}

/// Figures of the last hours, over all accounts.
#[utoipa::path(
    get,
    path = "/v1/analytics",
    tag = "market",
    security(("bearer" = [])),
    params(Hours),
    responses((status = 200, description = "Figures.", body = Figures), NeedsLogIn, HasFields, AnyProblem)
)]
async fn analytics(
    State(gateway): State<Arc<Gateway>>,
    _: Allowed<ToRead>,
    Query(query): Query<Hours>,
) -> Result<Json<Figures>, Problem> {
    let hours = query.hours.unwrap_or(DEFAULT_HOURS);
    if !(1..=MAX_HOURS).contains(&hours) {
        return Err(Problem::invalid("hours", format_args!("is {hours}: it must be from 1 to {MAX_HOURS}")));
    }
    let views = &gateway.analytics;
    let (volume, fill_ratio, latency, rejects) = tokio::try_join!(
        views.rows(VOLUME, hours),
        views.rows(FILL_RATIO, hours),
        views.rows(LATENCY, hours),
        views.rows(REJECTS, hours)
    )?;
    Ok(Json(Figures { volume, fill_ratio, latency, rejects }))
}
