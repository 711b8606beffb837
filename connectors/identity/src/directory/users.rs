//! Users: who holds a login, and which of two changes came first.
//!
//! A login belongs to the first user in the log that claims it. That alone would not survive compaction: when the winner
//! is written anew, its first record goes, and the loser's stands before it. So there are two more rules. A loser is
//! published again as VOID. And a record with a revision above 0 proves that its user had won, since gateways change only
//! users that hold their login: it takes the login from a user that never got beyond its sign-up.

use super::Applied;
use smol_str::SmolStr;
use std::collections::HashMap;
use tapeline_schemas::wire::{IdentityUser, IdentityUserStatus as Status};

#[derive(Debug, Default)]
pub(super) struct Users {
    by_id: HashMap<SmolStr, IdentityUser>,
    by_login: HashMap<SmolStr, SmolStr>,
    by_account: HashMap<SmolStr, SmolStr>,
}

impl Users {
    pub(super) fn get(&self, user_id: &str) -> Option<&IdentityUser> {
        self.by_id.get(user_id)
    }

    pub(super) fn of_login(&self, login: &str) -> Option<&IdentityUser> {
        self.get(self.by_login.get(login.to_ascii_lowercase().as_str())?)
    }

    pub(super) fn of_account(&self, account: &str) -> Option<&IdentityUser> {
        self.get(self.by_account.get(account)?)
    }

    /// What became of it, and the user that lost its login by it.
    pub(super) fn apply(&mut self, user: &IdentityUser) -> (Applied, Option<SmolStr>) {
        if user.login_key != user.login.to_ascii_lowercase() {
            return (Applied::Impossible, None);
        }
        match self.by_id.get(&user.user_id) {
            None => self.claim(user),
            Some(current) => (self.change(&current.clone(), user), None),
        }
    }

    fn claim(&mut self, user: &IdentityUser) -> (Applied, Option<SmolStr>) {
        if user.status == Status::Void {
            self.by_id.insert(user.user_id.clone(), user.clone());
            return (Applied::Taken, None);
        }
        let holder = self.of_login(&user.login_key).cloned();
        let displaced = match holder {
            None => None,
            Some(holder) if user.revision > 0 && holder.revision == 0 => {
                self.by_id.insert(holder.user_id.clone(), voided(&holder));
                self.by_account.remove(&holder.account);
                Some(holder.user_id)
            }
            Some(_) => {
                self.by_id.insert(user.user_id.clone(), voided(user));
                return (Applied::LoginTaken, None);
            }
        };
        self.by_login.insert(user.login_key.clone(), user.user_id.clone());
        self.by_account.insert(user.account.clone(), user.user_id.clone());
        self.by_id.insert(user.user_id.clone(), user.clone());
        (Applied::Taken, displaced)
    }

    fn change(&mut self, current: &IdentityUser, user: &IdentityUser) -> Applied {
        if current == user {
            return Applied::Known;
        }
        let same_person = (&current.login_key, &current.account) == (&user.login_key, &user.account);
        if current.status == Status::Void || !same_person {
            return Applied::Stale;
        }
        if user.status == Status::Void {
            self.by_login.remove(&user.login_key);
            self.by_account.remove(&user.account);
        } else if user.revision <= current.revision {
            return Applied::Stale;
        }
        self.by_id.insert(user.user_id.clone(), user.clone());
        Applied::Taken
    }
}

/// The loser of a login, as every gateway writes it: nothing that could be used is left.
fn voided(user: &IdentityUser) -> IdentityUser {
    IdentityUser {
        revision: user.revision.saturating_add(1),
        display_name: SmolStr::default(),
        password_hash: SmolStr::default(),
        roles: Vec::new(),
        passkeys: Vec::new(),
        status: Status::Void,
        ..user.clone()
    }
}
