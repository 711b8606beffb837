//! The validator's state as an image: instruments, accounts with balances and open orders, and the commands that it
//! remembers, oldest first.

use super::Risk;
use super::account::AccountState;
use super::remembered::REMEMBERED;
use crate::image::{Blocks, Damaged, Field, Image, Source, damaged};
use crate::types::Instrument;

/// What an entity is; numbers are for good.
const INSTRUMENT: u8 = 0;
const ACCOUNT: u8 = 1;
// 2 is [`REMEMBERED`], a segment of such commands.
/// More balances and orders of the account before it.
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
        let mut accounts: Vec<(u32, AccountState)> = Vec::new();
        // An account may stand behind what is remembered of it.
        let mut highest = None;
        for block in blocks {
            let mut from = Source::new(block);
            while !from.is_empty() {
                match u8::get(&mut from)? {
                    INSTRUMENT => self.set_instrument(Field::get(&mut from)?),
                    ACCOUNT => accounts.push((Field::get(&mut from)?, AccountState::get(&mut from)?)),
                    MORE_OF_ACCOUNT => {
                        let number = u32::get(&mut from)?;
                        match accounts.last_mut() {
                            Some((last, account)) if *last == number => account.get_more(&mut from)?,
                            _ => return damaged(format!("more of account number {number} does not stand behind it")),
                        }
                    }
                    REMEMBERED => highest = highest.max(Some(self.remembered.adopt(&mut from)?)),
                    other => return damaged(format!("an entity of kind {other} has no place in a risk state")),
                }
            }
        }
        self.remembered.index_adopted();
        self.adopt_accounts(accounts)?;
        match highest {
            Some(highest) if highest as usize >= self.accounts.len() => {
                damaged(format!("a command of account number {highest} is remembered, which is none"))
            }
            _ => Ok(()),
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
                    index.put(out);
                    piece.put(out);
                });
            });
        }
    }

    /// Takes over accounts, each with its number. They come in the order in which they were written, but what is remembered
    /// goes by the numbers.
    fn adopt_accounts(&mut self, mut accounts: Vec<(u32, AccountState)>) -> Result<(), Damaged> {
        accounts.sort_unstable_by_key(|(number, _)| *number);
        self.accounts.reserve(accounts.len());
        self.account_by_name.reserve(accounts.len());
        for (number, account) in accounts {
            if number as usize != self.accounts.len() {
                return damaged(format!("account number {} is missing or stands in it twice", self.accounts.len()));
            }
            if self.account_by_name.insert(account.name().clone(), number).is_some() {
                return damaged(format!("the account {} stands in it twice", account.name()));
            }
            self.accounts.push(account);
        }
        Ok(())
    }
}
