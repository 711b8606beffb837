//! Requests of commands: what reaches the log, and what is refused before.

use crate::support::Fixture;
use tapeline_domain::types::{ONE, position_id};
use tapeline_gateway::position::CommandPosition;
use tapeline_gateway::problem::Problem;
use tapeline_schemas::wire::CommandKind;

const TRADER: &str = "ann:read,trade";
const ORDER: &str =
    r#"{"client_order_id":"a-1","instrument":"X-Y","side":"buy","type":"limit","quantity":"5","price":"101.25"}"#;

#[tokio::test]
async fn an_order_is_answered_with_its_id_and_position_once_the_log_has_it() {
    let fixture = Fixture::new();
    let answer = fixture.post("POST", "/v1/orders", TRADER, ORDER).await;
    let position = CommandPosition { partition: 1, offset: 0 };
    let expected = serde_json::json!({
        "order_id": position_id(1, 0).to_string(), "client_order_id": "a-1", "status": "pending",
        "position": position.token()
    });
    assert_eq!((answer.status, answer.json()), (202, expected));
    let command = fixture.log.commands.lock().unwrap()[0].clone();
    assert_eq!(
        (command.account.as_str(), command.kind, command.price),
        ("ann", CommandKind::Place, Some(10_125 * ONE / 100))
    );
}

#[tokio::test]
async fn amends_cancels_and_transfers_reach_the_log_with_their_targets() {
    let fixture = Fixture::with(Default::default(), |settings| settings.demo = true, axum::Router::new());
    let all = "ann:read,trade,withdraw";
    let amend = r#"{"client_order_id":"a-2","quantity":"4"}"#;
    let transfer = r#"{"client_order_id":"t-1","asset":"USD","amount":"10"}"#;
    for (method, path, body, kind, target, id) in [
        ("PATCH", "/v1/orders/a-1", amend, CommandKind::Amend, Some("a-1"), Some("a-2")),
        ("PATCH", "/v1/orders/a%2F1", amend, CommandKind::Amend, Some("a/1"), Some("a-2")),
        ("DELETE", "/v1/orders/a-1?request_id=c-1", "", CommandKind::Cancel, Some("a-1"), Some("c-1")),
        ("DELETE", "/v1/orders/a-1", "", CommandKind::Cancel, Some("a-1"), None),
        ("DELETE", "/v1/orders?instrument=X-Y", "", CommandKind::CancelAll, None, None),
        ("POST", "/v1/deposits", transfer, CommandKind::Deposit, None, Some("t-1")),
        ("POST", "/v1/withdrawals", transfer, CommandKind::Withdraw, None, Some("t-1")),
    ] {
        let answer = match body {
            "" => fixture.ask(method, path, all).await,
            body => fixture.post(method, path, all, body).await,
        };
        assert_eq!(answer.status, 202, "{method} {path}: {}", answer.text);
        let command = fixture.log.commands.lock().unwrap().last().cloned().unwrap();
        assert_eq!((command.kind, command.target_client_order_id.as_deref()), (kind, target), "{method} {path}");
        assert_eq!(answer.json()["client_order_id"], command.client_order_id.as_str());
        assert!(id.is_none_or(|id| command.client_order_id == id) && !command.client_order_id.is_empty());
        let number = fixture.log.commands.lock().unwrap().len() as i64 - 1;
        assert_eq!(answer.json()["command_id"], position_id(1, number).to_string());
    }
}

#[tokio::test]
async fn what_can_be_judged_without_state_is_refused_and_never_reaches_the_log() {
    let fixture = Fixture::new();
    let long = format!("/v1/orders/{}", "x".repeat(65));
    for (method, path, token, body, status, code, field) in [
        ("POST", "/v1/orders", "", ORDER, 401, "no_token", None),
        ("POST", "/v1/orders", "nobody", ORDER, 401, "wrong_credentials", None),
        ("POST", "/v1/orders", "ann:read", ORDER, 403, "scope_missing", None),
        ("GET", "/v1/orders", "ann:trade", "", 403, "scope_missing", None),
        ("POST", "/v1/withdrawals", TRADER, "{}", 403, "scope_missing", None),
        ("POST", "/v1/orders", TRADER, "{", 400, "malformed_json", None),
        ("POST", "/v1/orders", TRADER, "[[[[[[[[[1]]]]]]]]]", 400, "too_deep", None),
        ("POST", "/v1/orders", TRADER, r#"{"side":"hold"}"#, 422, "invalid_field", Some("side")),
        ("POST", "/v1/orders", TRADER, r#"{"price":"1.123456789"}"#, 422, "invalid_field", Some("price")),
        ("POST", "/v1/orders", TRADER, r#"{"nonsense":1}"#, 422, "unknown_field", Some("nonsense")),
        ("PATCH", "/v1/orders/a", TRADER, r#"{"client_order_id":"b"}"#, 422, "missing_field", Some("quantity")),
        (
            "PATCH",
            &long,
            TRADER,
            r#"{"client_order_id":"b","price":"1"}"#,
            422,
            "invalid_field",
            Some("client_order_id"),
        ),
        ("PATCH", "/v1/orders/%FF", TRADER, r#"{"client_order_id":"b","price":"1"}"#, 400, "malformed_path", None),
        ("DELETE", "/v1/orders", TRADER, "", 422, "missing_field", Some("instrument")),
        ("DELETE", "/v1/orders/a?request_id=", TRADER, "", 422, "invalid_field", Some("request_id")),
        ("DELETE", "/v1/orders/a?force=1", TRADER, "", 422, "unknown_field", Some("force")),
        ("GET", "/v1/orders?limit=501", TRADER, "", 422, "invalid_field", Some("limit")),
        ("GET", "/v1/orders?limit=x", TRADER, "", 422, "invalid_field", Some("limit")),
        ("GET", "/v1/orders?status=gone", TRADER, "", 422, "invalid_field", Some("status")),
        ("GET", "/v1/fills?before=-1", TRADER, "", 422, "invalid_field", Some("before")),
        ("GET", "/v1/balances?position=zzz", TRADER, "", 422, "invalid_field", Some("position")),
        ("GET", "/v1/analytics?hours=0", TRADER, "", 422, "invalid_field", Some("hours")),
        ("GET", "/v1/nothing", TRADER, "", 404, "not_found", None),
        ("PUT", "/v1/orders", TRADER, "", 405, "method_not_allowed", None),
    ] {
        let answer = match body {
            "" => fixture.ask(method, path, token).await,
            body => fixture.post(method, path, token, body).await,
        };
        assert_eq!(answer.problem(status, code).as_deref(), field, "{method} {path} {body}");
    }
    let closed =
        fixture.post("POST", "/v1/deposits", TRADER, r#"{"client_order_id":"t","asset":"USD","amount":"1"}"#).await;
    closed.problem(403, "deposits_closed");
    assert!(fixture.log.commands.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_body_must_be_json_and_small() {
    let fixture = Fixture::new();
    let send = |kind: &'static str, body: String| {
        let request = crate::support::request("POST", "/v1/orders", TRADER).header("content-type", kind);
        request.body(axum::body::Body::from(body)).unwrap()
    };
    fixture.send(send("text/plain", ORDER.into())).await.problem(415, "unsupported_media_type");
    let large = format!("{{\"client_order_id\":\"{}\"}}", "x".repeat(17 << 10));
    fixture.send(send("application/json", large)).await.problem(413, "body_too_large");
    // Of unknown length.
    let chunks = chunked(vec![b' '; 1 << 10], 17);
    let request = crate::support::request("POST", "/v1/orders", TRADER).header("content-type", "application/json");
    fixture.send(request.body(chunks).unwrap()).await.problem(413, "body_too_large");
    assert_eq!(fixture.send(send("application/json; charset=utf-8", ORDER.into())).await.status, 202);
}

/// A body of so many equal chunks, whose length is not told.
fn chunked(chunk: Vec<u8>, count: usize) -> axum::body::Body {
    let mut left = count;
    let frames = std::iter::from_fn(move || {
        left = left.checked_sub(1)?;
        Some(bytes::Bytes::from(chunk.clone()))
    });
    axum::body::Body::new(Chunks(frames))
}

/// A body made of an iterator of chunks.
struct Chunks<I>(I);

impl<I: Iterator<Item = bytes::Bytes> + Unpin> hyper::body::Body for Chunks<I> {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        std::task::Poll::Ready(self.0.next().map(|chunk| Ok(hyper::body::Frame::data(chunk))))
    }
}

#[tokio::test]
async fn what_the_log_did_not_acknowledge_is_never_called_accepted() {
    let fixture = Fixture::new();
    let problem = Problem::new(503, "outcome_unknown", "Not known", "send it again with the same id").retry_after(1);
    *fixture.log.problem.lock().unwrap() = Some(problem);
    let answer = fixture.post("POST", "/v1/orders", TRADER, ORDER).await;
    answer.problem(503, "outcome_unknown");
    assert_eq!(answer.header("retry-after"), "1");
    assert!(!answer.text.contains("order_id\":"));
}

#[tokio::test]
async fn a_withdrawal_of_a_user_with_passkeys_needs_a_fresh_one() {
    let fixture = Fixture::new();
    let body = r#"{"client_order_id":"t","asset":"USD","amount":"1"}"#;
    let answer = fixture.post("POST", "/v1/withdrawals", "careful:withdraw", body).await;
    answer.problem(403, "second_factor_needed");
    assert_eq!(fixture.post("POST", "/v1/withdrawals", "ann:withdraw", body).await.status, 202);
}
