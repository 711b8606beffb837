//! Which record gives which rows: plain functions, one file for each topic. A column is named as in `sql/`.
//!
//! Prices, quantities and amounts go as they are on the wire: the integer in units of 10^-8 is exactly the raw value of
//! a `Decimal(18, 8)`. Times are milliseconds, the raw value of a `DateTime64(3)`. Absent text is empty, an absent number NULL.

mod command;
mod execution;
mod settlement;
mod verdict;

use crate::server::insert;
use clickhouse::{Client, Row};
use command::CommandRow;
use execution::{ExecutionRow, TradeRow};
use serde::Serialize;
use settlement::{PostingRow, SettlementRow};
use smol_str::SmolStr;
use tapeline_runtime::sink::{Event, SinkError, SinkRecord, Span};
use verdict::VerdictRow;

/// The rows of a batch, by table.
#[derive(Default)]
pub(crate) struct Rows<'a> {
    commands: Vec<CommandRow<'a>>,
    verdicts: Vec<VerdictRow<'a>>,
    executions: Vec<ExecutionRow<'a>>,
    trades: Vec<TradeRow<'a>>,
    settlements: Vec<SettlementRow<'a>>,
    postings: Vec<PostingRow<'a>>,
}

impl<'a> Rows<'a> {
    /// The rows of `records`.
    pub(crate) fn of(records: &'a [SinkRecord]) -> Result<Self, SinkError> {
        let mut rows = Self::default();
        for record in records {
            match &record.event {
                Event::Command(command) => rows.commands.push(CommandRow::of(record, command)),
                Event::Validated(validated) => rows.verdicts.push(VerdictRow::validated(record, validated)),
                Event::Rejected(rejection) => rows.verdicts.push(VerdictRow::rejected(record, rejection)),
                Event::Executed(execution) => {
                    rows.executions.push(ExecutionRow::of(record, execution));
                    rows.trades.extend(TradeRow::of(record, execution));
                }
                Event::Settled(settlement) => {
                    rows.settlements.push(SettlementRow::of(record, settlement)?);
                    PostingRow::each(record, settlement, &mut rows.postings);
                }
                Event::Market(_) => {
                    return Err(SinkError::Fatal(
                        "the ClickHouse sink has no table for market.ticks: take it off the inputs of \
                         sinks.clickhouse in topology.toml"
                            .into(),
                    ));
                }
            }
        }
        Ok(rows)
    }

    /// Inserts into all tables at once, each in one insert.
    pub(crate) async fn insert(&self, client: &Client, token: &str) -> Result<(), SinkError> {
        tokio::try_join!(
            insert::<CommandRow<'_>>(client, "commands_raw", token, &self.commands),
            insert::<VerdictRow<'_>>(client, "verdicts_raw", token, &self.verdicts),
            insert::<ExecutionRow<'_>>(client, "executions_raw", token, &self.executions),
            insert::<TradeRow<'_>>(client, "trades_raw", token, &self.trades),
            insert::<SettlementRow<'_>>(client, "settlements_raw", token, &self.settlements),
            insert::<PostingRow<'_>>(client, "postings_raw", token, &self.postings),
        )?;
        Ok(())
    }
}

/// A row of `view_offsets_raw`.
#[derive(Row, Serialize)]
pub(crate) struct OffsetRow<'a> {
    topic: &'a str,
    kafka_partition: i32,
    next_offset: i64,
}

impl<'a> OffsetRow<'a> {
    /// What a span moves the view to.
    pub(crate) fn of(span: &'a Span) -> Self {
        Self { topic: &span.topic, kafka_partition: span.partition, next_offset: span.next_offset }
    }
}

fn text(value: &Option<SmolStr>) -> &str {
    value.as_deref().unwrap_or_default()
}

/// The symbol of an optional wire enum; empty if absent.
macro_rules! symbol {
    ($value:expr) => {
        $value.map_or("", |value| value.symbol())
    };
}
use symbol;
