//! Places of matches in streams that come in pieces.

use flow_filter::Finder;
use proptest::prelude::*;
use regex_automata::meta;
use regex_automata::util::syntax;

const PATTERNS: &[&str] = &[
    "ab",
    "a+b?",
    "^ab",
    "ba$",
    "a.*b",
    "(?i)AB",
    r"\bba",
    r"ab\b",
    "(?m)^ab$",
    "a{3}b",
    "b+|a\n",
    "x*",
    "$",
    "aab|bA",
    "(ab){2}",
    "(?i)aba|BB",
];

/// The matches in one piece, by another engine.
fn expected(pattern: &str, text: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let syntax = syntax::Config::new().unicode(false).utf8(false);
    let config = meta::Config::new().utf8_empty(false);
    let judge = meta::Builder::new().syntax(syntax).configure(config).build(pattern).unwrap();
    let found = judge.find_iter(text).filter(|found| !found.is_empty());
    found.map(|found| (found.start() as u64, text[found.range()].to_vec())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn matches_do_not_depend_on_pieces(
        pieces in proptest::collection::vec("[abAB\n ]{0,7}", 0..10),
        which in 0..PATTERNS.len(),
        context in 0..5_usize,
    ) {
        let text = pieces.concat().into_bytes();
        let finder = Finder::new(PATTERNS[which]).unwrap();
        let (mut search, mut found) = (finder.search(context), Vec::new());
        let mut note = |one: flow_filter::Found<'_>| {
            let (start, end) = (one.offset as usize, one.offset as usize + one.matched.len());
            assert_eq!(one.before, &text[start.saturating_sub(context)..start]);
            assert_eq!(one.after, &text[end..text.len().min(end + context)]);
            found.push((one.offset, one.matched.to_vec()));
        };
        for piece in &pieces {
            search.feed(piece.as_bytes(), &mut note);
        }
        search.finish(&mut note);
        prop_assert_eq!(found, expected(PATTERNS[which], &text), "{} in {:?}", PATTERNS[which], pieces);
    }
}

#[test]
fn no_match_extends_over_a_gap() {
    let finder = Finder::new("pass(word)?").unwrap();
    let (mut search, mut found) = (finder.search(2), Vec::new());
    let mut note = |one: flow_filter::Found<'_>| {
        found.push((one.offset, one.matched.to_vec(), one.after.to_vec()));
    };
    search.feed(b"a pass", &mut note);
    search.gap(4, &mut note);
    search.feed(b"word password!", &mut note);
    search.finish(&mut note);
    let expected = [(2, b"pass".to_vec(), b"".to_vec()), (15, b"password".to_vec(), b"!".to_vec())];
    assert_eq!(found, expected);
}

#[test]
fn memory_is_bounded_and_long_streams_are_searched() {
    let finder = Finder::new("needle[0-9]").unwrap();
    for context in [0, 40] {
        let (mut search, mut found) = (finder.search(context), Vec::new());
        for number in 0..50_u64 {
            search.feed(&[b'x'; 10_007], |one| found.push(one.offset));
            search.feed(format!("needle{}", number % 10).as_bytes(), |one| found.push(one.offset));
            assert!(search.memory() < 64 << 10, "{}", search.memory());
        }
        search.finish(|one| found.push(one.offset));
        let expected: Vec<u64> = (0..50).map(|number| number * 10_014 + 10_007).collect();
        assert_eq!(found, expected);
    }
    // One that never ends is found in parts, and one that cannot match any more costs nothing.
    for pattern in ["(?s)a.*z", "^b"] {
        let finder = Finder::new(pattern).unwrap();
        let mut search = finder.search(10);
        for _ in 0..100 {
            search.feed(&[b'a'; 5000], |_| {});
            assert!(search.memory() < 64 << 10, "{pattern}: {}", search.memory());
        }
    }
}
