//! Hellos of SSL 2.0, which old clients also send to servers of SSL 3.0 and TLS (RFC 5246,
//! appendix E.2).

use super::certificate::Certificate;
use super::{ClientHello, ServerHello, Version};
use crate::identify::Verdict;
use crate::reader::Reader;

/// The length of the header: 15 bits, and a bit that says that there is no padding.
pub(super) const HEADER: usize = 2;

/// The length of the message that begins with this header, which is not part of it.
pub(super) const fn length([high, low]: [u8; HEADER]) -> usize {
    (high as usize & 0x7f) << 8 | low as usize
}

/// Judges the beginning of a stream: is it a client's hello?
pub(super) fn judge(bytes: &[u8]) -> Verdict {
    let Some((&header, body)) = bytes.split_first_chunk() else { return Verdict::More };
    let length = length(header);
    let mut reader = Reader::new(body);
    let fixed =
        [reader.u8().map(u16::from), reader.u16(), reader.u16(), reader.u16(), reader.u16()];
    let ([kind, version, ciphers, session, challenge], complete) =
        (fixed.map(Option::unwrap_or_default), fixed[4].is_some());
    if fixed[0].is_some_and(|_| kind != 1)
        || fixed[1].is_some_and(|_| !matches!(version, 0x0002 | 0x0300..=0x0303))
        || length < 9 + 3 + 16
    {
        return Verdict::No;
    }
    if !complete {
        return Verdict::More;
    }
    let lengths = [ciphers, session, challenge].map(usize::from);
    let fits = 9 + lengths.iter().sum::<usize>() == length
        && ciphers > 0
        && ciphers % 3 == 0
        && matches!(session, 0 | 16 | 32)
        && (16..=32).contains(&challenge);
    if fits { Verdict::Yes } else { Verdict::No }
}

/// Reads a client's hello: the message without its header.
pub(super) fn client_hello(message: &[u8]) -> Option<ClientHello> {
    let mut reader = Reader::new(message);
    if reader.u8()? != 1 {
        return None;
    }
    let version = Version(reader.u16()?);
    let [ciphers, session, challenge] = [reader.u16()?, reader.u16()?, reader.u16()?];
    let ciphers = reader.take(ciphers.into())?;
    let session_id = reader.take(session.into())?.to_vec();
    let challenge = reader.take(challenge.into())?;
    let mut hello = ClientHello {
        legacy_version: version,
        session_id,
        ssl2_format: true,
        ..ClientHello::default()
    };
    // The first of three bytes is zero for a suite of SSL 3.0 or TLS.
    let suites = ciphers.as_chunks().0.iter().filter(|[kind, _, _]| *kind == 0);
    hello.ciphers = suites.map(|&[_, high, low]| u16::from_be_bytes([high, low])).collect();
    // A challenge shorter than the random bytes stands at their end.
    let challenge = &challenge[..challenge.len().min(32)];
    hello.random[32 - challenge.len()..].copy_from_slice(challenge);
    Some(hello)
}

/// Reads a server's hello of SSL 2.0.
pub(super) fn server_hello(message: &[u8]) -> Option<(ServerHello, Option<Certificate>)> {
    let mut reader = Reader::new(message);
    let (kind, _hit, _certificate) = (reader.u8()?, reader.u8()?, reader.u8()?);
    let version = Version(reader.u16()?);
    if kind != 4 || version != Version::SSL_2 {
        return None;
    }
    let [certificate, _ciphers, _connection] = [reader.u16()?, reader.u16()?, reader.u16()?];
    let certificate = reader.take(certificate.into())?;
    let certificate = (!certificate.is_empty()).then(|| Certificate::parse(certificate));
    Some((ServerHello { legacy_version: version, ..ServerHello::default() }, certificate))
}
