//! Domain names on the wire (RFC 1035, section 4.1.4).

/// The longest name on the wire, in bytes with its length bytes (RFC 1035, section 2.3.4).
const MAX_WIRE_LENGTH: usize = 255;

/// A pointer must lead to an earlier place than the one before, so a chain of pointers ends. This
/// limit keeps a message of pointers to pointers from costing its length again for every name.
const MAX_POINTERS: usize = 64;

/// Reads the name at `at` of `message`. Returns its text and the offset after it.
///
/// The text is the presentation form without the final dot; the root is `.`. A dot or a backslash
/// within a label is escaped with a backslash. In a label that is not UTF-8, or has control
/// characters, each byte that is not printable ASCII becomes `\DDD`, three decimal digits
/// (RFC 1035, section 5.1). Upper and lower case are kept as sent.
///
/// Returns `None` if the name passes the end of the message, is longer than 255 bytes, has a label
/// of a reserved type, or a pointer that does not lead backwards.
pub(crate) fn read(message: &[u8], at: usize) -> Option<(String, usize)> {
    let mut text = String::new();
    let mut length = 1;
    let mut after = None;
    let mut at = at;
    // A name is compressed by a pointer to a prior occurrence. A pointer to itself or ahead is how
    // a message makes a careless reader loop.
    let mut bound = at;
    let mut pointers = 0;
    loop {
        let first = *message.get(at)?;
        match first {
            0 => {
                if text.is_empty() {
                    text.push('.');
                }
                return Some((text, after.unwrap_or(at + 1)));
            }
            1..=63 => {
                let label = message.get(at + 1..at + 1 + usize::from(first))?;
                length += label.len() + 1;
                if length > MAX_WIRE_LENGTH {
                    return None;
                }
                if !text.is_empty() {
                    text.push('.');
                }
                push_label(&mut text, label);
                at += label.len() + 1;
            }
            0xc0..=0xff => {
                let low = *message.get(at + 1)?;
                let target = usize::from(first & 0x3f) << 8 | usize::from(low);
                after.get_or_insert(at + 2);
                pointers += 1;
                if target >= bound || pointers > MAX_POINTERS {
                    return None;
                }
                at = target;
                bound = target;
            }
            _ => return None,
        }
    }
}

/// Returns the offset after the name at `at`, without following pointers.
pub(crate) fn skip(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            label @ 1..=63 => at += usize::from(label) + 1,
            0xc0..=0xff => {
                message.get(at + 1)?;
                return Some(at + 2);
            }
            _ => return None,
        }
    }
}

/// Names of services are UTF-8 with spaces (RFC 6763, section 4.1.3), so a label that is valid and
/// has no control characters is kept as it is. Any other is bytes.
fn push_label(text: &mut String, label: &[u8]) {
    if let Ok(label) = str::from_utf8(label)
        && !label.chars().any(char::is_control)
    {
        for char in label.chars() {
            if matches!(char, '.' | '\\') {
                text.push('\\');
            }
            text.push(char);
        }
        return;
    }
    for &byte in label {
        match byte {
            b'.' | b'\\' => text.extend(['\\', byte.into()]),
            0x20..=0x7e => text.push(byte.into()),
            _ => {
                let digits = [byte / 100, byte / 10 % 10, byte % 10];
                text.push('\\');
                text.extend(digits.map(|digit| char::from(b'0' + digit)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn compressed_names_are_joined() {
        let message = b"\x03com\x00\x07example\xc0\x00\x03www\xc0\x05";
        assert_eq!(read(message, 15), Some(("www.example.com".into(), 21)));
        assert_eq!(read(message, 0), Some(("com".into(), 5)));
        assert_eq!(read(message, 4), Some((".".into(), 5)));
        assert_eq!(skip(message, 15), Some(21));
    }

    #[test]
    fn what_is_not_printable_is_escaped() {
        assert_eq!(read(b"\x05a.\\\x00\xff\x00", 0), Some((r"a\.\\\000\255".into(), 7)));
        assert_eq!(read("\x05\u{e9} tv\0".as_bytes(), 0).unwrap().0, "\u{e9} tv");
    }

    #[test]
    fn loops_and_forward_pointers_are_no_names() {
        assert_eq!(read(b"\xc0\x00", 0), None);
        assert_eq!(read(b"\x01a\xc0\x00", 0), None);
        assert_eq!(read(b"\xc0\x02\x01a\x00", 0), None);
        assert_eq!(read(b"\x01a\xc0\x04\x01b\xc0\x00", 4), None);
        assert_eq!(read(b"\x40", 0), None);
        assert_eq!(read(b"\x05abc", 0), None);
    }

    #[test]
    fn chains_of_pointers_are_limited() {
        let mut message = vec![0, 0];
        for target in (0..200_u16).map(|step| step * 2) {
            message.extend((0xc000 | target).to_be_bytes());
        }
        assert!(read(&message, 2 * 64).is_some());
        assert_eq!(read(&message, 2 * 65), None);
    }

    #[test]
    fn names_are_at_most_255_bytes() {
        let name = |labels: usize| [b"\x01a".repeat(labels), vec![0]].concat();
        assert!(read(&name(127), 0).is_some());
        assert_eq!(read(&name(128), 0), None);
    }

    proptest! {
        #[test]
        fn any_bytes_end(message in proptest::collection::vec(any::<u8>(), 0..300), at in 0..320_usize) {
            if let Some((text, after)) = read(&message, at) {
                prop_assert!(text.len() <= 4 * 255 && after <= message.len());
                prop_assert_eq!(skip(&message, at), Some(after));
            }
        }
    }
}
