//! The live side: what the topics say, folded into what clients see, encoded once for all of them.
//!
//! | module | what is in it |
//! |---|---|
//! | [`book`] | a displayed book from `book.depth`: sequence, checksum, gaps |
//! | [`window`] | the best N levels of a book, and how they change |
//! | [`candle`], [`ticker`] | running candles and the last 24 hours, from trades |
//! | [`frame`] | messages as text, written once |
//! | [`ring`], [`channel`] | frames that wait for clients, and which of them a client has had |
//! | [`wake`] | who is told that there is something new |
//! | [`market`] | all of an instrument |
//! | [`account`] | all of the accounts: orders, fills, balances, and where a client can go on |
//! | [`hub`] | all instruments and accounts; what records go into and sessions read from |
//! | [`metrics`] | what Prometheus sees |
//! | [`run`] | threads that tail the topics and feed the hub; the only one that knows Kafka |
//!
//! What is absent: sockets, HTTP, log-ins; except for [`run`] any clock, thread or Kafka client. All of it is fed with
//! decoded records, so the tests need no broker.
//!
//! Nothing is kept for a client but its place: frames lie in rings that all clients of a channel share, and a subscription
//! is a number in one of them.

pub mod account;
pub mod book;
pub mod candle;
pub mod channel;
pub mod frame;
pub mod hub;
pub mod market;
pub mod metrics;
pub mod ring;
pub mod run;
pub mod ticker;
pub mod wake;
pub mod window;
