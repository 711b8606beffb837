//! What the tests share: a directory with a signer, a user, a session, and a generator that is the same in each run.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

pub(crate) mod authenticator;

use argon2::PasswordHasher;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tapeline_identity::passkeys::RelyingParty;
use tapeline_identity::sessions::{self, Opened};
use tapeline_identity::{Applied, Directory, Event, Principal, Signer, access, authenticate};
use tapeline_schemas::wire::{IdentityUser, IdentityUserStatus as Status};

/// The system's time: the passkey library looks at it too.
pub(crate) fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

pub(crate) const HOUR_MS: i64 = 3_600_000;
pub(crate) const PASSWORD: &str = "correct horse";

/// Of [`PASSWORD`], with little memory, so that tests are quick.
pub(crate) fn password_hash() -> String {
    let params = argon2::Params::new(64, 1, 1, None).unwrap();
    let hasher = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    hasher.hash_password_with_salt(PASSWORD.as_bytes(), b"salt of the tests").unwrap().to_string()
}

pub(crate) fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// A user as sign-up makes one, but with a given id.
pub(crate) fn user(user_id: &str, login: &str) -> IdentityUser {
    IdentityUser {
        user_id: user_id.into(),
        revision: 0,
        login: login.into(),
        login_key: login.to_ascii_lowercase().into(),
        display_name: login.into(),
        password_hash: password_hash().into(),
        roles: Vec::new(),
        account: format!("u-{user_id}").into(),
        passkeys: Vec::new(),
        status: Status::Active,
        created_ms: 0,
        updated_ms: 0,
    }
}

/// A gateway with one user that is logged in.
pub(crate) struct World {
    pub(crate) rng: StdRng,
    pub(crate) now_ms: i64,
    pub(crate) directory: Directory,
    pub(crate) signer: Signer,
    pub(crate) relying_party: RelyingParty,
    pub(crate) user_id: String,
    pub(crate) session: Opened,
}

impl World {
    pub(crate) fn new() -> Self {
        let (mut rng, now_ms) = (rng(1), now_ms());
        let mut directory = Directory::default();
        let signer = Signer::generate(now_ms, 12 * HOUR_MS, &mut rng).unwrap();
        assert_eq!(directory.apply(&Event::Signer(signer.record().clone())), Applied::Taken);
        let user_id = sessions::new_family_id(&mut rng);
        directory.apply(&Event::User(user(&user_id, "Ada")));
        let family_id = sessions::new_family_id(&mut rng);
        let session = sessions::open(&user_id, &family_id, None, now_ms, &mut rng).unwrap();
        directory.apply(&Event::Session(session.record.clone()));
        let relying_party = RelyingParty::new("localhost", vec![authenticator::ORIGIN.into()]).unwrap();
        Self { rng, now_ms, directory, signer, relying_party, user_id: user_id.to_string(), session }
    }

    pub(crate) fn user(&self) -> &IdentityUser {
        self.directory.user(&self.user_id).unwrap()
    }

    /// Publishes and reads back.
    pub(crate) fn publish(&mut self, event: Event) {
        assert_eq!(self.directory.apply(&event), Applied::Taken, "{event:?}");
    }

    pub(crate) fn token(&self, second_factor_ms: Option<i64>) -> String {
        let session = self.directory.session(&self.session.record.family_id).unwrap();
        access::issue(&self.signer, self.user(), session, second_factor_ms, self.now_ms).unwrap()
    }

    pub(crate) fn principal(&self, second_factor_ms: Option<i64>) -> Principal {
        authenticate(&self.directory, &self.token(second_factor_ms), self.now_ms).unwrap()
    }
}
