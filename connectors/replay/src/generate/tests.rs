use super::*;
use std::collections::{BTreeMap, HashMap, HashSet};
use tapeline_domain::types::MAX_UNITS;
use wire::{CommandKind, OrderType, TimeInForce};

fn config(commands: u64) -> Config {
    Config { commands: Some(commands), rate_per_second: 25, ..Config::new(7, 1_800_000_000_000) }
}

fn flow(config: Config) -> Vec<Timed> {
    Generator::new(config).unwrap().collect()
}

fn percentile(values: &mut [i64], percent: usize) -> i64 {
    values.sort_unstable();
    values[values.len() * percent / 100]
}

#[test]
fn the_same_configuration_gives_the_same_bytes() {
    let (one, again) = (flow(config(20_000)), flow(config(20_000)));
    assert_eq!(one, again);
    assert_eq!(one[..5_000], flow(config(5_000))[..], "a shorter flow is the beginning of a longer one");
    assert_ne!(one, flow(Config { seed: 8, ..config(20_000) }));
    // Holds the flow still across versions and machines; a change of the flow on purpose changes this figure.
    let text = |Timed { at_ns, command: it }: &Timed| {
        let (account, id, kind) = (&it.account, &it.client_order_id, it.kind.symbol());
        format!("{at_ns} {account} {id} {kind} {:?} {:?} {:?}\n", it.instrument, it.price, it.quantity)
    };
    let bytes: Vec<u8> = one.iter().flat_map(|timed| text(timed).into_bytes()).collect();
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    assert_eq!(hash, 15_392_688_618_768_215_596);
}

#[test]
fn a_configuration_out_of_range_names_the_field() {
    let refused = |config: Config| Generator::new(config).err().unwrap().to_string();
    let good = config(1);
    assert_eq!(
        refused(Config { instruments: 0, ..good.clone() }),
        "instruments is 0: set it to a whole number from 1 to 100000"
    );
    assert!(refused(Config { accounts: 1, ..good.clone() }).starts_with("accounts is 1"));
    assert!(refused(Config { rate_per_second: 0, ..good.clone() }).starts_with("rate_per_second is 0"));
    assert!(refused(Config { faulty_ppm: 1_000_001, ..good }).starts_with("faulty_ppm is 1000001"));
}

/// The rules of the validator that need no state but reference data.
fn is_sound(command: &wire::Command, instruments: &HashMap<SmolStr, wire::Instrument>) -> bool {
    if command.account == world::UNFUNDED_ACCOUNT {
        return false;
    }
    let Some(instrument) = command.instrument.as_ref().map(|symbol| instruments.get(symbol)) else { return true };
    let Some(instrument) = instrument else { return false };
    if command.kind != CommandKind::Place {
        return true;
    }
    let reach = instrument.reference_price / 1_000_000 * instrument.collar_ppm;
    let prices = command.price.into_iter().chain(command.stop_price);
    let priced = prices
        .into_iter()
        .all(|price| price % instrument.tick_size == 0 && (price - instrument.reference_price).abs() < reach);
    let quantity = command.quantity.unwrap();
    let lots = [Some(quantity), command.display_quantity];
    let in_lots = lots.into_iter().flatten().all(|lots| lots > 0 && lots % instrument.lot_size == 0);
    let (order_type, time) = (command.order_type.unwrap(), command.time_in_force.unwrap_or(TimeInForce::Gtc));
    let immediate = matches!(time, TimeInForce::Ioc | TimeInForce::Fok);
    let limited = matches!(order_type, OrderType::Limit | OrderType::StopLimit);
    let stops = matches!(order_type, OrderType::Stop | OrderType::StopLimit);
    assert_eq!((limited, stops), (command.price.is_some(), command.stop_price.is_some()), "{command:?}");
    assert_eq!(time == TimeInForce::Gtd, command.expires_at_ms.is_some(), "{command:?}");
    if command.post_only || command.display_quantity.is_some() {
        assert!(order_type == OrderType::Limit && !immediate, "{command:?}");
    }
    let worst = i128::from(instrument.reference_price) * 13 / 10;
    let cost = |price: i128| price * i128::from(quantity) / 100_000_000;
    let least = command.price.map_or(worst, i128::from);
    priced
        && in_lots
        && quantity <= instrument.max_quantity
        && cost(worst) <= instrument.max_notional.into()
        && cost(least) >= instrument.min_notional.into()
        && command.display_quantity.is_none_or(|shown| shown <= quantity)
}

#[test]
fn only_the_faulty_share_breaks_a_rule() {
    for (instruments, accounts, faulty_ppm) in [(50, 5_000, 10_000), (1, 2, 0), (2_000, 100, 200_000), (7, 3, 10_000)] {
        let config = Config { instruments, accounts, faulty_ppm, ..config(60_000) };
        let generator = Generator::new(config).unwrap();
        let known: HashMap<_, _> = generator.instruments().into_iter().map(|it| (it.symbol.clone(), it)).collect();
        assert_eq!(known.len(), instruments as usize);
        let names: HashSet<_> = generator.accounts().map(|funded| funded.account.account).collect();
        assert_eq!(names.len(), accounts as usize + 1);
        let mut first: HashMap<(SmolStr, SmolStr), wire::Command> = HashMap::new();
        let (mut unsound, mut repeated, mut last_ns) = (0_u64, 0_u64, 0);
        for Timed { at_ns, command } in generator {
            assert!(at_ns >= last_ns && names.contains(&command.account));
            last_ns = at_ns;
            let target = command.target_client_order_id.clone();
            if let Some(target) = target {
                let placed = &first[&(command.account.clone(), target)];
                assert_eq!(placed.kind, CommandKind::Place);
            }
            unsound += u64::from(!is_sound(&command, &known));
            let id = (command.account.clone(), command.client_order_id.clone());
            match first.get(&id) {
                Some(original) => {
                    assert_eq!(original, &command, "a client order id comes again with the same command only");
                    repeated += 1;
                }
                None => drop(first.insert(id, command)),
            }
        }
        let expected = u64::from(faulty_ppm) * 60_000 / 1_000_000;
        let near = |count: u64, expected: u64| count.abs_diff(expected) <= expected / 4 + 5 * u64::from(expected > 0);
        assert!(near(unsound, expected * 4 / 5), "{unsound} unsound");
        assert!(near(repeated, expected / 5), "{repeated} repeated");
    }
}

#[test]
fn gtd_orders_end_after_they_come() {
    let config = config(50_000);
    let mut seen = 0;
    for timed in flow(config.clone()) {
        let Some(expires_at_ms) = timed.command.expires_at_ms else { continue };
        let now_ms = config.base_time_ms + (timed.at_ns / 1_000_000) as i64;
        // A repeated command is up to 64 commands late.
        assert!((now_ms..=now_ms + 3_600_000).contains(&expires_at_ms));
        seen += 1;
    }
    assert!((200..800).contains(&seen), "{seen}");
}

#[test]
fn funds_go_to_the_active_and_stay_in_bounds() {
    for (instruments, accounts) in [(50, 5_000), (1, 2), (3_000, 40)] {
        let generator = Generator::new(Config { instruments, accounts, ..config(1) }).unwrap();
        let mut totals: BTreeMap<SmolStr, i64> = BTreeMap::new();
        let funded: Vec<FundedAccount> = generator.accounts().collect();
        for command in funded.iter().flat_map(FundedAccount::deposits) {
            let amount = command.amount.unwrap();
            assert!(amount > 0 && command.kind == CommandKind::Deposit);
            *totals.entry(command.asset.unwrap()).or_default() += amount;
        }
        assert_eq!(totals.len(), instruments as usize + 1);
        for (asset, total) in totals {
            assert!((MAX_UNITS / 5..MAX_UNITS / 2).contains(&total), "{asset}: {total}");
        }
        assert_eq!(funded.last().unwrap().funds, []);
        let deposits: usize = funded.iter().map(|account| account.funds.len()).sum();
        assert!(deposits <= 12 * (instruments + accounts) as usize, "{deposits} deposits");
    }
}

/// The figures of the module's table, in a short flow; `--nocapture` prints them.
#[test]
fn the_flow_is_shaped_like_the_aapl_hour() {
    let config = Config { faulty_ppm: 0, ..config(200_000) };
    let generator = Generator::new(config).unwrap();
    let ticks: HashMap<_, _> = generator.instruments().into_iter().map(|it| (it.symbol, it.lot_size)).collect();
    let mut shares: BTreeMap<&str, f64> = BTreeMap::new();
    let (mut sizes, mut lives, mut seconds) = (Vec::new(), Vec::new(), HashMap::new());
    let (mut markets, mut accounts) = (HashMap::<SmolStr, u32>::new(), HashMap::<SmolStr, u32>::new());
    let mut counts: HashMap<SmolStr, i64> = HashMap::new();
    let mut placed: HashMap<SmolStr, (SmolStr, i64)> = HashMap::new();
    for Timed { at_ns, command } in generator {
        *seconds.entry(at_ns / 1_000_000_000).or_insert(0_u32) += 1;
        *accounts.entry(command.account.clone()).or_default() += 1;
        let immediate = matches!(command.time_in_force, Some(TimeInForce::Ioc | TimeInForce::Fok))
            || command.order_type == Some(OrderType::Market);
        let share = match command.kind {
            CommandKind::Place if immediate => "immediate",
            CommandKind::Place => "rest",
            CommandKind::Cancel => "cancel",
            _ => "change",
        };
        *shares.entry(share).or_default() += 100.0 / 200_000.0;
        let target = command.target_client_order_id.as_ref().map(|target| placed[target].clone());
        let symbol = target.clone().map_or_else(|| command.instrument.clone().unwrap(), |(symbol, _)| symbol);
        *markets.entry(symbol.clone()).or_default() += 1;
        let count = counts.entry(symbol.clone()).or_default();
        *count += 1;
        match (command.kind, target) {
            (CommandKind::Cancel, Some((_, born))) => lives.push(*count - born),
            (CommandKind::Place, _) => {
                if share == "rest" {
                    sizes.push(command.quantity.unwrap() / ticks[&symbol]);
                }
                placed.insert(command.client_order_id, (symbol, *count));
            }
            _ => {}
        }
    }
    let last = *seconds.keys().max().unwrap();
    let per_second = |second| f64::from(seconds.get(&second).copied().unwrap_or(0));
    let mean = 200_000.0 / (last + 1) as f64;
    let variance = (0..=last).map(|second| (per_second(second) - mean).powi(2)).sum::<f64>() / (last + 1) as f64;
    let round = sizes.iter().filter(|lots| *lots % 100 == 0).count() * 100 / sizes.len();
    let size = [50, 90, 99].map(|percent| percentile(&mut sizes, percent));
    let life = [10, 50, 90, 99].map(|percent| percentile(&mut lives, percent));
    let top = |counts: &HashMap<SmolStr, u32>| f64::from(*counts.values().max().unwrap()) / 2_000.0;
    println!("{shares:.1?} sizes {size:?} round {round} life {life:?} mean {mean:.1}/s fano {:.0}", variance / mean);
    println!("top instrument {:.1} %, account {:.1} %", top(&markets), top(&accounts));
    let near = |value: f64, low: f64, high: f64| assert!((low..high).contains(&value), "{value}: {low} to {high}");
    near(shares["rest"], 47.0, 52.0);
    near(shares["cancel"], 43.0, 48.0);
    near(shares["change"], 0.4, 1.5);
    near(shares["immediate"], 3.0, 4.5);
    assert_eq!(size, [100, 200, 1_000]);
    near(round as f64, 60.0, 68.0);
    near(life[1] as f64, 14.0, 24.0);
    near(life[2] as f64, 150.0, 350.0);
    near(mean, 22.0, 28.0);
    near(variance / mean, 20.0, 90.0);
    near(top(&markets), 18.0, 27.0);
    near(top(&accounts), 3.0, 12.0);
}

/// A book good enough to tell which cancels come too late: price-time matching of limit orders, nothing else.
#[derive(Default)]
struct PlainBook {
    bids: BTreeMap<(i64, u64), (SmolStr, i64)>,
    asks: BTreeMap<(i64, u64), (SmolStr, i64)>,
    open: HashMap<SmolStr, (wire::Side, (i64, u64))>,
    trades: u64,
}

impl PlainBook {
    fn place(&mut self, at: u64, command: &wire::Command) {
        let (side, price) = (command.side.unwrap(), command.price.unwrap_or(0));
        let sign = if side == wire::Side::Buy { 1 } else { -1 };
        let any_price = command.order_type == Some(OrderType::Market);
        let mut leaves = command.quantity.unwrap();
        let (own, others) = match side {
            wire::Side::Buy => (&mut self.bids, &mut self.asks),
            _ => (&mut self.asks, &mut self.bids),
        };
        // Keys rise from the best price on: asks by price, bids by its negative.
        while let Some(mut best) = others.first_entry() {
            if leaves == 0 || !(any_price || best.key().0 <= sign * price) {
                break;
            }
            let filled = leaves.min(best.get().1);
            leaves -= filled;
            best.get_mut().1 -= filled;
            self.trades += 1;
            if best.get().1 == 0 {
                self.open.remove(&best.remove().0);
            }
        }
        let rests = !any_price && !matches!(command.time_in_force, Some(TimeInForce::Ioc | TimeInForce::Fok));
        if leaves > 0 && rests {
            let key = (-sign * price, at);
            own.insert(key, (command.client_order_id.clone(), leaves));
            self.open.insert(command.client_order_id.clone(), (side, key));
        }
    }

    fn cancel(&mut self, id: &str) -> bool {
        let Some((side, key)) = self.open.remove(id) else { return false };
        let own = if side == wire::Side::Buy { &mut self.bids } else { &mut self.asks };
        own.remove(&key).is_some()
    }
}

#[test]
fn few_cancels_come_too_late_and_the_book_stays_small() {
    let config = Config { faulty_ppm: 0, instruments: 1, accounts: 100, ..config(90_000) };
    let (mut book, mut placed, mut cancels, mut late, mut deepest) = (PlainBook::default(), 0_u64, 0, 0, 0);
    for (at, timed) in flow(config).iter().enumerate() {
        let command = &timed.command;
        match command.kind {
            CommandKind::Place if command.stop_price.is_none() => {
                placed += 1;
                book.place(at as u64, command);
            }
            CommandKind::Cancel => {
                cancels += 1;
                late += u64::from(!book.cancel(command.target_client_order_id.as_deref().unwrap()));
            }
            _ => {}
        }
        deepest = deepest.max(book.open.len());
    }
    println!("{placed} placed, {} trades, {late} of {cancels} cancels late, at most {deepest} open", book.trades);
    assert!((3_000..15_000).contains(&book.trades), "{} trades", book.trades);
    assert!(late * 4 < cancels, "{late} of {cancels} cancels are late");
    assert!(deepest < 1_500, "{deepest} open");
}
