use super::*;
use crate::feed::channel::Reading;
use crate::feed::wake::{Rounds, Wake};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tapeline_schemas::wire::{Bucket, Execution, Posting, Rejection, Settlement, ValidatedCommand};

const OWN: &str = "acc-1";
const OTHER: &str = "acc-2";
const RING_BYTES: usize = 1 << 20;

fn example<T: DeserializeOwned>(path: &str) -> T {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/examples").join(path);
    serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap()
}

/// The topics of the tests: of each trade a command, an execution and two settlements, all in partition 0.
struct Log([Vec<Record>; 4]);

const SOURCES: [Source; 4] = [Source::Validated, Source::Rejected, Source::Executed, Source::Settled];

impl Log {
    fn of(trades: usize) -> Self {
        let command: ValidatedCommand = example("orders.validated/03_place_limit_gtc.json");
        let execution: Execution = example("trades.executed/06_traded_taker_filled.json");
        let settlement: Settlement = example("trades.settled/03_traded_taker_filled_taker.json");
        let rejection: Rejection = example("orders.rejected/insufficient_funds.json");
        let mut topics = [const { Vec::new() }; 4];
        for id in 0..trades as i64 {
            let own_takes = id % 3 != 1;
            let accounts = if own_takes { [OWN, OTHER] } else { [OTHER, OWN] };
            let mut command = ValidatedCommand { command_id: id, account: accounts[0].into(), ..command.clone() };
            command.client_order_id = format!("place {id}").into();
            (command.reserved_asset, command.reserved_amount) = (Some("USD".into()), 10);
            topics[0].push(Record::Validated(Arc::new(command)));
            let rejection =
                Rejection { account: OWN.into(), client_order_id: format!("reject {id}").into(), ..rejection.clone() };
            topics[1].push(Record::Rejected(Arc::new(rejection)));
            let mut trade = Execution { trade_id: Some(id), ..execution.clone() };
            for (order, account) in [&mut trade.order, &mut trade.maker].into_iter().zip(accounts) {
                let order = order.as_mut().unwrap();
                (order.account, order.client_order_id) = (account.into(), format!("trade {id}").into());
                order.order_id = if account == OWN { 1_000 + id } else { 2_000 + id };
            }
            topics[2].push(Record::Executed(Arc::new(trade)));
            for account in accounts {
                let posting = |asset: &str, bucket, amount| Posting {
                    account: account.into(),
                    asset: asset.into(),
                    bucket,
                    amount,
                };
                let settled = Settlement {
                    execution_id: id,
                    trade_id: Some(id),
                    account: account.into(),
                    order_id: Some(if account == OWN { 1_000 + id } else { 2_000 + id }),
                    postings: vec![posting("USD", Bucket::Reserved, -7), posting("AAPL", Bucket::Available, id)],
                    ..settlement.clone()
                };
                topics[3].push(Record::Settled(Arc::new(settled), None));
            }
        }
        Self(topics)
    }

    /// The account's balances after the records before `position`.
    fn balances(&self, position: &Position) -> BTreeMap<String, (i128, i128)> {
        let mut balances = BTreeMap::<String, (i128, i128)>::new();
        for (source, topic) in SOURCES.into_iter().zip(&self.0) {
            for record in topic.iter().take(position.next(source, 0) as usize) {
                let event =
                    Event { account: OWN.into(), partition: 0, offset: 0, record: record.clone(), as_maker: false };
                let own = event::concerned(record).any(|(account, _)| account == OWN);
                for (asset, available, reserved) in if own { event.changes() } else { Vec::new() } {
                    let balance = balances.entry(asset.to_string()).or_default();
                    *balance = (balance.0 + available, balance.1 + reserved);
                }
            }
        }
        balances
    }

    fn snapshot(&self, offsets: Position) -> AccountSnapshot {
        let balances = self.balances(&offsets).into_iter();
        let balances =
            balances.map(|(asset, (available, reserved))| Balance { asset: asset.into(), available, reserved });
        AccountSnapshot { orders: Vec::new(), balances: balances.collect(), offsets }
    }

    /// What the account is told of the records at or after `from`, in any order.
    fn events(&self, from: &Position) -> Vec<String> {
        let mut told = Vec::new();
        for (source, topic) in SOURCES.into_iter().zip(&self.0) {
            for record in topic.iter().skip(from.next(source, 0) as usize) {
                let own = event::concerned(record).filter(|(account, _)| account == OWN);
                told.extend(own.map(|_| match record {
                    Record::Validated(command) => format!("pending {}", command.client_order_id),
                    Record::Rejected(rejection) => format!("rejected {}", rejection.client_order_id),
                    Record::Executed(execution) => format!("traded trade {}", execution.trade_id.unwrap()),
                    Record::Settled(settlement, _) => format!("fill trade {}", settlement.trade_id.unwrap()),
                }));
            }
        }
        told.sort();
        told
    }
}

/// A gateway that takes the topics in an order of its own.
struct Gateway<'a> {
    log: &'a Log,
    accounts: Accounts,
    wake: Arc<Wake>,
    read: [usize; 4],
}

impl<'a> Gateway<'a> {
    fn of(log: &'a Log) -> Self {
        let rounds = Arc::<Rounds>::default();
        Self { log, wake: rounds.wake(), accounts: Accounts::new(rounds, RING_BYTES), read: [0; 4] }
    }

    fn take(&mut self, topic: usize, count: usize) {
        let from = self.read[topic];
        let records = self.log.0[topic].iter().enumerate().skip(from).take(count);
        let records: Vec<_> = records.map(|(offset, record)| (0, offset as i64, Some(record.clone()))).collect();
        self.read[topic] += records.len();
        self.accounts.take(SOURCES[topic], records);
    }

    fn take_all(&mut self) {
        (0..4).for_each(|topic| self.take(topic, usize::MAX));
    }
}

/// What a client was told.
#[derive(Default)]
struct Client {
    events: Vec<String>,
    balances: BTreeMap<String, (i128, i128)>,
    position: Option<Position>,
    at: Option<(Arc<AccountChannel>, u64)>,
}

impl Client {
    fn join(&mut self, gateway: &Gateway<'_>, snapshot: Option<&AccountSnapshot>) -> Result<(), NotYet> {
        let channel = gateway.accounts.listen(&OWN.into(), &gateway.wake);
        let joined = gateway.accounts.join(&OWN.into(), self.position.as_ref(), snapshot)?;
        if let Some(account) = joined.account {
            *self = Self::default();
            self.hear(&account);
        }
        joined.since.iter().for_each(|message| self.hear(&message.numbered(1)));
        self.at = Some((channel, joined.cursor));
        Ok(())
    }

    /// Reads up to `count` messages and forgets the others, as when a connection breaks.
    fn read(&mut self, count: usize) {
        let (channel, mut cursor) = self.at.take().unwrap();
        let mut messages = Vec::new();
        assert_eq!(channel.read(&mut cursor, &mut messages), Reading::UpToDate);
        messages.iter().take(count).for_each(|message| self.hear(&message.numbered(1)));
        self.at = Some((channel, cursor));
    }

    fn hear(&mut self, message: &str) {
        let message: Value = serde_json::from_str(message).unwrap();
        let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
        let position = Position::parse(&text("position")).unwrap();
        if let Some(before) = &self.position {
            assert!(position.reaches(before), "positions only rise: {message}");
        }
        self.position = Some(position);
        let amount = |of: &Value, name: &str| {
            let (sign, digits) = of[name]
                .as_str()
                .unwrap()
                .strip_prefix('-')
                .map_or((1, of[name].as_str().unwrap()), |digits| (-1, digits));
            i128::from(crate::amount::parse(digits).unwrap()) * sign
        };
        let mut balance = |of: &Value| {
            let asset = of["asset"].as_str().unwrap().to_owned();
            self.balances.insert(asset, (amount(of, "available"), amount(of, "reserved")));
        };
        match text("type").as_str() {
            "account" => message["balances"].as_array().unwrap().iter().for_each(&mut balance),
            "balance" => balance(&message),
            "fill" => {
                let traded = format!("traded {}", text("client_order_id"));
                self.events.push(format!("fill {}", text("client_order_id")));
                let known = self.events.contains(&traded) || message["trade_id"].is_string();
                assert!(known, "a fill names its trade: {message}");
            }
            _ => self.events.push(format!("{} {}", text("event"), text("client_order_id"))),
        }
    }
}

#[test]
fn a_settlement_waits_for_the_trade_that_it_settles_and_names_its_order() {
    let log = Log::of(2);
    let mut gateway = Gateway::of(&log);
    let mut client = Client::default();
    client.join(&gateway, Some(&log.snapshot(Position::default()))).unwrap();
    gateway.take(3, usize::MAX);
    client.read(usize::MAX);
    assert!(client.events.is_empty());
    assert_eq!(gateway.accounts.position().next(Source::Settled, 0), 0);
    gateway.take(2, 1);
    client.read(usize::MAX);
    assert_eq!(client.events, ["traded trade 0", "fill trade 0"]);
    gateway.take(2, 1);
    client.read(usize::MAX);
    assert_eq!(client.events[2..], ["traded trade 1", "fill trade 1"]);
}

#[test]
fn who_goes_on_from_the_middle_of_a_batch_hears_of_the_balances_that_it_changed() {
    let log = Log::of(1);
    let mut gateway = Gateway::of(&log);
    let mut client = Client::default();
    client.join(&gateway, Some(&log.snapshot(Position::default()))).unwrap();
    gateway.take(0, 1);
    client.read(1);
    assert_eq!((client.events.len(), client.balances.get("USD")), (1, None), "the connection broke before the balance");
    client.join(&gateway, None).unwrap();
    assert_eq!((client.events.len(), client.balances.get("USD")), (1, Some(&(-10, 10))));
}

#[test]
fn a_client_waits_until_view_and_gateway_fit_together() {
    let log = Log::of(4);
    let mut gateway = Gateway::of(&log);
    let mut client = Client::default();
    assert_eq!(client.join(&gateway, None), Err(NotYet::NeedsView));
    gateway.take_all();
    let seen = gateway.accounts.position();
    let mut ahead = seen.clone();
    ahead.set(Source::Settled, 0, 99);
    assert_eq!(client.join(&gateway, Some(&log.snapshot(ahead.clone()))), Err(NotYet::GatewayBehind));
    client.position = Some(ahead);
    assert_eq!(client.join(&gateway, None), Err(NotYet::GatewayBehind));
    let late = Gateway::of(&log);
    SOURCES.iter().for_each(|source| late.accounts.begin(*source, &[3]));
    client.position = None;
    assert_eq!(client.join(&late, Some(&log.snapshot(Position::default()))), Err(NotYet::ViewBehind));
    client.position = Some(Position::default());
    assert_eq!(client.join(&late, None), Err(NotYet::NeedsView), "too old to go on from");
}

#[test]
fn a_position_that_is_too_old_begins_anew_and_says_so() {
    let log = Log::of(400);
    let rounds = Arc::<Rounds>::default();
    let small = Accounts::new(Arc::clone(&rounds), 50_000);
    let mut gateway = Gateway { accounts: small, wake: rounds.wake(), ..Gateway::of(&log) };
    gateway.take_all();
    gateway.accounts.listen(&OWN.into(), &gateway.wake);
    let view = log.snapshot(gateway.accounts.position());
    let joined = gateway.accounts.join(&OWN.into(), Some(&Position::default()), Some(&view)).unwrap();
    let account: Value = serde_json::from_str(&joined.account.unwrap()).unwrap();
    assert_eq!((&account["resync"], &account["sequence"]), (&Value::Bool(true), &Value::from(0)));
    assert!(joined.since.is_empty());
}

#[test]
fn an_account_is_told_of_its_own_and_nothing_once_nobody_listens() {
    let log = Log::of(1);
    let mut gateway = Gateway::of(&log);
    let channel = gateway.accounts.listen(&OTHER.into(), &gateway.wake);
    gateway.accounts.join(&OTHER.into(), None, Some(&log.snapshot(Position::default()))).unwrap();
    gateway.take_all();
    let (mut cursor, mut messages) = (0, Vec::new());
    assert_eq!(channel.read(&mut cursor, &mut messages), Reading::UpToDate);
    let kinds: Vec<_> = messages.iter().map(|message| message.kind).collect();
    assert_eq!(kinds, ["order", "fill", "balance", "balance"]);
    gateway.accounts.leave(&OTHER.into(), &gateway.wake);
    assert_eq!(gateway.accounts.join(&OTHER.into(), None, None).unwrap_err(), NotYet::NeedsView);
}

/// Every example that concerns an account becomes valid JSON with the fields of the interface.
#[test]
fn each_kind_of_event_is_told_with_its_fields() {
    let executed = |file: &str| Record::Executed(Arc::new(example(&format!("trades.executed/{file}.json"))));
    let settled = |file: &str| Record::Settled(Arc::new(example(&format!("trades.settled/{file}.json"))), None);
    for (record, kind, fields) in [
        (
            Record::Validated(Arc::new(example("orders.validated/03_place_limit_gtc.json"))),
            "order",
            "pending/client_order_id,order",
        ),
        (
            Record::Rejected(Arc::new(example("orders.rejected/insufficient_funds.json"))),
            "order",
            "rejected/client_order_id,reason,text",
        ),
        (executed("03_accepted_place_limit_gtc"), "order", "accepted/client_order_id,order"),
        (executed("06_traded_taker_filled"), "order", "traded/client_order_id,order"),
        (executed("11_amended_kept_place"), "order", "amended/client_order_id,order"),
        (executed("17_triggered_stop"), "order", "triggered/client_order_id,order"),
        (executed("30_cancelled_requested"), "order", "cancelled/client_order_id,order,reason"),
        (executed("43_expired"), "order", "expired/client_order_id,order"),
        (executed("34_refused_not_open"), "order", "refused/client_order_id,reason,target_order_id"),
        (executed("41_transferred_withdraw"), "order", "transferred/client_order_id,asset,amount"),
        (
            settled("04_traded_taker_filled_maker"),
            "fill",
            "/trade_id,order_id,instrument,side,liquidity,price,quantity,notional,fee,fee_asset,traded_ms",
        ),
    ] {
        let (account, as_maker) = event::concerned(&record).next().unwrap();
        let event = Event { account, partition: 0, offset: 0, record, as_maker };
        let message = event.message(&Position::default()).unwrap();
        let json: Value = serde_json::from_str(&message.numbered(5)).unwrap();
        let (name, fields) = fields.split_once('/').unwrap();
        assert_eq!((message.kind, json["event"].as_str().unwrap_or_default()), (kind, name));
        for field in fields.split(',').chain(["type", "sequence", "position", "time_ms"]) {
            assert!(!json[field].is_null(), "{name} lacks {field}: {json}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A client that begins anywhere, loses its connection after any message and goes on at another gateway, which took the
    /// topics in another order, is told each event once, and ends with the balances of the whole log.
    #[test]
    fn a_client_that_goes_on_is_told_each_event_once(
        first in proptest::collection::vec((0..4usize, 1..5usize), 1..40),
        second in proptest::collection::vec((0..4usize, 1..5usize), 1..40),
        view_at in 0..40usize,
        joins_at in 0..40usize,
        hears in 0..60usize,
    ) {
        let log = Log::of(12);
        let (mut one, mut two) = (Gateway::of(&log), Gateway::of(&log));
        second.iter().for_each(|(topic, count)| two.take(*topic, *count));
        let mut client = Client::default();
        let (mut view, mut begin) = (Position::default(), Position::default());
        for (step, (topic, count)) in first.iter().enumerate() {
            if step == view_at.min(joins_at) {
                view = one.accounts.position();
            }
            if step == joins_at {
                begin = view.clone();
                client.join(&one, Some(&log.snapshot(view.clone()))).unwrap();
            }
            one.take(*topic, *count);
        }
        if client.at.is_none() {
            begin = one.accounts.position();
            client.join(&one, Some(&log.snapshot(begin.clone()))).unwrap();
        }
        client.read(hears);
        let view = log.snapshot(two.accounts.position());
        if client.join(&two, Some(&view)) == Err(NotYet::GatewayBehind) {
            two.take_all();
            client.join(&two, Some(&view)).unwrap();
        }
        two.take_all();
        client.read(usize::MAX);
        let told_fills_after_trades = client.events.iter().enumerate().all(|(place, event)| {
            event.strip_prefix("fill ").is_none_or(|of| {
                let traded = format!("traded {of}");
                client.events.iter().position(|event| *event == traded).is_none_or(|trade| trade < place)
            })
        });
        prop_assert!(told_fills_after_trades, "{:?}", client.events);
        let mut told = client.events;
        told.sort();
        prop_assert_eq!(told, log.events(&begin));
        let whole = log.balances(&two.accounts.position());
        prop_assert_eq!(client.balances, whole);
    }
}
