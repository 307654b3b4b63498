//! The printed form of every accepted expression parses to the same tree, at the limits too.

use packet_filter::{Filter, MAX_EXPRESSION_LEN, ParseErrorKind};

/// Builds the text of `depth` levels of one shape.
type Shape = fn(usize) -> String;

const SHAPES: [(&str, Shape); 10] = [
    ("parentheses", |depth| nested("(", "tcp", ")", depth)),
    ("negations", |depth| nested("not ", "tcp", "", depth)),
    ("conjunctions on the right", |depth| nested("tcp and (ip or (", "udp", "))", depth)),
    ("conjunctions from the left", |depth| "tcp and udp or ".repeat(depth) + "ip"),
    ("negated conjunctions", |depth| nested("not (tcp and ", "udp", ")", depth)),
    ("sums on the right", |depth| nested("1 + (", "len", ")", depth) + " = 0"),
    ("operators that take everything after them", |depth| "0^".repeat(depth) + "len = 0"),
    ("operators from the left", |depth| "len".to_owned() + &" - 1".repeat(depth) + " = 0"),
    ("offsets", |depth| nested("ip[", "len", "]", depth) + " = 0"),
    ("offsets in sums", |depth| nested("ip[0^2*(1-", "-len", ")]", depth) + " = 0"),
];

fn nested(open: &str, middle: &str, close: &str, depth: usize) -> String {
    [&open.repeat(depth), middle, &close.repeat(depth)].concat()
}

#[test]
fn the_deepest_tree_of_each_shape_parses_again() {
    for (name, shape) in SHAPES {
        let depths: Vec<usize> = (1..2000).collect();
        let deepest = depths.partition_point(|&depth| shape(depth).parse::<Filter>().is_ok());
        assert!((20..2000).contains(&deepest), "{name}: {deepest} levels");
        for depth in deepest - 10..=deepest {
            let filter: Filter = shape(depth).parse().expect("accepted before");
            assert_eq!(filter.to_string().parse().as_ref(), Ok(&filter), "{name}, {depth} levels");
        }
        let refused = shape(deepest + 1).parse::<Filter>().expect_err("too deep");
        assert!(matches!(refused.kind, ParseErrorKind::TooDeep { .. }), "{name}: {refused}");
    }
}

#[test]
fn what_would_be_too_long_in_print_is_refused() {
    let text = |operands| "tcp src and dst port 1".to_owned() + &"||2".repeat(operands);
    let fits: Filter = text(MAX_EXPRESSION_LEN / 32).parse().expect("not too long in print");
    assert_eq!(fits.to_string().parse(), Ok(fits));
    let refused = text(MAX_EXPRESSION_LEN / 16).parse::<Filter>().expect_err("too long in print");
    assert_eq!(refused.kind, ParseErrorKind::TooLong { limit: MAX_EXPRESSION_LEN });
}
