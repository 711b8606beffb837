//! API keys: nothing of a key changes but that it may be revoked, which is final.

use super::{Applied, ByUser};
use smol_str::SmolStr;
use std::collections::HashMap;
use tapeline_schemas::wire::IdentityKey;

#[derive(Debug, Default)]
pub(super) struct Keys {
    by_id: HashMap<SmolStr, IdentityKey>,
    by_user: ByUser,
}

impl Keys {
    pub(super) fn get(&self, key_id: &str) -> Option<&IdentityKey> {
        self.by_id.get(key_id)
    }

    pub(super) fn of(&self, user_id: &str) -> impl Iterator<Item = &IdentityKey> {
        self.by_user.of(user_id).filter_map(|key_id| self.get(key_id))
    }

    pub(super) fn apply(&mut self, key: &IdentityKey) -> Applied {
        let Some(current) = self.by_id.get_mut(&key.key_id) else {
            self.by_user.insert(&key.user_id, &key.key_id);
            self.by_id.insert(key.key_id.clone(), key.clone());
            return Applied::Taken;
        };
        if current == key {
            return Applied::Known;
        }
        let revoked_now = IdentityKey { revoked_ms: key.revoked_ms, ..current.clone() };
        if current.revoked_ms.is_some() || revoked_now != *key {
            return Applied::Stale;
        }
        *current = revoked_now;
        Applied::Taken
    }
}

/// Whether the key opens anything at `now_ms`.
pub(super) const fn counts(key: &IdentityKey, now_ms: i64) -> bool {
    key.revoked_ms.is_none() && now_ms < key.expires_ms
}
