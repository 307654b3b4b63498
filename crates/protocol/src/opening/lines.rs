//! Protocols of lines: SMTP, FTP, POP3, IMAP, SSH.

use memchr::memchr;

use super::parser::{Dialect, Step};
use super::{Opening, text};
use crate::identify::{Prefix, Verdict};
use crate::registry::Protocol;
use crate::side::Side;

/// SMTP and FTP, whose servers answer with codes of three digits.
#[derive(Debug, Default)]
pub(super) struct Replies {
    asked: u32,
    answered: u32,
    /// The number of the answer that decides about TLS.
    tls: Option<u32>,
}

impl Dialect for Replies {
    fn step(&mut self, side: Side, bytes: &[u8], opening: &mut Opening) -> Option<(usize, Step)> {
        if side == Side::Initiator && self.tls.is_some() {
            return None;
        }
        let (line, used) = line(bytes)?;
        if side == Side::Initiator {
            return Some((used, self.command(line, opening)));
        }
        let (code, rest) = line.split_at_checked(4).unwrap_or((line, &[]));
        if opening.banner.is_none() {
            opening.banner = Some(text(rest));
        }
        // A hyphen behind the code announces another line (RFC 5321, section 4.2.1).
        let last = code.iter().take(3).all(u8::is_ascii_digit) && code.get(3) != Some(&b'-');
        if !last || code.len() < 3 {
            return Some((used, Step::Continue));
        }
        let number = self.answered;
        self.answered += 1;
        if self.tls == Some(number) {
            self.tls = None;
            // 220 of SMTP (RFC 3207, section 4), 234 of FTP (RFC 4217, section 4).
            if code.starts_with(b"220") || code.starts_with(b"234") {
                return Some((used, Step::Tls));
            }
        }
        Some((used, Step::Continue))
    }
}

impl Replies {
    fn command(&mut self, line: &[u8], opening: &mut Opening) -> Step {
        let (verb, rest) = word(line);
        self.asked += 1;
        // The banner is the answer number 0.
        let answer = Some(self.asked);
        match &verb.to_ascii_uppercase()[..] {
            b"HELO" | b"EHLO" | b"LHLO" => opening.client = Some(text(rest)),
            b"STARTTLS" => self.tls = answer,
            b"AUTH" if opening.protocol == Protocol::FTP => self.tls = answer,
            b"USER" => opening.user = Some(text(rest)),
            b"PASS" | b"ACCT" | b"NOOP" | b"RSET" | b"FEAT" | b"SYST" | b"OPTS" | b"CLNT"
            | b"HOST" | b"PBSZ" | b"PROT" | b"ADAT" => {}
            // Behind the name of the mechanism stands what proves the identity.
            b"AUTH" => {
                opening.command = Some(text(&[b"AUTH ", word(rest).0].concat()));
                return Step::Done;
            }
            b"" => {}
            _ => {
                opening.command = Some(text(line));
                return Step::Done;
            }
        }
        Step::Continue
    }
}

/// POP3.
#[derive(Debug, Default)]
pub(super) struct Pop3 {
    asked: u32,
    answered: u32,
    tls: Option<u32>,
}

impl Dialect for Pop3 {
    fn step(&mut self, side: Side, bytes: &[u8], opening: &mut Opening) -> Option<(usize, Step)> {
        if side == Side::Initiator && self.tls.is_some() {
            return None;
        }
        let (line, used) = line(bytes)?;
        if side == Side::Responder {
            let positive = line.starts_with(b"+OK");
            // The other lines of an answer of several lines begin with neither.
            if !positive && !line.starts_with(b"-ERR") {
                return Some((used, Step::Continue));
            }
            if opening.banner.is_none() {
                opening.banner = Some(text(word(line).1));
            }
            let number = self.answered;
            self.answered += 1;
            if self.tls == Some(number) {
                self.tls = None;
                if positive {
                    return Some((used, Step::Tls));
                }
            }
            return Some((used, Step::Continue));
        }
        let (verb, rest) = word(line);
        self.asked += 1;
        match &verb.to_ascii_uppercase()[..] {
            b"STLS" => self.tls = Some(self.asked),
            b"USER" => opening.user = Some(text(rest)),
            b"APOP" => opening.user = Some(text(word(rest).0)),
            b"PASS" | b"CAPA" | b"" => {}
            b"AUTH" => {
                opening.command = Some(text(&[b"AUTH ", word(rest).0].concat()));
                return Some((used, Step::Done));
            }
            _ => {
                opening.command = Some(text(line));
                return Some((used, Step::Done));
            }
        }
        Some((used, Step::Continue))
    }
}

/// IMAP, whose answers repeat the tag of the command.
#[derive(Debug, Default)]
pub(super) struct Imap {
    /// The tag of the command that requests TLS.
    tls: Option<Vec<u8>>,
}

impl Dialect for Imap {
    fn step(&mut self, side: Side, bytes: &[u8], opening: &mut Opening) -> Option<(usize, Step)> {
        if side == Side::Initiator && self.tls.is_some() {
            return None;
        }
        let (line, used) = line(bytes)?;
        let (tag, rest) = word(line);
        let (verb, rest) = word(rest);
        let upper = verb.to_ascii_uppercase();
        if side == Side::Responder {
            if opening.banner.is_none() {
                opening.banner = Some(text(rest));
            }
            if self.tls.as_deref().is_some_and(|asked| asked == tag) {
                self.tls = None;
                if upper == b"OK" {
                    return Some((used, Step::Tls));
                }
            }
            return Some((used, Step::Continue));
        }
        match &upper[..] {
            b"STARTTLS" => self.tls = Some(tag.to_vec()),
            b"LOGIN" => {
                // A literal has its value in the next line; only its length stands here.
                let user = word(rest).0;
                if !user.starts_with(b"{") {
                    opening.user = Some(text(user.trim_ascii()).trim_matches('"').to_owned());
                }
                opening.command = Some("LOGIN".into());
                return Some((used, Step::Done));
            }
            b"CAPABILITY" | b"ID" | b"NOOP" | b"ENABLE" | b"" => {}
            b"AUTHENTICATE" => {
                opening.command = Some(text(&[b"AUTHENTICATE ", word(rest).0].concat()));
                return Some((used, Step::Done));
            }
            _ => {
                opening.command = Some(text(line[tag.len()..].trim_ascii()));
                return Some((used, Step::Done));
            }
        }
        Some((used, Step::Continue))
    }
}

/// SSH: a line of each side, then binary packets.
#[derive(Debug)]
pub(super) struct Ssh;

impl Dialect for Ssh {
    fn step(&mut self, side: Side, bytes: &[u8], opening: &mut Opening) -> Option<(usize, Step)> {
        let place = match side {
            Side::Initiator => &mut opening.client,
            Side::Responder => &mut opening.banner,
        };
        // Binary packets follow.
        if place.is_some() {
            return None;
        }
        let (line, used) = line(bytes)?;
        // A server may send other lines before (RFC 4253, section 4.2).
        if line.starts_with(b"SSH-") {
            *place = Some(text(line));
        }
        let both = opening.client.is_some() && opening.banner.is_some();
        Some((used, if both { Step::Done } else { Step::Continue }))
    }
}

/// The first line without its end, and its length with it.
fn line(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let end = memchr(b'\n', bytes)?;
    let line = &bytes[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), end + 1))
}

/// The first word, and what stands behind it.
fn word(line: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr(b' ', line).unwrap_or(line.len());
    let (word, rest) = line.split_at(end);
    (word.trim_ascii(), rest.trim_ascii_start())
}

/// Judges the banner of a server that speaks first, by its beginning and its first line.
fn banner(prefix: &Prefix<'_>, beginning: &[u8], judge: impl Fn(&[u8]) -> Verdict) -> Verdict {
    let bytes = prefix.responder;
    let common = bytes.iter().zip(beginning).take_while(|(a, b)| a == b).count();
    if !prefix.anchored || common < bytes.len().min(beginning.len()) {
        return Verdict::No;
    }
    // A client that speaks first speaks another protocol.
    if bytes.is_empty() && !prefix.initiator.is_empty() {
        return Verdict::No;
    }
    line(bytes).map_or(Verdict::More, |(line, _)| judge(line))
}

/// SMTP and FTP have the same first code: the words of the banner decide, or else the client's
/// first command.
fn is_reply(prefix: &Prefix<'_>, name: &[u8], other: &[u8], verbs: &[&[u8]]) -> Verdict {
    let by_command = || match line(prefix.initiator) {
        Some((line, _)) if verbs.contains(&&word(line).0.to_ascii_uppercase()[..]) => Verdict::Yes,
        Some(_) => Verdict::No,
        None => Verdict::More,
    };
    banner(prefix, b"220", |line| {
        let upper = line.to_ascii_uppercase();
        let has = |word: &[u8]| memchr::memmem::find(&upper, word).is_some();
        if !matches!(line.get(3), None | Some(b' ' | b'-')) {
            Verdict::No
        } else if has(name) && !has(other) {
            Verdict::Yes
        } else {
            by_command()
        }
    })
}

pub(super) fn is_smtp(prefix: &Prefix<'_>) -> Verdict {
    is_reply(prefix, b"SMTP", b"FTP", &[b"EHLO", b"HELO", b"LHLO", b"STARTTLS", b"MAIL"])
}

pub(super) fn is_ftp(prefix: &Prefix<'_>) -> Verdict {
    is_reply(
        prefix,
        b"FTP",
        b"SMTP",
        &[b"USER", b"AUTH", b"FEAT", b"SYST", b"OPTS", b"CLNT", b"HOST"],
    )
}

pub(super) fn is_pop3(prefix: &Prefix<'_>) -> Verdict {
    banner(prefix, b"+OK ", |_| match line(prefix.initiator) {
        Some((line, _)) => {
            let verbs: [&[u8]; 7] = [b"USER", b"APOP", b"CAPA", b"STLS", b"AUTH", b"QUIT", b"STAT"];
            let known = verbs.contains(&&word(line).0.to_ascii_uppercase()[..]);
            if known { Verdict::Yes } else { Verdict::No }
        }
        None => Verdict::More,
    })
}

pub(super) fn is_imap(prefix: &Prefix<'_>) -> Verdict {
    let states: [&[u8]; 3] = [b"OK", b"PREAUTH", b"BYE"];
    banner(prefix, b"* ", |line| {
        let known = states.contains(&word(word(line).1).0);
        if known { Verdict::Yes } else { Verdict::No }
    })
}

/// SSH by the identification of either side.
pub(super) fn is_ssh(prefix: &Prefix<'_>) -> Verdict {
    const BEGINNING: &[u8] = b"SSH-";
    let mut verdict = Verdict::More;
    for bytes in [prefix.initiator, prefix.responder] {
        let common = bytes.iter().zip(BEGINNING).take_while(|(a, b)| a == b).count();
        if common == BEGINNING.len() && prefix.anchored {
            return Verdict::Yes;
        }
        if common < bytes.len() {
            verdict = Verdict::No;
        }
    }
    verdict
}
