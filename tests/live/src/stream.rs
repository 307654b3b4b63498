//! Captured streams, and their comparison with the bytes that were sent.

use std::{
    fmt,
    io::{self, Read},
    net::SocketAddr,
};

use flow::EndReason;
use live_harness::{Result, none_dropped};
use sha2::{Digest as _, Sha256};

/// One direction's bytes, as far as they were captured.
#[derive(Clone, PartialEq, Eq)]
pub struct Stream {
    /// Captured bytes.
    pub length: u64,
    /// The hash of exactly those bytes.
    pub sha256: [u8; 32],
    /// Offset and length of each gap. The offset includes earlier gaps.
    pub gaps: Vec<(u64, u64)>,
}

impl Stream {
    /// The stream of all that `said` yields, less these gaps.
    ///
    /// # Errors
    ///
    /// If `said` cannot be read.
    pub fn of(mut said: impl Read, gaps: &[(u64, u64)]) -> io::Result<Self> {
        let (mut hash, mut length, mut offset) = (Sha256::new(), 0, 0);
        for (start, hole) in gaps {
            length += take(&mut said, start.saturating_sub(offset), |part| hash.update(part))?;
            take(&mut said, *hole, |_| {})?;
            offset = start + hole;
        }
        length += take(&mut said, u64::MAX, |part| hash.update(part))?;
        Ok(Self { length, sha256: hash.finalize().into(), gaps: gaps.to_vec() })
    }

    /// Fails unless this is exactly what `said` yields, without a gap.
    ///
    /// # Errors
    ///
    /// The difference.
    pub fn is_all_of(&self, said: impl Read) -> Result {
        self.is_what_was_captured_of(said)?;
        match self.gaps[..] {
            [] => Ok(()),
            _ => Err(format!("bytes were missed: {self:?}").into()),
        }
    }

    /// Fails unless this is exactly what `said` yields, less the gaps.
    ///
    /// # Errors
    ///
    /// The difference.
    pub fn is_what_was_captured_of(&self, said: impl Read) -> Result {
        let expected = Self::of(said, &self.gaps)?;
        if *self == expected {
            Ok(())
        } else {
            Err(format!("heard {self:?}, said {expected:?}").into())
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes (", self.length)?;
        self.sha256[..6].iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, "…) with the gaps {:?}", self.gaps)
    }
}

/// One direction of one conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Direction {
    /// The sender.
    pub from: SocketAddr,
    /// The receiver.
    pub to: SocketAddr,
    /// The captured bytes.
    pub stream: Stream,
}

/// Everything that a listener captured.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Each direction with data or a gap.
    pub directions: Vec<Direction>,
    /// The initiator and the end reason of each conversation, if the listener reports them.
    pub ends: Vec<(SocketAddr, EndReason)>,
    /// Packets that the kernel dropped.
    pub drops: u64,
}

impl Heard {
    /// Checks that the kernel dropped no packets, for tests that need all bytes.
    ///
    /// # Errors
    ///
    /// [`Dropped`](live_harness::Dropped) if the kernel dropped some. The test is then run again.
    pub fn whole(self) -> Result<Self> {
        none_dropped(self.drops)?;
        Ok(self)
    }

    /// The only direction to the port `port`.
    ///
    /// # Errors
    ///
    /// If no direction fits, or more than one.
    pub fn to(&self, port: u16) -> Result<&Stream> {
        self.only(|direction| direction.to.port() == port)
    }

    /// The only direction from the port `port`.
    ///
    /// # Errors
    ///
    /// If no direction fits, or more than one.
    pub fn from(&self, port: u16) -> Result<&Stream> {
        self.only(|direction| direction.from.port() == port)
    }

    /// The only direction for which `wanted` holds.
    ///
    /// # Errors
    ///
    /// If no direction fits, or more than one.
    pub fn only(&self, wanted: impl Fn(&Direction) -> bool) -> Result<&Stream> {
        let mut fitting = self.directions.iter().filter(|direction| wanted(direction));
        match (fitting.next(), fitting.next()) {
            (Some(direction), None) => Ok(&direction.stream),
            (first, second) => {
                Err(format!("not one direction but {first:?}, {second:?} of {self:?}").into())
            }
        }
    }

    /// The number of missing bytes in all directions.
    ///
    /// # Errors
    ///
    /// If bytes are missing although the kernel dropped no packets.
    pub fn missed(&self) -> Result<u64> {
        let missed = self
            .directions
            .iter()
            .flat_map(|direction| &direction.stream.gaps)
            .map(|(_, length)| length)
            .sum();
        if missed > 0 && self.drops == 0 {
            return Err(
                format!("{missed} bytes missed, but no packet was dropped: {self:?}").into()
            );
        }
        Ok(missed)
    }
}

/// Passes at most `limit` bytes of `said` to `each`, in parts, and returns their number.
fn take(said: &mut impl Read, limit: u64, mut each: impl FnMut(&[u8])) -> io::Result<u64> {
    let (mut buffer, mut taken) = (vec![0; 1 << 16], 0);
    while taken < limit {
        let room = usize::try_from(limit - taken).unwrap_or(usize::MAX).min(buffer.len());
        match said.read(&mut buffer[..room]) {
            Ok(0) => break,
            Ok(length) => {
                each(&buffer[..length]);
                taken += length as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_left_out() {
        let said = *b"0123456789";
        let heard = Stream::of(&b"0156789"[..], &[]).unwrap();
        let heard = Stream { gaps: vec![(2, 3)], ..heard };
        heard.is_what_was_captured_of(&said[..]).unwrap();
        assert!(heard.is_all_of(&said[..]).is_err(), "a hole is no exact stream");
        let elsewhere = Stream { gaps: vec![(3, 3)], ..heard };
        assert!(elsewhere.is_what_was_captured_of(&said[..]).is_err());
        let tail = Stream { gaps: vec![(7, 3)], ..Stream::of(&b"0123456"[..], &[]).unwrap() };
        tail.is_what_was_captured_of(&said[..]).unwrap();
    }

    #[test]
    fn any_difference_is_seen() {
        let heard = Stream::of(&b"abc"[..], &[]).unwrap();
        heard.is_all_of(&b"abc"[..]).unwrap();
        for other in ["abd", "ab", "abcd", "", "bac"] {
            assert!(heard.is_all_of(other.as_bytes()).is_err(), "{other}");
        }
    }

    #[test]
    fn silent_loss_is_an_error() {
        let stream = Stream { gaps: vec![(1, 1)], ..Stream::of(&b"ac"[..], &[]).unwrap() };
        let address = SocketAddr::from(([10, 0, 0, 1], 1));
        let directions = vec![Direction { from: address, to: address, stream }];
        let mut heard = Heard { directions, ..Heard::default() };
        assert!(heard.missed().is_err());
        heard.drops = 1;
        assert_eq!(heard.missed().unwrap(), 1);
    }
}
