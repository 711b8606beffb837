//! Against a real server at `TAPELINE_TEST_CLICKHOUSE_URL`; where it is not set, each test says so and returns.
//! Each test has a database of its own, dropped at its end.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod database;
mod documented;
mod fixture;
mod speed;
mod views;
