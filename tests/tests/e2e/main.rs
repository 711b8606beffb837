//! End to end: everything real, on a stack that each test gets empty. One program, for each one would link all of Tapeline
//! anew. README.md says which file holds which promise.

mod aapl;
mod apply;
mod attacks;
mod attacks_raw;
mod bench;
mod chaos;
mod console;
mod dead_letters;
mod depth;
mod depth_aapl;
mod fencing;
mod foreign_client;
mod gateway;
mod gateway_kill;
mod identity;
mod kills;
mod operations;
mod outside_trades;
mod producer;
mod schemathesis;
mod takeover;
mod tools;
mod verify;
