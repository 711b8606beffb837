//! The gateway: REST and WebSocket for traders and their programs, who do not speak Kafka.
//!
//! It keeps nothing that Kafka does not have, so any number of gateways can stand behind a load balancer. Its interface is
//! described in `docs/gateway.md`.
//!
//! | module | what is in it |
//! |---|---|
//! | [`feed`] | the topics folded into what clients see live, encoded once for all of them |
//! | [`ws`] | the WebSocket session |
//! | [`live`] | the rest of the gateway as sessions need it |
//! | [`amount`] | decimal numbers of the interface and the integers of the topics |
//! | [`problem`] | refusals as RFC 9457 problem details |
//! | [`principal`], [`auth`] | who asks, and what they may do |
//! | [`identity`] | users, sessions, passkeys, API keys |
//! | [`limits`] | how often they may ask |
//! | [`http`] | the router, and what surrounds each request |
//! | [`orders`] | commands into the topic `orders` |
//! | [`position`] | reading what one's own commands led to |
//! | [`reads`] | views in TimescaleDB and ClickHouse |
//! | [`seed`] | the feed goes on from what the view knows |
//! | [`pipeline`] | topics, components, lag, dead letters |
//! | [`console`] | the web console, from the binary |
//! | [`audit`], [`metrics`] | what auditors and operations see |
//! | [`config`], [`server`], [`run`] | settings, connections, a gateway put together |

pub mod amount;
pub mod audit;
pub mod auth;
pub mod config;
pub mod console;
pub mod feed;
pub mod gateway;
pub mod http;
pub mod identity;
pub mod limits;
pub mod live;
pub mod metrics;
pub mod orders;
pub mod pipeline;
pub mod position;
pub mod principal;
pub mod problem;
pub mod reads;
pub mod run;
pub mod seed;
pub mod server;
pub mod ws;
