//! A model test with arbitrary behaviour of the kernel.

use proptest::prelude::*;

use super::*;

/// An action of the kernel.
#[derive(Clone, Debug)]
enum Act {
    Receive(u8, bool),
    Garbage(u64, u32, u32),
    Producer(u32),
    FillConsumer(u32),
    Complete,
    GarbageCompletion(u64),
    Poll { keep: bool, forward: bool },
    Send(usize),
    DropKept,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (any::<u8>(), any::<bool>()).prop_map(|(value, more)| Act::Receive(value, more)),
        2 => (any::<u64>(), any::<u32>(), 0..3_u32).prop_map(|(a, l, o)| Act::Garbage(a, l, o)),
        2 => (0..20_u64, 0..3000_u32, 0..2_u32)
            .prop_map(|(frame, len, o)| Act::Garbage(frame * 2048 + 256, len, o)),
        1 => (0..40_u32).prop_map(Act::Producer),
        1 => (0..40_u32).prop_map(Act::FillConsumer),
        4 => Just(Act::Complete),
        1 => (0..40_960_u64).prop_map(Act::GarbageCompletion),
        8 => (any::<bool>(), any::<bool>()).prop_map(|(keep, forward)| Act::Poll { keep, forward }),
        4 => (0..1600_usize).prop_map(Act::Send),
        2 => Just(Act::DropKept),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// For any behaviour of the kernel, nothing panics or hangs, no frame is in two places, and
    /// each one comes back in the end.
    #[test]
    fn no_frame_is_lost_or_doubled(
        start: u32,
        unaligned: bool,
        long: bool,
        acts in proptest::collection::vec(act(), 1..120),
    ) {
        // With many frames, they are returned in portions.
        let (size, frames) = if long { (64, 100) } else { (SIZE, 16) };
        let umem = if unaligned {
            let config = UmemConfig::new().frames(frames).frame_size(2112).unaligned(true);
            config.allocate().expect("memory")
        } else {
            umem(frames)
        };
        let (mut socket, kernel) = socket_with(&umem, size, start);
        let mut kept = Vec::new();
        for act in acts {
            match act {
                Act::Receive(value, more) => {
                    let options = if more { XDP_PKT_CONTD } else { 0 };
                    kernel.receive(&umem, &[value; 64], options);
                }
                Act::Garbage(addr, len, options) => kernel.rx.push(XdpDesc { addr, len, options }),
                Act::Producer(by) => {
                    kernel.rx.set_producer(kernel.rx.producer().wrapping_add(by).wrapping_sub(20));
                }
                Act::FillConsumer(by) => {
                    let index = kernel.fill.consumer().wrapping_add(by).wrapping_sub(20);
                    kernel.fill.set_consumer(index);
                }
                Act::Complete => drop(kernel.send()),
                Act::GarbageCompletion(addr) => kernel.completion.push(addr),
                Act::Poll { keep, forward } => {
                    let (receiver, sender) = socket.halves().expect("both");
                    if let Ok(Next::Batch(batch)) = receiver.next_batch(Timeout::Now) {
                        if keep {
                            for packet in batch.packets() {
                                if let Some(bytes) = batch.retain_packet(&packet) {
                                    prop_assert_eq!(&bytes[..], packet.data());
                                    kept.push(bytes);
                                }
                            }
                        }
                        if forward {
                            for (frame, _) in batch.into_frames() {
                                let _ = sender.send(frame);
                            }
                        }
                    }
                }
                Act::Send(len) => {
                    let _ = socket.send_bytes(&vec![0; len]);
                    let _ = socket.flush();
                }
                Act::DropKept => kept.clear(),
            }
        }
        drop((socket, kept));
        assert_complete(&umem);
    }
}
