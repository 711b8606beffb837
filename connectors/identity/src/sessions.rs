//! Sessions: families of refresh tokens, each token used once.
//!
//! A refresh token is the family's id, its generation and 32 random bytes; the record holds the SHA-256 of the current one
//! only. A token of a lower generation than the current one was used before: owner or thief, the family ends (RFC 9700, 4.14.2).
//!
//! **The exception.** A browser with two tabs shows the same token twice within a moment, and an answer may get lost on its
//! way. So the token of the generation just before may be shown once more for [`GRACE_MS`] after it was exchanged, and is
//! answered with a new generation. A thief gains little by it: whoever does not hold the newest token is found out at the next
//! refresh, which is then a reuse outside of the grace. A token that is two generations old has no grace.

use crate::directory::Directory;
use crate::ids::{self, ID_BYTES};
use crate::refusal::{Code, Refusal};
use rand_core::CryptoRng;
use serde_bytes::ByteBuf;
use smol_str::SmolStr;
use std::fmt;
use tapeline_schemas::wire::{IdentitySession, SessionEnd};

/// How long a session lasts, however often it is refreshed.
pub const LIFE_MS: i64 = 30 * 86_400_000;
/// How long the token of the generation before may be shown again.
pub const GRACE_MS: i64 = 10_000;

const SECRET_BYTES: usize = 32;
const TOKEN_BYTES: usize = ID_BYTES + 8 + SECRET_BYTES;

/// A session's new state, and the token that belongs to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Opened {
    /// To be published; only then does the token count.
    pub record: IdentitySession,
    /// For the client. Nowhere else is it kept.
    pub refresh_token: String,
}

impl fmt::Debug for Opened {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opened({:?})", self.record)
    }
}

/// What a refresh token leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refresh {
    /// The next generation.
    Rotated(Opened),
    /// The token was used before: the record that ends the family must be published, and the client gets the refusal.
    Reused(IdentitySession, Refusal),
}

struct RefreshToken {
    family_id: SmolStr,
    generation: i64,
    hash: [u8; 32],
}

impl RefreshToken {
    fn parse(text: &str) -> Option<Self> {
        // Longer ones are not decoded at all.
        let bytes = (text.len() <= TOKEN_BYTES * 2).then(|| ids::from_base64(text))??;
        let bytes: &[u8; TOKEN_BYTES] = bytes.as_slice().try_into().ok()?;
        let (family, rest) = bytes.split_first_chunk::<ID_BYTES>()?;
        let (generation, _) = rest.split_first_chunk::<8>()?;
        Some(Self {
            family_id: ids::base64(family).into(),
            generation: i64::from_be_bytes(*generation),
            hash: ids::sha256(bytes),
        })
    }
}

/// The text of a new token, and its hash. A family id that is not made by [`ids::long`] gives no token.
fn new_token(family_id: &str, generation: i64, rng: &mut impl CryptoRng) -> Result<(String, ByteBuf), Refusal> {
    let family = ids::from_base64(family_id).filter(|bytes| bytes.len() == ID_BYTES);
    let family = family.ok_or_else(|| Refusal::internal("a family id is damaged", family_id))?;
    let secret: [u8; SECRET_BYTES] = ids::random(rng);
    let bytes = [&family[..], &generation.to_be_bytes(), &secret].concat();
    Ok((ids::base64(&bytes), ByteBuf::from(ids::sha256(&bytes).to_vec())))
}

/// A new family id, for a log-in without a second factor.
pub fn new_family_id(rng: &mut impl CryptoRng) -> SmolStr {
    ids::long(rng)
}

/// A log-in's session. `second_factor_ms`: when a passkey was shown for it, if one was.
///
/// # Errors
/// [`Code::Internal`] if `family_id` is none.
pub fn open(
    user_id: &SmolStr,
    family_id: &SmolStr,
    second_factor_ms: Option<i64>,
    now_ms: i64,
    rng: &mut impl CryptoRng,
) -> Result<Opened, Refusal> {
    let (refresh_token, token_hash) = new_token(family_id, 1, rng)?;
    let record = IdentitySession {
        family_id: family_id.clone(),
        user_id: user_id.clone(),
        generation: 1,
        token_hash,
        previous_hash: None,
        created_ms: now_ms,
        rotated_ms: now_ms,
        expires_ms: now_ms.saturating_add(LIFE_MS),
        second_factor_ms,
        ended: None,
    };
    Ok(Opened { record, refresh_token })
}

/// What a refresh token leads to at `now_ms`.
///
/// # Errors
/// [`Code::InvalidToken`] if it is none, [`Code::Expired`] if its session is over or its user disabled. [`Code::Behind`] if it is
/// of a session or of a generation that this gateway does not know: it reads to the log's end and asks once more; what is then
/// still unknown is made up. A client that threw its token away for being late would never notice that a thief has a newer one.
pub fn refresh(directory: &Directory, token: &str, now_ms: i64, rng: &mut impl CryptoRng) -> Result<Refresh, Refusal> {
    let invalid = || Refusal::new(Code::InvalidToken, "the refresh token is not valid; log in again");
    let token = RefreshToken::parse(token).ok_or_else(invalid)?;
    let session = directory.session(&token.family_id).ok_or_else(behind)?;
    if session.ended.is_some() || now_ms >= session.expires_ms || directory.active_user(&session.user_id).is_none() {
        return Err(Refusal::session_over());
    }
    if ids::same(&token.hash, &session.token_hash) || in_grace(session, &token, now_ms) {
        return rotated(session, now_ms, rng).map(Refresh::Rotated);
    }
    if token.generation < session.generation {
        let text = "the refresh token was used before; the session is ended, log in again";
        return Ok(Refresh::Reused(ended(session, SessionEnd::TokenReused), Refusal::new(Code::TokenReused, text)));
    }
    if token.generation > session.generation {
        return Err(behind());
    }
    Err(invalid())
}

fn behind() -> Refusal {
    let text = "this gateway has not read of your last log-in or refresh yet; show the same token again";
    Refusal { retry_after_s: Some(1), ..Refusal::new(Code::Behind, text) }
}

fn in_grace(session: &IdentitySession, token: &RefreshToken, now_ms: i64) -> bool {
    let previous = session.previous_hash.as_ref();
    // Clocks of two gateways differ, so the rotation may seem to lie ahead; by more than the grace it can't.
    previous.is_some_and(|previous| ids::same(previous, &token.hash))
        && now_ms.abs_diff(session.rotated_ms) <= GRACE_MS as u64
}

fn rotated(session: &IdentitySession, now_ms: i64, rng: &mut impl CryptoRng) -> Result<Opened, Refusal> {
    let generation = session.generation.saturating_add(1);
    let (refresh_token, token_hash) = new_token(&session.family_id, generation, rng)?;
    let record = IdentitySession {
        generation,
        previous_hash: Some(session.token_hash.clone()),
        token_hash,
        rotated_ms: now_ms,
        ..session.clone()
    };
    Ok(Opened { record, refresh_token })
}

/// The record that ends a session.
pub fn ended(session: &IdentitySession, why: SessionEnd) -> IdentitySession {
    IdentitySession { ended: Some(why), ..session.clone() }
}

/// The records that end all sessions of a user, for when the password changes or the user is disabled.
pub fn all_ended(directory: &Directory, user_id: &str, why: SessionEnd, now_ms: i64) -> Vec<IdentitySession> {
    directory.sessions_of(user_id, now_ms).map(|session| ended(session, why)).collect()
}
