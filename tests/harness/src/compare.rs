//! Comparisons that print the difference between two lists, not the lists.

use std::fmt::Write as _;

/// The maximum number of bytes in an excerpt.
const EXCERPT: usize = 32;

/// Panics unless two lists of packets or other bytes are equal. Prints their lengths and the first
/// difference.
///
/// # Panics
/// If they differ.
#[track_caller]
pub fn assert_same<A: AsRef<[u8]>, B: AsRef<[u8]>>(seen: &[A], expected: &[B], what: &str) {
    if let Some(difference) = difference(seen, expected) {
        panic!("{what}: {difference}");
    }
}

fn difference<A: AsRef<[u8]>, B: AsRef<[u8]>>(seen: &[A], expected: &[B]) -> Option<String> {
    let pairs = seen.iter().zip(expected);
    let same = pairs.take_while(|(seen, expected)| seen.as_ref() == expected.as_ref()).count();
    if same == seen.len() && same == expected.len() {
        return None;
    }
    let mut text = format!("{} items instead of {}", seen.len(), expected.len());
    let show = |bytes: Option<&[u8]>| match bytes {
        None => "nothing".to_owned(),
        Some(bytes) => {
            let more = if bytes.len() > EXCERPT { " …" } else { "" };
            format!("{} bytes {:02x?}{more}", bytes.len(), &bytes[..bytes.len().min(EXCERPT)])
        }
    };
    let (seen, expected) = (seen.get(same), expected.get(same));
    let [seen, expected] = [seen.map(AsRef::as_ref), expected.map(AsRef::as_ref)].map(show);
    let _ = write!(text, "; the first difference is at {same}: {seen} instead of {expected}");
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn the_first_difference_is_shown_and_no_more() {
        let expected: Vec<Vec<u8>> = (0..1000).map(|at| vec![at as u8; 80]).collect();
        assert_eq!(difference(&expected, &expected), None);
        let mut seen = expected.clone();
        seen.remove(7);
        let text = difference(&seen, &expected).expect("they differ");
        assert!(text.starts_with("999 items instead of 1000; the first difference is at 7: "));
        assert!(text.len() < 500, "{text}");
        let text = difference(&expected[..3], &expected[..4]).expect("they differ");
        assert!(text.contains("at 3: nothing instead of 80 bytes"), "{text}");
    }
}
