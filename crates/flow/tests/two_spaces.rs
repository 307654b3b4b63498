//! Both sides of a device that rewrites sequence numbers, in one capture.

use flow_testkit::middlebox::Case;

/// Distances by which numbers are moved. A hole of the last two would be plausible.
const SHIFTS: [u32; 9] = [
    3_000_000,
    0x1234_5678,
    700_000_000,
    1_500_000_000,
    2_800_000_000,
    0_u32.wrapping_sub(700_000_000),
    0_u32.wrapping_sub(3_000_000),
    100_000,
    0_u32.wrapping_sub(100_000),
];

/// The device rewrites the numbers of the client, of the server, or of both.
fn rewritten() -> impl Iterator<Item = [u32; 2]> {
    let both = SHIFTS[..7].iter().map(|&by| [by, by.wrapping_mul(3)]);
    SHIFTS.iter().flat_map(|&by| [[by, 0], [0, by]]).chain(both)
}

#[test]
fn one_lost_copy_neither_moves_nor_invents_a_byte() {
    let mut wrong = Vec::new();
    for shift in rewritten() {
        for (lag, sender_first) in [(0, false), (0, true), (1, false), (1, true)] {
            for closes in [false, true] {
                let mut case = Case { shift, lag, sender_first, closes, lost: None };
                let lost = (0..case.packets()).flat_map(|at| [(at, false), (at, true)]);
                for lost in std::iter::once(None).chain(lost.map(Some)) {
                    case.lost = lost;
                    if let Err(reason) = case.check() {
                        wrong.push(format!("{case:?}: {reason}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
