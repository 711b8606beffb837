//! What the rules refuse, as problems.

use crate::problem::Problem;
use tapeline_identity::{Code, Refusal};

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, title) = kind(refusal.code);
        let mut problem = Self::new(status, refusal.code.as_str(), title, refusal.text);
        problem.field = refusal.field.map(Into::into);
        problem.retry_after_s = refusal.retry_after_s.map(i64::unsigned_abs);
        problem
    }
}

/// HTTP status and title of a code. 401 tells a client to refresh or to log in: nothing else may have it.
const fn kind(code: Code) -> (u16, &'static str) {
    match code {
        Code::LoginTaken => (409, "The login is taken"),
        Code::InvalidLogin
        | Code::InvalidDisplayName
        | Code::InvalidLabel
        | Code::InvalidScopes
        | Code::InvalidExpiry => (422, "A field can't be taken"),
        Code::WeakPassword => (422, "The password is weak"),
        Code::InvalidChallenge => (422, "The challenge does not count"),
        Code::WrongCredentials => (401, "Login or password is wrong"),
        Code::TokenReused => (401, "The session is ended"),
        Code::Expired => (401, "The session has ended"),
        Code::InvalidToken => (401, "Not logged in"),
        Code::UserDisabled => (403, "The user is disabled"),
        Code::SecondFactorNeeded => (403, "A second factor is needed"),
        Code::SecondFactorFailed => (403, "The passkey was not accepted"),
        Code::SessionNeeded => (403, "A log-in is needed"),
        Code::MissingScope | Code::MissingRole => (403, "Not allowed"),
        Code::UnknownKey => (404, "No such API key"),
        Code::UnknownPasskey => (404, "No such passkey"),
        Code::TooManyKeys | Code::TooManyPasskeys => (409, "There are too many"),
        Code::PasskeyKnown => (409, "The passkey is known"),
        Code::ChangedMeanwhile => (409, "Changed meanwhile"),
        Code::TooManyTries => (429, "Too many tries"),
        Code::Behind => (503, "The gateway is behind"),
        Code::Internal => (500, "A bug"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_its_code_field_and_wait() {
        let refusal = |code, field, retry_after_s| Refusal { code, text: "a sentence".into(), field, retry_after_s };
        for (code, field, wait, status) in [
            (Code::LoginTaken, Some("login"), None, 409),
            (Code::WeakPassword, Some("password"), None, 422),
            (Code::WrongCredentials, None, None, 401),
            (Code::TokenReused, None, None, 401),
            (Code::Behind, None, Some(1), 503),
            (Code::ChangedMeanwhile, None, None, 409),
            (Code::TooManyTries, None, Some(60), 429),
            (Code::SecondFactorNeeded, None, None, 403),
        ] {
            let problem = Problem::from(refusal(code, field, wait));
            assert_eq!((problem.status, problem.code), (status, code.as_str()));
            assert_eq!((problem.field.as_deref(), problem.retry_after_s), (field, wait.map(i64::unsigned_abs)));
            assert_eq!(problem.detail, "a sentence");
        }
    }
}
