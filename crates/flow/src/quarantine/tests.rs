//! The cost of segments in quarantine.

use super::*;

#[test]
fn one_byte_counts_what_it_takes() {
    let parked = |sequence| Parked {
        sequence,
        bytes: Box::new([0]),
        wire_len: 1,
        pushed: false,
        fin: false,
        acknowledgement: None,
        packet_len: 41,
        ip_len: 41,
        timestamp: 0,
        number: 0,
        depends_on: 0,
    };
    let mut quarantine = Quarantine::default();
    assert!(quarantine.is_empty());
    for (number, most) in [(0, 600), (1, 800), (2, 1000), (1 << 28, 1600)] {
        quarantine.add(parked(number), 0, 0, false, 0);
        let taken = size_of::<Quarantine>()
            + quarantine.groups.capacity() * size_of::<Group>()
            + quarantine
                .groups
                .iter()
                .map(|group| group.segments.capacity() * size_of::<Parked>() + group.segments.len())
                .sum::<usize>();
        let counted = quarantine.bytes();
        assert!((taken..=most).contains(&counted), "{number}: {taken} taken, {counted} counted");
    }
    while quarantine.evict().is_some() {}
    assert!(quarantine.is_empty() && quarantine.bytes() == 0);
}
