//! End to end: everything real, on a stack that each test gets empty. One program, for each one would link all of Tapeline
//! anew. README.md says which file holds which promise.

mod aapl;
mod apply;
mod bench;
mod chaos;
mod dead_letters;
mod depth;
mod depth_aapl;
mod fencing;
mod foreign_client;
mod gateway;
mod identity;
mod kills;
mod operations;
mod outside_trades;
mod takeover;
mod tools;
mod verify;
