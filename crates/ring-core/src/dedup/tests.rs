use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::{
    LinkType, MemorySource, Next, PacketBatch as _, PacketMeta, PacketSource as _, Timeout, VlanTag,
};

fn meta(nanos: u64) -> PacketMeta {
    PacketMeta::new(1, Timestamp::from_nanos(nanos), LinkType::ETHERNET)
}

fn nanos(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

/// The oracle: a plain list of all packets that were kept.
struct Model {
    window: u64,
    between_interfaces: bool,
    kept: Vec<(u64, u32, Vec<u8>)>,
}

impl Model {
    fn is_duplicate(&mut self, time: u64, interface: u32, data: &[u8]) -> bool {
        let duplicate = self.kept.iter().any(|(seen, on, bytes)| {
            bytes == data
                && seen.abs_diff(time) <= self.window
                && !(self.between_interfaces && *on == interface)
        });
        if !duplicate {
            self.kept.push((time, interface, data.to_vec()));
        }
        duplicate
    }
}

/// Few different contents, for many duplicates, and lengths that make the ring buffer wrap.
fn any_packets() -> impl Strategy<Value = Vec<(u64, u32, usize, u8)>> {
    vec((0..20_u64, 0..3_u32, prop_oneof![0..40_usize, 1000..9000_usize], 0..4_u8), 1..400)
}

fn bytes(len: usize, content: u8) -> Vec<u8> {
    let mut data = vec![0; len];
    if let Some(last) = data.last_mut() {
        *last = content;
    }
    data
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn it_says_what_the_model_says(packets in any_packets(), between_interfaces in any::<bool>()) {
        let mut model = Model { window: 25, between_interfaces, kept: Vec::new() };
        let mut dedup =
            Dedup::with_memory(nanos(25), 16 << 20).between_interfaces(between_interfaces);
        let mut time = 100;
        for (step, interface, len, content) in packets {
            // Times mostly increase but sometimes go back.
            time = time + step - 6.min(step * 2 % 13);
            let data = bytes(len % 50, content);
            let mut meta = meta(time);
            meta.interface = interface;
            let found = dedup.is_duplicate(&Packet::with_meta(&data, meta));
            prop_assert_eq!(found, model.is_duplicate(time, interface, &data));
        }
        prop_assert_eq!(dedup.statistics().forgotten, 0);
    }

    #[test]
    fn short_of_memory_it_misses_but_never_invents(packets in any_packets()) {
        let mut model = Model { window: 25, between_interfaces: false, kept: Vec::new() };
        let mut dedup = Dedup::with_memory(nanos(25), 0);
        let (mut time, mut missed) = (0, 0);
        for (step, _, len, content) in packets {
            time += step / 8;
            let data = bytes(len, content);
            let found = dedup.is_duplicate(&Packet::with_meta(&data, meta(time)));
            let expected = model.kept.iter().any(|(seen, _, bytes)| {
                bytes == &data && time - seen <= model.window
            });
            prop_assert!(expected || !found);
            if !found {
                model.kept.push((time, 0, data));
            }
            missed += u64::from(expected && !found);
        }
        let statistics = dedup.statistics();
        prop_assert!(missed <= statistics.forgotten, "{} {:?}", missed, statistics);
    }
}

#[test]
fn everything_that_tells_packets_apart() {
    let mut dedup = Dedup::new(nanos(100));
    let mut tagged = meta(0);
    tagged.vlan = Some(VlanTag { tpid: 0x8100, tci: 1 });
    let mut longer = meta(0);
    longer.wire_len = 100;
    let mut raw = meta(0);
    raw.link_type = LinkType::RAW;
    for meta in [meta(0), tagged, longer, raw] {
        assert!(!dedup.is_duplicate(&Packet::with_meta(b"data", meta)));
        assert!(dedup.is_duplicate(&Packet::with_meta(b"data", meta)));
    }
    assert_eq!(dedup.statistics().duplicates, 4);
}

#[test]
fn one_that_comes_again_and_again_is_let_through_once_a_window() {
    let mut dedup = Dedup::new(nanos(100));
    let through =
        (0..1000).filter(|&at| !dedup.is_duplicate(&Packet::with_meta(b"hello", meta(at * 10))));
    assert_eq!(through.count(), 1000_usize.div_ceil(11));
}

#[test]
fn a_packet_that_is_too_long_is_let_through() {
    let mut dedup = Dedup::with_memory(nanos(100), 0);
    let data = vec![1; 60_000];
    assert!(!dedup.is_duplicate(&Packet::with_meta(&data, meta(0))));
    assert!(!dedup.is_duplicate(&Packet::with_meta(&data, meta(0))));
    assert_eq!(dedup.statistics().forgotten, 2);
}

#[test]
fn a_source_without_its_duplicates() {
    let mut source = MemorySource::new(LinkType::ETHERNET).batch_size(3);
    for (at, data) in [b"a", b"b", b"a", b"b", b"b", b"a", b"c"].into_iter().enumerate() {
        source.push(Timestamp::from_nanos(at as u64), data);
    }
    let mut source = Deduplicated::new(source, Dedup::new(nanos(100)));
    let mut batches = Vec::new();
    while let Next::Batch(batch) = source.next_batch(Timeout::Now).expect("memory") {
        assert!(batch.retain().is_some());
        batches.push(batch.packets().map(|packet| packet.number()).collect::<Vec<_>>());
    }
    assert_eq!(batches, [vec![1, 2], vec![], vec![7]]);
    assert_eq!(source.dedup_statistics().duplicates, 4);
    assert_eq!(source.statistics().expect("memory").packets, 7);
}
