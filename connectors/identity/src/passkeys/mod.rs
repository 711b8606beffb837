//! Passkeys (WebAuthn): registration, second step of a log-in, and a fresh assertion for withdrawals.
//!
//! Gateways keep nothing between question and answer: the ceremony's state travels in the `challenge`, a token signed like an
//! access token but of another kind ([`challenge`]). It lasts two minutes, names its purpose and its user, and:
//! - a **log-in**'s names the session that it opens: shown twice, it opens no second one, and over two gateways the session ends;
//! - a **fresh assertion** counts from when its challenge was made, so a repeated one is not fresher;
//! - a **registration**'s credential is refused if it is known.
//!
//! The rules of WebAuthn are `webauthn_rp`'s. What is absent: attestation (any make of authenticator will do), log-in without a
//! password, extensions. The library draws challenges from the system's generator, and has a time-out of its own by the system's
//! clock, the same two minutes; ours goes by `now_ms`.

mod challenge;
mod convert;

use crate::directory::Directory;
use crate::ids;
use crate::principal::Principal;
use crate::refusal::{Code, Refusal};
use crate::sign_up::is_label;
use crate::signer::Signer;
use crate::users;
use challenge::{Claims, Purpose};
use convert::{Handle, allowed, authenticated, excluded, handle_of, stored};
use rand_core::CryptoRng;
use serde_json::Value as Json;
use smol_str::SmolStr;
use std::num::NonZeroU32;
use tapeline_schemas::wire::{IdentityPasskey, IdentityUser};
use webauthn_rp::bin::{Decode, Encode};
use webauthn_rp::request::auth::{
    AuthenticationVerificationOptions, NonDiscoverableAuthenticationServerState,
    NonDiscoverableCredentialRequestOptions,
};
use webauthn_rp::request::register::{
    Nickname, PublicKeyCredentialCreationOptions, PublicKeyCredentialUserEntity, RegistrationServerState,
    RegistrationVerificationOptions, Username,
};
use webauthn_rp::request::{AsciiDomain, RpId, UserVerificationRequirement};
use webauthn_rp::{NonDiscoverableAuthentication, Registration};

/// A user's passkeys; their ids travel in each challenge.
const MAX_PASSKEYS: usize = 10;
/// How long a question waits for its answer.
const TIMEOUT_MS: NonZeroU32 = NonZeroU32::MIN.saturating_add(119_999);

/// Whom passkeys are for: the gateway as browsers see it.
#[derive(Debug)]
pub struct RelyingParty {
    id: RpId,
    origins: Vec<String>,
}

/// A question for a browser.
#[derive(Debug, Clone)]
pub struct Options {
    /// Opaque; comes back with the answer.
    pub challenge: String,
    /// `PublicKeyCredentialCreationOptionsJSON` or `PublicKeyCredentialRequestOptionsJSON` of WebAuthn level 3.
    pub public_key: Json,
}

/// A passkey that was shown.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Whose it is.
    pub user_id: SmolStr,
    /// Since when it counts, milliseconds since the Unix epoch: when the challenge was made.
    pub second_factor_ms: i64,
    /// The session to open, of a log-in's challenge; else the session that asked.
    pub family_id: SmolStr,
    /// The user's next record, if the authenticator's counter or flags changed: to be published.
    pub user: Option<IdentityUser>,
}

impl RelyingParty {
    /// `id` is the domain, such as `trade.example.com` or `localhost`; `origins` are those of its pages, such as
    /// `https://trade.example.com`.
    ///
    /// # Errors
    /// A sentence, if the domain is none or there is no origin.
    pub fn new(id: &str, origins: Vec<String>) -> Result<Self, String> {
        let domain = AsciiDomain::try_from(id.to_owned());
        let domain = domain.map_err(|error| format!("the relying party id `{id}` is no domain: {error}; write one"))?;
        if origins.is_empty() {
            return Err("passkeys need an origin, such as https://trade.example.com; name the pages' own".into());
        }
        Ok(Self { id: RpId::Domain(domain), origins })
    }

    fn origins(&self) -> Vec<&str> {
        self.origins.iter().map(String::as_str).collect()
    }

    /// The question for a new passkey. A user who has one must have shown it in the last five minutes.
    ///
    /// # Errors
    /// [`Code::SessionNeeded`], [`Code::SecondFactorNeeded`], [`Code::TooManyPasskeys`], [`Code::Expired`].
    pub fn begin_registration(
        &self,
        directory: &Directory,
        principal: &Principal,
        signer: &Signer,
        now_ms: i64,
        rng: &mut impl CryptoRng,
    ) -> Result<Options, Refusal> {
        let family_id = principal.session()?.clone();
        principal.fresh_second_factor(directory, now_ms)?;
        let user = directory.active_user(&principal.user_id).ok_or_else(Refusal::session_over)?;
        if user.passkeys.len() >= MAX_PASSKEYS {
            return Err(Refusal::new(Code::TooManyPasskeys, "a user has at most 10 passkeys; remove one first"));
        }
        let handle = handle_of(&user.user_id)?;
        let name = Username::try_from(user.login.as_str());
        let entity = PublicKeyCredentialUserEntity {
            name: name.map_err(|error| Refusal::internal("the login is no name for an authenticator", error))?,
            id: &handle,
            // Authenticators take fewer names than we do; it is for display only.
            display_name: Nickname::try_from(user.display_name.as_str()).ok(),
        };
        let mut options = PublicKeyCredentialCreationOptions::second_factor(&self.id, entity, excluded(user));
        options.authenticator_selection.user_verification = UserVerificationRequirement::Preferred;
        options.timeout = TIMEOUT_MS;
        let (server, client) = options.start_ceremony().map_err(|error| no_ceremony(&error))?;
        let state = server.encode().map_err(|error| no_ceremony(&error))?;
        let claims = Claims::new(Purpose::Register, &user.user_id, &family_id, &ids::long(rng), &state, now_ms);
        question(signer, &claims, &client)
    }

    /// The user's next record, with the new passkey.
    ///
    /// # Errors
    /// [`Code::InvalidChallenge`], [`Code::SecondFactorFailed`], [`Code::InvalidLabel`], [`Code::PasskeyKnown`],
    /// [`Code::SessionNeeded`], [`Code::SecondFactorNeeded`], [`Code::TooManyPasskeys`], [`Code::Expired`].
    pub fn finish_registration(
        &self,
        directory: &Directory,
        principal: &Principal,
        answer: &Answer<'_>,
        label: &str,
        now_ms: i64,
    ) -> Result<IdentityUser, Refusal> {
        if !is_label(label) {
            let text = "a label has 1 to 64 characters and no control characters";
            return Err(Refusal::of_field(Code::InvalidLabel, "label", text));
        }
        let claims = answer.open(directory, Purpose::Register, now_ms)?;
        claims.must_be_of(principal)?;
        let user = directory.active_user(&principal.user_id).ok_or_else(Refusal::session_over)?;
        let passkey = self.registered(&claims, answer, label, now_ms)?;
        // The library wants it to be unknown to all users; two users with one credential can't come of honest authenticators.
        if user.passkeys.iter().any(|known| known.credential_id == passkey.credential_id) {
            return Err(Refusal::new(Code::PasskeyKnown, "this passkey is registered already; use it"));
        }
        if user.passkeys.len() >= MAX_PASSKEYS {
            return Err(Refusal::new(Code::TooManyPasskeys, "a user has at most 10 passkeys; remove one first"));
        }
        let mut user = users::next(user, now_ms);
        user.passkeys.push(passkey);
        Ok(user)
    }

    fn registered(
        &self,
        claims: &Claims,
        answer: &Answer<'_>,
        label: &str,
        now_ms: i64,
    ) -> Result<IdentityPasskey, Refusal> {
        let state = claims.state()?;
        let server = RegistrationServerState::<{ ids::ID_BYTES }>::decode(&state).map_err(|_| challenge::invalid())?;
        let response = Registration::from_json_relaxed(&answer.json()).map_err(|error| failed(&error))?;
        let origins = self.origins();
        let options = RegistrationVerificationOptions::<&str, &str> {
            allowed_origins: &origins,
            // Password managers send extensions that nobody asked for.
            error_on_unsolicited_extensions: false,
            ..Default::default()
        };
        let credential = server.verify(&self.id, &response, &options).map_err(|error| failed(&error))?;
        stored(&credential, label, now_ms)
    }

    /// The user's next record, without a passkey.
    ///
    /// # Errors
    /// [`Code::UnknownPasskey`], [`Code::SessionNeeded`], [`Code::SecondFactorNeeded`], [`Code::Expired`].
    pub fn remove(
        directory: &Directory,
        principal: &Principal,
        credential_id: &str,
        now_ms: i64,
    ) -> Result<IdentityUser, Refusal> {
        principal.session()?;
        let user = directory.active_user(&principal.user_id).ok_or_else(Refusal::session_over)?;
        if !user.passkeys.iter().any(|passkey| passkey.credential_id == credential_id) {
            return Err(Refusal::new(Code::UnknownPasskey, "there is no such passkey; list them to see their ids"));
        }
        principal.fresh_second_factor(directory, now_ms)?;
        let mut user = users::next(user, now_ms);
        user.passkeys.retain(|passkey| passkey.credential_id != credential_id);
        Ok(user)
    }

    /// The question that follows a right password.
    ///
    /// # Errors
    /// [`Code::Internal`].
    pub(crate) fn begin_log_in(
        &self,
        signer: &Signer,
        user: &IdentityUser,
        now_ms: i64,
        rng: &mut impl CryptoRng,
    ) -> Result<Options, Refusal> {
        self.begin(Purpose::LogIn, signer, user, &ids::long(rng), now_ms, rng)
    }

    /// The question for a passkey within a session.
    ///
    /// # Errors
    /// [`Code::SessionNeeded`], [`Code::UnknownPasskey`] if the user has none, [`Code::Expired`], [`Code::Internal`].
    pub fn begin_fresh(
        &self,
        directory: &Directory,
        principal: &Principal,
        signer: &Signer,
        now_ms: i64,
        rng: &mut impl CryptoRng,
    ) -> Result<Options, Refusal> {
        let family_id = principal.session()?;
        let user = directory.active_user(&principal.user_id).ok_or_else(Refusal::session_over)?;
        if user.passkeys.is_empty() {
            return Err(Refusal::new(Code::UnknownPasskey, "you have no passkey; register one first"));
        }
        self.begin(Purpose::Fresh, signer, user, family_id, now_ms, rng)
    }

    fn begin(
        &self,
        purpose: Purpose,
        signer: &Signer,
        user: &IdentityUser,
        family_id: &SmolStr,
        now_ms: i64,
        rng: &mut impl CryptoRng,
    ) -> Result<Options, Refusal> {
        let options = NonDiscoverableCredentialRequestOptions::second_factor(&self.id, allowed(user));
        let mut options = options.map_err(|error| no_ceremony(&error))?;
        options.options().user_verification = UserVerificationRequirement::Preferred;
        options.options().timeout = TIMEOUT_MS;
        let (server, client) = options.start_ceremony().map_err(|error| no_ceremony(&error))?;
        let state = server.encode().map_err(|error| no_ceremony(&error))?;
        let claims = Claims::new(purpose, &user.user_id, family_id, &ids::long(rng), &state, now_ms);
        question(signer, &claims, &client)
    }

    /// A passkey that was shown after a right password: [`sessions::open`](crate::sessions::open) comes next, with the family id
    /// that it says.
    ///
    /// # Errors
    /// [`Code::InvalidChallenge`], [`Code::SecondFactorFailed`], [`Code::Expired`] if the user was disabled in between.
    pub fn finish_log_in(&self, directory: &Directory, answer: &Answer<'_>, now_ms: i64) -> Result<Shown, Refusal> {
        let claims = answer.open(directory, Purpose::LogIn, now_ms)?;
        if directory.session(&claims.family_id).is_some() {
            return Err(challenge::invalid());
        }
        self.shown(directory, &claims, answer, now_ms)
    }

    /// A passkey that was shown within a session: [`access::issue`](crate::access::issue) comes next.
    ///
    /// # Errors
    /// [`Code::InvalidChallenge`], [`Code::SecondFactorFailed`], [`Code::SessionNeeded`], [`Code::Expired`].
    pub fn finish_fresh(
        &self,
        directory: &Directory,
        principal: &Principal,
        answer: &Answer<'_>,
        now_ms: i64,
    ) -> Result<Shown, Refusal> {
        let claims = answer.open(directory, Purpose::Fresh, now_ms)?;
        claims.must_be_of(principal)?;
        self.shown(directory, &claims, answer, now_ms)
    }

    fn shown(
        &self,
        directory: &Directory,
        claims: &Claims,
        answer: &Answer<'_>,
        now_ms: i64,
    ) -> Result<Shown, Refusal> {
        let user = directory.active_user(&claims.sub).ok_or_else(Refusal::session_over)?;
        let state = claims.state()?;
        let server = NonDiscoverableAuthenticationServerState::decode(&state).map_err(|_| challenge::invalid())?;
        let response = NonDiscoverableAuthentication::<{ ids::ID_BYTES }>::from_json_relaxed(&answer.json());
        let response = response.map_err(|error| failed(&error))?;
        let credential_id = ids::base64(response.raw_id().as_ref());
        let known = user.passkeys.iter().position(|passkey| passkey.credential_id == credential_id);
        // It may have been removed since the question was asked.
        let known = known.ok_or_else(|| failed(&"the user has no such passkey"))?;
        let passkey = &user.passkeys[known];
        let handle: Handle = handle_of(&user.user_id)?;
        let mut credential = authenticated(passkey, response.raw_id(), &handle)?;
        let origins = self.origins();
        let options = AuthenticationVerificationOptions::<&str, &str> {
            allowed_origins: &origins,
            error_on_unsolicited_extensions: false,
            ..Default::default()
        };
        let changed = server.verify(&self.id, &response, &mut credential, &options).map_err(|error| failed(&error))?;
        let user = if changed {
            let mut user = users::next(user, now_ms);
            user.passkeys[known].state = convert::state(credential.dynamic_state())?;
            Some(user)
        } else {
            None
        };
        Ok(Shown {
            user_id: claims.sub.clone(),
            second_factor_ms: claims.issued_ms,
            family_id: claims.family_id.clone(),
            user,
        })
    }
}

/// A browser's answer.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The `challenge` of the question.
    pub challenge: &'a str,
    /// `RegistrationResponseJSON` or `AuthenticationResponseJSON` of WebAuthn level 3.
    pub credential: &'a Json,
}

impl Answer<'_> {
    fn open(&self, directory: &Directory, purpose: Purpose, now_ms: i64) -> Result<Claims, Refusal> {
        challenge::open(directory.verifier(), self.challenge, purpose, now_ms)
    }

    fn json(&self) -> Vec<u8> {
        self.credential.to_string().into_bytes()
    }
}

fn question(signer: &Signer, claims: &Claims, client: &impl serde::Serialize) -> Result<Options, Refusal> {
    let public_key = serde_json::to_value(client).map_err(|error| no_ceremony(&error))?;
    Ok(Options { challenge: challenge::sign(signer, claims)?, public_key })
}

fn no_ceremony(error: &dyn std::fmt::Display) -> Refusal {
    Refusal::internal("no passkey ceremony can be begun", error)
}

fn failed(why: &dyn std::fmt::Display) -> Refusal {
    Refusal::new(Code::SecondFactorFailed, format!("the passkey was not accepted: {why}; try again"))
}
