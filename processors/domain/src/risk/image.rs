//! The validator's state as an image: instruments, accounts with balances and open orders, and the commands that it
//! remembers, oldest first.

use super::Risk;
use super::account::AccountState;
use super::remembered::REMEMBERED;
use crate::image::{Blocks, Damaged, Field, Image, Source};
use crate::types::Instrument;
use smol_str::SmolStr;

/// What an entity is; numbers are for good.
const INSTRUMENT: u8 = 0;
const ACCOUNT: u8 = 1;
// 2 is [`REMEMBERED`].
/// More balances and orders of an account that stands before it.
const MORE_OF_ACCOUNT: u8 = 3;

impl Image for Risk {
    fn begin_image(&mut self, block_bytes: usize) {
        self.blocks = Blocks::new(block_bytes);
        self.walk.begin(self.accounts.len());
        self.remembered.begin_image();
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
            } else if !self.remembered.save_next(&mut self.blocks) {
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
        let mut unknown = Vec::new();
        for block in blocks {
            let mut from = Source::new(block);
            while !from.is_empty() {
                let rest = from.rest();
                match u8::get(&mut from)? {
                    INSTRUMENT => self.set_instrument(Field::get(&mut from)?),
                    ACCOUNT => self.adopt_account(AccountState::get(&mut from)?)?,
                    MORE_OF_ACCOUNT => self.adopt_more(&mut from)?,
                    REMEMBERED => {
                        let (account, behind) = self.remembered.adopt(rest)?;
                        if !self.account_by_name.contains_key(account) {
                            unknown.push(account);
                        }
                        from = Source::new(behind);
                    }
                    other => return Err(Damaged(format!("an entity of kind {other} has no place in a risk state"))),
                }
            }
        }
        self.remembered.index_adopted();
        match unknown.into_iter().find(|account| !self.account_by_name.contains_key(*account)) {
            Some(account) => Err(Damaged(format!("a command of {account} is remembered, which is no account"))),
            None => Ok(()),
        }
    }
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
}
