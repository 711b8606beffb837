//! What surrounds requests and answers: headers, limits, time-outs, panics, audit, counting, health.

use crate::support::{Fixture, request};
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use std::time::Duration;
use tapeline_gateway::limits::{Rate, Rates};
use tapeline_schemas::wire::{AuditKind, AuditOutcome};

const READER: &str = "ann:read,trade";

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let fixture = Fixture::new();
    for path in ["/v1/openapi.json", "/v1/orders", "/nothing", "/healthz"] {
        let answer = fixture.ask("GET", path, "").await;
        assert!(answer.header("content-security-policy").contains("default-src 'self'"), "{path}");
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert!(answer.header("permissions-policy").contains("camera=()"));
        assert_eq!(answer.header("strict-transport-security"), "", "no TLS, no promise of it");
        assert_eq!(answer.header("cache-control"), if path.starts_with("/v1/") { "no-store" } else { "" });
    }
    let answer = fixture.ask("GET", "/v1/orders", "").await;
    assert!(answer.header("www-authenticate").starts_with("Bearer"));
}

#[tokio::test]
async fn other_origins_may_ask_only_if_they_are_listed() {
    let listed = |settings: &mut tapeline_gateway::config::Settings| {
        settings.origins = vec!["https://desk.example".parse().unwrap()];
    };
    let fixture = Fixture::with(Rates::default(), listed, Router::new());
    for (origin, allowed) in [("https://desk.example", "https://desk.example"), ("https://evil.example", "")] {
        let preflight = request("OPTIONS", "/v1/orders", "")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type");
        let answer = fixture.send(preflight.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.header("access-control-allow-origin"), allowed);
        let asked = request("GET", "/v1/openapi.json", "").header("origin", origin);
        let answer = fixture.send(asked.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.header("access-control-allow-origin"), allowed);
    }
    let none = Fixture::new();
    let asked = request("GET", "/v1/openapi.json", "").header("origin", "https://desk.example");
    assert_eq!(none.send(asked.body(Body::empty()).unwrap()).await.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn limits_are_told_and_end_in_429_with_an_audit_event() {
    let rates = Rates { orders: Rate { quota: 2, window_s: 4 }, ..Rates::default() };
    let mut fixture = Fixture::with(rates, |_| {}, Router::new());
    for left in [1, 0] {
        let answer = fixture.ask("DELETE", "/v1/orders/a", READER).await;
        assert_eq!(answer.status, 202);
        assert_eq!(answer.header("ratelimit-policy"), "\"orders\";q=2;w=4");
        assert!(answer.header("ratelimit").starts_with(&format!("\"orders\";r={left};t=")));
    }
    let answer = fixture.ask("DELETE", "/v1/orders/a", READER).await;
    answer.problem(429, "too_many_requests");
    assert_eq!((answer.header("retry-after"), answer.header("ratelimit")), ("2", "\"orders\";r=0;t=4"));
    let record = fixture.audit.queue.try_recv().expect("an audit record");
    assert_eq!((record.kind, record.outcome), (AuditKind::Request, AuditOutcome::Refused));
    assert_eq!(record.text, "too_many_requests: DELETE /v1/orders/{client_order_id}");
    assert_eq!(record.user_id.as_deref(), Some("user-ann"));
    assert_eq!(record.address, "10.0.0.1");
    assert_eq!(fixture.ask("DELETE", "/v1/orders/a", "bob:trade").await.status, 202, "another account's is its own");
    let metrics = fixture.metrics.text().unwrap();
    assert!(metrics.contains("tapeline_gateway_limited_total{policy=\"orders\"} 1"), "{metrics}");
    let counted =
        "tapeline_gateway_requests_total{method=\"DELETE\",route=\"/v1/orders/{client_order_id}\",status=\"202\"} 3";
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn an_address_has_a_limit_for_all_it_asks_but_probes_do_not_count() {
    let rates = Rates { address: Rate { quota: 2, window_s: 2 }, ..Rates::default() };
    let fixture = Fixture::with(rates, |_| {}, Router::new());
    for _ in 0..5 {
        assert_eq!(fixture.ask("GET", "/healthz", "").await.status, 200);
    }
    for status in [404, 404, 429] {
        assert_eq!(fixture.ask("GET", "/nothing", "").await.status, status);
    }
}

#[tokio::test]
async fn refusals_are_audited_with_who_and_why() {
    let mut fixture = Fixture::new();
    fixture.ask("GET", "/v1/orders", "").await.problem(401, "no_token");
    fixture.ask("GET", "/v1/orders", "ann:trade").await.problem(403, "scope_missing");
    fixture.ask("GET", "/v1/nothing", "").await.problem(404, "not_found");
    let first = fixture.audit.queue.try_recv().unwrap();
    assert_eq!((first.text.as_str(), first.user_id), ("no_token: GET /v1/orders", None));
    let second = fixture.audit.queue.try_recv().unwrap();
    assert_eq!((second.text.as_str(), second.user_id.as_deref()), ("scope_missing: GET /v1/orders", Some("user-ann")));
    assert!(fixture.audit.queue.try_recv().is_err(), "a 404 is none");
}

#[tokio::test]
async fn a_request_that_takes_too_long_or_panics_ends_as_a_problem() {
    let more = Router::new()
        .route("/v1/slow", get(std::future::pending::<()>))
        .route("/v1/bug", get(async || -> () { panic!("a bug of the test") }));
    let quick =
        |settings: &mut tapeline_gateway::config::Settings| settings.request_timeout = Duration::from_millis(20);
    let fixture = Fixture::with(Rates::default(), quick, more);
    fixture.ask("GET", "/v1/slow", "").await.problem(503, "timeout");
    fixture.ask("GET", "/v1/bug", "").await.problem(500, "internal");
}

#[tokio::test]
async fn a_database_that_is_away_is_a_503_and_instruments_that_are_not_read_too() {
    let fixture = Fixture::new();
    fixture.ask("GET", "/v1/balances", READER).await.problem(503, "view_away");
    fixture.ask("GET", "/v1/analytics", READER).await.problem(503, "view_away");
    fixture.ask("GET", "/v1/instruments", "").await.problem(503, "starting");
    fixture.feed.set_ready("reference.instruments", true);
    let answer = fixture.ask("GET", "/v1/instruments", "").await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "{\"instruments\":[]}"));
    fixture.ask("GET", "/v1/instruments/X-Y/trades", "").await.problem(404, "unknown_instrument");
}

#[tokio::test]
async fn health_readiness_and_metrics_answer() {
    let fixture = Fixture::new();
    assert_eq!(fixture.ask("GET", "/healthz", "").await.text, "ok\n");
    assert_eq!(fixture.ask("GET", "/readyz", "").await.status, 503);
    let part = fixture.metrics.lane("gateway.commands", 0);
    fixture.feed.set_ready("book.depth", true);
    let answer = fixture.ask("GET", "/readyz", "").await;
    assert_eq!((answer.status, answer.text.as_str()), (503, "not ready: gateway.commands/0\n"));
    part.set_ready(true);
    assert_eq!(fixture.ask("GET", "/readyz", "").await.status, 200);
    let metrics = fixture.ask("GET", "/metrics", "").await.text;
    assert!(
        metrics.contains("tapeline_gateway_requests_total{method=\"GET\",route=\"/readyz\",status=\"200\"} 1"),
        "{metrics}"
    );
}
