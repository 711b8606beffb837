//! Who trades what: the made-up instruments and accounts, their popularity, names and funds.
//!
//! Popularity is Zipf's (the n-th has a weight of 1/n), of instruments and of the accounts in an instrument. Each
//! account trades in a few instruments only, or the deposits would outnumber the orders: account `a` in the
//! `per_account` ones from `a * per_account` on, going round. So an instrument's accounts need no list.

use super::shape::Dice;
use super::{Config, FundedAccount};
use smol_str::{SmolStr, format_smolstr};
use tapeline_domain::types::ONE;
use tapeline_schemas::wire;

/// The account that has no funds.
pub(super) const UNFUNDED_ACCOUNT: &str = "gen-unfunded";
/// Largest quantity of an order, in lots.
pub(super) const MAX_LOTS: i64 = 20_000;

const QUOTE_ASSET: &str = "USD";
/// How many instruments an account trades in, and how many accounts an instrument has, at least (where there are
/// so many).
const MIN_PER_ACCOUNT: u64 = 4;
const MIN_MEMBERS: u64 = 8;
/// All accounts' funds together in an asset, units of 10^-8: four billion. Two runs on the same topics still stay
/// below 10^10, the most that a column of a view can hold for the outside world's account.
const TOTAL_FUNDS: u64 = 4_000_000_000 * ONE as u64;
/// Far more than an account has open, even if settlements lag by half a million orders.
const MAX_OPEN_ORDERS: i64 = 100_000;

/// Tick and lot of instruments, by turns: a lot costs 20 to 80 USD in each.
const KINDS: [(i64, i64); 4] =
    [(ONE / 1_000, ONE), (ONE / 100, ONE / 10), (ONE / 10, ONE / 100), (ONE / 10_000, 10 * ONE)];
/// Reference prices in ticks: AAPL's is 58,533.
const MIN_REFERENCE_TICKS: u32 = 20_000;
const MAX_REFERENCE_TICKS: u32 = 80_000;
/// Order prices stay within 25 % of the reference (see `book`), so that none is near the collar.
const COLLAR_PPM: i64 = 300_000;
/// 21:00 UTC.
const SESSION_CLOSE_MS: i64 = 21 * 3_600_000;

/// An instrument.
#[derive(Debug, Clone)]
pub(super) struct Market {
    pub(super) symbol: SmolStr,
    base_asset: SmolStr,
    /// Units of 10^-8.
    pub(super) tick: i64,
    /// Units of 10^-8.
    pub(super) lot: i64,
    pub(super) reference_ticks: i64,
}

impl Market {
    fn new(index: usize, dice: &mut Dice) -> Self {
        let base_asset = format_smolstr!("SYN{:04}", index + 1);
        let (tick, lot) = KINDS[index % KINDS.len()];
        let span = MAX_REFERENCE_TICKS - MIN_REFERENCE_TICKS;
        Self {
            symbol: format_smolstr!("{base_asset}-{QUOTE_ASSET}"),
            base_asset,
            tick,
            lot,
            reference_ticks: i64::from(MIN_REFERENCE_TICKS + dice.below(span)),
        }
    }

    /// Its reference data.
    pub(super) fn instrument(&self) -> wire::Instrument {
        wire::Instrument {
            symbol: self.symbol.clone(),
            base_asset: self.base_asset.clone(),
            quote_asset: SmolStr::new_static(QUOTE_ASSET),
            tick_size: self.tick,
            lot_size: self.lot,
            min_quantity: self.lot,
            max_quantity: MAX_LOTS * self.lot,
            min_notional: ONE,
            max_notional: 10_000_000 * ONE,
            reference_price: self.reference_ticks * self.tick,
            collar_ppm: COLLAR_PPM,
            maker_fee_ppm: 100,
            taker_fee_ppm: 250,
            status: wire::InstrumentStatus::Open,
            session_close_ms: SESSION_CLOSE_MS,
        }
    }
}

/// The instruments and accounts of a run.
#[derive(Debug, Clone)]
pub(super) struct World {
    markets: Vec<Market>,
    names: Vec<SmolStr>,
    per_account: u64,
    /// Sums of weights by rank, by Zipf's law unless all are equal: `weights[n]` is that of the first `n`.
    weights: Vec<u64>,
    id_prefix: SmolStr,
}

impl World {
    pub(super) fn new(config: &Config) -> Self {
        let (markets, accounts) = (u64::from(config.instruments), u64::from(config.accounts));
        let per_account = (MIN_MEMBERS * markets).div_ceil(accounts).max(MIN_PER_ACCOUNT).min(markets);
        let most_members = (accounts * per_account).div_ceil(markets);
        let mut weights = vec![0];
        let mut sum = 0;
        for rank in 1..=markets.max(most_members) {
            sum += (1 << 40) / if config.is_uniform { 1 } else { rank };
            weights.push(sum);
        }
        // Dice of their own: instruments stay the same when the flow's dice are rolled otherwise.
        let mut dice = Dice::new(!config.seed);
        let run = config.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ config.base_time_ms.cast_unsigned();
        let mut run_dice = Dice::new(run);
        Self {
            markets: (0..config.instruments as usize).map(|index| Market::new(index, &mut dice)).collect(),
            names: (1..=config.accounts).map(|number| format_smolstr!("gen-{number:05}")).collect(),
            per_account,
            weights,
            id_prefix: format_smolstr!("g{:08x}-", run_dice.below(u32::MAX)),
        }
    }

    pub(super) fn markets(&self) -> &[Market] {
        &self.markets
    }

    pub(super) fn account_name(&self, account: u32) -> SmolStr {
        self.names.get(account as usize).cloned().unwrap_or_default()
    }

    /// The client order id of command `number` of this run.
    pub(super) fn client_order_id(&self, number: u64) -> SmolStr {
        format_smolstr!("{}{number}", self.id_prefix)
    }

    /// A market, the popular ones more often.
    pub(super) fn popular_market(&self, dice: &mut Dice) -> usize {
        self.rank(self.markets.len(), dice)
    }

    /// An account that trades in `market`, the active ones more often.
    pub(super) fn active_account(&self, market: usize, dice: &mut Dice) -> u32 {
        let rank = self.rank(self.members(market), dice);
        ((market + rank * self.markets.len()) as u64 / self.per_account) as u32
    }

    /// A number below `count`, by their weights.
    fn rank(&self, count: usize, dice: &mut Dice) -> usize {
        let roll = dice.below_u64(self.weights[count]);
        self.weights[..=count].partition_point(|sum| *sum <= roll) - 1
    }

    /// How many accounts trade in `market`: its n-th is the owner of slot `market + n * markets`.
    fn members(&self, market: usize) -> usize {
        (self.slots() - market).div_ceil(self.markets.len())
    }

    /// Pairs of an account and an instrument that it trades in.
    fn slots(&self) -> usize {
        self.names.len() * self.per_account as usize
    }

    /// All accounts: half of the funds spread evenly, half as activity is.
    pub(super) fn accounts(&self) -> impl Iterator<Item = FundedAccount> + '_ {
        let funded = (0..self.names.len()).map(|account| {
            let per_account = self.per_account as usize;
            let slots = account * per_account..(account + 1) * per_account;
            let even = TOTAL_FUNDS / 2 / self.names.len() as u64;
            let mut quote = even;
            let mut funds: Vec<(SmolStr, i64)> = slots
                .map(|slot| {
                    let (market, rank) = (slot % self.markets.len(), slot / self.markets.len());
                    let active = share(TOTAL_FUNDS / 2, &self.weights, rank, self.members(market));
                    quote += share(active, &self.weights, market, self.markets.len());
                    let even = TOTAL_FUNDS / 2 / self.members(market) as u64;
                    (self.markets[market].base_asset.clone(), whole(even + active))
                })
                .collect();
            funds.push((SmolStr::new_static(QUOTE_ASSET), whole(quote)));
            self.account(self.names[account].clone(), funds)
        });
        funded.chain([self.account(SmolStr::new_static(UNFUNDED_ACCOUNT), Vec::new())])
    }

    fn account(&self, name: SmolStr, funds: Vec<(SmolStr, i64)>) -> FundedAccount {
        FundedAccount::new(name, MAX_OPEN_ORDERS, funds, self.id_prefix.clone())
    }
}

/// What of `total` belongs to the one of `rank` (from 0) among `count`, by their weights.
fn share(total: u64, weights: &[u64], rank: usize, count: usize) -> u64 {
    let weight = u128::from(weights[rank + 1] - weights[rank]);
    (u128::from(total) * weight / u128::from(weights[count])) as u64
}

/// Whole units, one at least.
fn whole(amount: u64) -> i64 {
    (amount.cast_signed() / ONE).max(1) * ONE
}
