//! Receive-side scaling: how an adapter distributes received packets over its queues
//! (`ETHTOOL_GRSSH` of `linux/ethtool.h`).

use std::io;
use std::os::fd::AsRawFd as _;

use super::{check, control_socket, request};

/// The mapping from packets to receive queues. The receive hash selects an entry of the table, and
/// the entry names the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceiveSpread {
    /// Queue numbers, indexed by the hash modulo the table's length.
    pub table: Vec<u32>,
    /// The key of the hash.
    pub key: Vec<u8>,
    /// `ETH_RSS_HASH_*`, or 0 if the driver does not report it.
    pub function: u8,
    /// `RXH_XFRM_*`: the transformation of addresses and ports before hashing.
    pub transformation: u8,
}

const GET_RECEIVE_HASH: u32 = 0x46;
/// `ETH_RSS_HASH_TOP`: Toeplitz.
const TOEPLITZ: u8 = 1 << 0;
/// `RXH_XFRM_SYM_XOR` and `RXH_XFRM_SYM_OR_XOR`.
const SYMMETRIC: u8 = 1 << 0 | 1 << 1;
/// Words of `struct ethtool_rxfh` before the table.
const HEADER: usize = 6;
/// Maximum length of a table or key, in 32-bit words. Larger values from a driver are rejected as
/// invalid, since no adapter has any.
const MOST: u32 = 1 << 16;

impl ReceiveSpread {
    /// Reads an interface's receive-side scaling.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if the driver does not report it. Such drivers use rules of their own or have
    /// one queue.
    pub fn of(name: &str) -> io::Result<Self> {
        // The first call returns the lengths, the second one the data.
        let mut words = vec![0_u32; HEADER];
        call(name, &mut words)?;
        let (table, key) = (words[2], words[3]);
        if table > MOST || key > MOST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        words = vec![0; HEADER + table as usize + key.div_ceil(4) as usize];
        (words[2], words[3]) = (table, key);
        call(name, &mut words)?;
        Self::read(&words).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// The queues that the table names, sorted and without duplicates.
    #[must_use]
    pub fn queues(&self) -> Vec<u32> {
        let mut queues = self.table.clone();
        queues.sort_unstable();
        queues.dedup();
        queues
    }

    /// `true` if both directions of a flow arrive on the same queue. That is so if the adapter
    /// makes source and destination interchangeable, if the Toeplitz key repeats every 16 bits, or
    /// if there is only one queue.
    #[must_use]
    pub fn is_symmetric(&self) -> bool {
        let repeats =
            self.key.len() > 2 && self.key.iter().eq(self.key[2..].iter().chain(&self.key[..2]));
        self.transformation & SYMMETRIC != 0
            || (self.function == TOEPLITZ && repeats)
            || self.queues().len() == 1
    }

    /// Parses a filled-in `struct ethtool_rxfh`. `None` if it is shorter than its own lengths.
    fn read(words: &[u32]) -> Option<Self> {
        let [_, _, table, key, hash, _, rest @ ..] = words else { return None };
        let [function, transformation, ..] = hash.to_ne_bytes();
        let table = rest.get(..*table as usize)?;
        let bytes: Vec<u8> =
            rest[table.len()..].iter().flat_map(|word| word.to_ne_bytes()).collect();
        let key = bytes.get(..*key as usize)?.to_vec();
        Some(Self { table: table.to_vec(), key, function, transformation })
    }
}

/// Makes one request. `words` is a `struct ethtool_rxfh` with room for the lengths in its header.
fn call(name: &str, words: &mut [u32]) -> io::Result<()> {
    words[0] = GET_RECEIVE_HASH;
    let socket = control_socket()?;
    let mut request = request(name)?;
    request.ifr_ifru.ifru_data = words.as_mut_ptr().cast();
    // SAFETY: the request's pointer leads to the structure that the command reads and fills in. The
    // command writes the header and the number of words and bytes that the header gives, for which
    // the caller made room.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &mut request) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(table: &[u32], key: &[u8], function: u8, transformation: u8) -> Vec<u32> {
        let hash = u32::from_ne_bytes([function, transformation, 0, 0]);
        let mut words = vec![GET_RECEIVE_HASH, 0, table.len() as u32, key.len() as u32, hash, 0];
        words.extend(table);
        words.extend(key.chunks(4).map(|part| {
            u32::from_ne_bytes(std::array::from_fn(|at| part.get(at).copied().unwrap_or(0)))
        }));
        words
    }

    fn spread(table: &[u32], key: &[u8], function: u8, transformation: u8) -> ReceiveSpread {
        ReceiveSpread::read(&words(table, key, function, transformation)).expect("whole")
    }

    #[test]
    fn what_the_driver_fills_in_is_read() {
        let read = spread(&[0, 1, 0, 3], &[1, 2, 3, 4, 5], TOEPLITZ, 0);
        assert_eq!((&read.table[..], &read.key[..]), (&[0, 1, 0, 3][..], &[1, 2, 3, 4, 5][..]));
        assert_eq!(read.queues(), [0, 1, 3]);
        let mut short = words(&[0, 1], &[7; 40], TOEPLITZ, 0);
        short.pop();
        assert_eq!(ReceiveSpread::read(&short), None);
        short[2] = u32::MAX;
        assert_eq!(ReceiveSpread::read(&short), None);
        assert_eq!(ReceiveSpread::read(&[]), None);
    }

    #[test]
    fn symmetry_shows() {
        let repeated = [0x6d, 0x5a].repeat(20);
        let mut other = repeated.clone();
        other[39] = 0;
        assert!(spread(&[0, 1], &repeated, TOEPLITZ, 0).is_symmetric());
        assert!(!spread(&[0, 1], &other, TOEPLITZ, 0).is_symmetric());
        assert!(!spread(&[0, 1], &repeated, 4, 0).is_symmetric(), "another function");
        assert!(spread(&[0, 1], &other, TOEPLITZ, 1).is_symmetric(), "the adapter sees to it");
        assert!(spread(&[2, 2], &other, TOEPLITZ, 0).is_symmetric(), "one queue");
        assert!(!spread(&[], &[], TOEPLITZ, 0).is_symmetric());
    }

    #[test]
    fn interfaces_that_do_not_spread_say_so() {
        assert!(ReceiveSpread::of("lo").is_err());
        assert!(ReceiveSpread::of("nothing0").is_err());
    }
}
