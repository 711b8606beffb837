//! Who asks, and what they may do.

use smol_str::SmolStr;

/// What a token or key allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Read the account's orders, fills and balances.
    Read,
    /// Place, amend and cancel orders.
    Trade,
    /// Withdraw.
    Withdraw,
    /// See the pipeline: role `operator`.
    Operate,
}

impl Scope {
    /// Its name in tokens, keys and problems.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Trade => "trade",
            Self::Withdraw => "withdraw",
            Self::Operate => "operate",
        }
    }
}

/// Whoever has shown a valid access token or API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The user.
    pub user_id: SmolStr,
    /// The user's trading account.
    pub account: SmolStr,
    /// What the token or key allows.
    pub scopes: Vec<Scope>,
    /// The API key, if it was one; limits count by it.
    pub key_id: Option<SmolStr>,
    /// When the token ends, milliseconds since the Unix epoch.
    pub expires_ms: i64,
    /// When a second factor was shown last, milliseconds since the Unix epoch.
    pub second_factor_ms: Option<i64>,
    /// Whether the user has a second factor, so that withdrawals need it.
    pub has_second_factor: bool,
}

impl Principal {
    /// Whether the token or key allows this.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}
