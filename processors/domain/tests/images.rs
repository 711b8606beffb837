//! An image is the state at the moment when it began, whatever happens while it is written; a state that is read from
//! one goes on as the original does; and no damage to it makes anything but an error.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic, in its helpers too")]

mod matching_support;

use matching_support::stream::{inputs, steps};
use proptest::prelude::*;
use tapeline_domain::command::{Command, CommandKind};
use tapeline_domain::image::Image;
use tapeline_domain::matching::Matching;
use tapeline_domain::risk::{CommandAt, DUPLICATE_WINDOW_MS, Decision, Risk};
use tapeline_domain::settlement::{Bucket, OrderRest, Posting, Settlement, SettlementKind};
use tapeline_domain::types::{Account, AccountStatus, Instrument, InstrumentStatus, ONE, OrderType, Side};

/// Takes what is left of an image at work.
fn rest<S: Image>(state: &mut S, blocks: &mut Vec<Vec<u8>>) {
    while let Some(block) = state.next_block() {
        blocks.push(block);
    }
}

/// All entities of an image, sorted: two images of one state differ by their order alone. `block_bytes` must be 1.
fn sorted<S: Image>(state: &mut S) -> Vec<Vec<u8>> {
    let mut blocks = Vec::new();
    state.begin_image(1);
    rest(state, &mut blocks);
    blocks.sort();
    blocks
}

/// A step of the validator's life, in small numbers.
#[derive(Debug, Clone)]
enum Step {
    Place { account: u8, id: u8, buys: bool, quantity: i64 },
    Cancel { account: u8, id: u8, target: u8 },
    Withdraw { account: u8, id: u8, amount: i64 },
    Fund { account: u8, amount: i64 },
    Settle { back: usize, leaves: i64 },
    Reference { account: u8, active: bool, gone: bool },
    Instrument { open: bool },
    Wait { ms: i64 },
}

fn steps_of_risk() -> impl Strategy<Value = Vec<Step>> {
    let account = 0..5u8;
    let id = 0..40u8;
    let step = prop_oneof![
        8 => (account.clone(), id.clone(), any::<bool>(), 1..9i64)
            .prop_map(|(account, id, buys, quantity)| Step::Place { account, id, buys, quantity }),
        2 => (account.clone(), id.clone(), id.clone())
            .prop_map(|(account, id, target)| Step::Cancel { account, id, target }),
        2 => (account.clone(), id, 1..50i64).prop_map(|(account, id, amount)| Step::Withdraw { account, id, amount }),
        4 => (account.clone(), 1..900i64).prop_map(|(account, amount)| Step::Fund { account, amount }),
        4 => (0..20usize, 0..3i64).prop_map(|(back, leaves)| Step::Settle { back, leaves }),
        2 => (account, any::<bool>(), any::<bool>())
            .prop_map(|(account, active, gone)| Step::Reference { account, active, gone }),
        1 => any::<bool>().prop_map(|open| Step::Instrument { open }),
        2 => (0..DUPLICATE_WINDOW_MS).prop_map(|ms| Step::Wait { ms }),
    ];
    proptest::collection::vec(step, 1..150)
}

/// Feeds steps to a validator's state. What it remembers of its own is only what makes commands and settlements.
#[derive(Clone, Default)]
struct Feeder {
    now_ms: i64,
    number: i64,
    placed: Vec<(i64, String, i64)>,
}

fn name(account: u8) -> String {
    format!("account{account}")
}

fn command(kind: CommandKind, account: u8, id: u8) -> Command {
    Command {
        account: name(account).into(),
        client_order_id: format!("c{id}").into(),
        kind,
        instrument: Some("A-Q".into()),
        side: None,
        order_type: None,
        time_in_force: None,
        quantity: None,
        price: None,
        stop_price: None,
        display_quantity: None,
        post_only: false,
        expires_at_ms: None,
        self_trade_prevention: None,
        target_client_order_id: None,
        asset: None,
        amount: None,
    }
}

fn settlement(account: &str, lines: &[(&str, Bucket, i64)], order: Option<(i64, OrderRest)>) -> Settlement {
    let posting = |(asset, bucket, amount): &(&str, Bucket, i64)| Posting {
        account: account.into(),
        asset: (*asset).into(),
        bucket: *bucket,
        amount: *amount,
    };
    Settlement {
        kind: SettlementKind::Deposit,
        execution_id: 0,
        command_id: 0,
        account: account.into(),
        instrument: None,
        order_id: order.map(|(id, _)| id),
        fill: None,
        order: order.map(|(_, rest)| rest),
        postings: lines.iter().map(posting).collect(),
        commanded_at_ms: 0,
        validated_at_ms: 0,
        executed_at_ms: 0,
    }
}

fn instrument(open: bool) -> Instrument {
    Instrument {
        symbol: "A-Q".into(),
        base_asset: "A".into(),
        quote_asset: "Q".into(),
        tick_size: ONE,
        lot_size: ONE,
        min_quantity: ONE,
        max_quantity: 1_000 * ONE,
        min_notional: ONE,
        max_notional: 100_000 * ONE,
        reference_price: 100 * ONE,
        collar_ppm: 100_000,
        maker_fee_ppm: 500,
        taker_fee_ppm: 1_000,
        status: if open { InstrumentStatus::Open } else { InstrumentStatus::Halted },
        session_close_ms: 0,
    }
}

impl Feeder {
    fn decide(&mut self, risk: &mut Risk, command: &Command) -> String {
        self.number += 1;
        let at = CommandAt { command_id: self.number, time_ms: self.now_ms, in_own_partition: true };
        let decision = risk.decide(at, command);
        if let (Decision::Accepted(_), CommandKind::Place) = (&decision, command.kind) {
            self.placed.push((self.number, command.account.to_string(), command.quantity.unwrap()));
        }
        format!("{decision:?}")
    }

    /// What the state says to a step.
    fn feed(&mut self, risk: &mut Risk, step: &Step) -> String {
        match step {
            Step::Place { account, id, buys, quantity } => {
                let terms = Command {
                    side: Some(if *buys { Side::Buy } else { Side::Sell }),
                    order_type: Some(OrderType::Limit),
                    quantity: Some(quantity * ONE),
                    price: Some(100 * ONE),
                    ..command(CommandKind::Place, *account, *id)
                };
                self.decide(risk, &terms)
            }
            Step::Cancel { account, id, target } => {
                let target = Some(format!("c{target}").into());
                let cancel = Command { target_client_order_id: target, ..command(CommandKind::Cancel, *account, *id) };
                self.decide(risk, &cancel)
            }
            Step::Withdraw { account, id, amount } => {
                let (asset, amount) = (Some("Q".into()), Some(amount * ONE));
                let withdraw =
                    Command { instrument: None, asset, amount, ..command(CommandKind::Withdraw, *account, *id) };
                self.decide(risk, &withdraw)
            }
            Step::Fund { account, amount } => {
                let lines = [("Q", Bucket::Available, amount * ONE), ("A", Bucket::Available, 5 * ONE)];
                format!("{:?}", risk.settle(&settlement(&name(*account), &lines, None)))
            }
            Step::Settle { back, leaves } => {
                let Some((id, account, quantity)) = self.placed.iter().rev().nth(*back).cloned() else {
                    return String::new();
                };
                let left = leaves * ONE;
                let order = OrderRest { done: left == 0, price: 100 * ONE, quantity, leaves: left, reserved: left };
                format!("{:?}", risk.settle(&settlement(&account, &[], Some((id, order)))))
            }
            Step::Reference { account, gone: true, .. } => {
                risk.remove_account(&name(*account));
                String::new()
            }
            Step::Reference { account, active, .. } => {
                let status = if *active { AccountStatus::Active } else { AccountStatus::Suspended };
                risk.set_account(Account { id: name(*account).into(), status, max_open_orders: 7 });
                String::new()
            }
            Step::Instrument { open } => {
                risk.set_instrument(instrument(*open));
                String::new()
            }
            Step::Wait { ms } => {
                self.now_ms += ms;
                String::new()
            }
        }
    }
}

/// A validator's state that knows its instrument and all accounts.
fn introduced() -> Risk {
    let mut risk = Risk::default();
    risk.set_instrument(instrument(true));
    for account in 0..5 {
        risk.set_account(Account { id: name(account).into(), status: AccountStatus::Active, max_open_orders: 7 });
    }
    risk
}

proptest! {
    /// The image of a matching state is taken from `cut` on while further commands change it; the state read from it
    /// answers all commands after `cut` as the original did.
    #[test]
    fn a_matching_state_read_from_an_image_goes_on_the_same(
        steps in steps(), cut in 0.0..1.0f64, blocks_each in 0..4usize, block_bytes in 1..200usize,
    ) {
        let inputs = inputs(&steps);
        let (before, after) = inputs.split_at((inputs.len() as f64 * cut) as usize);
        let mut original = Matching::new(3);
        before.iter().for_each(|input| drop(input.feed(&mut original)));
        let mut blocks = Vec::new();
        original.begin_image(block_bytes);
        let mut said = Vec::new();
        for input in after {
            blocks.extend((0..blocks_each).filter_map(|_| original.next_block()));
            said.push((input.feed(&mut original), original.take_depth().collect::<Vec<_>>()));
        }
        rest(&mut original, &mut blocks);
        let mut read = Matching::new(3);
        read.read_image(&blocks).unwrap();
        for (input, said) in after.iter().zip(said) {
            prop_assert_eq!((input.feed(&mut read), read.take_depth().collect::<Vec<_>>()), said);
        }
        prop_assert_eq!(read.entities(), original.entities());
    }

    /// The same of the validator's state; and what the image of the read one holds is what that of the original does.
    #[test]
    fn a_risk_state_read_from_an_image_goes_on_the_same(
        steps in steps_of_risk(), cut in 0.0..1.0f64, blocks_each in 0..4usize, block_bytes in 1..200usize,
    ) {
        let (before, after) = steps.split_at((steps.len() as f64 * cut) as usize);
        let (mut original, mut feeder) = (introduced(), Feeder::default());
        before.iter().for_each(|step| drop(feeder.feed(&mut original, step)));
        let mut second = feeder.clone();
        let mut blocks = Vec::new();
        original.begin_image(block_bytes);
        let mut said = Vec::new();
        for step in after {
            blocks.extend((0..blocks_each).filter_map(|_| original.next_block()));
            said.push(feeder.feed(&mut original, step));
        }
        rest(&mut original, &mut blocks);
        let mut read = Risk::default();
        read.read_image(&blocks).unwrap();
        for (step, said) in after.iter().zip(said) {
            prop_assert_eq!(second.feed(&mut read, step), said);
        }
        prop_assert_eq!(sorted(&mut read), sorted(&mut original));
    }

    /// A byte changed, a block lost or doubled: an error, or a state that can be worked with; never a panic.
    #[test]
    fn damage_to_an_image_never_panics(steps in steps(), block_bytes in 1..400usize, damage in damages()) {
        let inputs = inputs(&steps);
        let mut matching = Matching::new(0);
        inputs.iter().for_each(|input| drop(input.feed(&mut matching)));
        read_damaged(&mut matching, &mut Matching::new(0), block_bytes, &damage);
    }

    /// The same of the validator's state.
    #[test]
    fn damage_to_an_image_of_a_risk_state_never_panics(
        steps in steps_of_risk(), block_bytes in 1..400usize, damage in damages(),
    ) {
        let (mut risk, mut feeder) = (introduced(), Feeder::default());
        steps.iter().for_each(|step| drop(feeder.feed(&mut risk, step)));
        let mut read = Risk::default();
        if read_damaged(&mut risk, &mut read, block_bytes, &damage) {
            steps.iter().for_each(|step| drop(feeder.feed(&mut read, step)));
        }
    }
}

/// What happens to an image: where, to what byte, and which of four things.
#[derive(Debug, Clone)]
struct Damage {
    at: prop::sample::Index,
    byte: u8,
    how: u8,
}

fn damages() -> impl Strategy<Value = Damage> {
    (any::<prop::sample::Index>(), any::<u8>(), 0..4u8).prop_map(|(at, byte, how)| Damage { at, byte, how })
}

/// Whether `read` could be filled from a damaged image of `written`.
fn read_damaged<S: Image>(written: &mut S, read: &mut S, block_bytes: usize, damage: &Damage) -> bool {
    let mut blocks = Vec::new();
    written.begin_image(block_bytes);
    rest(written, &mut blocks);
    let block = damage.at.index(blocks.len());
    match damage.how {
        0 => drop(blocks.remove(block)),
        1 => blocks.push(blocks[block].clone()),
        2 => {
            let length = blocks[block].len();
            blocks[block].truncate(damage.at.index(length));
        }
        _ => {
            let place = damage.at.index(blocks[block].len());
            blocks[block][place] = damage.byte;
        }
    }
    let is_read = read.read_image(&blocks).is_ok();
    if is_read {
        read.begin_image(block_bytes);
        rest(read, &mut Vec::new());
    }
    is_read
}

/// A second image may begin before the first is finished; it is one of the later moment.
#[test]
fn a_new_image_replaces_one_at_work() {
    let (mut risk, mut feeder) = (introduced(), Feeder::default());
    risk.begin_image(1);
    risk.next_block().unwrap();
    feeder.feed(&mut risk, &Step::Fund { account: 2, amount: 7 });
    let mut blocks = Vec::new();
    risk.begin_image(1);
    rest(&mut risk, &mut blocks);
    let mut read = Risk::default();
    read.read_image(&blocks).unwrap();
    assert_eq!(read.balance("account2", "Q").available, 7 * ONE);
    assert_eq!(sorted(&mut read), sorted(&mut risk));
}

/// However many open orders and assets an account has, no block of its image outgrows a record: a snapshot that can't be
/// written would stop the validator for good.
#[test]
fn an_account_with_many_orders_and_assets_is_cut() {
    const BLOCK_BYTES: usize = 32 << 10;
    const LARGEST_BLOCK_BYTES: usize = 128 << 10;
    let (mut risk, mut feeder) = (introduced(), Feeder::default());
    risk.set_account(Account { id: name(0).into(), status: AccountStatus::Active, max_open_orders: 50_000 });
    risk.settle(&settlement(&name(0), &[("Q", Bucket::Available, 9_000_000 * ONE)], None)).unwrap();
    for asset in 0..3_000 {
        let line = (&*format!("asset{asset}"), Bucket::Available, ONE);
        risk.settle(&settlement(&name(0), &[line], None)).unwrap();
    }
    for number in 0..30_000 {
        let order = Command {
            client_order_id: format!("an order with a long name, number {number}").into(),
            side: Some(Side::Buy),
            order_type: Some(OrderType::Limit),
            quantity: Some(ONE),
            price: Some(100 * ONE),
            ..command(CommandKind::Place, 0, 0)
        };
        assert!(feeder.decide(&mut risk, &order).starts_with("Accepted"));
    }
    let mut blocks = Vec::new();
    risk.begin_image(BLOCK_BYTES);
    // A change in the middle of it: the account goes in as it was.
    risk.settle(&settlement(&name(0), &[("Q", Bucket::Available, ONE)], None)).unwrap();
    rest(&mut risk, &mut blocks);
    let largest = blocks.iter().map(Vec::len).max().unwrap();
    assert!(largest < LARGEST_BLOCK_BYTES, "{largest} bytes in one block");
    let mut read = Risk::default();
    read.read_image(&blocks).unwrap();
    assert_eq!(read.open_orders(&name(0)), 30_000);
    risk.settle(&settlement(&name(0), &[("Q", Bucket::Available, -ONE)], None)).unwrap();
    assert_eq!(sorted(&mut read), sorted(&mut risk));
}
