use super::*;

fn parse(rows: &str) -> Result<OrderFile, ReadError> {
    let text = format!("{}\n{rows}", Format::Orders.header());
    OrderFile::from_reader(Path::new("o.csv"), text.as_bytes(), &Options::default())
}

#[test]
fn each_action_becomes_its_command() {
    let file = parse(
        "7,1000,NEW,11,S,5870000,100,\n9,1500,REDUCE,11,S,5870000,30,\n10,1500,IOC,12,B,5870000,20,exec\n\
         11,2000,REDUCE,11,S,5870000,20,\n12,3000,CANCEL,11,S,5870000,30,\n",
    );
    let commands: Vec<Timed> = file.unwrap().commands().collect();
    let seen: Vec<_> = commands
        .iter()
        .map(|timed| {
            let command = &timed.command;
            let target = command.target_client_order_id.as_deref();
            (timed.at_ns, command.kind, command.client_order_id.as_str(), target, command.quantity)
        })
        .collect();
    use wire::CommandKind::{Amend, Cancel, Place};
    assert_eq!(
        seen,
        [
            (0, Place, "11-7", None, Some(100 * ONE)),
            (500, Amend, "11-9", Some("11-7"), Some(70 * ONE)),
            (500, Place, "12-10", None, Some(20 * ONE)),
            (1_000, Amend, "11-11", Some("11-7"), Some(50 * ONE)),
            (2_000, Cancel, "11-12", Some("11-7"), None),
        ]
    );
    let (rest, taker) = (&commands[0].command, &commands[2].command);
    assert_eq!((rest.price, rest.side), (Some(587 * ONE), Some(wire::Side::Sell)));
    assert_eq!((taker.price, taker.side), (Some(587 * ONE), Some(wire::Side::Buy)));
    assert_eq!(rest.time_in_force, Some(wire::TimeInForce::Gtc));
    assert_eq!(taker.time_in_force, Some(wire::TimeInForce::Ioc));
    assert!(rest.account.starts_with("acc-") && taker.account.starts_with("taker-"));
    assert_eq!(commands[4].command.account, rest.account);
}

#[test]
fn bad_lines_say_where_and_what() {
    let new = "1,5,NEW,11,B,100,10,\n";
    let cases = [
        ("x,5,NEW,11,B,100,10,", "line 2, column `seq`: `x`, expected a whole number from 0 to"),
        ("1,,NEW,11,B,100,10,", "line 2, column `ts_ns`: ``, expected a whole number"),
        ("1,5,NOW,11,B,100,10,", "line 2, column `action`: `NOW`, expected NEW or IOC or REDUCE or CANCEL"),
        ("1,5,NEW,-1,B,100,10,", "line 2, column `order_id`: `-1`, expected a whole number"),
        ("1,5,NEW,11,BUY,100,10,", "line 2, column `side`: `BUY`, expected B or S"),
        ("1,5,NEW,11,B,0,10,", "line 2, column `price`: `0`, expected a whole number from 1 to 99999999999999"),
        ("1,5,NEW,11,B,1.5,10,", "line 2, column `price`: `1.5`, expected a whole number"),
        ("1,5,NEW,11,B,100,0,", "line 2, column `qty`: `0`, expected a whole number from 1 to 9999999999"),
        ("1,5,NEW,11,B,100,10", "line 2: 7 columns, expected 8: seq,ts_ns,"),
        ("{new}1,6,NEW,12,B,100,10,", "line 3, column `seq`: `1`, expected more than 1, the row before"),
        ("{new}2,4,NEW,12,B,100,10,", "line 3, column `ts_ns`: `4`, expected 5 or later"),
        ("{new}2,6,NEW,11,B,100,10,", "line 3, column `order_id`: `11`, expected an order id that no earlier"),
        ("{new}2,6,CANCEL,12,B,100,10,", "line 3, column `order_id`: `12`, expected the id of an earlier NEW"),
        ("1,5,IOC,11,B,100,10,\n2,6,CANCEL,11,B,100,10,", "line 3, column `order_id`: `11`, expected the id of"),
        ("{new}2,6,CANCEL,11,B,100,10,\n3,7,CANCEL,11,B,100,10,", "line 4, column `order_id`: `11`, expected"),
        ("{new}2,6,REDUCE,11,B,100,10,", "line 3, column `qty`: `10`, expected less than 10, the order's total"),
        ("{new}2,6,CANCEL,11,B,100,11,", "line 3, column `qty`: `11`, expected at most 10, the order's total"),
    ];
    for (rows, expected) in cases {
        let error = parse(&rows.replace("{new}", new)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("o.csv, {expected}")), "{rows:?}: {error}");
    }
}

#[test]
fn an_account_can_pay_for_all_its_orders() {
    let file = parse("1,1,NEW,1,B,1000000,10,exec+rest\n2,2,NEW,2,S,1000000,2000,exec+rest\n").unwrap();
    let accounts = file.accounts();
    let funds: Vec<_> = accounts.iter().map(|funded| (&*funded.account.account, &*funded.funds)).collect();
    let (usd, aapl) = (SmolStr::from("USD"), SmolStr::from("AAPL"));
    // 1,000 and its fee of 0.25 are rounded up to the next thousand.
    let expected = [("cross-00001", &[(usd, 2_000 * ONE)] as &[_]), ("cross-00002", &[(aapl, 2_000 * ONE)] as &[_])];
    assert_eq!(funds, expected);
    let deposits: Vec<wire::Command> = accounts[0].deposits().collect();
    assert_eq!(deposits.len(), 1);
    assert_eq!((deposits[0].kind, deposits[0].amount), (wire::CommandKind::Deposit, Some(2_000 * ONE)));
    assert_eq!(deposits[0].client_order_id, "deposit-USD");
}

#[test]
fn ids_of_the_file_and_of_the_client_lead_to_each_other() {
    assert_eq!(file_ids(&client_order_id(16_113_575, 37)), Some((16_113_575, 37)));
    for other in ["", "37", "a-1", "1-b", "deposit-USD"] {
        assert_eq!(file_ids(other), None, "{other}");
    }
}

#[test]
fn an_empty_file_gives_no_command_and_a_usable_instrument() {
    let file = parse("").unwrap();
    assert_eq!(file.commands().len(), 0);
    assert_eq!(file.accounts(), []);
    assert!(file.instrument().reference_price > 0);
}
