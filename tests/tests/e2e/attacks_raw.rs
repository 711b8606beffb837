//! Bytes as attackers send them: HTTP and WebSocket without a library that would keep to the rules.

use anyhow::{Context, Result, bail, ensure};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than the gateway takes to end a connection.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends `request`, as far as it is taken, and gives the status and all that came after it.
pub(super) fn raw(address: SocketAddr, request: &[u8]) -> Result<(u16, String)> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    // The gateway may refuse while more is to come.
    let sent = socket.write_all(request);
    let mut answer = Vec::new();
    let mut buffer = [0; 4_096];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => return Err(error.into()),
        }
        if is_whole(&answer) {
            break;
        }
    }
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (line, rest) = text.split_once("\r\n").with_context(|| format!("no answer, sent: {sent:?}"))?;
    let status = line.split(' ').nth(1).with_context(|| line.to_owned())?.parse()?;
    Ok((status, rest.to_owned()))
}

/// Whether an answer has come to the end of its body.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let head = head.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    !head.contains("connection: close") && length.is_some_and(|length| body.len() >= length)
}

/// A WebSocket connection; its messages are masked with zeros, which changes nothing.
pub(super) struct Socket(TcpStream);

impl Socket {
    pub(super) fn open(address: SocketAddr) -> Result<Self> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let request = "GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        socket.write_all(request.as_bytes())?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte)?;
            head.extend(byte);
        }
        if !head.starts_with(b"HTTP/1.1 101") {
            bail!("{}", String::from_utf8_lossy(&head));
        }
        Ok(Self(socket))
    }

    fn send(&mut self, kind: u8, announced: u64, payload: &[u8]) -> Result<()> {
        let mut frame = vec![0x80 | kind];
        match (u8::try_from(announced), u16::try_from(announced)) {
            (Ok(short), _) if short < 126 => frame.push(0x80 | short),
            (_, Ok(length)) => {
                frame.push(0x80 | 126);
                frame.extend(length.to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend(announced.to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend_from_slice(payload);
        Ok(self.0.write_all(&frame)?)
    }

    pub(super) fn text(&mut self, text: &str) -> Result<()> {
        self.send(1, text.len() as u64, text.as_bytes())
    }

    pub(super) fn binary(&mut self, bytes: &[u8]) -> Result<()> {
        self.send(2, bytes.len() as u64, bytes)
    }

    /// The head of a message of that length, and nothing of it.
    pub(super) fn announce(&mut self, length: u64) -> Result<()> {
        self.send(1, length, b"")
    }

    /// Kind and payload of the next frame.
    fn read(&mut self) -> Result<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        self.0.read_exact(&mut head)?;
        let length = match head[1] {
            126 => {
                let mut long = [0; 2];
                self.0.read_exact(&mut long)?;
                usize::from(u16::from_be_bytes(long))
            }
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload)?;
        Ok((head[0] & 0x0f, payload))
    }

    pub(super) fn read_text(&mut self) -> Result<String> {
        loop {
            match self.read()? {
                (1, text) => return Ok(String::from_utf8(text)?),
                (8, payload) => bail!("closed: {payload:?}"),
                _ => {}
            }
        }
    }

    /// Reads on until the connection ends, in whatever way.
    pub(super) fn is_cut(&mut self) -> Result<()> {
        loop {
            match self.read() {
                Ok((8, _)) => return Ok(()),
                Ok(_) => {}
                Err(error) => {
                    let cause = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
                    let is_end = matches!(cause, Some(ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset));
                    return if is_end { Ok(()) } else { Err(error) };
                }
            }
        }
    }

    /// Reads on until the gateway closes the connection, which must be with `code`.
    pub(super) fn is_closed(&mut self, code: u16) -> Result<()> {
        loop {
            if let (8, payload) = self.read()? {
                let found = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                ensure!(found == Some(code), "closed with {found:?}, expected {code}");
                return Ok(());
            }
        }
    }
}
