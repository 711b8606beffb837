//! Passwords: what is accepted, and argon2id over it.
//!
//! A hash takes tens of milliseconds and 19 MiB by design: the gateway calls these functions on a thread that may
//! block, without holding the directory, and bounds how many run at once.

use crate::ids;
use crate::refusal::{Code, Refusal};
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, PasswordHash, Version};
use rand_core::CryptoRng;
use smol_str::SmolStr;

const MIN_CHARS: usize = 10;
const MAX_BYTES: usize = 256;
const SALT_BYTES: usize = 16;
/// OWASP Password Storage Cheat Sheet: argon2id with 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// A hash of nobody's password, checked where there is no user, so that the time does not tell.
/// Its last part is zeros: a password that has it is not known.
pub(crate) const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5bm9ib2R5bm9ibw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The commonest passwords of ten characters and more, in lower case; shorter ones are refused by their length.
const COMMON: &str = include_str!("common_passwords.txt");

/// Whether `password` may be the one of a user with this login.
///
/// # Errors
/// [`Code::WeakPassword`] with what to do.
pub fn check(password: &str, login: &str) -> Result<(), Refusal> {
    let weak = |text: &str| Err(Refusal::of_field(Code::WeakPassword, "password", text));
    if password.chars().count() < MIN_CHARS {
        return weak("the password is too short; take at least 10 characters");
    }
    if password.len() > MAX_BYTES {
        return weak("the password is too long; take at most 256 bytes");
    }
    let lower = password.to_lowercase();
    if lower.contains(&login.to_ascii_lowercase()) {
        return weak("the password must not contain the login; take another one");
    }
    let mut chars = lower.chars();
    let first = chars.next();
    if chars.all(|char| Some(char) == first) || COMMON.lines().any(|common| common == lower) {
        return weak("the password is one of the commonest; take another one");
    }
    Ok(())
}

fn argon2() -> Result<Argon2<'static>, argon2::Error> {
    Params::new(MEMORY_KIB, PASSES, LANES, None).map(|params| Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// The password's hash as a PHC string. Slow.
///
/// # Errors
/// [`Code::Internal`] if it can't be computed.
pub fn hash(password: &str, rng: &mut impl CryptoRng) -> Result<SmolStr, Refusal> {
    let failed = |error: String| Refusal::internal("the password can't be hashed", error);
    let salt: [u8; SALT_BYTES] = ids::random(rng);
    let hasher = argon2().map_err(|error| failed(error.to_string()))?;
    let hash: PasswordHash =
        hasher.hash_password_with_salt(password.as_bytes(), &salt).map_err(|error| failed(error.to_string()))?;
    Ok(hash.to_string().into())
}

/// Whether `password` is the one of `hash`, a PHC string. Slow, and equally so whether it is or not.
pub fn verify(password: &str, hash: &str) -> bool {
    // A longer one is no one's password; it must not cost more than others either.
    let (password, fits) = if password.len() <= MAX_BYTES { (password, true) } else { ("", false) };
    let right =
        PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
    right && fits
}

#[cfg(test)]
mod tests;
