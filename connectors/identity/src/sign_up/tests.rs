#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::directory::Event;
use rand::SeedableRng;
use rand::rngs::StdRng;

fn request(login: &str, display_name: Option<&str>) -> SignUp {
    let display_name = display_name.map(str::to_owned);
    SignUp { login: login.into(), password: "correct horse".into(), display_name }
}

#[test]
fn what_a_login_and_a_name_may_be() {
    let long = "a".repeat(64);
    let longer = "a".repeat(65);
    let name = "ü".repeat(64);
    let longer_name = "ü".repeat(65);
    let cases: [(&str, Option<&str>, Option<Code>); 17] = [
        ("ada", None, None),
        ("Ada.L_0-9@x+y", Some("Ada Lovelace"), None),
        (&long, Some(&name), None),
        ("ada", Some("阿达 🦀"), None),
        ("ad", None, Some(Code::InvalidLogin)),
        ("", None, Some(Code::InvalidLogin)),
        (&longer, None, Some(Code::InvalidLogin)),
        ("ada l", None, Some(Code::InvalidLogin)),
        ("ädä", None, Some(Code::InvalidLogin)),
        ("ada\n", None, Some(Code::InvalidLogin)),
        ("ada/..", None, Some(Code::InvalidLogin)),
        ("ada", Some(""), Some(Code::InvalidDisplayName)),
        ("ada", Some("  "), Some(Code::InvalidDisplayName)),
        ("ada", Some("a\u{7}b"), Some(Code::InvalidDisplayName)),
        ("ada", Some("a\u{85}b"), Some(Code::InvalidDisplayName)),
        ("ada", Some(&longer_name), Some(Code::InvalidDisplayName)),
        ("correct", None, Some(Code::WeakPassword)),
    ];
    let mut rng = StdRng::seed_from_u64(1);
    for (login, name, expected) in cases {
        let verdict = check(&Directory::default(), request(login, name), &mut rng).map(drop);
        assert_eq!(verdict.err().map(|refusal| refusal.code), expected, "{login:?} {name:?}");
    }
}

#[test]
fn a_new_user_has_random_identities_and_no_rights() {
    let mut rng = StdRng::seed_from_u64(1);
    let user = check(&Directory::default(), request("Ada.L", None), &mut rng).unwrap().into_user(7, &mut rng).unwrap();
    assert_eq!((user.login.as_str(), user.login_key.as_str(), user.display_name.as_str()), ("Ada.L", "ada.l", "Ada.L"));
    assert_eq!((user.revision, user.status, user.created_ms, user.updated_ms), (0, Status::Active, 7, 7));
    assert!(user.roles.is_empty() && user.passkeys.is_empty());
    assert_eq!((user.user_id.len(), user.account.len()), (22, 14));
    assert!(user.account.starts_with("u-") && !user.account.contains("ada"));
    let other = check(&Directory::default(), request("Bob", None), &mut rng).unwrap().into_user(7, &mut rng).unwrap();
    assert_ne!((&user.user_id, &user.account), (&other.user_id, &other.account));
}

#[test]
fn a_login_that_is_taken_is_refused_whatever_its_case() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut directory = Directory::default();
    let user = check(&directory, request("Ada", None), &mut rng).unwrap().into_user(7, &mut rng).unwrap();
    directory.apply(&Event::User(user));
    for login in ["Ada", "ada", "ADA"] {
        let refusal = check(&directory, request(login, None), &mut rng).map(drop).unwrap_err();
        assert_eq!((refusal.code, refusal.field), (Code::LoginTaken, Some("login")));
    }
}

#[test]
fn an_account_that_a_user_has_is_not_given_again() {
    let mut directory = Directory::default();
    // The same generator draws the same account first.
    let mut rng = StdRng::seed_from_u64(5);
    let user = check(&directory, request("Ada", None), &mut rng).unwrap().into_user(7, &mut rng).unwrap();
    directory.apply(&Event::User(user.clone()));
    let mut rng = StdRng::seed_from_u64(5);
    let other = check(&directory, request("Bob", None), &mut rng).unwrap().into_user(7, &mut rng).unwrap();
    assert_ne!(user.account, other.account);
}
