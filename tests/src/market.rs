//! A generated market beside a test: `tapeline generate` as a process of its own.

use crate::parts::Stack;
use anyhow::Result;
use std::fs::File;
use std::process::{Child, ExitStatus};
use tapeline_replay::generate::{Config, Generator};

/// What is generated.
#[derive(Debug, Clone, Copy)]
pub struct Market {
    /// Commands in all.
    pub orders: u64,
    /// Commands a second.
    pub rate: u64,
    /// Instruments.
    pub instruments: u32,
    /// Accounts.
    pub accounts: u32,
    /// Decides everything else.
    pub seed: u64,
}

impl Market {
    /// Symbols of its instruments.
    ///
    /// # Errors
    /// If a number is out of its range.
    pub fn symbols(&self) -> Result<Vec<String>> {
        let config = Config { instruments: self.instruments, accounts: self.accounts, ..Config::new(self.seed, 0) };
        Ok(Generator::new(config)?.instruments().iter().map(|instrument| instrument.symbol.to_string()).collect())
    }

    /// Starts it; its output goes into the test's `market.log`.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn begin(&self, stack: &Stack) -> Result<RunningMarket> {
        println!("{self:?}");
        let mut command = stack.tapeline_command(&["generate"])?;
        for (option, value) in [
            ("--orders", self.orders),
            ("--rate", self.rate),
            ("--instruments", self.instruments.into()),
            ("--accounts", self.accounts.into()),
            ("--seed", self.seed),
        ] {
            command.arg(option).arg(value.to_string());
        }
        let log = File::create(stack.scratch("market.log"))?;
        Ok(RunningMarket(command.stdout(log.try_clone()?).stderr(log).spawn()?))
    }
}

/// Dropping it ends it.
pub struct RunningMarket(Child);

impl RunningMarket {
    /// How it ended, if all is published.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.0.try_wait()?)
    }
}

impl Drop for RunningMarket {
    fn drop(&mut self) {
        // Harmless if it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
