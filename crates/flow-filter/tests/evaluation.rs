//! The evaluation that goes along with a flow gives the answer of one that looks at it afterwards.

mod oracle;
mod trees;

use flow_filter::{Expression, Pattern};
use oracle::Run;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn the_answer_is_that_of_a_look_back(
        expression in trees::expression(),
        script in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        oracle::check(&expression, &script);
    }

    /// A stream that comes in any pieces, with any gaps.
    #[test]
    fn searches_do_not_depend_on_pieces(
        pieces in proptest::collection::vec(("[abAB\n]{0,6}", any::<bool>()), 1..8),
        which in 0..PATTERNS.len(),
    ) {
        let pattern: Pattern = PATTERNS[which].parse().unwrap();
        let mut scan = pattern.scan();
        let (mut found, mut expected) = (false, false);
        let mut run = Run::default();
        for (bytes, gap) in &pieces {
            found |= scan.feed(bytes.as_bytes());
            run.bytes.extend(bytes.as_bytes());
            if *gap {
                found |= scan.gap();
                run.before_gap = true;
                expected |= run.has(pattern.as_str());
                run = Run { after_gap: true, ..Run::default() };
            }
        }
        found |= scan.finish();
        expected |= run.has(pattern.as_str());
        prop_assert_eq!(found, expected, "{} in {:?}", pattern.as_str(), pieces);
    }
}

const PATTERNS: &[&str] = &[
    "ab", "^ab", "ba$", "a.*b", "(?-i)AB", r"\bba", r"ab\b", "(?m)^ab$", "a{3}b", "b+|a\n", "^$",
    r"\n\z",
];

/// Each expression is true for some flow and false for another, so that the comparison is one.
#[test]
fn expressions_accept_some_flows_of_scripts() {
    let scripts: Vec<Vec<u8>> = (0..400_u32)
        .map(|seed| {
            let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
            let mut next = || {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                (state >> 8) as u8
            };
            (0..150).map(|_| next()).collect()
        })
        .collect();
    for text in [
        "payload contains \"ab\"",
        "initiator.payload matches \"^a\"",
        "responder.payload matches \"b$\"",
        "bytes > 12",
        "bytes in {1..9}",
        "duration > 1s and tcp",
        "gap_bytes > 0",
        "retransmitted > 0",
        "end == rst",
        "end == fin",
        "rtt < 1s",
        "port == 1 and not payload contains \"a\"",
        "udp.port == 4 or tcp.dstport == 5",
    ] {
        let expression: Expression = text.parse().unwrap();
        let [accepted, refused] = [expression.clone(), !expression].map(|expression| {
            scripts.iter().map(|script| oracle::check(&expression, script)).sum::<usize>()
        });
        assert!(accepted > 0 && refused > 0, "{text}: {accepted} and {refused}");
    }
}
