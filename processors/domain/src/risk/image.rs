//! The validator's state as an image: instruments, accounts with balances and open orders, and the commands that it
//! remembers, oldest first.

use super::account::AccountState;
use super::{Remembered, Risk};
use crate::command::FirstVerdict;
use crate::image::{Blocks, Damaged, Field, Image, Source};
use crate::types::{Instrument, TimeMs};
use smol_str::SmolStr;

/// What an entity is; numbers are for good.
const INSTRUMENT: u8 = 0;
const ACCOUNT: u8 = 1;
const REMEMBERED: u8 = 2;
/// More balances and orders of an account that stands before it.
const MORE_OF_ACCOUNT: u8 = 3;

impl Image for Risk {
    fn begin_image(&mut self, block_bytes: usize) {
        self.blocks = Blocks::new(block_bytes);
        self.walk.begin(self.accounts.len());
        (self.remembered_saved, self.remembered_due) = (0, self.remembered.len());
        // By name, so that the same state gives the same bytes.
        let mut instruments: Vec<&Instrument> = self.instruments.values().collect();
        instruments.sort_unstable_by(|a, b| a.symbol.cmp(&b.symbol));
        for instrument in instruments {
            self.blocks.put(|out| {
                INSTRUMENT.put(out);
                instrument.put(out);
            });
        }
    }

    fn next_block(&mut self) -> Option<Vec<u8>> {
        while !self.blocks.is_one_full() {
            if let Some(account) = self.walk.step() {
                self.save_account(account);
            } else if self.remembered_due > 0 {
                self.save_remembered();
            } else {
                break;
            }
        }
        self.blocks.take()
    }

    fn entities(&self) -> usize {
        self.instruments.len() + self.accounts.len() + self.remembered.len()
    }

    fn read_image(&mut self, blocks: &[Vec<u8>]) -> Result<(), Damaged> {
        // An account may stand behind what is remembered of it.
        let mut remembered = Vec::new();
        for block in blocks {
            let mut from = Source::new(block);
            while !from.is_empty() {
                match u8::get(&mut from)? {
                    INSTRUMENT => self.set_instrument(Field::get(&mut from)?),
                    ACCOUNT => self.adopt_account(AccountState::get(&mut from)?)?,
                    MORE_OF_ACCOUNT => self.adopt_more(&mut from)?,
                    REMEMBERED => remembered.push(RememberedVerdict::get(&mut from)?),
                    other => return Err(Damaged(format!("an entity of kind {other} has no place in a risk state"))),
                }
            }
        }
        remembered.into_iter().try_for_each(|one| self.adopt_remembered(one))
    }
}

/// An entry of `remembered` as an image holds it.
struct RememberedVerdict {
    at_ms: TimeMs,
    account: SmolStr,
    client_order_id: SmolStr,
    verdict: FirstVerdict,
}

crate::image::field_struct! {
    RememberedVerdict { at_ms, account, client_order_id, verdict }
}

impl Risk {
    /// Writes an account into the image at work, unless it is in it or was not there when the image began.
    pub(super) fn save_account(&mut self, index: u32) {
        let account = &mut self.accounts[index as usize];
        if account.saved_in != self.walk.image() {
            account.saved_in = self.walk.image();
            let blocks = &mut self.blocks;
            account.each_piece(|piece| {
                blocks.put(|out| {
                    if piece.is_first { ACCOUNT } else { MORE_OF_ACCOUNT }.put(out);
                    piece.put(out);
                });
            });
        }
    }

    /// To be called before the oldest entry of `remembered` is forgotten.
    pub(super) fn save_oldest(&mut self) {
        if self.remembered_saved > 0 {
            self.remembered_saved -= 1;
        } else if self.remembered_due > 0 {
            self.save_remembered();
            self.remembered_saved = 0;
        }
    }

    /// Writes the oldest entry of `remembered` that the image at work lacks.
    fn save_remembered(&mut self) {
        self.remembered_due -= 1;
        let Some(entry) = self.remembered.get(self.remembered_saved) else { return };
        self.remembered_saved += 1;
        let account = self.accounts[entry.account as usize].name().clone();
        let (client_order_id, verdict) = (entry.client_order_id.clone(), entry.verdict);
        let entry = RememberedVerdict { at_ms: entry.at_ms, account, client_order_id, verdict };
        self.blocks.put(|out| {
            REMEMBERED.put(out);
            entry.put(out);
        });
    }

    fn adopt_account(&mut self, account: AccountState) -> Result<(), Damaged> {
        let index = self.accounts.len() as u32;
        if self.account_by_name.insert(account.name().clone(), index).is_some() {
            return Err(Damaged(format!("the account {} stands in it twice", account.name())));
        }
        self.accounts.push(account);
        Ok(())
    }

    fn adopt_more(&mut self, from: &mut Source<'_>) -> Result<(), Damaged> {
        let name = SmolStr::get(from)?;
        match self.account_by_name.get(&name) {
            Some(index) => self.accounts[*index as usize].get_more(from),
            None => Err(Damaged(format!("more of {name} stands in it, which is no account"))),
        }
    }

    fn adopt_remembered(&mut self, one: RememberedVerdict) -> Result<(), Damaged> {
        let RememberedVerdict { at_ms, account, client_order_id, verdict } = one;
        let Some(index) = self.account_by_name.get(&account).copied() else {
            return Err(Damaged(format!("a command of {account} is remembered, which is no account")));
        };
        self.keep(Remembered { at_ms, account: index, client_order_id, verdict });
        Ok(())
    }
}
