//! As much of an HTTP/1.1 server and client as the demonstration needs (RFC 9112).

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::{Digest, Truth};

/// Answers the requests of one connection, until the client closes it or requests the close.
pub(super) fn serve(stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let head = read_head(&mut reader)?;
        let Some(path) = head.first().and_then(|line| line.split(' ').nth(1)) else {
            return Ok(());
        };
        let close = head.iter().any(|line| line.eq_ignore_ascii_case("connection: close"));
        respond(&mut writer, path, close)?;
        if close {
            return Ok(());
        }
    }
}

/// Requests the paths one after another on one connection; the last one requests its close. Every
/// byte in either direction is counted and hashed.
pub(super) fn fetch(stream: TcpStream, paths: &[&str]) -> io::Result<Truth> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut writer = Hashing::new(stream.try_clone()?);
    // Buffered above the hash: what the buffer holds was received.
    let mut reader = BufReader::new(Hashing::new(stream));
    for (i, path) in paths.iter().enumerate() {
        let connection = if i + 1 == paths.len() { "close" } else { "keep-alive" };
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: demo\r\nConnection: {connection}\r\n\r\n");
        writer.write_all(request.as_bytes())?;
        read_response(&mut reader)?;
    }
    // The server closes; nothing may follow.
    if reader.read(&mut [0])? != 0 {
        return Err(io::Error::other("the server said more than it announced"));
    }
    Ok(Truth { sent: writer.digest(), received: reader.into_inner().digest() })
}

fn respond(writer: &mut impl Write, path: &str, close: bool) -> io::Result<()> {
    let connection = if close { "close" } else { "keep-alive" };
    let head = |status: &str, framing: &str| {
        format!(
            "HTTP/1.1 {status}\r\nServer: ringtap-demo\r\n{framing}\r\nConnection: {connection}\r\n\r\n"
        )
    };
    let (status, body) = match path {
        "/hello" => ("200 OK", b"Hello from the other end of the wire.\n".to_vec()),
        "/page" => ("200 OK", noise(7, 20_000)),
        "/large" => ("200 OK", noise(11, 2_000_000)),
        "/chunked" => {
            let mut out = head("200 OK", "Transfer-Encoding: chunked").into_bytes();
            for part in noise(13, 100_000).chunks(30_000) {
                out.extend(format!("{:x}\r\n", part.len()).bytes());
                out.extend(part);
                out.extend(b"\r\n");
            }
            out.extend(b"0\r\n\r\n");
            return writer.write_all(&out);
        }
        _ => ("404 Not Found", b"No such page.\n".to_vec()),
    };
    writer.write_all(head(status, &format!("Content-Length: {}", body.len())).as_bytes())?;
    writer.write_all(&body)
}

/// The lines of a message's head without its empty line; empty at the end of the connection.
fn read_head(reader: &mut impl BufRead) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.by_ref().take(8192).read_line(&mut line)? == 0 || lines.len() > 100 {
            return Ok(Vec::new());
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Ok(lines);
        }
        lines.push(line.to_owned());
    }
}

fn read_response(reader: &mut impl BufRead) -> io::Result<()> {
    let head = read_head(reader)?;
    let field = |name: &str| {
        head.iter().find_map(|line| {
            let (field, value) = line.split_once(": ")?;
            field.eq_ignore_ascii_case(name).then_some(value)
        })
    };
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "a response without a length");
    if let Some(len) = field("content-length") {
        return skip(reader, len.parse().map_err(|_| broken())?);
    }
    field("transfer-encoding").ok_or_else(broken)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let len = u64::from_str_radix(line.trim_end(), 16).map_err(|_| broken())?;
        skip(reader, len + 2)?;
        if len == 0 {
            return Ok(());
        }
    }
}

fn skip(reader: &mut impl BufRead, len: u64) -> io::Result<()> {
    let read = io::copy(&mut reader.take(len), &mut io::sink())?;
    if read == len { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Bytes that look like nothing and are the same every time: a xorshift generator's.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Hashes what passes through.
struct Hashing<T> {
    inner: T,
    hash: Sha256,
    len: u64,
}

impl<T> Hashing<T> {
    fn new(inner: T) -> Self {
        Self { inner, hash: Sha256::new(), len: 0 }
    }

    fn digest(self) -> Digest {
        Digest { len: self.len, sha256: self.hash.finalize().into() }
    }

    fn saw(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.len += bytes.len() as u64;
    }
}

impl<T: Read> Read for Hashing<T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buf)?;
        self.saw(&buf[..count]);
        Ok(count)
    }
}

impl<T: Write> Write for Hashing<T> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(buf)?;
        self.saw(&buf[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
