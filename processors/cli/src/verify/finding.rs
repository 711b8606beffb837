//! What is said about each invariant.

/// Most violations that are kept of one invariant: the first ones tell.
const KEPT_VIOLATIONS: usize = 5;

/// Name of invariant 2.
pub const NO_OVERDRAFT: &str = "No overdraft";

/// What was found about one invariant.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// The invariant, by its name.
    pub invariant: &'static str,
    /// How many things were checked, and what they are.
    pub checked: String,
    /// What violates it, the first few.
    pub violations: Vec<String>,
    /// How many violations there are.
    pub count: u64,
}

impl Finding {
    pub(crate) fn new(invariant: &'static str) -> Self {
        Self { invariant, checked: String::new(), violations: Vec::new(), count: 0 }
    }

    pub(crate) fn violation(&mut self, text: impl FnOnce() -> String) {
        self.count += 1;
        if self.violations.len() < KEPT_VIOLATIONS {
            self.violations.push(text());
        }
    }

    /// Takes over what another worker found.
    pub(super) fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.violations.extend(other.violations);
        self.violations.truncate(KEPT_VIOLATIONS);
    }

    /// Whether it holds.
    pub fn holds(&self) -> bool {
        self.count == 0
    }
}

/// Invariants 1 to 5.
#[derive(Debug, Clone)]
pub(super) struct Findings {
    pub(super) conservation: Finding,
    pub(super) no_overdraft: Finding,
    pub(super) one_verdict: Finding,
    pub(super) settled_once: Finding,
    pub(super) priority: Finding,
}

impl Default for Findings {
    fn default() -> Self {
        Self {
            conservation: Finding::new("Conservation"),
            no_overdraft: Finding::new(NO_OVERDRAFT),
            one_verdict: Finding::new("One verdict, one end"),
            settled_once: Finding::new("Settled once"),
            priority: Finding::new("Price-time priority"),
        }
    }
}

impl Findings {
    pub(super) fn merge(&mut self, other: Self) {
        self.conservation.merge(other.conservation);
        self.no_overdraft.merge(other.no_overdraft);
        self.one_verdict.merge(other.one_verdict);
        self.settled_once.merge(other.settled_once);
        self.priority.merge(other.priority);
    }

    /// In the order of the design.
    pub(super) fn into_vec(self) -> Vec<Finding> {
        vec![self.conservation, self.no_overdraft, self.one_verdict, self.settled_once, self.priority]
    }
}
