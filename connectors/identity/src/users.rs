//! Changes of a user by operators or the user: roles, status, password. Each gives the user's next record.
//!
//! A user that is disabled or gets another password keeps its open sessions until [`sessions::all_ended`] is published too;
//! a disabled one can't use them even before.
//!
//! [`sessions::all_ended`]: crate::sessions::all_ended

use crate::password;
use crate::refusal::Refusal;
use rand_core::CryptoRng;
use tapeline_schemas::wire::{IdentityRole as Role, IdentityUser, IdentityUserStatus as Status};

/// The user's next record, still without a change.
pub(crate) fn next(user: &IdentityUser, now_ms: i64) -> IdentityUser {
    IdentityUser { revision: user.revision.saturating_add(1), updated_ms: now_ms, ..user.clone() }
}

/// The user with these roles and no others.
pub fn with_roles(user: &IdentityUser, roles: &[Role], now_ms: i64) -> IdentityUser {
    IdentityUser { roles: roles.to_vec(), ..next(user, now_ms) }
}

/// The user, not allowed to do anything until it is [`enabled`].
pub fn disabled(user: &IdentityUser, now_ms: i64) -> IdentityUser {
    IdentityUser { status: Status::Disabled, ..next(user, now_ms) }
}

/// The user, allowed to log in again.
pub fn enabled(user: &IdentityUser, now_ms: i64) -> IdentityUser {
    IdentityUser { status: Status::Active, ..next(user, now_ms) }
}

/// The user with another password. Slow: it is hashed.
///
/// # Errors
/// [`Code::WeakPassword`](crate::Code::WeakPassword), [`Code::Internal`](crate::Code::Internal).
pub fn with_password(
    user: &IdentityUser,
    password: &str,
    now_ms: i64,
    rng: &mut impl CryptoRng,
) -> Result<IdentityUser, Refusal> {
    password::check(password, &user.login)?;
    Ok(IdentityUser { password_hash: password::hash(password, rng)?, ..next(user, now_ms) })
}
