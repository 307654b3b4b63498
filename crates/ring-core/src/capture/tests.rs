//! Tests of the ring with a kernel side in plain memory, which may write arbitrary content.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use ring_sys::packet::abi::{self, TP_STATUS_USER, TpacketBlockDesc};

use super::ring::fake::{self, Frame};
use super::ring::{DATA, Ring};
use super::walk::Walk;
use super::*;
use crate::{ChecksumStatus, Direction, PacketBatch as _, TimestampSource, VlanTag};

const BLOCK: usize = 4096;

/// Takes a block as the walk does.
fn take(ring: &Arc<Ring>, index: usize) -> Option<Block<'_>> {
    let status = ring.status(index);
    assert_ne!(status & TP_STATUS_USER, 0, "the block is the user's");
    let extent = ring.take(index, status)?;
    Some(Block::new(ring, taken(extent, Some(LinkType::ETHERNET), false)))
}

fn taken(extent: ring::Extent, link_type: Option<LinkType>, hash: bool) -> Taken {
    Taken { extent, walk: Walk::new(&extent, 1, link_type, hash), filter: None }
}

fn frames(data: &[&str]) -> Vec<Frame> {
    data.iter().map(|data| Frame::new(data.as_bytes())).collect()
}

#[test]
fn packets_and_all_that_is_known_of_them() {
    let ring = Arc::new(fake::ring(BLOCK, 2));
    let mut frames = frames(&["one", "two two", ""]);
    frames[0].header.tp_status =
        abi::TP_STATUS_VLAN_VALID | abi::TP_STATUS_CSUMNOTREADY | abi::TP_STATUS_TS_SOFTWARE;
    frames[0].header.tp_vlan_tci = 0x6005;
    frames[0].address.sll_pkttype = abi::PACKET_OUTGOING;
    frames[1].header.tp_status = abi::TP_STATUS_VLAN_VALID
        | abi::TP_STATUS_VLAN_TPID_VALID
        | abi::TP_STATUS_CSUM_VALID
        | abi::TP_STATUS_TS_RAW_HARDWARE;
    frames[1].header.tp_vlan_tpid = 0x88a8;
    frames[1].header.tp_len = 100;
    ring.fill(0, &frames);

    let block = take(&ring, 0).expect("a block");
    assert_eq!(block.len(), 3);
    let packets: Vec<_> = block.packets().collect();
    assert_eq!(
        packets.iter().map(Packet::data).collect::<Vec<_>>(),
        [&b"one"[..], b"two two", b""]
    );
    assert_eq!(packets.iter().map(Packet::number).collect::<Vec<_>>(), [1, 2, 3]);
    let meta = packets[0].meta();
    assert_eq!(meta.vlan, Some(VlanTag { tpid: 0x8100, tci: 0x6005 }));
    assert_eq!((meta.vlan.map(VlanTag::id), meta.vlan.map(VlanTag::priority)), (Some(5), Some(3)));
    assert_eq!(meta.checksum, ChecksumStatus::Partial);
    assert_eq!(meta.direction, Direction::Outgoing);
    assert_eq!(
        (meta.timestamp.as_nanos(), meta.timestamp_source),
        (1_000_000_002, TimestampSource::Software)
    );
    assert_eq!((meta.network_offset, meta.interface, meta.hash), (None, 3, None));
    let meta = packets[1].meta();
    assert_eq!(meta.vlan.map(|tag| tag.tpid), Some(0x88a8));
    assert_eq!(
        (meta.checksum, meta.timestamp_source),
        (ChecksumStatus::Valid, TimestampSource::RawHardware)
    );
    assert!(packets[1].is_truncated() && !packets[0].is_truncated());

    // However often a block is walked, each defect counts once.
    assert_eq!(block.packets().count(), 3);
    assert_eq!((ring.counts.truncated(), ring.counts.malformed()), (1, 0));
    drop(block);
    assert_eq!(ring.counts.truncated(), 1);
    assert_eq!(ring.status(0), abi::TP_STATUS_KERNEL);
}

#[test]
fn a_shared_block_comes_back_with_its_last_bytes() {
    let ring = Arc::new(fake::ring(BLOCK, 4));
    ring.fill(0, &frames(&["kept"]));
    let shared = take(&ring, 0).expect("a block").share();
    assert_eq!((ring.loans.count(), ring.loans.is_free(0), ring.loans.free_from(0)), (1, false, 0));
    assert_eq!(ring.loans.free_from(1), 3);
    let other = shared.clone();
    let bytes = other
        .packets()
        .next()
        .map(|packet| other.bytes().slice_ref(packet.data()))
        .expect("a packet");
    drop(shared);
    std::thread::spawn(move || assert_eq!(other.packets().count(), 1))
        .join()
        .expect("shared blocks are Send");
    assert_ne!(ring.status(0), abi::TP_STATUS_KERNEL, "the bytes keep it");
    assert_eq!(&bytes[..], b"kept");
    drop(bytes);
    assert_eq!((ring.status(0), ring.loans.count()), (abi::TP_STATUS_KERNEL, 0));
    assert!(ring.loans.is_free(0));
}

#[test]
fn blocks_are_retained_while_half_of_the_ring_ahead_is_free() {
    let ring = Arc::new(fake::ring(BLOCK, 8));
    let mut kept = Vec::new();
    for index in 0..8 {
        ring.fill(index, &frames(&["x"]));
        let block = take(&ring, index).expect("a block");
        let first = block.retain();
        assert_eq!(
            first.as_ref().map(|bytes| bytes.as_ptr()),
            block.retain().map(|bytes| bytes.as_ptr())
        );
        kept.extend(first);
    }
    // Block 0 is kept, so that from block 5 on fewer than three others are free.
    assert_eq!((kept.len(), ring.loans.count()), (5, 5));
    kept.clear();
    ring.fill(7, &frames(&["y"]));
    assert!(take(&ring, 7).expect("a block").retain().is_some(), "room again");
}

#[test]
fn a_waiting_walk_is_woken_by_the_block_that_it_waits_for() {
    let ring = Arc::new(fake::ring(BLOCK, 2));
    ring.fill(0, &frames(&["x"]));
    let shared = take(&ring, 0).expect("a block").share();
    assert!(!ring.returned.take());
    assert!(ring.loans.want(0));
    drop(shared);
    assert!(ring.returned.take());
    assert!(!ring.loans.want(0));
}

#[test]
fn descriptors_that_cannot_be() {
    let good = TpacketBlockDesc {
        num_pkts: 1,
        offset_to_first_pkt: DATA as u32,
        blk_len: DATA as u32 + 200,
        ..TpacketBlockDesc::default()
    };
    let cases = [
        TpacketBlockDesc { blk_len: BLOCK as u32 + 1, ..good },
        TpacketBlockDesc { blk_len: u32::MAX, ..good },
        TpacketBlockDesc { blk_len: 0, ..good },
        TpacketBlockDesc { offset_to_first_pkt: 0, ..good },
        TpacketBlockDesc { offset_to_first_pkt: DATA as u32 + 4, ..good },
        TpacketBlockDesc { offset_to_first_pkt: DATA as u32 + 208, ..good },
        TpacketBlockDesc { offset_to_first_pkt: u32::MAX - 7, ..good },
    ];
    let ring = Arc::new(fake::ring(BLOCK, 2));
    for (count, descriptor) in cases.into_iter().enumerate() {
        ring.close(0, descriptor, TP_STATUS_USER);
        assert!(take(&ring, 0).is_none(), "{descriptor:?}");
        assert_eq!(ring.counts.malformed(), count as u64 + 1);
        assert_eq!(ring.status(0), abi::TP_STATUS_KERNEL, "it goes back");
        assert!(ring.loans.is_free(0));
    }
}

#[test]
fn a_packet_that_cannot_be_ends_its_block() {
    let change: [fn(&mut Frame); 6] = [
        |frame| frame.header.tp_snaplen = u32::MAX,
        |frame| frame.header.tp_snaplen = 4096,
        |frame| frame.header.tp_mac = 67,
        |frame| frame.header.tp_mac = 0,
        |frame| frame.header.tp_mac = u16::MAX,
        |frame| frame.header.tp_mac = 4090,
    ];
    let ring = Arc::new(fake::ring(BLOCK, 2));
    for (count, change) in change.into_iter().enumerate() {
        let mut frames = frames(&["good", "bad", "never seen"]);
        let data = std::mem::take(&mut frames[1].data);
        change(&mut frames[1]);
        ring.fill(0, &frames);
        drop(data);
        let block = take(&ring, 0).expect("a block");
        assert_eq!(block.packets().map(|p| p.data().to_vec()).collect::<Vec<_>>(), [b"good"]);
        assert_eq!(block.packets().count(), 1);
        assert_eq!(ring.counts.malformed(), count as u64 + 1);
    }
}

#[test]
fn a_step_that_goes_nowhere_ends_the_block_after_its_packet() {
    for step in [0, 1, 8, 80, u32::MAX, u32::MAX - 7, BLOCK as u32] {
        let ring = Arc::new(fake::ring(BLOCK, 2));
        ring.fill(0, &frames(&["a packet", "another"]));
        ring.put(0, DATA, &step);
        let block = take(&ring, 0).expect("a block");
        assert_eq!(
            block.packets().map(|p| p.data().to_vec()).collect::<Vec<_>>(),
            [b"a packet"],
            "{step}"
        );
        assert_eq!(ring.counts.malformed(), 1);
    }
}

#[test]
fn a_count_that_is_too_high_ends_with_the_bytes() {
    let ring = Arc::new(fake::ring(BLOCK, 2));
    ring.fill(0, &frames(&["a", "b"]));
    let descriptor = TpacketBlockDesc {
        num_pkts: u32::MAX,
        offset_to_first_pkt: DATA as u32,
        blk_len: BLOCK as u32,
        ..TpacketBlockDesc::default()
    };
    ring.close(0, descriptor, TP_STATUS_USER);
    let block = take(&ring, 0).expect("a block");
    assert!(block.packets().size_hint().1 <= Some(BLOCK / 68));
    assert_eq!(block.packets().count(), 2);
    assert_eq!(ring.counts.malformed(), 1);
}

#[test]
fn hardware_types_of_any_give_each_packet_its_link_type() {
    let ring = Arc::new(fake::ring(BLOCK, 2));
    let mut frames = frames(&["ether", "tun", "what?"]);
    frames[1].address.sll_hatype = 0xfffe;
    frames[2].address.sll_hatype = 4711;
    ring.fill(0, &frames);
    let extent = ring.take(0, ring.status(0)).expect("a block");
    let block = Block::new(&ring, taken(extent, None, true));
    let types: Vec<_> = block.packets().map(|packet| packet.link_type()).collect();
    assert_eq!(types, [LinkType::ETHERNET, LinkType::RAW, LinkType::UNKNOWN]);
    assert_eq!(block.packets().next().and_then(|packet| packet.meta().hash), Some(0));
}

/// Fields that do not end a block must be sanitised when they are read.
#[test]
fn what_a_packet_says_of_itself_is_within_its_bounds() {
    let ring = Arc::new(fake::ring(BLOCK, 2));
    let mut frames = frames(&["a frame of twenty-odd bytes", "short", "before", "behind"]);
    frames[0].header.tp_status = abi::TP_STATUS_VLAN_VALID;
    frames[0].header.tp_vlan_tci = 0xabcd_6005;
    frames[1].header.tp_net = frames[1].header.tp_mac + 14;
    frames[2].header.tp_net = frames[2].header.tp_mac - 1;
    frames[3].header.tp_net = u16::MAX;
    frames[3].header.tp_len = 0;
    ring.fill(0, &frames);
    let block = take(&ring, 0).expect("a block");
    let metas: Vec<_> = block.packets().map(|packet| *packet.meta()).collect();
    let offsets: Vec<_> = metas.iter().map(|meta| meta.network_offset).collect();
    assert_eq!(offsets, [Some(14), None, None, None]);
    assert_eq!(metas[0].vlan, Some(VlanTag { tpid: 0x8100, tci: 0x6005 }));
    assert_eq!(metas[3].wire_len, 6, "at least what was captured");
    assert_eq!((ring.counts.malformed(), ring.counts.truncated()), (0, 0));
}

/// Clones of a block are walked at the same time. Each packet must count once, and totals must not
/// decrease.
#[test]
fn what_several_threads_walk_counts_once() {
    const PACKETS: usize = 2500;
    let ring = Arc::new(fake::ring(64 * BLOCK, 2));
    let mut frames = frames(&["cut"; PACKETS]);
    frames.iter_mut().for_each(|frame| frame.header.tp_len = 100);
    for round in 0..100 {
        ring.fill(round % 2, &frames);
        let shared = take(&ring, round % 2).expect("a block").share();
        let ready = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for block in [shared.clone(), shared] {
                let ready = &ready;
                scope.spawn(move || {
                    ready.fetch_add(1, Ordering::Relaxed);
                    while ready.load(Ordering::Relaxed) < 2 {
                        std::hint::spin_loop();
                    }
                    assert_eq!(block.packets().count(), PACKETS);
                });
            }
        });
        assert_eq!(ring.counts.truncated(), ((round + 1) * PACKETS) as u64, "round {round}");
    }
}

fn sendable<T: Send + Sync>() {}

#[test]
fn what_may_cross_threads() {
    sendable::<SharedBlock>();
    sendable::<Capture>();
    sendable::<Interrupter>();
}

proptest! {
    /// For any content of a block, the walk ends, every packet lies within the block, and the block
    /// is returned.
    #[test]
    fn any_bytes_make_a_block(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        words in prop::collection::vec((0_usize..150, 0_u32..300), 0..40),
        packets in any::<u32>(),
        len in 0_u32..5000,
    ) {
        let ring = Arc::new(fake::ring(BLOCK, 2));
        for (at, byte) in bytes.iter().enumerate() {
            ring.put(0, DATA + at, byte);
        }
        for (at, word) in words {
            ring.put(0, DATA + at * 4, &word);
        }
        let descriptor = TpacketBlockDesc {
            num_pkts: packets,
            offset_to_first_pkt: DATA as u32,
            blk_len: len,
            ..TpacketBlockDesc::default()
        };
        ring.close(0, descriptor, TP_STATUS_USER);
        if let Some(block) = take(&ring, 0) {
            let memory = block.retain().expect("an empty ring has room");
            let mut total = 0;
            for packet in block.packets() {
                prop_assert_eq!(memory.slice_ref(packet.data()).len(), packet.data().len());
                total += packet.data().len();
            }
            prop_assert!(total <= BLOCK);
        }
        prop_assert!(ring.loans.is_free(0));
    }
}
