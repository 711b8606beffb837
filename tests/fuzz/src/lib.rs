//! Damaged inputs for everything that reads bytes from outside: decoders, frames, dead letters, topology files, files of
//! orders and trades.
//!
//! A case is made from (seed, target, number) alone, so each one can be made again. It begins as a file of the corpus
//! and is damaged by [`mutate`]; [`run`] gives it to a function of [`targets`] and counts what that made of it, which shows
//! whether inputs get past the first check. A panic, or an input that takes too long or too much memory, is a failure.
//!
//! What is absent: coverage as a guide, which wants a nightly compiler. Instead the corpus keeps one input for each kind of
//! outcome that was ever seen.

pub mod corpus;
pub mod dice;
pub mod mutate;
pub mod run;
pub mod targets;
