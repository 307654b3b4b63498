//! The Huffman code of HPACK (RFC 7541, appendix B).
//!
//! The code is canonical: among codes of a length, symbols are in order, and longer codes follow
//! shorter ones. So the lengths define it.

/// The length of each symbol's code in bits; the last is that of the end of the string.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5,
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6,
    6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22,
    23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22,
    21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20,
    22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19,
    21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22,
    22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

const LONGEST: usize = 30;
const END: u16 = 256;

/// The codes by length: the first code, the number of codes, and the index of the first symbol.
static CODES: ([(u32, u32, u32); LONGEST + 1], [u16; 257]) = codes();

const fn codes() -> ([(u32, u32, u32); LONGEST + 1], [u16; 257]) {
    let mut lengths = [(0, 0, 0); LONGEST + 1];
    let mut symbols = [0; 257];
    let (mut code, mut index, mut length) = (0, 0, 1);
    while length <= LONGEST {
        code <<= 1;
        lengths[length].0 = code;
        lengths[length].2 = index;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                symbols[index as usize] = symbol as u16;
                index += 1;
                code += 1;
            }
            symbol += 1;
        }
        lengths[length].1 = code - lengths[length].0;
        length += 1;
    }
    (lengths, symbols)
}

/// Appends the decoded string to `out`. Returns `None` if it is not a string of the code.
pub(super) fn decode(bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (lengths, symbols) = &CODES;
    let (mut code, mut length, mut ones) = (0_u32, 0, true);
    for byte in bytes {
        for bit in (0..8).rev().map(|shift| u32::from(byte >> shift & 1)) {
            code = code << 1 | bit;
            length += 1;
            ones &= bit == 1;
            let (first, count, index) = *lengths.get(length)?;
            let offset = code.wrapping_sub(first);
            if offset < count {
                let symbol = symbols[(index + offset) as usize];
                if symbol == END {
                    return None;
                }
                out.push(symbol as u8);
                (code, length, ones) = (0, 0, true);
            }
        }
    }
    // The padding is the beginning of the end's code, shorter than a byte.
    (length < 8 && ones).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_the_specification_are_decoded() {
        let cases: [(&[u8], &[u8]); 3] = [
            (
                &[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff],
                b"www.example.com",
            ),
            (&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], b"no-cache"),
            (&[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf], b"custom-value"),
        ];
        for (coded, text) in cases {
            let mut out = Vec::new();
            assert_eq!(decode(coded, &mut out), Some(()));
            assert_eq!(out, text);
        }
    }

    #[test]
    fn wrong_padding_and_the_end_are_refused() {
        // Eight bits of padding, padding of zeros, and the code of the end.
        for coded in [&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf, 0xff][..], &[0], &[0xff; 4]] {
            assert_eq!(decode(coded, &mut Vec::new()), None, "{coded:x?}");
        }
    }
}
