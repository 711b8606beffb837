//! Random command streams in which everything collides: few accounts, few instruments, few prices.

use proptest::prelude::*;
use tapeline_domain::accepted::{Accepted, Action, Amendment, OrderTerms};
use tapeline_domain::execution::Execution;
use tapeline_domain::matching::Matching;
use tapeline_domain::money;
use tapeline_domain::types::{OrderType, SelfTradePrevention, Side, TimeInForce, TimeMs, Units};

/// Prices and quantities are multiples of these: odd numbers, so that every product has to be rounded.
const TICK: Units = 33_333_333;
const LOT: Units = 12_345_679;
const MAKER_FEE_PPM: i64 = 1_003;
const TAKER_FEE_PPM: i64 = 2_501;

/// What a [`Matching`] is fed with.
#[derive(Debug, Clone)]
pub enum Input {
    Command(TimeMs, Box<Accepted>),
    Tick(TimeMs),
}

impl Input {
    pub fn feed(&self, matching: &mut Matching) -> Vec<Execution> {
        let mut out = Vec::new();
        match self {
            Self::Command(at_ms, command) => matching.apply(*at_ms, command, &mut out),
            Self::Tick(now_ms) => matching.tick(*now_ms, &mut out),
        }
        out
    }
}

/// One random step; numbers are small choices that [`inputs`] makes commands of.
#[derive(Debug, Clone)]
pub enum Step {
    Place(Place),
    Amend { target: usize, quantity: Option<i64>, price: Option<i64>, extra: u8, stranger: bool },
    Cancel { target: usize, stranger: bool },
    CancelAll { account: u8, instrument: u8 },
    Transfer { account: u8, amount: i64 },
    Tick { ahead_ms: TimeMs },
}

#[derive(Debug, Clone)]
pub struct Place {
    account: u8,
    instrument: u8,
    buys: bool,
    order_type: OrderType,
    time_in_force: TimeInForce,
    quantity: i64,
    price: i64,
    stop_price: i64,
    display: Option<i64>,
    post_only: bool,
    lives_ms: TimeMs,
    prevention: SelfTradePrevention,
}

pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    (1..=3u8).prop_flat_map(|instruments| proptest::collection::vec(step(instruments), 1..120))
}

fn step(instruments: u8) -> impl Strategy<Value = Step> {
    let target = 0..1_000usize;
    let stranger = proptest::bool::weighted(0.05);
    let quantity = proptest::option::weighted(0.7, 0..14i64);
    let price = proptest::option::weighted(0.4, 1..=8i64);
    prop_oneof![
        24 => place(instruments).prop_map(Step::Place),
        6 => (target.clone(), quantity, price, 0..4u8, stranger).prop_map(
            |(target, quantity, price, extra, stranger)| Step::Amend { target, quantity, price, extra, stranger }
        ),
        4 => (target, stranger).prop_map(|(target, stranger)| Step::Cancel { target, stranger }),
        1 => (0..4u8, 0..instruments).prop_map(|(account, instrument)| Step::CancelAll { account, instrument }),
        1 => (0..4u8, 1..9i64).prop_map(|(account, amount)| Step::Transfer { account, amount: amount - 5 }),
        2 => (0..40i64).prop_map(|ahead_ms| Step::Tick { ahead_ms }),
    ]
}

fn place(instruments: u8) -> impl Strategy<Value = Place> {
    let order_type = prop_oneof![
        12 => Just(OrderType::Limit),
        2 => Just(OrderType::Market),
        3 => Just(OrderType::Stop),
        3 => Just(OrderType::StopLimit),
    ];
    let time_in_force = prop_oneof![
        8 => Just(TimeInForce::Gtc),
        2 => Just(TimeInForce::Day),
        2 => Just(TimeInForce::Gtd),
        2 => Just(TimeInForce::Ioc),
        3 => Just(TimeInForce::Fok),
    ];
    let prevention = prop_oneof![
        Just(SelfTradePrevention::CancelNewest),
        Just(SelfTradePrevention::CancelOldest),
        Just(SelfTradePrevention::CancelBoth),
        Just(SelfTradePrevention::DecrementAndCancel),
    ];
    let who = (0..4u8, 0..instruments, any::<bool>());
    let how = (order_type, time_in_force, prevention, proptest::bool::weighted(0.1));
    let what = (1..=12i64, 1..=8i64, 1..=8i64, proptest::option::weighted(0.3, 1..=4i64), 1..300i64);
    (who, how, what).prop_map(|(who, how, what)| Place {
        account: who.0,
        instrument: who.1,
        buys: who.2,
        order_type: how.0,
        time_in_force: how.1,
        prevention: how.2,
        post_only: how.3,
        quantity: what.0,
        price: what.1,
        stop_price: what.2,
        display: what.3,
        lives_ms: what.4,
    })
}

/// Makes commands of steps. Targets are earlier orders, most often open no more or not yet.
pub fn inputs(steps: &[Step]) -> Vec<Input> {
    let mut placed: Vec<Accepted> = Vec::new();
    let mut inputs = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let at_ms = 1_000 + index as i64 * 10;
        let command = |account: String, action: Action| Accepted {
            command_id: index as i64 + 1,
            account: account.into(),
            client_order_id: format!("c{index}").into(),
            commanded_at_ms: at_ms - 3,
            action,
        };
        let made = match step {
            Step::Tick { ahead_ms } => {
                inputs.push(Input::Tick(at_ms + ahead_ms));
                continue;
            }
            Step::Place(place) => {
                let made = command(account(place.account), Action::Place(terms(place, at_ms)));
                placed.push(made.clone());
                made
            }
            Step::Amend { target, quantity, price, extra, stranger } => {
                let Some((owner, terms, id)) = pick(&placed, *target, *stranger) else { continue };
                let amendment = amendment(&terms, id, quantity.map(|lots| lots * LOT), *price, *extra);
                command(owner, Action::Amend(amendment))
            }
            Step::Cancel { target, stranger } => {
                let Some((owner, terms, target_order_id)) = pick(&placed, *target, *stranger) else { continue };
                command(owner, Action::Cancel { instrument: terms.instrument, target_order_id })
            }
            Step::CancelAll { account: number, instrument } => {
                command(account(*number), Action::CancelAll { instrument: symbol(*instrument).into() })
            }
            Step::Transfer { account: number, amount } => {
                command(account(*number), Action::Transfer { asset: "Q".into(), amount: *amount })
            }
        };
        inputs.push(Input::Command(at_ms, Box::new(made)));
    }
    inputs
}

/// Counted back from the newest, so that small numbers mean recent orders.
fn pick(placed: &[Accepted], target: usize, stranger: bool) -> Option<(String, OrderTerms, i64)> {
    let order = placed.iter().rev().nth(target % placed.len().clamp(1, 25))?;
    let Action::Place(terms) = &order.action else { return None };
    let owner = if stranger { "nobody".to_string() } else { order.account.to_string() };
    Some((owner, terms.clone(), order.command_id))
}

fn amendment(terms: &OrderTerms, id: i64, quantity: Option<Units>, price: Option<i64>, extra: u8) -> Amendment {
    let price = price.map(|ticks| ticks * TICK);
    let (new_price, new_quantity) = (price.unwrap_or(terms.price), quantity.unwrap_or(terms.quantity));
    let whole = money::reservation(terms.side, new_price, new_quantity, TAKER_FEE_PPM).unwrap();
    let extra_reserved = match extra {
        0 => 0,
        1 => (whole - terms.reserved).max(0),
        2 => (whole - terms.reserved - 1).max(0),
        _ => whole,
    };
    Amendment {
        instrument: terms.instrument.clone(),
        target_order_id: id,
        quantity,
        price,
        extra_reserved,
        reserve_asset: if terms.side == Side::Buy { "Q".into() } else { "B".into() },
    }
}

fn terms(place: &Place, at_ms: TimeMs) -> OrderTerms {
    let side = if place.buys { Side::Buy } else { Side::Sell };
    let (price, quantity) = (place.price * TICK, place.quantity * LOT);
    OrderTerms {
        instrument: symbol(place.instrument).into(),
        base_asset: "B".into(),
        quote_asset: "Q".into(),
        side,
        order_type: place.order_type,
        time_in_force: place.time_in_force,
        quantity,
        price,
        stop_price: place.order_type.is_stop().then_some(place.stop_price * TICK),
        display_quantity: place.display.map(|lots| lots.min(place.quantity) * LOT),
        post_only: place.post_only,
        expires_at_ms: matches!(place.time_in_force, TimeInForce::Day | TimeInForce::Gtd)
            .then_some(at_ms + place.lives_ms / 50 * 50),
        self_trade_prevention: place.prevention,
        maker_fee_ppm: MAKER_FEE_PPM,
        taker_fee_ppm: TAKER_FEE_PPM,
        reserved: money::reservation(side, price, quantity, TAKER_FEE_PPM).unwrap(),
    }
}

pub fn account(number: u8) -> String {
    format!("account{number}")
}

/// First letters against the order of first use, so that symbol order shows.
pub fn symbol(number: u8) -> &'static str {
    ["ZED", "MID", "ABC"][number as usize]
}
