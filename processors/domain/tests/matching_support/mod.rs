//! What the matching tests share: a text notation for commands and events, random command streams, a naive book.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod naive;
pub mod script;
pub mod stream;
