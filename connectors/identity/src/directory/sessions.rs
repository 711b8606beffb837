//! Families of refresh tokens: the first record of each generation counts.
//!
//! A second record of a generation, or one of an earlier generation, can only come of a refresh token that was exchanged
//! twice. The fold can't tell the owner from a thief, so the family ends. The end is final and says the same in
//! whatever order it is read, so nothing but ends ever needs to be published again.

use super::{Applied, ByUser};
use smol_str::SmolStr;
use std::collections::HashMap;
use tapeline_schemas::wire::{IdentitySession, SessionEnd};

#[derive(Debug, Default)]
pub(super) struct Sessions {
    by_id: HashMap<SmolStr, IdentitySession>,
    by_user: ByUser,
}

impl Sessions {
    pub(super) fn get(&self, family_id: &str) -> Option<&IdentitySession> {
        self.by_id.get(family_id)
    }

    pub(super) fn of(&self, user_id: &str) -> impl Iterator<Item = &IdentitySession> {
        self.by_user.of(user_id).filter_map(|family_id| self.get(family_id))
    }

    pub(super) fn apply(&mut self, session: &IdentitySession) -> Applied {
        let Some(current) = self.by_id.get_mut(&session.family_id) else {
            self.by_user.insert(&session.user_id, &session.family_id);
            self.by_id.insert(session.family_id.clone(), session.clone());
            return Applied::Taken;
        };
        if current == session {
            return Applied::Known;
        }
        if current.ended.is_some() {
            return Applied::Ended;
        }
        if !is_next(current, session) {
            current.ended = Some(SessionEnd::Conflict);
            return Applied::Conflict;
        }
        *current = session.clone();
        Applied::Taken
    }

    pub(super) fn forget_expired(&mut self, before_ms: i64) {
        let by_user = &mut self.by_user;
        self.by_id.retain(|family_id, session| {
            let keep = session.expires_ms >= before_ms;
            if !keep {
                by_user.remove(&session.user_id, family_id);
            }
            keep
        });
    }
}

/// Whether `session` may follow `current`. Compaction may have removed generations in between, but not made new ones.
fn is_next(current: &IdentitySession, session: &IdentitySession) -> bool {
    let fixed = |of: &IdentitySession| (of.user_id.clone(), of.created_ms, of.expires_ms);
    if fixed(current) != fixed(session) {
        return false;
    }
    if session.ended.is_some() {
        return true;
    }
    let follows = session.generation == current.generation.saturating_add(1);
    session.generation > current.generation && (!follows || session.previous_hash.as_ref() == Some(&current.token_hash))
}
