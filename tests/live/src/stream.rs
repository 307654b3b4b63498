//! What was heard, and whether it is what was said.

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
    /// Over exactly those.
    pub sha256: [u8; 32],
    /// Offset and length of each hole, earlier holes counted.
    pub gaps: Vec<(u64, u64)>,
}

impl Stream {
    /// What `Stream` would be of all that `said` yields, less these holes.
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

    /// Fails unless this is exactly what `said` yields, without a hole.
    ///
    /// # Errors
    ///
    /// What differs.
    pub fn is_all_of(&self, said: impl Read) -> Result {
        self.is_what_was_captured_of(said)?;
        match self.gaps[..] {
            [] => Ok(()),
            _ => Err(format!("bytes were missed: {self:?}").into()),
        }
    }

    /// Fails unless this is exactly what `said` yields, less the holes that it tells of.
    ///
    /// # Errors
    ///
    /// What differs.
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
    /// Who says it.
    pub from: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    /// What.
    pub stream: Stream,
}

/// All that a listener heard.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Each direction that carried data or has a gap.
    pub directions: Vec<Direction>,
    /// How each conversation ended and who had opened it, if the listener tells.
    pub ends: Vec<(SocketAddr, EndReason)>,
    /// Packets that the kernel dropped.
    pub drops: u64,
}

impl Heard {
    /// The same, for who wants all bytes of it.
    ///
    /// # Errors
    ///
    /// [`Dropped`](live_harness::Dropped) if the kernel dropped some, which has the test run again.
    pub fn whole(self) -> Result<Self> {
        none_dropped(self.drops)?;
        Ok(self)
    }

    /// The one direction to the port `port`.
    ///
    /// # Errors
    ///
    /// If there is none, or more than one.
    pub fn to(&self, port: u16) -> Result<&Stream> {
        self.only(|direction| direction.to.port() == port)
    }

    /// The one direction from the port `port`.
    ///
    /// # Errors
    ///
    /// If there is none, or more than one.
    pub fn from(&self, port: u16) -> Result<&Stream> {
        self.only(|direction| direction.from.port() == port)
    }

    /// The one direction for which `wanted` holds.
    ///
    /// # Errors
    ///
    /// If there is none, or more than one.
    pub fn only(&self, wanted: impl Fn(&Direction) -> bool) -> Result<&Stream> {
        let mut fitting = self.directions.iter().filter(|direction| wanted(direction));
        match (fitting.next(), fitting.next()) {
            (Some(direction), None) => Ok(&direction.stream),
            (first, second) => {
                Err(format!("not one direction but {first:?}, {second:?} of {self:?}").into())
            }
        }
    }

    /// Bytes that were missed, in all directions. They are what the kernel dropped, or there are none.
    ///
    /// # Errors
    ///
    /// If bytes were missed though the kernel dropped nothing.
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

/// Hands at most `limit` bytes of `said` to `each`, part by part, and returns how many there were.
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
