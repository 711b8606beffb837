//! Shared helpers of the tests: a log in memory for the lane, and real parts for the end-to-end tests.

pub mod gateway;
pub mod market;
pub mod memory_log;
pub mod parts;
pub mod pipeline;
pub mod reference;
pub mod views;
