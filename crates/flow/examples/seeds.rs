//! Writes the seeds of the fuzz targets: `cargo run -p flow --example seeds`.
//!
//! They are made here, byte by byte, so that no capture of anybody is in the repository.
#![allow(clippy::unwrap_used, reason = "a tool for developers")]

#[path = "../tests/harness/frame.rs"]
#[allow(dead_code, unreachable_pub, missing_docs)]
mod frame;
#[path = "../tests/harness/gallery.rs"]
#[allow(dead_code, unreachable_pub, missing_docs)]
mod gallery;

use std::fs;
use std::path::Path;

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    write(&folder.join("parse"), frames());
    write(&folder.join("defragment"), fragments());
    write(&folder.join("reassembly"), scripts());
}

fn write(folder: &Path, seeds: Vec<(&str, Vec<u8>)>) {
    fs::create_dir_all(folder).unwrap();
    for (name, seed) in seeds {
        fs::write(folder.join(name), seed).unwrap();
    }
}

/// Whole frames, given as noise: every byte of them is the fuzzer's to change. See `harness/invariants.rs`.
fn frames() -> Vec<(&'static str, Vec<u8>)> {
    let wanted = [
        ("Ethernet", "ethernet"),
        ("cooked 2", "cooked-2"),
        ("netfilter log", "netfilter-log"),
        ("802.11, aggregate", "wireless-aggregate"),
        ("per-packet information", "per-packet-information"),
        ("service VLAN", "service-vlan"),
        ("PPPoE", "pppoe"),
        ("MPLS, Ethernet, control word", "mpls"),
        ("IPv6 extension headers", "extension-headers"),
        ("GRE, source route", "gre-source-route"),
        ("ERSPAN III with subheader", "erspan-3"),
        ("VXLAN twice", "vxlan-twice"),
        ("Geneve with options", "geneve"),
        ("GTP with extension headers", "gtp"),
        ("Teredo with indications", "teredo"),
        ("L2TP", "l2tp"),
    ];
    let all = gallery::gallery();
    wanted
        .into_iter()
        .map(|(name, file)| {
            let exhibit = all.iter().find(|exhibit| exhibit.name == name).unwrap();
            let [high, low] = exhibit.link_type.to_be_bytes();
            (file, [&[u8::MAX, 0, high, low][..], &exhibit.frame.0].concat())
        })
        .collect()
}

/// A policy, then fragments of three bytes each: position and whether more follow, length, content. See
/// `harness/fragments.rs`.
fn fragments() -> Vec<(&'static str, Vec<u8>)> {
    let (last, any) = (0x80, 0);
    vec![
        ("in-order", vec![0, any, 7, 1, any | 1, 7, 2, last | 2, 3, 3]),
        ("backwards", vec![1, last | 2, 3, 3, any | 1, 7, 2, any, 7, 1]),
        ("overlapping", vec![2, any, 15, 1, any | 1, 15, 2, any | 2, 31, 3, last | 5, 9, 4]),
        ("copies", vec![3, any, 7, 1, any, 7, 1, last | 1, 7, 2, last | 1, 7, 2, any, 7, 1]),
        ("void", vec![5, any, 15, 1, any | 1, 15, 2, last | 3, 7, 3, last | 2, 7, 3]),
        ("two-ends", vec![4, last | 2, 7, 1, last | 3, 7, 2, any | 1, 20, 3, any, 7, 4]),
    ]
}

/// Flags, four bytes of sequence number, a policy and length; then operations. See `harness/reassembly.rs`.
fn scripts() -> Vec<(&'static str, Vec<u8>)> {
    let begin = |flags: u8, policy: u8| vec![flags, 0xff, 0xff, 0xff, 0xf0, policy];
    let next = |len: u8| [5, len, 0];
    let near = |by: u8, len: u8, twist: u8| [0, by, len, twist];
    let at = |position: u16, len: u8| [9, (position >> 8) as u8, position as u8, len, 0];
    let acknowledge = |position: u16| [10, (position >> 8) as u8, position as u8];
    let (fin, later, much_later) = ([13, 0], [14, 2], [14, 3]);
    let reset = |position: u16| [15, (position >> 8) as u8, position as u8];
    let script = |start: Vec<u8>, operations: &[&[u8]]| {
        operations.iter().fold(start, |script, operation| [&script[..], operation].concat())
    };
    let whole: Vec<_> = (0..6_u16).map(|number| at(number * 250, 249)).collect();
    let whole: Vec<&[u8]> = whole.iter().map(|segment| &segment[..]).collect();
    vec![
        ("in-order", script(begin(0x20, 0), &[&next(99), &acknowledge(100), &next(49), &fin])),
        ("whole-stream", [script(begin(0x20, 0), &whole), fin.to_vec()].concat()),
        ("early-data", script(begin(0x28, 0), &[&[40], &next(99), &acknowledge(140)])),
        ("reordered", script(begin(0x20, 0), &[&near(60, 20, 0), &near(40, 30, 0), &next(90)])),
        ("lost", script(begin(0x20, 0), &[&near(60, 20, 0), &acknowledge(40), &later, &next(9)])),
        ("unacknowledged", script(begin(0x20, 1), &[&near(60, 20, 0), &much_later, &next(9)])),
        (
            "contradicting",
            script(
                begin(0x20, 1),
                &[&near(40, 30, 0), &near(50, 30, 15), &near(36, 5, 23), &next(99)],
            ),
        ),
        ("cut", script(begin(0x20, 3), &[&near(60, 30, 24), &next(60), &near(33, 40, 24), &fin])),
        ("midway", script(begin(0x21, 0), &[&at(600, 50), &at(550, 49), &later, &at(500, 49)])),
        ("keep-alive", script(begin(0x21, 0), &[&acknowledge(80), &at(79, 0), &at(80, 20), &[12]])),
        ("reset", script(begin(0x20, 0), &[&next(99), &reset(100), &next(9), &later, &later])),
        (
            "two-way",
            script(begin(0x20, 8), &[&next(99), &[0x15, 49, 0], &[0x1a, 0, 50], &[0x1d, 0], &fin]),
        ),
        ("two-way-midway", script(begin(0x21, 9), &[&[0x19, 2, 0, 99, 0], &at(600, 50), &later])),
        ("limit", script(begin(0x20, 0), &[&near(34, 0, 0)[..]; 50])),
    ]
}
