//! Names as small numbers.

use super::FastMap;
use smol_str::SmolStr;

/// Gives each name a number, from 0 on.
#[derive(Default)]
pub(super) struct Interner {
    ids: FastMap<SmolStr, u32>,
    names: Vec<SmolStr>,
}

impl Interner {
    pub(super) fn id(&mut self, name: &str) -> u32 {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let id = self.names.len() as u32;
        self.ids.insert(SmolStr::new(name), id);
        self.names.push(SmolStr::new(name));
        id
    }

    /// The name of a number that [`Self::id`] gave.
    pub(super) fn name(&self, id: u32) -> &SmolStr {
        &self.names[id as usize]
    }
}
