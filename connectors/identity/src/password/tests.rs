#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

#[test]
fn what_a_password_may_be() {
    let long = "ä".repeat(128);
    let too_long = "ä".repeat(129);
    let cases: [(&str, &str, bool); 14] = [
        ("correct horse", "ada", true),
        ("0123456789x", "ada", true),
        ("grünweiß€€", "ada", true),
        ("🦀🦀🦀🦀🦀🦀🦀🦀🦀x", "ada", true),
        ("short one", "ada", false),
        ("🦀x🦀x🦀x🦀x🦀", "ada", false),
        (&long[..252], "ada", false),
        (&too_long, "ada", false),
        ("adalovelace", "adalovelace", false),
        ("AdaLovelace", "adaLOVElace", false),
        ("my ada lives here", "ADA", false),
        ("Password123", "ada", false),
        ("qwertyuiop", "ada", false),
        ("xxxxxxxxxxxxxxx", "ada", false),
    ];
    for (password, login, expected) in cases {
        let verdict = check(password, login);
        assert_eq!(verdict.is_ok(), expected, "{password}: {verdict:?}");
        if let Err(refusal) = verdict {
            assert_eq!((refusal.code, refusal.field), (Code::WeakPassword, Some("password")), "{password}");
            assert!(!refusal.text.contains(password), "the answer does not repeat the password");
        }
    }
    let mixed: String = long.chars().take(127).chain(['x', 'y']).collect();
    assert_eq!((mixed.len(), check(&mixed, "ada")), (256, Ok(())), "256 bytes are allowed");
}

#[test]
fn the_list_of_common_passwords_has_only_those_that_length_does_not_refuse() {
    for common in COMMON.lines() {
        assert!(common.chars().count() >= MIN_CHARS && common.to_lowercase() == common, "{common}");
    }
}

#[test]
fn a_hash_verifies_its_password_and_no_other() {
    let mut rng = StdRng::seed_from_u64(1);
    let first = hash("correct horse", &mut rng).unwrap();
    assert!(first.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{first}");
    assert_ne!(first, hash("correct horse", &mut rng).unwrap(), "each has its salt");
    assert!(verify("correct horse", &first));
    for wrong in ["Correct horse", "correct horse ", ""] {
        assert!(!verify(wrong, &first), "{wrong}");
    }
}

#[test]
fn a_hash_with_other_parameters_is_checked_by_its_own() {
    // Of the reference implementation: echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -e
    let weaker = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    assert!(verify("password", weaker));
    assert!(!verify("passwort", weaker));
}

#[test]
fn nobodys_hash_costs_as_much_as_a_users_and_opens_nothing() {
    let mut rng = StdRng::seed_from_u64(2);
    let users = hash("nobody's password", &mut rng).unwrap();
    let shape = |hash: &str| {
        let parts: Vec<&str> = hash.split('$').collect();
        (parts[1..4].join("$"), parts[4].len(), parts[5].len())
    };
    assert_eq!(shape(NOBODY), shape(&users), "{users}");
    assert!(PasswordHash::new(NOBODY).is_ok());
    assert!(!verify("", NOBODY));
}

#[test]
fn neither_a_damaged_hash_nor_a_huge_password_is_right() {
    let mut rng = StdRng::seed_from_u64(3);
    for damaged in ["", "$", "$argon2id$", "plain", "$argon2id$v=19$m=19456,t=2,p=1$AAAA"] {
        assert!(!verify("", damaged), "{damaged}");
    }
    let empty = hash("", &mut rng).unwrap();
    assert!(!verify(&"x".repeat(257), &empty), "a longer one is not taken for the empty one");
}
