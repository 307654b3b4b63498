//! The seeds of the fuzz targets satisfy the targets' checks.
#![allow(missing_docs)]

use std::fs;
use std::path::Path;

use flow_testkit::{fragments, invariants, reassembly};

/// The seeds of a target.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let files = fs::read_dir(folder).expect("the folder of seeds");
    let seeds: Vec<_> = files.map(|file| fs::read(file.unwrap().path()).expect("a seed")).collect();
    assert!(seeds.len() > 5);
    seeds
}

#[test]
fn of_the_parser() {
    for seed in seeds("parse") {
        let (link_type, data, wire_len) = invariants::packet_of(&seed).expect("a packet");
        let packet = flow::Packet::new(&data, flow::Timestamp::default(), link_type);
        assert!(flow::parse(&packet).is_ok(), "the seed is a packet that can be parsed");
        invariants::check(link_type, &data, wire_len, &mut flow::Defragmenter::default());
    }
}

#[test]
fn of_the_defragmenter() {
    for seed in seeds("defragment") {
        fragments::check(&seed);
    }
}

#[test]
fn of_reassembly() {
    for seed in seeds("reassembly") {
        reassembly::check(&seed);
    }
}
