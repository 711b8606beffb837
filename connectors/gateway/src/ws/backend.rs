//! What sessions need of the rest of the gateway.

use crate::feed::account::AccountSnapshot;
use crate::principal::Principal;
use crate::problem::Problem;
use serde_json::{Map, Value};
use smol_str::SmolStr;
use std::pin::Pin;
use std::sync::Arc;

/// What is answered after a while. It borrows nothing, so that a session can go on meanwhile.
pub type Answer<T> = Pin<Box<dyn Future<Output = Result<T, Problem>> + Send>>;

/// Which command a client gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandOp {
    /// Place an order.
    Place,
    /// Amend one.
    Amend,
    /// Cancel one.
    Cancel,
    /// Cancel all of an instrument.
    CancelAll,
}

/// A command as a client sent it: the fields of the REST call, for amend and cancel with `target_client_order_id`. They are
/// not checked yet.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientCommand {
    /// What to do.
    pub op: CommandOp,
    /// All fields but `op` and `id`.
    pub fields: Map<String, Value>,
}

/// A command that Kafka has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// Identity of the command; for a placed order that of the order.
    pub command_id: i64,
    /// The client's own identity of the command, made up if it gave none.
    pub client_order_id: SmolStr,
    /// What a GET takes as `position`.
    pub position: String,
}

/// The rest of the gateway.
pub trait Backend: Send + Sync + 'static {
    /// Whose access token or API key it is.
    ///
    /// # Errors
    /// A problem with status 401, if it is nobody's, or one that says that it can't be told now.
    fn authenticate(&self, token: String) -> Answer<Principal>;

    /// Checks a command, what the principal may do included, and publishes it. The command is handed to Kafka's client when the
    /// answer is first polled, so that the commands of a session keep their order; the answer comes when Kafka has it.
    ///
    /// # Errors
    /// A problem that says what is wrong with the command, or that Kafka is away.
    fn command(&self, principal: Arc<Principal>, command: ClientCommand) -> Answer<Acknowledged>;

    /// Open orders, balances and the offsets that they hold for, read in one database transaction.
    ///
    /// # Errors
    /// If the view is away.
    fn account_snapshot(&self, account: SmolStr) -> Answer<AccountSnapshot>;

    /// Instruments in which the account has open orders, as far as the view knows.
    ///
    /// # Errors
    /// If the view is away.
    fn open_instruments(&self, account: SmolStr) -> Answer<Vec<SmolStr>>;
}
