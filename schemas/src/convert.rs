//! Conversions between wire and domain types.

/// A record that decodes but can't be what its kind says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(pub String);
