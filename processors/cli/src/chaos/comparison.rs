//! What was compared in the end.

use std::fmt;

/// Most differences that are kept: the first ones tell.
const KEPT_DIFFERENCES: usize = 5;

/// What was compared, and where it differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// What is equal to what.
    pub what: String,
    /// How many things were compared.
    pub compared: u64,
    /// How many differ.
    pub count: u64,
    /// The first few differences.
    pub differences: Vec<String>,
}

impl Comparison {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), compared: 0, count: 0, differences: Vec::new() }
    }

    pub(super) fn difference(&mut self, text: impl FnOnce() -> String) {
        self.count += 1;
        if self.differences.len() < KEPT_DIFFERENCES {
            self.differences.push(text());
        }
    }

    /// Whether nothing differs, and something was compared.
    pub fn holds(&self) -> bool {
        self.count == 0 && self.compared > 0
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.holds() { "equal" } else { "NOT EQUAL" };
        write!(f, "{verdict:9}  {}: {} compared, {} differ", self.what, self.compared, self.count)?;
        self.differences.iter().try_for_each(|difference| write!(f, "\n             - {difference}"))
    }
}
