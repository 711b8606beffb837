//! What the generator remembers of one instrument: where its mid has walked to, and which orders are live as far as
//! it knows. All prices in ticks.

use super::MILLION;
use super::shape::Dice;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use tapeline_schemas::wire::Side;

/// Most live orders remembered; the AAPL hour never had more than 260 at once.
const MAX_LIVE: usize = 512;
/// The mid stays within this share of the reference price, in percent.
const WALK_PERCENT: i64 = 10;
/// Order prices stay within this share of the reference price, in percent: inside the collar.
const REACH_PERCENT: i64 = 25;
/// Share of placements that move the mid, parts per million, and by how many ticks at most. So the mid of a
/// thousand placements moves by about as much as AAPL's did (46 ticks, one standard deviation).
const MOVE_PPM: u32 = 270_000;
const MOVE_TICKS: u32 = 4;
/// How far from the mid an order is sure to find others to trade with, in ticks.
const DEEP_TICKS: i64 = 30;
/// Orders placed this near to the mid are likely to be filled: some of them are never cancelled.
const NEAR_TICKS: i64 = 12;
const LEFT_TO_FILL_PPM: u32 = 120_000;

/// An order that was placed and not cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Live {
    /// When it is cancelled, in commands of its instrument.
    pub(super) due: u64,
    /// The number that its client order id is made of.
    pub(super) number: u64,
    pub(super) market: usize,
    pub(super) account: u32,
    pub(super) side: Side,
    pub(super) lots: u32,
    /// Whether it has a limit price that can be amended.
    pub(super) has_limit: bool,
}

impl Live {
    fn rank(&self) -> Reverse<(u64, u64)> {
        Reverse((self.due, self.number))
    }
}

/// The order that is due first is the greatest, as [`BinaryHeap`] wants it.
impl Ord for Live {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Live {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[derive(Debug, Clone)]
pub(super) struct Book {
    reference: i64,
    mid: i64,
    /// Commands so far.
    count: u64,
    live: BinaryHeap<Live>,
}

impl Book {
    pub(super) const fn new(reference: i64) -> Self {
        Self { reference, mid: reference, count: 0, live: BinaryHeap::new() }
    }

    /// One more command.
    pub(super) fn advance(&mut self, dice: &mut Dice) {
        self.count += 1;
        if dice.chance(MOVE_PPM / 2) {
            let ticks = 1 + i64::from(dice.below(MOVE_TICKS));
            let step = if dice.chance(MILLION / 2) { ticks } else { -ticks };
            let most = self.reference * WALK_PERCENT / 100;
            self.mid = (self.mid + step).clamp(self.reference - most, self.reference + most);
        }
    }

    /// The order whose time to be cancelled has come, or which has to make room.
    pub(super) fn take_due(&mut self) -> Option<Live> {
        let due = self.live.peek()?.due <= self.count || self.live.len() >= MAX_LIVE;
        if due { self.live.pop() } else { None }
    }

    /// Any live order.
    pub(super) fn any(&self, dice: &mut Dice) -> Option<Live> {
        let index = dice.below(self.live.len() as u32) as usize;
        self.live.as_slice().get(index).copied()
    }

    /// Keeps `live` until it is cancelled, unless it is left to be filled.
    pub(super) fn remember(&mut self, live: Live, price: i64, dice: &mut Dice) {
        if price.abs_diff(self.mid) <= NEAR_TICKS.unsigned_abs() && dice.chance(LEFT_TO_FILL_PPM) {
            return;
        }
        self.live.push(Live { due: self.count + dice.life_commands(), ..live });
    }

    /// Forgets all orders of `account`.
    pub(super) fn forget_account(&mut self, account: u32) {
        self.live.retain(|live| live.account != account);
    }

    /// A price to rest at. Seldom beyond the mid, as in the AAPL hour, where such orders stood inside a wide spread.
    pub(super) fn resting_price(&self, side: Side, dice: &mut Dice) -> i64 {
        self.away(side, self.mid, dice.distance_ticks())
    }

    /// A price to take what rests near the mid.
    pub(super) fn taking_price(&self, side: Side, dice: &mut Dice) -> i64 {
        self.away(side, self.mid, -DEEP_TICKS - i64::from(dice.below(DEEP_TICKS as u32)))
    }

    /// A price at which a stop wakes: above the mid for a buy, below it for a sale.
    pub(super) fn stop_price(&self, side: Side, dice: &mut Dice) -> i64 {
        self.away(side, self.mid, -DEEP_TICKS - i64::from(dice.below(10 * DEEP_TICKS as u32)))
    }

    /// A limit somewhat worse for the order than `price`.
    pub(super) fn beyond(&self, side: Side, price: i64, dice: &mut Dice) -> i64 {
        self.away(side, price, -i64::from(dice.below(DEEP_TICKS as u32)))
    }

    /// The price `ticks` better for the order than `from`.
    fn away(&self, side: Side, from: i64, ticks: i64) -> i64 {
        let price = if side == Side::Buy { from - ticks } else { from + ticks };
        let most = self.reference * REACH_PERCENT / 100;
        price.clamp(self.reference - most, self.reference + most)
    }
}
