//! The TCP options that reassembly needs (RFC 9293, section 3.1; RFC 7323; RFC 2385; RFC 5925).

use crate::{TcpFlags, TcpOptions};

const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const WINDOW_SCALE: u8 = 3;
const TIMESTAMP: u8 = 8;
const MD5_SIGNATURE: u8 = 19;
const AUTHENTICATION: u8 = 29;

/// The length of an MD5 signature option. Linux looks for one only while at least this number of
/// bytes is left, and drops a segment if it finds a malformed option before that
/// (`tcp_do_parse_auth_options` in net/ipv4/tcp_input.c).
const SIGNATURE_LEN: usize = 18;

/// The options of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) options: TcpOptions,
    pub(super) timestamp: u32,
    pub(super) window_scale: Option<u8>,
}

/// Reads the options of a SYN or of a segment with payload. From other segments it reads only a
/// time stamp in the usual position, because nothing depends on the rest.
#[inline]
pub(super) fn read(options: &[u8], whole: bool, flags: TcpFlags, carries: bool) -> Read {
    if let Some(timestamp) = aligned_timestamp(options) {
        return Read { options: TcpOptions::TIMESTAMP, timestamp, window_scale: None };
    }
    if options.is_empty() || !(carries || flags.contains(TcpFlags::SYN)) {
        return Read::default();
    }
    let mut read = linux_syn(options).unwrap_or_else(|| read_all(options, whole));
    if !flags.contains(TcpFlags::SYN) {
        read.window_scale = None;
    }
    read
}

/// The value of a time stamp option that follows two bytes of padding and is the only option (RFC
/// 7323, appendix A).
#[inline(always)]
pub(super) fn aligned_timestamp(options: &[u8]) -> Option<u32> {
    let options: &[u8; 12] = options.try_into().ok()?;
    let [p, q, kind, len, a, b, c, d, ..] = *options;
    let head = u32::from_be_bytes([p, q, kind, len]);
    // One comparison instead of four.
    (head == u32::from_be_bytes([NO_OPERATION, NO_OPERATION, TIMESTAMP, 10]))
        .then(|| u32::from_be_bytes([a, b, c, d]))
}

/// The options of most SYNs: those of Linux and Android, which are the maximum segment size,
/// selective acknowledgements permitted, time stamp and window scale, in this order.
#[inline(always)]
fn linux_syn(options: &[u8]) -> Option<Read> {
    let options: &[u8; 20] = options.try_into().ok()?;
    let [a, b, _, _, c, d, e, f, t, u, v, w, _, _, _, _, g, h, i, shift] = *options;
    // Few comparisons instead of nine.
    let is_alike = u16::from_be_bytes([a, b]) == u16::from_be_bytes([2, 4])
        && u32::from_be_bytes([c, d, e, f]) == u32::from_be_bytes([4, 2, TIMESTAMP, 10])
        && u16::from_be_bytes([g, h]) == u16::from_be_bytes([NO_OPERATION, WINDOW_SCALE])
        && i == 3;
    is_alike.then(|| Read {
        options: TcpOptions::TIMESTAMP,
        timestamp: u32::from_be_bytes([t, u, v, w]),
        window_scale: Some(shift.min(14)),
    })
}

#[inline(never)]
fn read_all(mut options: &[u8], whole: bool) -> Read {
    let mut read = Read::default();
    loop {
        let left = options.len();
        let (kind, len) = match *options {
            [] | [END, ..] => return read,
            [NO_OPERATION, ref rest @ ..] => {
                options = rest;
                continue;
            }
            [kind, len, ..] => (kind, usize::from(len)),
            [kind] => (kind, 0),
        };
        let malformed = len < 2 || len > left;
        let mut is_odd = malformed;
        if !malformed {
            let value = &options[2..len];
            match kind {
                WINDOW_SCALE => {
                    if let [shift] = *value {
                        // Values over 14 count as 14 (RFC 7323, section 2.3).
                        read.window_scale = Some(shift.min(14));
                    }
                }
                TIMESTAMP => {
                    if let [a, b, c, d, _, _, _, _] = *value {
                        read.timestamp = u32::from_be_bytes([a, b, c, d]);
                        read.options = read.options | TcpOptions::TIMESTAMP;
                    }
                }
                MD5_SIGNATURE | AUTHENTICATION => {
                    is_odd = if kind == MD5_SIGNATURE { len != SIGNATURE_LEN } else { len <= 4 };
                    if !is_odd {
                        read.options = read.options | TcpOptions::SIGNATURE;
                    }
                }
                _ => {}
            }
        }
        if is_odd && whole && left >= SIGNATURE_LEN {
            read.options = read.options | TcpOptions::MALFORMED;
        }
        if malformed {
            return read;
        }
        options = &options[len..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(options: &[u8]) -> Read {
        read(options, true, TcpFlags::SYN, false)
    }

    #[test]
    fn options_of_a_syn_are_read() {
        let syn = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 7, 0, 0, 0, 0, 1, 3, 3, 7];
        let timestamp = TcpOptions::TIMESTAMP;
        let expected = Read { options: timestamp, timestamp: 7, window_scale: Some(7) };
        assert_eq!(options(&syn), expected);
        assert_eq!(read(&syn, true, TcpFlags::ACK, true).window_scale, None);
        assert_eq!(read(&syn, true, TcpFlags::ACK, false), Read::default());
        assert_eq!(options(&[1, 3, 3, 20]).window_scale, Some(14));
        assert_eq!(options(&[0, 3, 3, 7]), Read::default(), "nothing follows the end");
    }

    #[test]
    fn a_time_stamp_in_its_usual_place_is_read_from_every_segment() {
        let usual = [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8];
        let read = read(&usual, true, TcpFlags::ACK, false);
        assert_eq!((read.options, read.timestamp), (TcpOptions::TIMESTAMP, 0x0102_0304));
    }

    #[test]
    fn signatures_are_recognised() {
        let md5 = [&[19, 18][..], &[7; 16], &[1, 1]].concat();
        assert_eq!(options(&md5).options, TcpOptions::SIGNATURE);
        let authentication = [&[29, 16, 1, 1][..], &[7; 12]].concat();
        assert_eq!(options(&authentication).options, TcpOptions::SIGNATURE);
    }

    #[test]
    fn malformed_options_count_where_a_signature_might_follow() {
        let with = |option: [u8; 2], rest: usize| [&option[..], &vec![1; rest]].concat();
        for option in [[8, 0], [8, 1], [254, 99], [19, 17]] {
            assert_eq!(options(&with(option, 16)).options, TcpOptions::MALFORMED, "{option:?}");
            assert_eq!(options(&with(option, 14)).options, TcpOptions::default(), "{option:?}");
            let cut = read(&with(option, 16), false, TcpFlags::SYN, false);
            assert_eq!(cut.options, TcpOptions::default(), "the capture cut them");
        }
    }
}
