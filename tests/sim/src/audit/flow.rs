//! Follows each command from its record to its verdict, each order to its end, each execution to its settlement.

use super::book::Book;
use super::{Checked, Invariant, ensure, partition_of_identity};
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tapeline_schemas::wire::{
    Bucket, Command, CommandKind, Execution, ExecutionKind, OrderState, OrderStatus, Rejection, Settlement, Side,
    ValidatedCommand,
};

const ONE: i128 = 100_000_000;
/// A client order id has one effect within this time of commands; a second less, as leaders' clocks differ.
const SAME_NAME_MS: i64 = 24 * 3_600_000 - 1_000;

pub(super) type Place = (&'static str, i32, i64);

/// What a command has come to.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    Accepted(Box<ValidatedCommand>),
    Rejected,
}

struct Told {
    command: Command,
    at_ms: i64,
    verdict: Option<Verdict>,
    /// Whether the executor has answered it.
    answered: bool,
}

/// What an execution must be settled with: postings by account, asset and whether reserved.
#[derive(Debug)]
struct Due {
    account: SmolStr,
    postings: BTreeMap<(SmolStr, SmolStr, bool), i128>,
    /// Price and quantity of a trade.
    trade: Option<(i64, i64)>,
    /// What is left reserved, and whether the order is over.
    rest: Option<(i64, bool)>,
}

#[derive(Default)]
pub(super) struct Flow {
    commands: HashMap<i64, Told>,
    garbage: BTreeMap<Place, (u32, u32)>,
    names: HashMap<(SmolStr, SmolStr), (i64, i64)>,
    pub(super) orders: BTreeMap<i64, OrderState>,
    books: BTreeMap<SmolStr, Book>,
    /// By execution and side: 0 buyer, 1 seller, 2 of no trade.
    due: BTreeMap<(i64, u8), Due>,
    trade_ids: BTreeSet<i64>,
    pub(super) trades: u64,
}

pub(super) const fn has_ended(status: OrderStatus) -> bool {
    matches!(status, OrderStatus::Filled | OrderStatus::Cancelled | OrderStatus::Expired)
}

impl Flow {
    /// What each book shows of its bids and asks, by price.
    pub(super) fn shown(&self) -> impl Iterator<Item = (&SmolStr, [BTreeMap<i64, i64>; 2])> {
        self.books.iter().map(|(instrument, book)| (instrument, book.shown()))
    }

    pub(super) fn command(&mut self, id: i64, at_ms: i64, command: Command) {
        self.commands.insert(id, Told { command, at_ms, verdict: None, answered: false });
    }

    pub(super) fn garbage(&mut self, place: Place, copies: u32) {
        self.garbage.insert(place, (copies, 0));
    }

    /// The verdict of a command; `Some(None)`: it is garbage and has its dead letter. `None`: nothing yet.
    pub(super) fn outcome(&self, topic: &'static str, partition: i32, offset: i64) -> Option<Option<&Verdict>> {
        match self.commands.get(&super::identity(partition, offset)) {
            Some(told) => told.verdict.as_ref().map(Some),
            None => self.garbage.get(&(topic, partition, offset)).filter(|(_, letters)| *letters > 0).map(|_| None),
        }
    }

    pub(super) fn letter(&mut self, source: &str, partition: i32, offset: i64) -> Checked {
        let place = self.garbage.iter_mut().find(|(at, _)| **at == (at.0, partition, offset) && at.0 == source);
        let Some((_, (copies, letters))) = place else {
            let what = format!("{source}, partition {partition}, offset {offset}: a good record is a dead letter");
            return Err((Invariant::OneVerdict, what));
        };
        *letters += 1;
        // A sink writes its dead letters outside transactions: at least once, and never twice in one life.
        let once = *letters <= *copies || source == tapeline_schemas::topic::MARKET_TICKS;
        ensure(once, Invariant::OneVerdict, || {
            format!("{source}, partition {partition}, offset {offset} has {letters} dead letters")
        })
    }

    fn verdict(
        &mut self,
        id: i64,
        account: &str,
        name: &str,
        kind: CommandKind,
        at_ms: i64,
    ) -> Result<&mut Told, (Invariant, String)> {
        let wrong = |what: &str| (Invariant::OneVerdict, format!("command {id} ({account} {name}) {what}"));
        let told = self.commands.get_mut(&id).ok_or_else(|| wrong("has a verdict and does not exist"))?;
        if told.verdict.is_some() {
            return Err(wrong("has two verdicts"));
        }
        let command = &told.command;
        if (command.account.as_str(), command.client_order_id.as_str(), command.kind, told.at_ms)
            != (account, name, kind, at_ms)
        {
            return Err(wrong("is another one than its verdict says"));
        }
        Ok(told)
    }

    pub(super) fn rejected(&mut self, rejection: &Rejection) -> Checked {
        let Rejection { command_id, account, client_order_id, kind, commanded_at_ms, .. } = rejection;
        let told = self.verdict(*command_id, account, client_order_id, *kind, *commanded_at_ms)?;
        told.verdict = Some(Verdict::Rejected);
        Ok(())
    }

    pub(super) fn validated(&mut self, accepted: &ValidatedCommand) -> Checked {
        let id = accepted.command_id;
        let told =
            self.verdict(id, &accepted.account, &accepted.client_order_id, accepted.kind, accepted.commanded_at_ms)?;
        let command = &told.command;
        let same = command.quantity == accepted.quantity
            && (command.price.is_none() || command.price == accepted.price)
            && (command.instrument.is_none() || command.instrument == accepted.instrument)
            && command.side == accepted.side
            && command.amount == accepted.amount;
        ensure(same, Invariant::OneVerdict, || format!("command {id} was accepted with other terms: {accepted:?}"))?;
        told.verdict = Some(Verdict::Accepted(Box::new(accepted.clone())));
        let name = (accepted.account.clone(), accepted.client_order_id.clone());
        if let Some((other, at_ms)) = self.names.insert(name, (id, accepted.commanded_at_ms)) {
            let apart_ms = (accepted.commanded_at_ms - at_ms).abs();
            ensure(apart_ms > SAME_NAME_MS, Invariant::OneVerdict, || {
                format!("commands {other} and {id} have one client order id and both were accepted")
            })?;
        }
        Ok(())
    }

    fn accepted(&self, id: i64) -> Option<&ValidatedCommand> {
        match self.commands.get(&id)?.verdict.as_ref()? {
            Verdict::Accepted(accepted) => Some(accepted),
            Verdict::Rejected => None,
        }
    }

    pub(super) fn executed(&mut self, id: i64, execution: &Execution) -> Checked {
        let cause = execution.command_id;
        let Some(accepted) = self.accepted(cause).cloned() else {
            return Err((Invariant::OneVerdict, format!("execution {id}: command {cause} was never accepted")));
        };
        let wrong = |what: &str| (Invariant::OneVerdict, format!("execution {id} of command {cause}: {what}"));
        let extra = if accepted.kind == CommandKind::Amend { accepted.reserved_amount } else { 0 };
        match (execution.kind, &execution.order, &execution.maker) {
            (ExecutionKind::Accepted, Some(order), _) => {
                self.order_begins(&accepted, order).map_err(|what| wrong(&what))?
            }
            (ExecutionKind::Traded, Some(taker), Some(maker)) => {
                self.order_goes_on(taker, 0).map_err(|what| wrong(&what))?;
                self.order_goes_on(maker, 0).map_err(|what| wrong(&what))?;
                self.traded(id, execution, taker, maker)?;
            }
            (ExecutionKind::Triggered, Some(order), _) => self.order_goes_on(order, 0).map_err(|what| wrong(&what))?,
            (kind @ (ExecutionKind::Amended | ExecutionKind::Cancelled | ExecutionKind::Expired), Some(order), _) => {
                // Self-trade prevention changes orders too, in the course of any command.
                let target = accepted.target_order_id == Some(order.order_id);
                let fresh = !self.commands.get(&cause).is_some_and(|told| told.answered);
                let extra = if target && fresh && kind != ExecutionKind::Expired { extra } else { 0 };
                self.order_goes_on(order, extra).map_err(|what| wrong(&what))?;
                let due = release(order);
                self.owe(id, 2, due)?;
            }
            (ExecutionKind::Refused, ..) => {
                let amount = execution.amount.unwrap_or(0);
                if amount != extra {
                    return Err(wrong(&format!("{amount} of {extra} reserved come back")));
                }
                if let (Some(account), Some(asset), 1..) = (&execution.account, &execution.asset, amount) {
                    let due = Due::new(account, None, None).moves(asset, true, -i128::from(amount));
                    self.owe(id, 2, due.moves(asset, false, amount.into()))?;
                }
            }
            (ExecutionKind::Transferred, ..) => self.transferred(id, execution, &accepted)?,
            (ExecutionKind::Quoted, ..) => {}
            _ => return Err(wrong("it says nothing")),
        }
        self.answer(execution, &accepted).map_err(|what| wrong(&what))?;
        self.follow_book(id, execution)
    }

    /// Notes that a command was answered; a second answer of a kind that comes once is a defect.
    fn answer(&mut self, execution: &Execution, accepted: &ValidatedCommand) -> Result<(), String> {
        use ExecutionKind::{Accepted, Amended, Cancelled, Refused, Transferred};
        let own = |order: &Option<OrderState>| {
            order.as_ref().is_some_and(|order| Some(order.order_id) == accepted.target_order_id)
        };
        let answers = match accepted.kind {
            CommandKind::Place => execution.kind == Accepted,
            CommandKind::Amend => {
                execution.kind == Refused || (matches!(execution.kind, Amended | Cancelled) && own(&execution.order))
            }
            CommandKind::Cancel => matches!(execution.kind, Refused | Cancelled),
            CommandKind::CancelAll => matches!(execution.kind, Refused | Cancelled),
            _ => execution.kind == Transferred,
        };
        let Some(told) = self.commands.get_mut(&accepted.command_id) else { return Ok(()) };
        let once = accepted.kind != CommandKind::CancelAll && !matches!(execution.kind, Amended | Cancelled);
        if answers && told.answered && once {
            return Err("it was carried out twice".into());
        }
        told.answered |= answers;
        Ok(())
    }

    fn order_begins(&mut self, accepted: &ValidatedCommand, order: &OrderState) -> Result<(), String> {
        let id = order.order_id;
        if id != accepted.command_id || accepted.kind != CommandKind::Place {
            return Err(format!("order {id} begins with another command"));
        }
        let terms = (order.quantity, order.price, order.reserved_after, Some(order.side), order.leaves);
        let promised =
            (accepted.quantity.unwrap_or(0), accepted.price.unwrap_or(0), accepted.reserved_amount, accepted.side);
        if terms != (promised.0, promised.1, promised.2, promised.3, promised.0) || order.account != accepted.account {
            return Err(format!("order {id} begins with other terms"));
        }
        match self.orders.insert(id, order.clone()) {
            None => Ok(()),
            Some(_) => Err(format!("order {id} begins twice")),
        }
    }

    fn order_goes_on(&mut self, order: &OrderState, extra: i64) -> Result<(), String> {
        let id = order.order_id;
        let Some(before) = self.orders.insert(id, order.clone()) else {
            return Err(format!("order {id} goes on and never began"));
        };
        if has_ended(before.status) {
            return Err(format!("order {id} goes on after its end ({})", before.status.symbol()));
        }
        if before.reserved_after + extra != order.reserved_before {
            let (was, is) = (before.reserved_after, order.reserved_before);
            return Err(format!("order {id} had {was} and {extra} reserved, now it had {is}"));
        }
        if has_ended(order.status) && order.reserved_after != 0 {
            return Err(format!("order {id} has ended and keeps {} reserved", order.reserved_after));
        }
        Ok(())
    }

    fn traded(&mut self, id: i64, execution: &Execution, taker: &OrderState, maker: &OrderState) -> Checked {
        self.trades += 1;
        let (Some(price), Some(quantity), Some(trade)) = (execution.price, execution.quantity, execution.trade_id)
        else {
            return Err((Invariant::SettledOnce, format!("execution {id}: a trade without price, quantity or id")));
        };
        let fresh = self.trade_ids.insert(trade) && partition_of_identity(trade) == partition_of_identity(id);
        ensure(fresh, Invariant::SettledOnce, || format!("trade {trade} was executed twice"))?;
        ensure(taker.account != maker.account, Invariant::PriceTimePriority, || {
            format!("trade {trade}: {} trades with itself", taker.account)
        })?;
        for (order, ppm) in [(taker, taker.taker_fee_ppm), (maker, maker.maker_fee_ppm)] {
            let (side, due) = trade_due(order, price, quantity, ppm);
            self.owe(id, side, due)?;
        }
        Ok(())
    }

    fn transferred(&mut self, id: i64, execution: &Execution, accepted: &ValidatedCommand) -> Checked {
        let amount = i128::from(execution.amount.unwrap_or(0));
        let asset = execution.asset.clone().unwrap_or_default();
        let promised = i128::from(accepted.amount.unwrap_or(0));
        let withdrawal = accepted.kind == CommandKind::Withdraw;
        let exact = amount == if withdrawal { -promised } else { promised } && Some(&asset) == accepted.asset.as_ref();
        ensure(exact, Invariant::OneVerdict, || format!("execution {id} moves {amount} {asset}"))?;
        let due = Due::new(&accepted.account, None, None).moves(&asset, withdrawal, amount);
        self.owe(id, 2, due.moves_of("@outside", &asset, -amount))
    }

    fn owe(&mut self, execution: i64, side: u8, due: Due) -> Checked {
        let again = self.due.insert((execution, side), due).is_some();
        ensure(!again, Invariant::SettledOnce, || format!("execution {execution} has two sides of one kind"))
    }

    fn follow_book(&mut self, id: i64, execution: &Execution) -> Checked {
        let Some(instrument) = &execution.instrument else { return Ok(()) };
        let display = execution.order.as_ref().and_then(|order| self.accepted(order.order_id)?.display_quantity);
        let book = self.books.entry(instrument.clone()).or_default();
        let found = book.follow(execution, display);
        found.map_err(|what| (Invariant::PriceTimePriority, format!("{instrument}, execution {id}: {what}")))
    }

    pub(super) fn settled(&mut self, settlement: &Settlement) -> Checked {
        let id = settlement.execution_id;
        let side = match settlement.side {
            Some(Side::Buy) => 0,
            Some(_) => 1,
            None => 2,
        };
        let mut sums: BTreeMap<&SmolStr, i128> = BTreeMap::new();
        let mut postings: BTreeMap<(SmolStr, SmolStr, bool), i128> = BTreeMap::new();
        for line in &settlement.postings {
            *sums.entry(&line.asset).or_default() += i128::from(line.amount);
            let place = (line.account.clone(), line.asset.clone(), line.bucket == Bucket::Reserved);
            *postings.entry(place).or_default() += i128::from(line.amount);
        }
        for (asset, sum) in sums {
            ensure(sum == 0, Invariant::Conservation, || format!("execution {id}: postings in {asset} sum to {sum}"))?;
        }
        let Some(mut due) = self.due.remove(&(id, side)) else {
            return Err((Invariant::SettledOnce, format!("execution {id} is settled twice, or was never executed")));
        };
        postings.retain(|_, sum| *sum != 0);
        due.postings.retain(|_, sum| *sum != 0);
        let trade = settlement.price.zip(settlement.quantity);
        let rest = settlement.order.as_ref().map(|rest| (rest.reserved, rest.done));
        let exact = (&due.account, &due.postings, due.trade, due.rest) == (&settlement.account, &postings, trade, rest);
        ensure(exact, Invariant::SettledOnce, || format!("execution {id} is settled as {settlement:?}, due is {due:?}"))
    }

    pub(super) fn at_rest(&self) -> Checked {
        let unanswered = self.commands.iter().filter(|(_, told)| match &told.verdict {
            None => true,
            Some(Verdict::Accepted(_)) => !told.answered,
            Some(Verdict::Rejected) => false,
        });
        let mut unanswered: Vec<_> = unanswered.map(|(id, told)| (*id, told.verdict.is_some())).collect();
        unanswered.sort_unstable();
        ensure(unanswered.is_empty(), Invariant::OneVerdict, || {
            format!("commands without a verdict, or (true) without an execution: {unanswered:?}")
        })?;
        let unread: Vec<_> = self.garbage.iter().filter(|(_, (copies, letters))| letters < copies).collect();
        ensure(unread.is_empty(), Invariant::OneVerdict, || format!("not in the dead letters: {unread:?}"))?;
        ensure(self.due.is_empty(), Invariant::SettledOnce, || format!("not settled: {:?}", self.due.keys()))
    }

    pub(super) fn closed(&self) -> Checked {
        let open: Vec<_> =
            self.orders.values().filter(|order| !has_ended(order.status)).map(|it| it.order_id).collect();
        ensure(open.is_empty(), Invariant::OneVerdict, || format!("orders without an end: {open:?}"))
    }
}

impl Due {
    fn new(account: &SmolStr, trade: Option<(i64, i64)>, rest: Option<(i64, bool)>) -> Self {
        Self { account: account.clone(), postings: BTreeMap::new(), trade, rest }
    }

    fn moves(mut self, asset: &SmolStr, reserved: bool, amount: i128) -> Self {
        *self.postings.entry((self.account.clone(), asset.clone(), reserved)).or_default() += amount;
        self
    }

    fn moves_of(mut self, account: &str, asset: &SmolStr, amount: i128) -> Self {
        *self.postings.entry((account.into(), asset.clone(), false)).or_default() += amount;
        self
    }
}

const fn reserve_asset(order: &OrderState) -> &SmolStr {
    match order.side {
        Side::Buy => &order.quote_asset,
        _ => &order.base_asset,
    }
}

fn rest(order: &OrderState) -> Option<(i64, bool)> {
    Some((order.reserved_after, has_ended(order.status)))
}

fn release(order: &OrderState) -> Due {
    let freed = i128::from(order.reserved_before) - i128::from(order.reserved_after);
    let asset = reserve_asset(order);
    Due::new(&order.account, None, rest(order)).moves(asset, true, -freed).moves(asset, false, freed)
}

/// What one side of a trade must be settled with: notional and fee are rounded down.
fn trade_due(order: &OrderState, price: i64, quantity: i64, fee_ppm: i64) -> (u8, Due) {
    let quantity_moved = i128::from(quantity);
    let notional = i128::from(price) * quantity_moved / ONE;
    let fee = notional * i128::from(fee_ppm) / 1_000_000;
    let (base, quote) = (&order.base_asset, &order.quote_asset);
    let gone = i128::from(order.reserved_before) - i128::from(order.reserved_after);
    let due = Due::new(&order.account, Some((price, quantity)), rest(order)).moves(reserve_asset(order), true, -gone);
    let (side, due, sign) = if order.side == Side::Buy {
        (0, due.moves(quote, false, gone - notional - fee).moves(base, false, quantity_moved), 1)
    } else {
        (1, due.moves(base, false, gone - quantity_moved).moves(quote, false, notional - fee), -1)
    };
    let due = due.moves_of("@clearing", base, -sign * quantity_moved).moves_of("@clearing", quote, sign * notional);
    (side, due.moves_of("@fees", quote, fee))
}
