//! API keys: `tlk_<id>_<secret>`, for programs. Only the SHA-256 of the secret is kept; 160 random bits need no slow
//! hash.

use crate::directory::Directory;
use crate::ids;
use crate::principal::Principal;
use crate::refusal::{Code, Refusal};
use crate::sign_up::is_label;
use rand_core::CryptoRng;
use serde_bytes::ByteBuf;
use std::fmt;
use tapeline_schemas::wire::{IdentityKey, IdentityScope as Scope};

/// How an API key begins, so that scanners of source code find one that was committed.
pub const PREFIX: &str = "tlk_";

/// 160 random bits.
const SECRET_SIGNS: usize = 32;
const MAX_DAYS: i64 = 365;
const DAY_MS: i64 = 86_400_000;
/// A user's keys that count at the same time.
const MAX_KEYS: usize = 50;
/// Longer ones are not looked at.
const MAX_KEY_BYTES: usize = 256;

/// A request for a key.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// The user's name for it.
    pub label: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// After how many days it ends, 1 to 365.
    pub expires_in_days: i64,
}

/// A new key.
#[derive(Clone)]
pub struct Created {
    /// To be published; only then does the key count.
    pub record: IdentityKey,
    /// For the client, shown once. Nowhere else is it kept.
    pub api_key: String,
}

impl fmt::Debug for Created {
    /// Without the key's text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Created({:?})", self.record)
    }
}

/// Makes a key for the user of a session. One that may withdraw asks for the second factor, if the user has passkeys: the key
/// itself can't show one later.
///
/// # Errors
/// [`Code::SessionNeeded`], [`Code::InvalidLabel`], [`Code::InvalidScopes`], [`Code::InvalidExpiry`], [`Code::TooManyKeys`],
/// [`Code::SecondFactorNeeded`].
pub fn create(
    directory: &Directory,
    principal: &Principal,
    request: &NewKey,
    now_ms: i64,
    rng: &mut impl CryptoRng,
) -> Result<Created, Refusal> {
    principal.session()?;
    check(request)?;
    if request.scopes.contains(&Scope::Withdraw) {
        principal.fresh_second_factor(directory, now_ms)?;
    }
    if directory.keys_of(&principal.user_id, now_ms).len() >= MAX_KEYS {
        return Err(Refusal::new(Code::TooManyKeys, "a user has at most 50 API keys; revoke one that is not in use"));
    }
    let secret = ids::signs::<SECRET_SIGNS>(rng);
    let mut scopes = request.scopes.clone();
    scopes.sort_unstable();
    scopes.dedup();
    let record = IdentityKey {
        key_id: ids::short(rng),
        user_id: principal.user_id.clone(),
        account: principal.account.clone(),
        secret_hash: ByteBuf::from(ids::sha256(secret.as_bytes()).to_vec()),
        label: request.label.as_str().into(),
        scopes,
        created_ms: now_ms,
        expires_ms: now_ms.saturating_add(request.expires_in_days * DAY_MS),
        revoked_ms: None,
    };
    let api_key = format!("{PREFIX}{}_{secret}", record.key_id);
    Ok(Created { record, api_key })
}

fn check(request: &NewKey) -> Result<(), Refusal> {
    if !is_label(&request.label) {
        let text = "a label has 1 to 64 characters and no control characters";
        return Err(Refusal::of_field(Code::InvalidLabel, "label", text));
    }
    if request.scopes.is_empty() || request.scopes.contains(&Scope::Unknown) {
        let text = "name at least one scope of read, trade and withdraw";
        return Err(Refusal::of_field(Code::InvalidScopes, "scopes", text));
    }
    if !(1..=MAX_DAYS).contains(&request.expires_in_days) {
        return Err(Refusal::of_field(Code::InvalidExpiry, "expires_in_days", "a key lasts 1 to 365 days"));
    }
    Ok(())
}

/// The record that revokes a key of the principal's user.
///
/// # Errors
/// [`Code::SessionNeeded`]; [`Code::UnknownKey`] if the user has no such key that counts.
pub fn revoke(directory: &Directory, principal: &Principal, key_id: &str, now_ms: i64) -> Result<IdentityKey, Refusal> {
    principal.session()?;
    let own = directory.keys_of(&principal.user_id, now_ms).into_iter().find(|key| key.key_id == key_id);
    let own =
        own.ok_or_else(|| Refusal::new(Code::UnknownKey, "there is no such API key; list them to see their ids"))?;
    Ok(IdentityKey { revoked_ms: Some(now_ms), ..own.clone() })
}

/// The key of an `Authorization` header, if it counts at `now_ms`.
pub(crate) fn find<'a>(directory: &'a Directory, api_key: &str, now_ms: i64) -> Option<&'a IdentityKey> {
    let text = Some(api_key).filter(|text| text.len() <= MAX_KEY_BYTES)?;
    let (key_id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let key = directory.key(key_id)?;
    // The secret is compared even if the key has ended, so that the time does not tell which ids there are with what state.
    let right = ids::same(&ids::sha256(secret.as_bytes()), &key.secret_hash);
    let counts = key.revoked_ms.is_none() && now_ms < key.expires_ms;
    (right && counts && directory.active_user(&key.user_id).is_some()).then_some(key)
}
