//! Who may use the gateway: users, passwords, sessions, API keys, passkeys and access tokens, as pure rules.
//!
//! The state is a fold of four compacted topics ([`Directory`]). A rule reads the directory and returns the record to be
//! published; the gateway publishes it, waits until it has read it back, and takes the answer from what
//! [`Directory::apply`] said of it ([`Applied::verdict`]). So the log decides all races between gateways.
//! `docs/identity.md` tells what is stored where, lifetimes, and what to do when a key leaks.
//!
//! What is absent: HTTP, Kafka, threads, and the clock: time comes in as `now_ms`, randomness as a generator. Two
//! exceptions are those of `webauthn_rp`: it draws the challenge of a passkey ceremony from the system's generator, and
//! looks at the system's clock for a time-out of its own ([`passkeys`]).

pub mod access;
pub mod api_keys;
pub mod audit;
pub mod directory;
pub mod guard;
mod ids;
pub mod log_in;
pub mod passkeys;
pub mod password;
pub mod principal;
pub mod refusal;
pub mod sessions;
pub mod sign_up;
pub mod signer;
pub mod users;
pub mod verifier;

pub use directory::{Applied, Directory, Event};
pub use principal::{Principal, authenticate};
pub use refusal::{Code, Refusal};
pub use signer::Signer;
pub use verifier::{TokenError, Verifier};
