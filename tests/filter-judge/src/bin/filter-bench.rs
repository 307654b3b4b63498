//! Compares the speed of the interpreter and the compiler with libpcap's, side by side in one run.
//!
//! `filter-bench [FOLDER]`: packets come from the captures in FOLDER, or are generated. Each figure
//! is the fastest of many short rounds in which the subjects take turns, with the median in
//! brackets. The fastest round is reported because other work on the machine can only add time.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use filter_judge::{Libpcap, Packet, frames, packets};
use packet_filter::{Ancillary, Filter, LinkType, Options, Program};

const EXPRESSIONS: &[&str] = &[
    "",
    "ip",
    "tcp",
    "tcp port 443",
    "port 53",
    "host 192.0.2.1",
    "host 192.0.2.1 and tcp port 80",
    "net 10.0.0.0/8 and not port 22",
    "portrange 6000-6008",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)",
    "vlan 100 and udp port 53",
    "ip6 host fe80::1",
    "ether host 02:00:00:00:00:01",
    "src net 192.168.0.0/16 and dst net 10 and tcp dst port 80 or 443 or 8080",
    "not (arp or icmp or port 22 or port 53 or ether broadcast)",
];

const ROUNDS: usize = 60;

fn main() {
    let Some(libpcap) = Libpcap::open() else {
        eprintln!("filter-bench: libpcap is not installed");
        std::process::exit(1);
    };
    let packets = match std::env::args().nth(1) {
        Some(folder) => packets(&libpcap, Path::new(&folder)).remove(&1).unwrap_or_default(),
        None => frames(1),
    };
    // Few enough to stay in the cache, so that the programs are measured and not the memory.
    let packets: Vec<Packet> =
        packets.into_iter().filter(|packet| packet.data.len() >= 60).take(2000).collect();
    println!(
        "{} packets; ns a packet: ours, libpcap's bpf_filter, its pcap_offline_filter; all on libpcap's program",
        packets.len()
    );
    let mut products = [1.0f64; 4];
    for expression in EXPRESSIONS {
        let theirs = libpcap.compile(1, expression).expect("an expression");
        let same =
            Program::from_instructions(theirs.instructions().to_vec()).expect("libpcap's program");
        let ancillary = Ancillary::default();
        let [ours, direct, offline] = medians([
            &mut || {
                packets
                    .iter()
                    .filter(|packet| same.run(&packet.data, packet.wire_len, &ancillary) > 0)
                    .count()
            },
            &mut || packets.iter().filter(|packet| theirs.run(packet) > 0).count(),
            &mut || packets.iter().filter(|packet| theirs.run_offline(packet)).count(),
        ])
        .map(|spread| spread.map(|time| time / packets.len() as f64));
        let [our_compile, their_compile, _] = medians([
            &mut || {
                let filter: Filter = expression.parse().expect("an expression");
                filter
                    .compile(LinkType::ETHERNET, &Options::file())
                    .expect("a program")
                    .instructions()
                    .len()
            },
            &mut || libpcap.compile(1, expression).expect("a program").instructions().len(),
            &mut || 0,
        ]);
        for (product, ratio) in products.iter_mut().zip([
            ours[0] / direct[0],
            ours[0] / offline[0],
            our_compile[0] / their_compile[0],
            1.0,
        ]) {
            *product *= ratio;
        }
        println!(
            "{:5.1} [{:.1}]  {:5.1} [{:.1}]  {:5.1} [{:.1}] ratio {:.2} {:.2}; compile µs {:6.1} {:6.1} ratio {:.2}  {expression:?}",
            ours[0],
            ours[1],
            direct[0],
            direct[1],
            offline[0],
            offline[1],
            ours[0] / direct[0],
            ours[0] / offline[0],
            our_compile[0] / 1e3,
            their_compile[0] / 1e3,
            our_compile[0] / their_compile[0],
        );
    }
    let mean = products.map(|product| product.powf(1.0 / EXPRESSIONS.len() as f64));
    println!("geometric means: run {:.2} {:.2}, compile {:.2}", mean[0], mean[1], mean[2]);
}

/// The lowest and the median number of nanoseconds per call, for subjects that take turns.
fn medians(mut subjects: [&mut dyn FnMut() -> usize; 3]) -> [[f64; 2]; 3] {
    let mut times: [Vec<f64>; 3] = Default::default();
    for round in 0..=ROUNDS {
        for (subject, times) in subjects.iter_mut().zip(&mut times) {
            let mut calls = 0u32;
            let start = Instant::now();
            while calls < 8 {
                black_box(subject());
                calls += 1;
            }
            // The first round warms the caches.
            if round > 0 {
                times.push(start.elapsed().as_nanos() as f64 / f64::from(calls));
            }
        }
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        [times[0], times[times.len() / 2]]
    })
}
