//! Reads over REST: orders, fills and balances of the account, instruments, trades and candles for everybody, analytics.
//!
//! | module | what is in it |
//! |---|---|
//! | [`views`] | TimescaleDB |
//! | [`account`] | orders, fills, balances |
//! | [`market`] | instruments, trades, candles |
//! | [`live`] | depth, tickers |
//! | [`analytics`] | ClickHouse |
//!
//! Pages are cut by keys, not by counting rows: a page is as quick at the end as at the beginning.

pub mod account;
pub mod analytics;
pub mod live;
pub mod market;
pub mod views;

use crate::gateway::Gateway;
use crate::problem::Problem;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// Most rows of a page.
const MAX_PAGE: u32 = 500;
/// Rows of a page, unless it is told.
const DEFAULT_PAGE: u32 = 100;

/// The routes of reads.
pub fn routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new()
        .merge(account::routes())
        .merge(market::routes())
        .merge(live::routes())
        .merge(analytics::routes())
}

/// Number of rows of a page.
fn page(limit: Option<u32>) -> Result<i64, Problem> {
    let limit = limit.unwrap_or(DEFAULT_PAGE);
    if (1..=MAX_PAGE).contains(&limit) {
        Ok(i64::from(limit))
    } else {
        Err(Problem::invalid("limit", format_args!("is {limit}: it must be from 1 to {MAX_PAGE}")))
    }
}

/// An identity in a query.
fn id(field: &'static str, text: &str) -> Result<i64, Problem> {
    let id = text.parse::<i64>().ok().filter(|id| *id >= 0);
    id.ok_or_else(|| Problem::invalid(field, format_args!("is `{text}`: it must be an id as an answer gave it")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_ids_have_bounds() {
        for (limit, expected) in
            [(None, Some(100)), (Some(1), Some(1)), (Some(500), Some(500)), (Some(0), None), (Some(501), None)]
        {
            assert_eq!(page(limit).ok(), expected, "{limit:?}");
        }
        for (text, expected) in
            [("0", Some(0)), ("9223372036854775807", Some(i64::MAX)), ("-1", None), ("", None), ("x", None)]
        {
            assert_eq!(id("before", text).ok(), expected, "{text}");
        }
    }
}
