//! The public keys of all gateways, and the check of what they signed.
//!
//! There are two kinds of token, told apart by `typ` and `aud`: access tokens and the challenges of passkey ceremonies. A
//! header may name `alg`, `typ` and `kid`, and nothing else; `alg` must be EdDSA before any key is looked at.

use crate::access::Claims;
use crate::directory::Applied;
use crate::ids;
use crate::signer::thumbprint;
use ed25519_dalek::VerifyingKey;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use smol_str::SmolStr;
use std::collections::HashMap;
use tapeline_schemas::wire::IdentitySigner;

/// Who signs, in every token.
pub(crate) const ISSUER: &str = "tapeline";
/// No token is longer: a challenge with ten passkeys of the largest size that WebAuthn allows has 14 KiB.
const MAX_TOKEN_BYTES: usize = 16 << 10;
/// How far the clocks of two gateways may differ.
const CLOCK_SKEW_S: i64 = 30;

/// A kind of token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) typ: &'static str,
    pub(crate) audience: &'static str,
    /// No token of the kind lives longer.
    pub(crate) life_s: i64,
}

/// What the claims of every kind have.
pub(crate) trait Stamped {
    /// When it was signed, seconds since the Unix epoch.
    fn issued_s(&self) -> i64;
    /// When it ends, seconds since the Unix epoch.
    fn expires_s(&self) -> i64;
    /// When it begins, if it says so, seconds since the Unix epoch.
    fn not_before_s(&self) -> Option<i64>;
}

/// Why a token does not count. The gateway answers all of them with 401; the difference is for logs and tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum TokenError {
    #[error("the token is too long")]
    TooLong,
    #[error("the token is not a signed token of a gateway")]
    Malformed,
    #[error("the token must be signed by EdDSA")]
    WrongAlgorithm,
    #[error("the token is of another kind")]
    WrongKind,
    #[error("the token's key is not known")]
    UnknownKey,
    #[error("the token's key has ended")]
    KeyEnded,
    #[error("the token's signature is wrong")]
    BadSignature,
    #[error("the token has another issuer")]
    WrongIssuer,
    #[error("the token is for another audience")]
    WrongAudience,
    #[error("the token has expired")]
    Expired,
    #[error("the token does not count yet")]
    NotYetValid,
}

/// A header with nothing in it that could tell the verifier what to do.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

#[derive(Debug, Clone)]
struct Known {
    record: IdentitySigner,
    key: DecodingKey,
}

/// The public keys of all gateways.
#[derive(Debug, Default)]
pub struct Verifier {
    signers: HashMap<SmolStr, Known>,
}

impl Verifier {
    /// A kid never changes its key, since it is made of it; its end may only come nearer.
    pub(crate) fn apply(&mut self, signer: &IdentitySigner) -> Applied {
        let Some(known) = self.signers.get_mut(&signer.kid) else {
            return self.take(signer);
        };
        if known.record == *signer {
            return Applied::Known;
        }
        let nearer = IdentitySigner { not_after_ms: signer.not_after_ms, ..known.record.clone() };
        if nearer != *signer || nearer.not_after_ms > known.record.not_after_ms {
            return Applied::Stale;
        }
        known.record = nearer;
        Applied::Taken
    }

    fn take(&mut self, signer: &IdentitySigner) -> Applied {
        let point = <&[u8; 32]>::try_from(signer.public_key.as_slice()).map(VerifyingKey::from_bytes);
        if !matches!(point, Ok(Ok(key)) if !key.is_weak()) || thumbprint(&signer.public_key) != signer.kid {
            return Applied::Impossible;
        }
        let key = DecodingKey::from_ed_der(&signer.public_key);
        self.signers.insert(signer.kid.clone(), Known { record: signer.clone(), key });
        Applied::Taken
    }

    pub(crate) fn get(&self, kid: &str) -> Option<&IdentitySigner> {
        self.signers.get(kid).map(|known| &known.record)
    }

    pub(crate) fn forget_expired(&mut self, before_ms: i64) {
        self.signers.retain(|_, known| known.record.not_after_ms >= before_ms);
    }

    /// The keys whose signatures count at `now_ms`, as a JWK set (RFC 7517) for `/.well-known/jwks.json`.
    pub fn jwks(&self, now_ms: i64) -> Json {
        let mut current: Vec<_> =
            self.signers.values().map(|known| &known.record).filter(|record| now_ms <= record.not_after_ms).collect();
        current.sort_by(|left, right| left.kid.cmp(&right.kid));
        let jwk = |record: &IdentitySigner| {
            let x = ids::base64(&record.public_key);
            json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": record.kid.as_str(), "x": x})
        };
        json!({"keys": current.into_iter().map(jwk).collect::<Vec<_>>()})
    }

    /// The claims of an access token, if it counts at `now_ms`. Whether its session was revoked is not asked here:
    /// [`authenticate`](crate::authenticate) does.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn verify(&self, token: &str, now_ms: i64) -> Result<Claims, TokenError> {
        self.open(token, crate::access::KIND, now_ms)
    }

    /// The claims of a token of one kind.
    pub(crate) fn open<T>(&self, token: &str, kind: Kind, now_ms: i64) -> Result<T, TokenError>
    where
        T: DeserializeOwned + Stamped + Clone,
    {
        let key = self.key_of(token, kind, now_ms)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        // Times are checked below, by the time that is given.
        validation.validate_exp = false;
        validation.set_required_spec_claims(&["iss", "aud", "exp"]);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[kind.audience]);
        let claims: T = jsonwebtoken::decode(token, key, &validation).map_err(|error| told(error.kind()))?.claims;
        check_times(&claims, kind, now_ms.div_euclid(1_000))?;
        Ok(claims)
    }

    fn key_of(&self, token: &str, kind: Kind, now_ms: i64) -> Result<&DecodingKey, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        let header = token.split_once('.').and_then(|(header, _)| ids::from_base64(header));
        let header = header.ok_or(TokenError::Malformed)?;
        let header: Header = serde_json::from_slice(&header).map_err(|_| TokenError::Malformed)?;
        if header.alg != "EdDSA" {
            return Err(TokenError::WrongAlgorithm);
        }
        if header.typ != kind.typ {
            return Err(TokenError::WrongKind);
        }
        let known = self.signers.get(header.kid.as_str()).ok_or(TokenError::UnknownKey)?;
        if now_ms > known.record.not_after_ms {
            return Err(TokenError::KeyEnded);
        }
        Ok(&known.key)
    }
}

fn check_times(claims: &impl Stamped, kind: Kind, now_s: i64) -> Result<(), TokenError> {
    let (issued_s, expires_s) = (claims.issued_s(), claims.expires_s());
    let begins_s = claims.not_before_s().map_or(issued_s, |not_before_s| issued_s.max(not_before_s));
    if begins_s > now_s.saturating_add(CLOCK_SKEW_S) {
        return Err(TokenError::NotYetValid);
    }
    if expires_s <= now_s || expires_s.saturating_sub(issued_s) > kind.life_s {
        return Err(TokenError::Expired);
    }
    Ok(())
}

const fn told(kind: &ErrorKind) -> TokenError {
    match kind {
        ErrorKind::InvalidSignature => TokenError::BadSignature,
        ErrorKind::InvalidIssuer => TokenError::WrongIssuer,
        ErrorKind::InvalidAudience => TokenError::WrongAudience,
        ErrorKind::InvalidAlgorithm => TokenError::WrongAlgorithm,
        _ => TokenError::Malformed,
    }
}
