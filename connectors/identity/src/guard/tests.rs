#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use std::net::Ipv4Addr;

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

fn address(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(number))
}

fn wait_s(verdict: Result<(), Refusal>) -> Option<i64> {
    let refusal = verdict.err()?;
    assert_eq!(refusal.code, Code::TooManyTries);
    assert!(refusal.text.contains(&format!("{} s", refusal.retry_after_s.unwrap())));
    refusal.retry_after_s
}

#[test]
fn a_login_has_five_tries_a_minute_from_wherever() {
    let mut guard = LoginGuard::default();
    for number in 0..5 {
        assert_eq!(wait_s(guard.try_log_in("Ada", address(number), 0)), None);
    }
    assert_eq!(wait_s(guard.try_log_in("ada", address(6), 0)), Some(60), "case does not matter");
    assert_eq!(wait_s(guard.try_log_in("bob", address(6), 0)), None, "others go on");
    assert_eq!(wait_s(guard.try_log_in("ada", address(7), 59_001)), Some(1));
    assert_eq!(wait_s(guard.try_log_in("ada", address(7), 60_000)), None);
}

#[test]
fn an_address_has_twenty_tries_a_minute_with_whatever_login() {
    let mut guard = LoginGuard::default();
    for number in 0..20 {
        assert_eq!(wait_s(guard.try_log_in(&format!("login{number}"), HOME, 0)), None);
    }
    assert_eq!(wait_s(guard.try_log_in("another", HOME, 0)), Some(60));
    assert_eq!(wait_s(guard.try_log_in("another", "::ffff:192.0.2.7".parse().unwrap(), 0)), Some(60), "the same");
    assert_eq!(wait_s(guard.try_log_in("another", address(1), 0)), None);
}

#[test]
fn an_ipv6_network_counts_as_one_address() {
    let mut guard = LoginGuard::default();
    for host in 0..20 {
        let address = format!("2001:db8:0:1::{host:x}").parse().unwrap();
        assert_eq!(wait_s(guard.try_log_in(&format!("login{host}"), address, 0)), None);
    }
    assert!(guard.try_log_in("x", "2001:db8:0:1:ffff::1".parse().unwrap(), 0).is_err());
    assert!(guard.try_log_in("x", "2001:db8:0:2::1".parse().unwrap(), 0).is_ok());
}

/// Tries once a second until the bucket shuts; when, and for how long.
fn until_shut(guard: &mut LoginGuard, mut now_ms: i64) -> (i64, i64) {
    let mut number = u32::try_from(now_ms / 1_000).unwrap() + 1_000_000;
    loop {
        if let Some(wait_s) = wait_s(guard.try_log_in("ada", address(number), now_ms)) {
            return (now_ms, wait_s);
        }
        (now_ms, number) = (now_ms + 1_000, number + 1);
    }
}

#[test]
fn waits_double_up_to_a_quarter_of_an_hour_and_a_quiet_hour_takes_them_back() {
    let mut guard = LoginGuard::default();
    let mut now_ms = 0;
    let mut waits = Vec::new();
    for _ in 0..7 {
        let (shut_ms, wait_s) = until_shut(&mut guard, now_ms);
        waits.push(wait_s);
        now_ms = shut_ms + wait_s * 1_000;
    }
    assert_eq!(waits, [60, 120, 240, 480, 900, 900, 900]);
    assert_eq!(until_shut(&mut guard, now_ms + FORGIVEN_AFTER_MS).1, 60);
}

#[test]
fn a_right_password_forgives_the_login_but_not_the_address() {
    let mut guard = LoginGuard::default();
    for _ in 0..4 {
        for _ in 0..5 {
            assert_eq!(wait_s(guard.try_log_in("ada", HOME, 0)), None);
        }
        guard.succeeded("ADA");
    }
    assert_eq!(wait_s(guard.try_log_in("ada", HOME, 0)), Some(60));
}

#[test]
fn a_clock_that_is_set_back_opens_nothing() {
    let mut guard = LoginGuard::default();
    for number in 0..5 {
        guard.try_log_in("ada", address(number), 1_000_000).unwrap();
    }
    assert!(guard.try_log_in("ada", address(6), 1_000_000).is_err());
    assert!(guard.try_log_in("ada", address(7), 0).is_err());
    assert!(guard.try_log_in("ada", address(8), 1_000_001).is_err(), "nor later");
}

#[test]
fn memory_is_bounded_and_what_is_in_use_stays() {
    let mut guard = LoginGuard::with_capacity(100);
    for _ in 0..5 {
        guard.try_log_in("victim", address(1), 0).unwrap();
    }
    for number in 0..10_000_u32 {
        let _ = guard.try_log_in(&format!("made.up{number}"), address(number + 10), 0);
        if number % 20 == 0 {
            assert!(guard.try_log_in("victim", address(number + 20_000), 0).is_err(), "still shut after {number}");
        }
        for buckets in [&guard.logins, &guard.addresses] {
            assert!(buckets.young.len() + buckets.old.len() <= 101);
        }
    }
}

#[test]
fn a_login_of_any_length_and_content_is_counted() {
    let mut guard = LoginGuard::default();
    for login in ["", "\0", &"ä".repeat(1_000), &"x".repeat(1_000_000)] {
        guard.try_log_in(login, HOME, i64::MAX).unwrap();
    }
    assert!(guard.logins.young.keys().all(|key| key.len() <= MAX_LOGIN_BYTES));
}
