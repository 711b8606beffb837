//! Log-in with a password, and what comes after it: a session, or the question for a passkey.
//!
//! In three steps, so that the slow one holds nothing: [`Candidate::of`] looks the user up, [`Candidate::verify`] hashes, [`proceed`]
//! goes on with the directory as it is then. Before all of them the gateway asks its [`LoginGuard`](crate::guard::LoginGuard).

use crate::directory::Directory;
use crate::passkeys::{Options, RelyingParty};
use crate::password;
use crate::refusal::{Code, Refusal};
use crate::sessions::{self, Opened};
use crate::signer::Signer;
use rand_core::CryptoRng;
use smol_str::SmolStr;
use tapeline_schemas::wire::{IdentityUser, IdentityUserStatus as Status};

/// Who may be logging in. It looks the same for a login that nobody has.
#[derive(Clone)]
pub struct Candidate {
    user_id: Option<SmolStr>,
    hash: SmolStr,
}

/// A user whose password was right.
#[derive(Clone)]
pub struct Proven {
    user_id: SmolStr,
    hash: SmolStr,
}

/// What a right password leads to.
#[derive(Debug)]
pub enum LogIn {
    /// No passkeys: the session, to be published.
    Session(Opened),
    /// A passkey must be shown: the question for the browser.
    SecondFactor(Options),
}

impl Candidate {
    /// The user of the login, or a stand-in. Quick.
    pub fn of(directory: &Directory, login: &str) -> Self {
        match directory.user_of_login(login) {
            Some(user) => Self { user_id: Some(user.user_id.clone()), hash: user.password_hash.clone() },
            None => Self { user_id: None, hash: password::NOBODY.into() },
        }
    }

    /// Whether the password is right. Slow, and equally so for a login that nobody has.
    ///
    /// # Errors
    /// [`Code::WrongCredentials`], the same for a wrong login and a wrong password.
    pub fn verify(self, password: &str) -> Result<Proven, Refusal> {
        let right = password::verify(password, &self.hash);
        let wrong = || {
            Refusal::new(
                Code::WrongCredentials,
                "login or password is wrong; mind upper and lower case of the password",
            )
        };
        match self.user_id {
            Some(user_id) if right => Ok(Proven { user_id, hash: self.hash }),
            _ => Err(wrong()),
        }
    }
}

impl Proven {
    /// The user, for the audit trail.
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    fn user<'a>(&self, directory: &'a Directory) -> Result<&'a IdentityUser, Refusal> {
        let user = directory.user(&self.user_id).filter(|user| user.password_hash == self.hash);
        let user =
            user.ok_or_else(|| Refusal::new(Code::WrongCredentials, "the password was just changed; log in anew"))?;
        if user.status != Status::Active {
            return Err(Refusal::new(Code::UserDisabled, "the user is disabled; ask operations"));
        }
        Ok(user)
    }
}

/// What a right password leads to: a session, or the question for a passkey.
///
/// # Errors
/// [`Code::UserDisabled`]; [`Code::WrongCredentials`] if the password changed in between; [`Code::Internal`].
pub fn proceed(
    directory: &Directory,
    proven: &Proven,
    relying_party: &RelyingParty,
    signer: &Signer,
    now_ms: i64,
    rng: &mut impl CryptoRng,
) -> Result<LogIn, Refusal> {
    let user = proven.user(directory)?;
    if user.passkeys.is_empty() {
        let family_id = sessions::new_family_id(rng);
        return sessions::open(&user.user_id, &family_id, None, now_ms, rng).map(LogIn::Session);
    }
    relying_party.begin_log_in(signer, user, now_ms, rng).map(LogIn::SecondFactor)
}
