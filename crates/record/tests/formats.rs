//! Whatever a record holds, the readers of each format find it.

mod judge;

use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #[test]
    fn readers_find_what_was_encoded(bytes in vec(any::<u8>(), 0..4000)) {
        judge::judge(&bytes);
    }
}

/// A refresh of templates, all layouts of the message, and no flow at all.
#[test]
fn each_variant_is_read() {
    judge::judge(&[]);
    for variant in 0..=255 {
        let bytes: Vec<u8> = (0..2000_u32).map(|at| ((at * 7919) >> 3) as u8).collect();
        judge::judge(&[&[variant][..], &bytes].concat());
    }
}

/// A collector that starts late loses what came before the templates are sent again, and nothing
/// else.
#[test]
fn a_late_collector_reads_on_from_the_next_template() {
    judge::ipfix::judge_late();
}
