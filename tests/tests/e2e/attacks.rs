//! What strangers and dishonest users try on a gateway, each on the real one with the whole pipeline behind it. What came
//! of each is printed, and listed in docs/security.md.
//!
//! Forged, expired and foreign tokens are in `identity.rs`, hostile names on pages in `connectors/console/e2e`, damaged
//! bytes in `fuzz/`.

use crate::attacks_raw::{Socket, raw};
use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::blocking::Client;
use serde_json::{Value, json};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use tapeline_tests::gateway::{PASSWORD, ask, base, start};
use tapeline_tests::parts::{Stack, with_stack};
use tapeline_tests::pipeline::{PROCESSORS, Pipeline};
use tapeline_tests::reference::{instrument, list};

const PATIENCE: Duration = Duration::from_secs(120);
/// Connections of one slow loris.
const SLOW: usize = 200;
/// How long others may wait for an answer under an attack: far below the time-outs, far above a slow machine's hiccup.
const SERVED_WITHIN: Duration = Duration::from_secs(3);

type Attack = fn(&Target) -> Result<String>;

const ATTACKS: [(&str, Attack); 16] = [
    ("a refresh token that was used before", token_reuse),
    ("claims changed under a good signature", changed_claims),
    ("`alg: none`, and HS256 with the public key as secret", changed_algorithm),
    ("another account's orders, fills and balances", other_account),
    ("more rights than the key has", more_rights),
    ("bodies that are too large, declared or not", oversize_bodies),
    ("JSON nested thousands deep", deep_body),
    ("heads of 1 MB, and two lengths in one request", broken_heads),
    ("paths that climb out of the console's folder", path_traversal),
    ("SQL in parameters", sql_injection),
    ("a page of another origin (CSRF)", csrf),
    ("markup in names (XSS)", markup_in_names),
    ("a position far ahead, by eighty at once", far_positions),
    ("slow heads and slow bodies (slow loris)", slow_loris),
    ("floods and giants over WebSocket", websocket_floods),
    ("guessing a password", guessing),
];

#[test]
fn attacks_are_refused_and_others_are_served_meanwhile() -> Result<()> {
    with_stack("attacks", |stack| {
        let mut pipeline = Pipeline::start_all(stack)?;
        let target = Target::prepare(stack)?;
        for (what, attack) in ATTACKS {
            let began_at = Instant::now();
            let outcome = attack(&target).with_context(|| format!("attack: {what}"))?;
            println!("{what}: {outcome} ({:.1} s)", began_at.elapsed().as_secs_f64());
            target.serves_the_victim().with_context(|| format!("after the attack: {what}"))?;
        }
        pipeline.rest(PATIENCE)?;
        stack.audit()?;
        target.gateway.terminate(PATIENCE)?;
        pipeline.stop()
    })
}

struct Target {
    gateway: tapeline_cli::component::Component,
    address: SocketAddr,
    /// Asks from 127.0.0.1.
    http: Client,
    victim: String,
    mallory: String,
}

impl Target {
    /// A gateway, and an honest user with funds and an open order.
    fn prepare(stack: &Stack) -> Result<Self> {
        list(stack, &[instrument("ABC-USD", "ABC")], &[])?;
        let gateway = start(stack, "gateway-attacked", &[])?;
        let address = gateway.http().context("the gateway's address")?;
        let http = Client::builder().no_proxy().timeout(PATIENCE).build()?;
        let mut target = Self { gateway, address, http, victim: String::new(), mallory: String::new() };
        for login in ["victim", "mallory"] {
            let (status, _) =
                target.ask("POST", "/v1/users", "", Some(json!({"login": login, "password": PASSWORD})))?;
            ensure!(status == 201, "{status}");
        }
        target.victim = target.log_in("victim")?.0;
        target.mallory = target.log_in("mallory")?.0;
        stack.drain(&["validator"], PATIENCE)?;
        let deposit = json!({"client_order_id": "deposit", "asset": "USD", "amount": "1000"});
        target.expect(202, "POST", "/v1/deposits", &target.victim, Some(deposit))?;
        // Funds count once they are settled.
        stack.drain(&PROCESSORS, PATIENCE)?;
        target.expect(202, "POST", "/v1/orders", &target.victim, Some(order("mine")))?;
        stack.drain(&PROCESSORS, PATIENCE)?;
        target.serves_the_victim()?;
        Ok(target)
    }

    fn ask(&self, method: &str, path: &str, token: &str, body: Option<Value>) -> Result<(u16, Value)> {
        ask(&self.http, method, &format!("{}{path}", base(&self.gateway)?), token, body)
    }

    fn expect(&self, status: u16, method: &str, path: &str, token: &str, body: Option<Value>) -> Result<Value> {
        let (found, answer) = self.ask(method, path, token, body)?;
        ensure!(found == status, "{method} {path}: {found} {answer}, expected {status}");
        Ok(answer)
    }

    fn refuse(
        &self,
        status: u16,
        code: &str,
        method: &str,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> Result<()> {
        let answer = self.expect(status, method, path, token, body)?;
        ensure!(answer["code"] == code, "{method} {path}: {answer}, expected {code}");
        Ok(())
    }

    /// Access and refresh token.
    fn log_in(&self, login: &str) -> Result<(String, String)> {
        let credentials = json!({"login": login, "password": PASSWORD, "deliver": "body"});
        let session = self.expect(200, "POST", "/v1/sessions", "", Some(credentials))?;
        let text = |field: &str| session[field].as_str().map(str::to_owned).with_context(|| field.to_owned());
        Ok((text("access_token")?, text("refresh_token")?))
    }

    /// The victim's order stands as it did, and the gateway answers soon.
    fn serves_the_victim(&self) -> Result<()> {
        let began_at = Instant::now();
        let mine = self.expect(200, "GET", "/v1/orders/mine", &self.victim, None)?;
        ensure!(mine["status"] == "open" && mine["quantity"] == "2", "{mine}");
        let took = began_at.elapsed();
        ensure!(took < SERVED_WITHIN, "an answer took {took:?}");
        Ok(())
    }

    fn status_of(&self, request: &[u8]) -> Result<u16> {
        Ok(raw(self.address, request)?.0)
    }
}

fn order(id: &str) -> Value {
    json!({
        "client_order_id": id, "instrument": "ABC-USD", "side": "buy", "type": "limit", "quantity": "2", "price": "15"
    })
}

fn token_reuse(target: &Target) -> Result<String> {
    let refresh = |token: &str| target.ask("POST", "/v1/sessions/refresh", "", Some(json!({"refresh_token": token})));
    let (_, first) = target.log_in("mallory")?;
    let mut token = first.clone();
    let mut access = String::new();
    for _ in 0..2 {
        let (status, session) = refresh(&token)?;
        ensure!(status == 200, "{status} {session}");
        token = session["refresh_token"].as_str().context("a refresh token")?.to_owned();
        access = session["access_token"].as_str().context("an access token")?.to_owned();
    }
    let (status, problem) = refresh(&first)?;
    ensure!((status, &problem["code"]) == (401, &json!("token_reused")), "{status} {problem}");
    // The thief and the owner are both out.
    ensure!(refresh(&token)?.0 == 401, "the newest token still counts");
    ensure!(target.ask("GET", "/v1/me", &access, None)?.0 == 401, "the access token still counts");
    Ok("401 `token_reused`; the whole family of tokens is revoked".into())
}

/// Header, claims and signature of a token, decoded but for the last.
fn parts(token: &str) -> Result<(Value, Value, &str)> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else { anyhow::bail!("a token has three parts") };
    let decode = |part: &str| -> Result<Value> { Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part)?)?) };
    Ok((decode(header)?, decode(claims)?, signature))
}

fn token_of(header: &Value, claims: &Value, signature: &str) -> String {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    format!("{}.{}.{signature}", encode(header), encode(claims))
}

fn changed_claims(target: &Target) -> Result<String> {
    let (header, own, signature) = parts(&target.mallory)?;
    let (_, victims, _) = parts(&target.victim)?;
    let mut changed = 0;
    for (claim, value) in own.as_object().context("claims")? {
        let other = if victims[claim] == *value { json!(9_999_999_999_i64) } else { victims[claim].clone() };
        let mut claims = own.clone();
        claims[claim] = other;
        let forged = token_of(&header, &claims, signature);
        target.refuse(401, "invalid_token", "GET", "/v1/balances", &forged, None).with_context(|| claim.clone())?;
        changed += 1;
    }
    Ok(format!("401 `invalid_token` for each of the {changed} claims"))
}

fn changed_algorithm(target: &Target) -> Result<String> {
    let (header, claims, signature) = parts(&target.victim)?;
    let keys = target.expect(200, "GET", "/.well-known/jwks.json", "", None)?;
    ensure!(keys["keys"].as_array().is_some_and(|keys| !keys.is_empty()), "{keys}");
    for algorithm in ["none", "None", "NONE", "HS256", "HS512", "RS256", "ES256", "EdDSA "] {
        let mut header = header.clone();
        header["alg"] = algorithm.into();
        for signature in ["", signature] {
            let forged = token_of(&header, &claims, signature);
            target.refuse(401, "invalid_token", "GET", "/v1/balances", &forged, None)?;
        }
    }
    Ok("401 `invalid_token`, whatever the head says: only EdDSA is verified".into())
}

fn other_account(target: &Target) -> Result<String> {
    let mallory = &target.mallory;
    target.refuse(404, "unknown_order", "GET", "/v1/orders/mine", mallory, None)?;
    for path in ["/v1/orders?status=all", "/v1/fills", "/v1/balances"] {
        let seen = target.expect(200, "GET", path, mallory, None)?;
        let lists = seen.as_object().context("an answer")?.values().filter_map(Value::as_array);
        ensure!(lists.clone().count() == 1 && lists.map(Vec::len).sum::<usize>() == 0, "{path}: {seen}");
    }
    // A command names its target within the account that sends it: there is no such order.
    let amend = json!({"client_order_id": "m1", "quantity": "1"});
    let amended = target.expect(202, "PATCH", "/v1/orders/mine", mallory, Some(amend))?;
    target.expect(202, "DELETE", "/v1/orders/mine?request_id=m2", mallory, None)?;
    let all = target.expect(202, "DELETE", "/v1/orders?instrument=ABC-USD", mallory, None)?;
    for taken in [&amended, &all] {
        let position = taken["position"].as_str().context("a position")?;
        let path = format!("/v1/orders/mine?position={position}");
        let mine = target.expect(200, "GET", &path, &target.victim, None)?;
        ensure!(mine["status"] == "open" && mine["quantity"] == "2", "{mine}");
    }
    let mut foreign = order("m3");
    foreign["account"] = parts(&target.victim)?.1["account"].clone();
    target.refuse(422, "unknown_field", "POST", "/v1/orders", mallory, Some(foreign))?;
    Ok("not seen (404, empty lists), not changed; an `account` in a body is 422 `unknown_field`".into())
}

fn more_rights(target: &Target) -> Result<String> {
    let wanted = json!({"label": "reader", "scopes": ["read"], "expires_in_days": 1});
    let made = target.expect(201, "POST", "/v1/api-keys", &target.mallory, Some(wanted))?;
    let key = made["api_key"].as_str().context("a key")?;
    target.refuse(403, "scope_missing", "POST", "/v1/orders", key, Some(order("k1")))?;
    let more = json!({"label": "more", "scopes": ["read", "trade", "withdraw"], "expires_in_days": 1});
    target.refuse(403, "session_needed", "POST", "/v1/api-keys", key, Some(more))?;
    let mut altered = key.to_owned();
    altered.pop();
    target.refuse(401, "invalid_token", "GET", "/v1/me", &altered, None)?;
    target.refuse(403, "scope_missing", "GET", "/v1/pipeline", &target.mallory, None)?;
    Ok("403 `scope_missing`; a key makes no keys; the operator's page is the operator's".into())
}

fn oversize_bodies(target: &Target) -> Result<String> {
    let bearer = &target.mallory;
    let head = format!(
        "POST /v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\nContent-Type: application/json\r\n"
    );
    let declared = format!("{head}Content-Length: 10000000000\r\n\r\n");
    ensure!(target.status_of(declared.as_bytes())? == 413, "10 GB were not refused");
    let mut chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for _ in 0..64 {
        chunked.extend_from_slice(b"400\r\n");
        chunked.extend_from_slice(&[b' '; 0x400]);
        chunked.extend_from_slice(b"\r\n");
    }
    ensure!(target.status_of(&chunked)? == 413, "chunks without an end were not refused");
    Ok("413 `body_too_large`, before 10 GB are read and after 16 KiB of chunks".into())
}

fn deep_body(target: &Target) -> Result<String> {
    let deep = 7_000;
    let body = format!("{}{}", "[".repeat(deep), "]".repeat(deep));
    let request = format!(
        "POST /v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        target.mallory,
        body.len()
    );
    let (status, text) = raw(target.address, request.as_bytes())?;
    ensure!(status == 400 && text.contains("too_deep"), "{status} {text}");
    let mut socket = Socket::open(target.address)?;
    socket.text(&format!("{}{}", "{\"a\":".repeat(2_000), "}".repeat(2_000)))?;
    let refused = socket.read_text()?;
    ensure!(refused.contains("malformed"), "{refused}");
    Ok("400 `too_deep`; by WebSocket `malformed`; nothing recurses".into())
}

fn broken_heads(target: &Target) -> Result<String> {
    let mut long = b"GET /v1/instruments HTTP/1.1\r\nHost: x\r\nX-Long: ".to_vec();
    long.resize(1 << 20, b'a');
    let status = target.status_of(&long)?;
    ensure!(status == 431, "{status}");
    let two = b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde";
    ensure!(target.status_of(two)? == 400, "two lengths");
    // What a proxy takes for one request must not be two for the gateway.
    let smuggled = b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\
        Content-Type: application/json\r\n\r\n0\r\n\r\nGET /v1/instruments HTTP/1.1\r\nHost: x\r\n\r\n";
    let (status, text) = raw(target.address, smuggled)?;
    ensure!(status == 400 && text.matches("HTTP/1.1 ").count() == 0, "{status} {text}");
    Ok("431 and 400; with a length and chunks the connection ends after one answer".into())
}

fn path_traversal(target: &Target) -> Result<String> {
    for path in [
        "/../../../../etc/passwd",
        "/assets/../../../../etc/passwd",
        "/assets/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/assets/..%2f..%2f..%2fetc%2fpasswd",
        "//etc/passwd",
        "/assets/%00",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let (status, text) = raw(target.address, request.as_bytes())?;
        ensure!(status == 404 && !text.contains("root:"), "{path}: {status} {text}");
    }
    Ok("404: the console's files are in the binary, there is no folder".into())
}

fn sql_injection(target: &Target) -> Result<String> {
    for path in [
        "/v1/instruments/ABC-USD'%20OR%201=1--/trades",
        "/v1/instruments/';DROP%20TABLE%20orders;--/candles?interval=1m",
        "/v1/orders/mine'%20OR%20'1'='1",
    ] {
        let (status, answer) = target.ask("GET", path, &target.mallory, None)?;
        ensure!((400..500).contains(&status), "{path}: {status} {answer}");
    }
    for (path, field) in [
        ("/v1/orders?limit=1;DROP%20TABLE%20orders", "limit"),
        ("/v1/fills?before=1%20OR%201=1", "before"),
        ("/v1/instruments/ABC-USD/candles?interval=1m'--", "interval"),
        ("/v1/analytics?hours=1)%20UNION%20ALL%20SELECT%201", "hours"),
    ] {
        let answer = target.expect(422, "GET", path, &target.mallory, None)?;
        ensure!(answer["field"] == field, "{path}: {answer}");
    }
    Ok("404, or 422 with the field: values are bound, never spliced".into())
}

fn csrf(target: &Target) -> Result<String> {
    let cookie = {
        let credentials = json!({"login": "mallory", "password": PASSWORD});
        let url = format!("http://{}/v1/sessions", target.address);
        let answer = target.http.post(url).json(&credentials).send()?;
        let cookie = answer.headers().get("set-cookie").context("a cookie")?.to_str()?.to_owned();
        ensure!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        cookie.split(';').next().unwrap_or_default().to_owned()
    };
    // A form of another page, if a browser did send the cookie with it.
    let forged = |more: &str| {
        format!(
            "POST /v1/sessions/refresh HTTP/1.1\r\nHost: x\r\nOrigin: https://evil.example\r\nCookie: {cookie}\r\n\
             Connection: close\r\nContent-Length: 0\r\n{more}\r\n"
        )
    };
    let (status, text) = raw(target.address, forged("").as_bytes())?;
    ensure!(status == 403 && text.contains("csrf_header_missing"), "{status} {text}");
    // To send the header, the page must be allowed to.
    let preflight = "OPTIONS /v1/sessions/refresh HTTP/1.1\r\nHost: x\r\nOrigin: https://evil.example\r\n\
        Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-tapeline-csrf\r\n\
        Connection: close\r\n\r\n";
    let (_, text) = raw(target.address, preflight.as_bytes())?;
    ensure!(!text.to_lowercase().contains("access-control-allow-origin"), "{text}");
    // An order needs a token, which no browser adds by itself; a form's media types are refused anyway.
    let form = format!(
        "POST /v1/orders HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\nContent-Type: text/plain\r\nConnection: close\r\n\
         Content-Length: 2\r\n\r\n{{}}"
    );
    ensure!(target.status_of(form.as_bytes())? == 401, "an order by cookie");
    Ok("403 `csrf_header_missing`, no CORS for strangers; orders take no cookie (401)".into())
}

fn markup_in_names(target: &Target) -> Result<String> {
    let script = "<script>alert(1)</script>";
    let body = json!({"login": script, "password": PASSWORD});
    target.refuse(422, "invalid_login", "POST", "/v1/users", "", Some(body))?;
    let mut marked = order("x");
    marked["instrument"] = script.into();
    let (status, answer) = target.ask("POST", "/v1/orders", &target.mallory, Some(marked))?;
    ensure!(status == 202 || status == 422, "{status} {answer}");
    let request = format!(
        "GET /v1/orders/%3Cscript%3Ealert(1)%3C%2Fscript%3E HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
        target.mallory
    );
    let (status, text) = raw(target.address, request.as_bytes())?;
    let head = text.split("\r\n\r\n").next().unwrap_or_default().to_lowercase();
    ensure!((400..500).contains(&status), "{status}");
    for wanted in ["application/problem+json", "nosniff", "default-src 'self'"] {
        ensure!(head.contains(wanted), "no {wanted} in {head}");
    }
    Ok("JSON with `nosniff` and a CSP without inline script; the console shows names as text".into())
}

fn far_positions(target: &Target) -> Result<String> {
    let taken = target.expect(202, "POST", "/v1/orders", &target.mallory, Some(order("p1")))?;
    let position = URL_SAFE_NO_PAD.decode(taken["position"].as_str().context("a position")?)?;
    // The last byte of the offset counts far ahead of the log.
    let mut ahead = position.clone();
    let high = ahead.len() - 5;
    ahead[high] = 0x7f;
    let path = format!("/v1/balances?position={}", URL_SAFE_NO_PAD.encode(ahead));
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
        target.mallory
    );
    let waiting: Vec<_> = (0..80)
        .map(|_| {
            let (address, request) = (target.address, request.clone());
            std::thread::spawn(move || raw(address, request.as_bytes()))
        })
        .collect();
    target.serves_the_victim()?;
    for one in waiting {
        let (status, text) = one.join().map_err(|_| anyhow::anyhow!("panicked"))??;
        ensure!([422, 429, 504].contains(&status), "{status} {text}");
    }
    target.refuse(422, "invalid_field", "GET", "/v1/balances?position=AAAA", &target.mallory, None)?;
    Ok("each waits its 5 s and gets 504 `view_behind`, others are served meanwhile".into())
}

/// Each gets a byte from time to time; the gateway must end them, and serve others meanwhile.
fn slow_loris(target: &Target) -> Result<String> {
    let mut slow = Vec::new();
    for number in 0..SLOW {
        let mut socket = TcpStream::connect(target.address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let begin = match number % 2 {
            0 => "GET /v1/instruments HTTP/1.1\r\nHost: x\r\nX-Slow: ".to_owned(),
            _ => format!(
                "POST /v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
                 Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{",
                target.mallory
            ),
        };
        socket.write_all(begin.as_bytes())?;
        slow.push(socket);
    }
    let began_at = Instant::now();
    while began_at.elapsed() < Duration::from_secs(14) {
        target.serves_the_victim()?;
        for socket in &mut slow {
            // Refused writes are what is wanted.
            let _ = socket.write_all(b" ");
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    for mut socket in slow {
        let mut sink = Vec::new();
        // A reset is an end too.
        let _ = std::io::Read::read_to_end(&mut socket, &mut sink);
    }
    let ended = began_at.elapsed();
    ensure!(ended < Duration::from_secs(30), "the last slow connection ended after {ended:?}");
    Ok(format!("all {SLOW} were cut (head after 10 s, request after 12 s), others served meanwhile"))
}

fn websocket_floods(target: &Target) -> Result<String> {
    let mut flood = Socket::open(target.address)?;
    let ping = json!({"op": "ping"}).to_string();
    for _ in 0..2_000 {
        if flood.text(&ping).is_err() {
            break;
        }
    }
    flood.is_closed(4009).context("a flood of messages")?;
    let mut giant = Socket::open(target.address)?;
    giant.text(&" ".repeat(17 << 10))?;
    giant.is_closed(1009).context("a giant message")?;
    let mut announced = Socket::open(target.address)?;
    announced.announce(1 << 40)?;
    announced.is_cut().context("an announced terabyte")?;
    let mut binary = Socket::open(target.address)?;
    binary.binary(&[0; 100])?;
    binary.is_closed(1003).context("a binary message")?;
    let mut idle = Socket::open(target.address)?;
    idle.is_closed(1008).context("an idle connection")?;
    Ok("closed: 4009 after 100 messages a second, 1009 over 16 KiB, 1003 for binary, 1008 for idling".into())
}

fn guessing(target: &Target) -> Result<String> {
    let url = format!("http://{}/v1/sessions", target.address);
    let from =
        |last: u8| Client::builder().no_proxy().local_address(Some(Ipv4Addr::new(127, 0, 2, last).into())).build();
    let (mut refused, mut limited) = (0, 0);
    for guess in 0..12_u8 {
        let body = json!({"login": "mallory", "password": format!("guess number {guess}")});
        // From an address of its own each time: the name counts as well.
        let answer = from(guess + 1)?.post(&url).json(&body).send()?;
        match answer.status().as_u16() {
            401 => refused += 1,
            429 => {
                ensure!(answer.headers().contains_key("retry-after"), "no Retry-After");
                limited += 1;
            }
            other => anyhow::bail!("{other}"),
        }
    }
    ensure!(refused <= 5 && limited >= 7, "{refused} guesses were judged, {limited} not");
    // One address that tries many names, existing ones and not, hears the same of all.
    let spray = from(100)?;
    let mut codes = Vec::new();
    for name in 0..30 {
        let body = json!({"login": format!("name{name}"), "password": "Password123456"});
        codes.push(spray.post(&url).json(&body).send()?.status().as_u16());
    }
    let judged = codes.iter().filter(|code| **code == 401).count();
    ensure!(judged <= 20 && codes.iter().all(|code| [401, 429].contains(code)), "{codes:?}");
    Ok(format!("{refused} of 12 guesses at one name were judged, {judged} of 30 names from one address; the rest 429"))
}
