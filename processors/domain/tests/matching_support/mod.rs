//! What the matching tests share: a text notation for commands and events, random command streams, a naive book.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses a part of it")]

pub mod naive;
pub mod script;
pub mod stream;
