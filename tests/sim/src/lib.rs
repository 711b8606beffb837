//! A seeded simulation: the production lanes and sink loops over a simulated broker, on one thread, in virtual time, with
//! faults at every step, watched by an auditor that knows only the commands and the committed logs.
//!
//! One 64-bit seed decides everything; the same seed gives the same bytes. `README.md` of `tests/` says how to run it.
//! What is absent: real Kafka, real databases (see the end-to-end tests) and the wall clock.

mod audit;
mod broker;
mod dice;
mod fault;
mod group;
mod member;
mod port;
mod run;
mod sinks;
mod workload;
mod world;

pub use audit::{Invariant, Violation};
pub use fault::{Fault, Stats};
pub use run::{Outcome, run, run_guarded};
#[cfg(feature = "mutations")]
pub use tapeline_domain::mutation::Mutation;
