//! The gateway: REST and WebSocket for traders and their programs, who do not speak Kafka.
//!
//! It keeps nothing that Kafka does not have, so any number of gateways can stand behind a load balancer. Its interface is
//! described in `docs/gateway.md`.
//!
//! | module | what is in it |
//! |---|---|
//! | [`feed`] | the topics folded into what clients see live, encoded once for all of them |
//! | [`ws`] | the WebSocket session |
//! | [`amount`] | decimal numbers of the interface and the integers of the topics |
//! | [`problem`] | refusals as RFC 9457 problem details |
//! | [`principal`] | who asks, and what they may do |

pub mod amount;
pub mod feed;
pub mod principal;
pub mod problem;
pub mod ws;
