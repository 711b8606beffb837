//! A "no" of the rules: a stable code for programs, a sentence for people. HTTP statuses are the gateway's matter.

use std::fmt;

/// What is wrong, as the interface names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is explained by the sentence that goes with it")]
pub enum Code {
    LoginTaken,
    InvalidLogin,
    InvalidDisplayName,
    WeakPassword,
    WrongCredentials,
    UserDisabled,
    TooManyTries,
    TokenReused,
    Expired,
    InvalidToken,
    InvalidChallenge,
    SecondFactorNeeded,
    SecondFactorFailed,
    SessionNeeded,
    MissingScope,
    MissingRole,
    InvalidLabel,
    InvalidScopes,
    InvalidExpiry,
    UnknownKey,
    TooManyKeys,
    UnknownPasskey,
    PasskeyKnown,
    TooManyPasskeys,
    Behind,
    ChangedMeanwhile,
    Internal,
}

impl Code {
    /// The code as it stands in answers: lower case with underscores.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LoginTaken => "login_taken",
            Self::InvalidLogin => "invalid_login",
            Self::InvalidDisplayName => "invalid_display_name",
            Self::WeakPassword => "weak_password",
            Self::WrongCredentials => "wrong_credentials",
            Self::UserDisabled => "user_disabled",
            Self::TooManyTries => "too_many_tries",
            Self::TokenReused => "token_reused",
            Self::Expired => "expired",
            Self::InvalidToken => "invalid_token",
            Self::InvalidChallenge => "invalid_challenge",
            Self::SecondFactorNeeded => "second_factor_needed",
            Self::SecondFactorFailed => "second_factor_failed",
            Self::SessionNeeded => "session_needed",
            Self::MissingScope => "missing_scope",
            Self::MissingRole => "missing_role",
            Self::InvalidLabel => "invalid_label",
            Self::InvalidScopes => "invalid_scopes",
            Self::InvalidExpiry => "invalid_expiry",
            Self::UnknownKey => "unknown_api_key",
            Self::TooManyKeys => "too_many_api_keys",
            Self::UnknownPasskey => "unknown_passkey",
            Self::PasskeyKnown => "passkey_known",
            Self::TooManyPasskeys => "too_many_passkeys",
            Self::Behind => "behind",
            Self::ChangedMeanwhile => "changed_meanwhile",
            Self::Internal => "internal",
        }
    }
}

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// For programs.
    pub code: Code,
    /// For people: what, where and what to do. Holds nothing secret.
    pub text: String,
    /// The field of the request that is at fault.
    pub field: Option<&'static str>,
    /// After how many seconds another try makes sense.
    pub retry_after_s: Option<i64>,
}

impl Refusal {
    pub(crate) fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), field: None, retry_after_s: None }
    }

    pub(crate) fn of_field(code: Code, field: &'static str, text: impl Into<String>) -> Self {
        Self { field: Some(field), ..Self::new(code, text) }
    }

    pub(crate) fn internal(what: &str, error: impl fmt::Display) -> Self {
        Self::new(Code::Internal, format!("{what}: {error}; try again, and tell operations if it stays so"))
    }

    /// A session that is over for any reason but reuse.
    pub(crate) fn session_over() -> Self {
        Self::new(Code::Expired, "the session has ended; log in again")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.text)
    }
}

impl std::error::Error for Refusal {}
