//! Accounts of a stream, with what they need so that no order fails for want of funds.

use smol_str::{SmolStr, format_smolstr};
use tapeline_schemas::wire;

/// An account and the funds that its orders need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FundedAccount {
    /// Its reference data.
    pub account: wire::Account,
    /// Assets and amounts (units of 10^-8, above zero), each asset once.
    pub funds: Vec<(SmolStr, i64)>,
    /// Begins the deposits' client order ids, so that another stream's deposits are not taken for repetitions.
    pub(crate) id_prefix: SmolStr,
}

impl FundedAccount {
    /// An active account.
    pub(crate) fn new(name: SmolStr, max_open_orders: i64, funds: Vec<(SmolStr, i64)>, id_prefix: SmolStr) -> Self {
        let account = wire::Account { account: name, status: wire::AccountStatus::Active, max_open_orders };
        Self { account, funds, id_prefix }
    }

    /// The DEPOSIT commands that bring the funds in: one for each asset, with the same ids each time, so that
    /// publishing them again funds nothing twice.
    pub fn deposits(&self) -> impl Iterator<Item = wire::Command> + '_ {
        self.funds.iter().map(|(asset, amount)| {
            let id = format_smolstr!("{}deposit-{asset}", self.id_prefix);
            let mut command = wire::Command::blank(self.account.account.clone(), id, wire::CommandKind::Deposit);
            command.asset = Some(asset.clone());
            command.amount = Some(*amount);
            command
        })
    }
}
