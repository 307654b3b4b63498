//! Header compression (RFC 7541).
//!
//! A decoder of its own, since others must receive every block, and a capture may lack some. The
//! entries of a table are counted from the newest, so that those that were added behind a loss are
//! known, and only what is older is not.

use std::collections::VecDeque;

use super::huffman;
use super::static_table::TABLE;

/// The size of an entry besides its bytes (RFC 7541, section 4.1).
const OVERHEAD: usize = 32;
/// The size of a table before it is changed (RFC 9113, section 6.5.2).
const DEFAULT: usize = 4096;

/// The state of the compression of one direction.
#[derive(Debug)]
pub(super) struct Decoder {
    /// The newest first.
    entries: VecDeque<Entry>,
    size: usize,
    /// The limit that the sender announced.
    max: usize,
    /// The limit of what is kept here.
    limit: usize,
    /// There may be older entries that are not known.
    unknown: bool,
    scratch: [Vec<u8>; 2],
}

/// A name and a value; `None` for one that is not known.
#[derive(Debug)]
struct Entry {
    name: Option<Box<[u8]>>,
    value: Option<Box<[u8]>>,
}

/// The bytes are not a header block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Corrupt;

/// A name and a value; `None` for one that is not known.
type Field<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// The receiver of fields. A name or a value that is not known is `None`.
pub(super) type Each<'a> = &'a mut dyn FnMut(Option<&[u8]>, Option<&[u8]>);

impl Decoder {
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            size: 0,
            max: DEFAULT,
            limit,
            unknown: false,
            scratch: [Vec::new(), Vec::new()],
        }
    }

    /// Takes notice that a block is missing. It may have added entries, so the indexes of all that
    /// are known have changed.
    pub(super) fn lose(&mut self) {
        self.entries.clear();
        self.size = 0;
        self.unknown = true;
        // It may have changed this, too. A greater one keeps what a smaller one drops, which does
        // no harm: the sender never refers to entries that it has dropped.
        self.max = self.limit;
    }

    /// Decodes a block, and calls `each` with its fields.
    pub(super) fn decode(&mut self, block: &[u8], each: Each<'_>) -> Result<(), Corrupt> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let result = self.fields(block, &mut scratch, each);
        for text in &mut scratch {
            text.clear();
            text.shrink_to(4 << 10);
        }
        self.scratch = scratch;
        result
    }

    pub(super) fn memory(&self) -> usize {
        let scratch: usize = self.scratch.iter().map(Vec::capacity).sum();
        self.size + self.entries.capacity() * size_of::<Entry>() + scratch
    }

    fn fields(
        &mut self,
        mut block: &[u8],
        scratch: &mut [Vec<u8>; 2],
        each: Each<'_>,
    ) -> Result<(), Corrupt> {
        while let Some(&first) = block.first() {
            if first & 0x80 != 0 {
                let index = integer(&mut block, 7)?;
                let (name, value) = self.entry(index)?;
                each(name, value);
                continue;
            }
            if first & 0xe0 == 0x20 {
                self.resize(integer(&mut block, 5)?);
                continue;
            }
            let adds = first & 0x40 != 0;
            let index = integer(&mut block, if adds { 6 } else { 4 })?;
            let [own_name, own_value] = &mut *scratch;
            if index == 0 {
                string(&mut block, own_name)?;
            }
            string(&mut block, own_value)?;
            let name = if index == 0 { Some(&own_name[..]) } else { self.entry(index)?.0 };
            each(name, Some(own_value));
            if adds {
                let name = name.map(Into::into);
                self.add(Entry { name, value: Some(own_value[..].into()) });
            }
        }
        Ok(())
    }

    fn entry(&self, index: usize) -> Result<Field<'_>, Corrupt> {
        let index = index.checked_sub(1).ok_or(Corrupt)?;
        if let Some((name, value)) = TABLE.get(index) {
            return Ok((Some(name.as_bytes()), Some(value.as_bytes())));
        }
        match self.entries.get(index - TABLE.len()) {
            Some(entry) => Ok((entry.name.as_deref(), entry.value.as_deref())),
            None if self.unknown => Ok((None, None)),
            None => Err(Corrupt),
        }
    }

    fn add(&mut self, entry: Entry) {
        self.size += entry.size();
        self.entries.push_front(entry);
        self.evict();
    }

    fn resize(&mut self, max: usize) {
        self.max = max;
        if max == 0 {
            // Senders empty their tables in this way: all of it is known again.
            self.unknown = false;
        }
        self.evict();
    }

    fn evict(&mut self) {
        while self.size > self.max.min(self.limit) {
            // What the sender still has is forgotten.
            self.unknown |= self.size <= self.max;
            let Some(entry) = self.entries.pop_back() else { break };
            self.size -= entry.size();
        }
    }
}

impl Entry {
    fn size(&self) -> usize {
        let len = |part: &Option<Box<[u8]>>| part.as_ref().map_or(0, |part| part.len());
        OVERHEAD + len(&self.name) + len(&self.value)
    }
}

/// Reads an integer (RFC 7541, section 5.1).
fn integer(block: &mut &[u8], bits: u32) -> Result<usize, Corrupt> {
    let (&first, mut rest) = block.split_first().ok_or(Corrupt)?;
    let mask = (1_usize << bits) - 1;
    let mut value = usize::from(first) & mask;
    if value == mask {
        for shift in (0..).step_by(7) {
            // Nothing that fits here has more than 28 bits.
            let (&next, after) = rest.split_first().filter(|_| shift < 28).ok_or(Corrupt)?;
            rest = after;
            value += usize::from(next & 0x7f) << shift;
            if next & 0x80 == 0 {
                break;
            }
        }
    }
    *block = rest;
    Ok(value)
}

/// Reads a string into `out` (RFC 7541, section 5.2).
fn string(block: &mut &[u8], out: &mut Vec<u8>) -> Result<(), Corrupt> {
    let coded = block.first().ok_or(Corrupt)? & 0x80 != 0;
    let len = integer(block, 7)?;
    let (bytes, rest) = block.split_at_checked(len).ok_or(Corrupt)?;
    *block = rest;
    out.clear();
    if coded {
        return huffman::decode(bytes, out).ok_or(Corrupt);
    }
    out.extend_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(digits: &str) -> Vec<u8> {
        let digits: Vec<u8> = digits.bytes().filter(|byte| *byte != b' ').collect();
        let digit = |byte: u8| (byte as char).to_digit(16).expect("a digit") as u8;
        digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
    }

    fn lines(decoder: &mut Decoder, block: &str) -> String {
        let mut text = String::new();
        let part =
            |part: Option<&[u8]>| part.map_or("?".into(), String::from_utf8_lossy).into_owned();
        let result = decoder.decode(&hex(block), &mut |name, value| {
            text += &format!("{}: {}\n", part(name), part(value));
        });
        assert_eq!(result, Ok(()), "{block}");
        text
    }

    /// RFC 7541, appendices C.4 and C.6.
    #[test]
    fn examples_of_the_specification_are_decoded() {
        let mut decoder = Decoder::new(64 << 10);
        let first = lines(&mut decoder, "828684418cf1e3c2e5f23a6ba0ab90f4ff");
        assert_eq!(first, ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\n");
        let second = lines(&mut decoder, "828684be5886a8eb10649cbf");
        assert_eq!(second, format!("{first}cache-control: no-cache\n"));
        let third = lines(&mut decoder, "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf");
        assert_eq!(
            third,
            ":method: GET\n:scheme: https\n:path: /index.html\n:authority: www.example.com\n\
             custom-key: custom-value\n"
        );
        assert_eq!((decoder.entries.len(), decoder.size), (3, 164));

        let mut decoder = Decoder::new(64 << 10);
        decoder.max = 256;
        lines(
            &mut decoder,
            "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad1718\
             63c78f0b97c8e9ae82ae43d3",
        );
        assert_eq!((decoder.entries.len(), decoder.size), (4, 222));
        let second = lines(&mut decoder, "4883640effc1c0bf");
        assert_eq!(
            second,
            ":status: 307\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\n\
             location: https://www.example.com\n"
        );
        assert_eq!((decoder.entries.len(), decoder.size), (4, 222), "one was evicted");
    }

    #[test]
    fn behind_a_lost_block_only_what_is_older_is_unknown() {
        let mut decoder = Decoder::new(64 << 10);
        lines(&mut decoder, "4001610131");
        decoder.lose();
        // An old entry, a new one, the new one by index, and the old one behind it.
        assert_eq!(lines(&mut decoder, "be"), "?: ?\n");
        assert_eq!(lines(&mut decoder, "4001620132 be bf"), "b: 2\nb: 2\n?: ?\n");
        // A new value of an old name.
        assert_eq!(lines(&mut decoder, "7f000133 be bf"), "?: 3\n?: 3\nb: 2\n");
        // An empty table is known.
        assert_eq!(lines(&mut decoder, "20 3fe11f"), "");
        assert_eq!(decoder.decode(&[0xbe], &mut |_, _| {}), Err(Corrupt));
    }

    #[test]
    fn a_table_beyond_the_limit_is_known_in_part() {
        let mut decoder = Decoder::new(100);
        // A size of 4096, then three entries of 34.
        assert_eq!(
            lines(&mut decoder, "4001610131 4001620132 4001630133 be bf c0"),
            "a: 1\nb: 2\nc: 3\nc: 3\nb: 2\n?: ?\n"
        );
        assert!(decoder.memory() < 1000);
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for block in ["80", "be", "40", "4001", "7fffffffffff", "0001", "008700", "00810001"] {
            let mut decoder = Decoder::new(4096);
            assert_eq!(decoder.decode(&hex(block), &mut |_, _| {}), Err(Corrupt), "{block}");
        }
    }
}
