//! Sign-up: what a login, a name and a password may be, and the new user's first record.

use crate::directory::{Directory, login_taken};
use crate::ids;
use crate::password;
use crate::refusal::{Code, Refusal};
use rand_core::CryptoRng;
use smol_str::{SmolStr, format_smolstr};
use tapeline_schemas::wire::{IdentityUser, IdentityUserStatus as Status};

const LOGIN_CHARS: std::ops::RangeInclusive<usize> = 3..=64;
const MAX_NAME_CHARS: usize = 64;

/// A request for a new user.
#[derive(Clone)]
pub struct SignUp {
    /// The name to log in with.
    pub login: String,
    /// The password, as typed.
    pub password: String,
    /// How the user wants to be called; the login if absent.
    pub display_name: Option<String>,
}

/// A request that may be granted, with the new identities. Its password is still to be hashed.
#[derive(Clone)]
pub struct Checked {
    request: SignUp,
    user_id: SmolStr,
    account: SmolStr,
}

/// Checks a request against the rules and the users that this gateway knows. Quick.
///
/// # Errors
/// [`Code::InvalidLogin`], [`Code::InvalidDisplayName`], [`Code::WeakPassword`], [`Code::LoginTaken`].
pub fn check(directory: &Directory, request: SignUp, rng: &mut impl CryptoRng) -> Result<Checked, Refusal> {
    let sign = |sign: u8| sign.is_ascii_alphanumeric() || b"._-@+".contains(&sign);
    if !LOGIN_CHARS.contains(&request.login.len()) || !request.login.bytes().all(sign) {
        let text = "a login has 3 to 64 characters: ASCII letters, digits and ._-@+";
        return Err(Refusal::of_field(Code::InvalidLogin, "login", text));
    }
    if let Some(name) = &request.display_name
        && !is_label(name)
    {
        let text = "a name has 1 to 64 characters and no control characters";
        return Err(Refusal::of_field(Code::InvalidDisplayName, "display_name", text));
    }
    password::check(&request.password, &request.login)?;
    if directory.user_of_login(&request.login).is_some() {
        return Err(login_taken());
    }
    let mut account = new_account(rng);
    // Two users with one account would share their money.
    while directory.user_of_account(&account).is_some() {
        account = new_account(rng);
    }
    Ok(Checked { request, user_id: ids::long(rng), account })
}

impl Checked {
    /// The user's first record. Slow: the password is hashed.
    ///
    /// # Errors
    /// [`Code::Internal`] if the password can't be hashed.
    pub fn into_user(self, now_ms: i64, rng: &mut impl CryptoRng) -> Result<IdentityUser, Refusal> {
        let password_hash = password::hash(&self.request.password, rng)?;
        let login = SmolStr::from(self.request.login);
        Ok(IdentityUser {
            user_id: self.user_id,
            revision: 0,
            login_key: login.to_ascii_lowercase().into(),
            display_name: self.request.display_name.map_or_else(|| login.clone(), SmolStr::from),
            login,
            password_hash,
            roles: Vec::new(),
            account: self.account,
            passkeys: Vec::new(),
            status: Status::Active,
            created_ms: now_ms,
            updated_ms: now_ms,
        })
    }
}

fn new_account(rng: &mut impl CryptoRng) -> SmolStr {
    format_smolstr!("u-{}", ids::short(rng))
}

/// What a name or a label may be: something to read, on one line.
pub(crate) fn is_label(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= MAX_NAME_CHARS && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests;
