//! A connection, from upgrade to close.
//!
//! One task does all of it. It waits for the client's messages, for its bell, for answers of the backend and for the next
//! time that something is due. When the bell rings it gathers what all its channels have for it, and gives all of that to
//! the socket before it flushes once. No lock is held while it waits, and while the socket takes nothing nothing is gathered: what
//! waits for a slow client waits in the channels' rings, once for all.

use super::Sessions;
use super::backend::{Acknowledged, Answer, ClientCommand, CommandOp};
use super::limits::{Allowance, Due, Times};
use super::message::{self, Channel, Request};
use super::subscriptions::{Subscriptions, TooSlow};
use crate::feed::account::{AccountChannel, Joined, NotYet, Position};
use crate::feed::frame::{Frame, Object};
use crate::feed::wake::Wake;
use crate::principal::{Principal, Scope};
use crate::problem::Problem;
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::stream::{FuturesUnordered, StreamExt};
use futures_util::{FutureExt, SinkExt};
use serde_json::{Map, Value};
use smol_str::SmolStr;
use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use tapeline_runtime::wall_clock::now_ms;
use tokio::time::{Duration, Instant, sleep, sleep_until, timeout};

/// How long a socket may take what it was given.
const FLUSH: Duration = Duration::from_secs(10);
/// How long a closing handshake may take.
const CLOSE: Duration = Duration::from_secs(2);
/// How long a client waits until it can begin an account.
const JOIN: Duration = Duration::from_secs(5);
/// Pause before a view that is behind is asked again.
const VIEW_PAUSE: Duration = Duration::from_millis(50);
/// How many answers of the backend may be outstanding before the client is not listened to for a while.
const MAX_IN_FLIGHT: usize = 64;
/// How long what is under way may still take when the connection has ended and orders are to be cancelled.
const LAST_COMMANDS: Duration = Duration::from_secs(5);
/// Room for frames that a session keeps from one flush to the next.
const KEPT_FRAMES: usize = 64;
/// The longest time that a session believes a token to live.
const LONGEST_TOKEN: Duration = Duration::from_secs(30 * 86_400);

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client has gone, or its connection.
    Left,
    Code(u16, &'static str),
}

const TOKEN_EXPIRED: End = End::Code(4001, "the token has expired: connect with a new one");
const TOO_SLOW: End = End::Code(4008, "too slow: what you may not miss has piled up");
const TOO_MANY: End = End::Code(4009, "too many messages: at most 100 a second");
const GOING_AWAY: End = End::Code(1012, "this gateway ends: connect to another one");
const IDLE: End = End::Code(1008, "neither known nor subscribed to anything for 10 s");
const TOO_LARGE: End = End::Code(1009, "a message has at most 16 KiB");
const NO_TEXT: End = End::Code(1003, "messages are text");

impl From<TooSlow> for End {
    fn from(_: TooSlow) -> Self {
        TOO_SLOW
    }
}

/// What the backend, or the wait for it, has come to.
enum Done {
    Authenticated(Option<i64>, Result<Principal, Problem>),
    Commanded(Option<i64>, CommandOp, Result<Acknowledged, Problem>),
    Joined(Option<i64>, Result<(Arc<AccountChannel>, Joined), Problem>),
}

type Pending = Pin<Box<dyn Future<Output = Done> + Send>>;

/// What only sessions have that trade, so that the others stay small.
#[derive(Default)]
struct Trading {
    principal: Option<Arc<Principal>>,
    pending: FuturesUnordered<Pending>,
    /// While a token is looked at nothing else is read: what follows may need it.
    authenticating: bool,
    cancel_on_disconnect: bool,
    /// Instruments in which this connection has placed orders: the view may not know of the last ones yet.
    placed_in: BTreeSet<SmolStr>,
}

struct Session {
    sessions: Arc<Sessions>,
    socket: WebSocket,
    wake: Arc<Wake>,
    seen: Subscriptions,
    frames: Vec<Frame>,
    allowance: Allowance,
    times: Times,
    trading: Option<Box<Trading>>,
}

/// Serves a connection until it ends.
pub(super) async fn run(sessions: Arc<Sessions>, socket: WebSocket) {
    let wake = sessions.hub.rounds().wake();
    sessions.everyone.add(&wake);
    sessions.hub.metrics.clients.inc();
    let now = Instant::now();
    let seen = Subscriptions::new(Arc::clone(&sessions.hub), Arc::clone(&wake));
    let (allowance, times) = (Allowance::new(now), Times::new(now));
    let mut session = Session { sessions, socket, wake, seen, frames: Vec::new(), allowance, times, trading: None };
    let end = session.serve().await;
    session.end(end).await;
}

impl Drop for Session {
    fn drop(&mut self) {
        self.sessions.everyone.remove(&self.wake);
        self.sessions.hub.metrics.clients.dec();
    }
}

impl Session {
    async fn serve(&mut self) -> End {
        let mut timer = std::pin::pin!(sleep_until(self.times.next(true)));
        loop {
            let Self { socket, wake, trading, .. } = self;
            let listens = trading.as_ref().is_none_or(|at| !at.authenticating && at.pending.len() < MAX_IN_FLIGHT);
            let done = tokio::select! {
                message = socket.recv(), if listens => match message {
                    Some(Ok(message)) => self.hear(message),
                    Some(Err(_)) | None => Err(End::Left),
                },
                () = wake.wait() => self.look(),
                Some(done) = next(trading) => self.done(done),
                () = &mut timer => self.due(),
            };
            let written = match done {
                Ok(Out::Frames) => self.write().await,
                Ok(Out::Ping) => self.ping().await,
                Err(end) => return end,
            };
            if let Err(end) = written {
                return end;
            }
            timer.as_mut().reset(self.times.next(self.is_idle()));
        }
    }

    fn is_idle(&self) -> bool {
        self.seen.is_empty() && self.principal().is_none()
    }

    fn principal(&self) -> Option<&Arc<Principal>> {
        self.trading.as_ref()?.principal.as_ref()
    }

    fn trading(&mut self) -> &mut Trading {
        self.trading.get_or_insert_default()
    }

    /// Gathers what there is for the client.
    fn look(&mut self) -> Result<Out, End> {
        self.wake.lower();
        if self.sessions.is_closing() {
            return Err(GOING_AWAY);
        }
        self.seen.gather(&mut self.frames)?;
        Ok(Out::Frames)
    }

    fn due(&mut self) -> Result<Out, End> {
        let (now, idle) = (Instant::now(), self.is_idle());
        match self.times.due(now, idle) {
            Due::Nothing => Ok(Out::Frames),
            Due::Ping => Ok(Out::Ping),
            Due::Warn => {
                let left_s = self.times.token_left_s(now);
                self.frames.push(Object::message("auth_expiring").number("in_s", left_s).frame());
                Ok(Out::Frames)
            }
            Due::Expired => Err(TOKEN_EXPIRED),
            Due::Unanswered => Err(End::Left),
            Due::Idle => Err(IDLE),
        }
    }

    /// Gives all frames to the socket and flushes once.
    async fn write(&mut self) -> Result<(), End> {
        if self.frames.is_empty() {
            return Ok(());
        }
        self.sessions.hub.metrics.frames.inc_by(self.frames.len() as u64);
        let Self { socket, frames, wake, .. } = self;
        wake.set_writing(true);
        let written = timeout(FLUSH, async {
            for frame in frames.drain(..) {
                socket.feed(Message::Text(frame)).await?;
            }
            socket.flush().await
        });
        let written = written.await;
        wake.set_writing(false);
        match written {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(End::Left),
            Err(_) => return Err(TOO_SLOW),
        }
        self.frames.shrink_to(KEPT_FRAMES);
        Ok(())
    }

    async fn ping(&mut self) -> Result<(), End> {
        match timeout(FLUSH, self.socket.send(Message::Ping(Vec::new().into()))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Left),
            Err(_) => Err(TOO_SLOW),
        }
    }

    fn hear(&mut self, message: Message) -> Result<Out, End> {
        self.times.heard();
        match message {
            Message::Pong(_) => return Ok(Out::Frames),
            Message::Close(_) => return Err(End::Left),
            _ if !self.allowance.take(Instant::now()) => return Err(TOO_MANY),
            Message::Text(text) if text.len() > message::MAX_BYTES => return Err(TOO_LARGE),
            Message::Binary(_) => return Err(NO_TEXT),
            // The library answers it.
            Message::Ping(_) => {}
            Message::Text(text) => {
                let (id, request) = message::parse(text.as_str());
                let answer = request.and_then(|request| self.want(id, request));
                match answer {
                    Ok(()) => {}
                    Err(problem) => self.refuse(id, &problem),
                }
            }
        }
        Ok(Out::Frames)
    }

    fn refuse(&mut self, id: Option<i64>, problem: &Problem) {
        self.frames.push(numbered("error", id).value("problem", problem).frame());
    }

    /// Does what is wanted; the answer may come later.
    fn want(&mut self, id: Option<i64>, request: Request) -> Result<(), Problem> {
        match request {
            Request::Ping => self.frames.push(numbered("pong", id).frame()),
            Request::Auth(token) => {
                let answer = self.sessions.backend.authenticate(token);
                self.trading().authenticating = true;
                self.await_answer(answer, move |principal| Done::Authenticated(id, principal));
            }
            Request::Subscribe(Channel::Account, after) => self.subscribe_account(id, after)?,
            Request::Subscribe(channel, _) => {
                if channel == Channel::Pipeline {
                    self.known(Scope::Operate)?;
                }
                let mut begin = Vec::new();
                self.seen.add(&channel, &mut begin)?;
                self.frames.push(numbered("ack", id).frame());
                self.frames.append(&mut begin);
                // Latest values are there already.
                self.wake.raise();
            }
            Request::Unsubscribe(channel) => {
                self.seen.remove(&channel)?;
                self.frames.push(numbered("ack", id).frame());
            }
            Request::CancelOnDisconnect(enabled) => {
                self.known(Scope::Trade)?;
                self.trading().cancel_on_disconnect = enabled;
                self.frames.push(numbered("ack", id).frame());
            }
            Request::Command(command) => self.command(id, command)?,
        }
        Ok(())
    }

    fn known(&self, scope: Scope) -> Result<Arc<Principal>, Problem> {
        let principal = self.principal().ok_or_else(|| {
            let detail = "this needs a log-in: send {\"op\":\"auth\",\"token\":…} first";
            Problem::new(401, "not_authenticated", "You are not known", detail)
        })?;
        if !principal.may(scope) {
            let detail = "the token or key does not allow this: take one with another scope";
            return Err(Problem::new(403, "scope_missing", "The token does not allow this", detail));
        }
        Ok(Arc::clone(principal))
    }

    fn command(&mut self, id: Option<i64>, command: ClientCommand) -> Result<(), Problem> {
        let principal = self.known(Scope::Trade)?;
        let op = command.op;
        if op == CommandOp::Place
            && let Some(Value::String(instrument)) = command.fields.get("instrument")
        {
            self.trading().placed_in.insert(instrument.into());
        }
        let answer = self.sessions.backend.command(principal, command);
        self.await_answer(answer, move |answer| Done::Commanded(id, op, answer));
        Ok(())
    }

    /// Has an answer awaited. It is polled at once: commands reach Kafka's client in the order in which they came.
    fn await_answer<T: 'static>(
        &mut self,
        answer: Answer<T>,
        done: impl FnOnce(Result<T, Problem>) -> Done + Send + 'static,
    ) {
        let mut pending: Pending = Box::pin(answer.map(done));
        let pending = match pending.as_mut().now_or_never() {
            Some(done) => Box::pin(std::future::ready(done)),
            None => pending,
        };
        self.trading().pending.push(pending);
    }

    fn subscribe_account(&mut self, id: Option<i64>, after: Option<String>) -> Result<(), Problem> {
        let account = self.known(Scope::Read)?.account.clone();
        let after = match after {
            None => None,
            Some(text) => Some(Position::parse(&text).ok_or_else(|| {
                let detail = "`after` is the `position` of a message that you have had, or absent";
                Problem::new(400, "invalid_position", "This is no position", detail).of_field("after")
            })?),
        };
        let channel = self.seen.listen_account(&account);
        let sessions = Arc::clone(&self.sessions);
        let join = async move { Ok((channel, join(&sessions, &account, after.as_ref()).await?)) };
        self.await_answer(Box::pin(join), move |joined| Done::Joined(id, joined));
        Ok(())
    }

    fn done(&mut self, done: Done) -> Result<Out, End> {
        match done {
            Done::Authenticated(id, principal) => {
                self.trading().authenticating = false;
                match principal.and_then(|principal| self.know(principal)) {
                    Ok(object) => self.frames.push(object(numbered("ack", id)).frame()),
                    Err(problem) => self.refuse(id, &problem),
                }
            }
            Done::Commanded(id, op, Ok(answer)) => {
                let name = if op == CommandOp::Place { "order_id" } else { "command_id" };
                let ack = numbered("ack", id)
                    .id(name, answer.command_id)
                    .text("client_order_id", &answer.client_order_id)
                    .text("position", &answer.position);
                self.frames.push(ack.frame());
            }
            Done::Joined(id, Ok((channel, joined))) => {
                self.frames.push(numbered("ack", id).frame());
                self.seen.join_account(channel, joined, &mut self.frames);
                // What came since it joined is in the channel.
                self.wake.raise();
            }
            Done::Joined(id, Err(problem)) => {
                self.seen.remove(&Channel::Account).ok();
                self.refuse(id, &problem);
            }
            Done::Commanded(id, _, Err(problem)) => self.refuse(id, &problem),
        }
        Ok(Out::Frames)
    }

    /// Takes a principal; what is added to the acknowledgement.
    fn know(&mut self, principal: Principal) -> Result<impl FnOnce(Object) -> Object + use<>, Problem> {
        if self.principal().is_some_and(|known| known.account != principal.account) {
            let detail = "this connection is another account's: open one for this account";
            return Err(Problem::new(403, "other_account", "The connection is another account's", detail));
        }
        let now_ms = now_ms();
        let left = Duration::from_millis(principal.expires_ms.saturating_sub(now_ms).max(0) as u64);
        self.times.renewed(Instant::now() + left.min(LONGEST_TOKEN));
        let (account, expires_ms) = (principal.account.clone(), principal.expires_ms);
        self.trading().principal = Some(Arc::new(principal));
        Ok(move |object: Object| object.text("account", &account).number("expires_ms", expires_ms))
    }

    /// Cancels what is to be cancelled and says goodbye.
    async fn end(mut self, end: End) {
        let trading = self.trading.take();
        let canceller = trading.filter(|trading| trading.cancel_on_disconnect);
        if let Some(trading) = canceller {
            tokio::spawn(cancel_all(Arc::clone(&self.sessions), trading));
        }
        let End::Code(code, reason) = end else { return };
        self.sessions.hub.metrics.cuts.with_label_values(&[&code.to_string()]).inc();
        let close = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        // A client that does not take even that is simply left.
        let _ = timeout(CLOSE, async {
            self.socket.send(close).await?;
            while let Some(Ok(_)) = self.socket.recv().await {}
            Ok::<_, axum::Error>(())
        })
        .await;
    }
}

/// What is to be written.
#[derive(Clone, Copy)]
enum Out {
    Frames,
    Ping,
}

fn numbered(kind: &str, id: Option<i64>) -> Object {
    let object = Object::message(kind);
    match id {
        Some(id) => object.number("id", id),
        None => object,
    }
}

/// The next answer; none, and at once, while nothing is outstanding.
async fn next(trading: &mut Option<Box<Trading>>) -> Option<Done> {
    match trading {
        Some(trading) => trading.pending.next().await,
        None => None,
    }
}

/// Waits until the account can begin: until the view, this gateway and the client's position fit together.
async fn join(sessions: &Sessions, account: &SmolStr, after: Option<&Position>) -> Result<Joined, Problem> {
    let accounts = &sessions.hub.accounts;
    let deadline = Instant::now() + JOIN;
    let mut snapshot = None;
    loop {
        let progress = accounts.progress();
        let not_yet = match accounts.join(account, after, snapshot.as_ref()) {
            Ok(joined) => return Ok(joined),
            Err(not_yet) => not_yet,
        };
        if Instant::now() >= deadline {
            return Err(
                Problem::new(504, "view_behind", "The account can't be shown yet", not_yet.to_string()).retry_after(1)
            );
        }
        match not_yet {
            NotYet::NeedsView => {}
            NotYet::ViewBehind => sleep(VIEW_PAUSE).await,
            NotYet::GatewayBehind => {
                // Too late is told above.
                let _ = timeout(deadline.saturating_duration_since(Instant::now()), progress).await;
                continue;
            }
        }
        snapshot = Some(sessions.backend.account_snapshot(account.clone()).await?);
    }
}

/// Cancels all orders in each instrument in which the account has any, after what was under way has reached Kafka.
async fn cancel_all(sessions: Arc<Sessions>, trading: Box<Trading>) {
    let Trading { principal, mut pending, placed_in, .. } = *trading;
    let Some(principal) = principal else { return };
    // What takes longer has failed or will be found by the account's owner; the cancels come after it in any case.
    let _ = timeout(LAST_COMMANDS, async { while pending.next().await.is_some() {} }).await;
    let mut instruments = placed_in;
    match sessions.backend.open_instruments(principal.account.clone()).await {
        Ok(open) => instruments.extend(open),
        Err(problem) => {
            tracing::error!(account = %principal.account, detail = problem.detail, "cancel on disconnect: the view can't tell open orders")
        }
    }
    for instrument in instruments {
        let fields = Map::from_iter([("instrument".to_owned(), Value::String(instrument.to_string()))]);
        let command = ClientCommand { op: CommandOp::CancelAll, fields };
        if let Err(problem) = sessions.backend.command(Arc::clone(&principal), command).await {
            tracing::error!(account = %principal.account, %instrument, detail = problem.detail, "cancel on disconnect: orders stay open");
        }
    }
}
