//! Compiles the printed form of random trees with libpcap.

#[path = "../../../crates/packet-filter/tests/trees/mod.rs"]
mod trees;

use std::cell::Cell;

use filter_judge::{Libpcap, Packet, frames, skip};
use packet_filter::{Ancillary, Filter, LinkType, Options};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

#[test]
fn random_trees_get_the_same_verdicts() {
    let Some(libpcap) = Libpcap::open() else { return skip("libpcap is not installed") };
    for (number, link_type) in
        [(1, LinkType::ETHERNET), (113, LinkType::LINUX_SLL), (12, LinkType::RAW)]
    {
        // Long enough that no load fails. If a load fails, the verdict depends on the order in
        // which an optimiser puts the loads.
        let mut packets: Vec<Packet> = frames(number);
        packets.retain(|packet| packet.data.len() as u32 == packet.wire_len);
        packets.iter_mut().for_each(|packet| packet.data.resize(2048, 0));
        let mut runner =
            TestRunner::new(Config { cases: 5000, failure_persistence: None, ..Config::default() });
        let tally: [Cell<usize>; 5] = Default::default();
        let [compared, refused, ours_len, their_len, optimiser] = &tally;
        let result =
            runner.run(&(trees::expressions(), prop::option::of(vlans())), |(expression, vlan)| {
                let mut filter = Filter::from(expression);
                if let (Some(vlan), 1) = (vlan, number) {
                    filter = vlan & filter;
                }
                let text = filter.to_string();
                let options = Options::file().netmask([255, 255, 255, 0].into());
                let ours = filter.compile(link_type, &options);
                let theirs = libpcap.compile(number, &text);
                let (ours, theirs) = match (ours, theirs) {
                    (Ok(ours), Ok(theirs)) => (ours, Some(theirs)),
                    (Ok(ours), Err(error)) if error == "expression rejects all packets" => {
                        (ours, None)
                    }
                    // libpcap rejects large expressions at a lower limit, or folds a constant that
                    // we do not.
                    _ => {
                        refused.update(|count| count + 1);
                        return Ok(());
                    }
                };
                compared.update(|count| count + 1);
                if let Some(theirs) = &theirs {
                    ours_len.update(|len| len + ours.instructions().len());
                    their_len.update(|len| len + theirs.instructions().len());
                }
                for packet in &packets {
                    let our = ours.run(&packet.data, packet.wire_len, &Ancillary::default()) > 0;
                    let their = theirs.as_ref().is_some_and(|theirs| theirs.run(packet) > 0);
                    if our != their
                        && libpcap
                            .compile_plainly(number, &text)
                            .is_ok_and(|plain| (plain.run(packet) > 0) == our)
                    {
                        // libpcap contradicts itself: its optimiser changed the meaning.
                        optimiser.update(|count| count + 1);
                        return Ok(());
                    }
                    prop_assert_eq!(our, their, "{} {:02x?}\n{}", text, packet.data, ours);
                }
                Ok(())
            });
        let [compared, refused, ours_len, their_len, optimiser] = tally.map(Cell::into_inner);
        println!(
            "{link_type:?}: {compared} trees × {} packets, {refused} refused, {optimiser} where libpcap's optimiser changes the meaning; instructions {ours_len} against {their_len}: {:.3}",
            packets.len(),
            ours_len as f64 / their_len as f64
        );
        if let Err(error) = result {
            panic!("{error}");
        }
        assert!(compared > 500, "{compared}");
    }
}

fn vlans() -> impl Strategy<Value = Filter> {
    prop::option::of(prop::sample::select(vec![100u16, 200, 5]))
        .prop_map(|identifier| Filter::from(packet_filter::Primitive::Vlan(identifier)))
}
