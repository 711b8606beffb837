//! A ceremony's state on its way through the browser: a token with a `typ` and an audience of its own.

use crate::ids;
use crate::principal::Principal;
use crate::refusal::{Code, Refusal};
use crate::signer::Signer;
use crate::verifier::{ISSUER, Kind, Stamped, Verifier};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

const LIFE_S: i64 = 120;

pub(super) const KIND: Kind = Kind { typ: "tapeline-ceremony+jwt", audience: "tapeline-ceremony", life_s: LIFE_S };

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Purpose {
    Register,
    LogIn,
    Fresh,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Claims {
    iss: String,
    aud: String,
    purpose: Purpose,
    /// The user id.
    pub(super) sub: SmolStr,
    /// The session that asked; of a log-in the one that it opens.
    pub(super) family_id: SmolStr,
    jti: SmolStr,
    iat: i64,
    exp: i64,
    /// When the question was asked, milliseconds since the Unix epoch.
    pub(super) issued_ms: i64,
    /// The library's own state of the ceremony, base64.
    state: String,
}

impl Claims {
    pub(super) fn new(
        purpose: Purpose,
        user_id: &SmolStr,
        family_id: &SmolStr,
        jti: &SmolStr,
        state: &[u8],
        now_ms: i64,
    ) -> Self {
        let iat = now_ms.div_euclid(1_000);
        Self {
            iss: ISSUER.into(),
            aud: KIND.audience.into(),
            purpose,
            sub: user_id.clone(),
            family_id: family_id.clone(),
            jti: jti.clone(),
            iat,
            exp: iat.saturating_add(LIFE_S),
            issued_ms: now_ms,
            state: ids::base64(state),
        }
    }

    pub(super) fn state(&self) -> Result<Vec<u8>, Refusal> {
        ids::from_base64(&self.state).ok_or_else(invalid)
    }

    /// The answer must come from the session that asked.
    pub(super) fn must_be_of(&self, principal: &Principal) -> Result<(), Refusal> {
        let same = self.sub == principal.user_id && self.family_id == *principal.session()?;
        same.then_some(()).ok_or_else(invalid)
    }
}

impl Stamped for Claims {
    fn issued_s(&self) -> i64 {
        self.iat
    }

    fn expires_s(&self) -> i64 {
        self.exp
    }

    fn not_before_s(&self) -> Option<i64> {
        None
    }
}

pub(super) fn sign(signer: &Signer, claims: &Claims) -> Result<String, Refusal> {
    signer.sign(KIND.typ, claims)
}

pub(super) fn open(verifier: &Verifier, challenge: &str, purpose: Purpose, now_ms: i64) -> Result<Claims, Refusal> {
    let claims: Claims = verifier.open(challenge, KIND, now_ms).map_err(|error| {
        Refusal::of_field(Code::InvalidChallenge, "challenge", format!("{error}; ask for new options and try again"))
    })?;
    (claims.purpose == purpose).then_some(claims).ok_or_else(invalid)
}

/// A challenge that was signed, but not for this.
pub(super) fn invalid() -> Refusal {
    let text = "the challenge was used before or is for something else; ask for new options and try again";
    Refusal::of_field(Code::InvalidChallenge, "challenge", text)
}
