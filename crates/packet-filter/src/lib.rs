//! Packet filters in the language of tcpdump: parsed, compiled to BPF, and interpreted.
//!
//! A [`Filter`] is parsed from an expression of pcap-filter(7) (libpcap 1.10) or built. It is compiled for a
//! [`LinkType`] to a [`Program`] of classic BPF, which a Linux socket takes and which [`Program::run`] interprets, or to
//! an [`XdpFragment`] of eBPF.
//!
//! ```
//! use packet_filter::{Ancillary, Filter, LinkType, Options};
//!
//! let filter: Filter = "arp or icmp6".parse()?;
//! let program = filter.compile(LinkType::Ethernet, &Options::file())?;
//! let mut frame = [0u8; 60];
//! frame[12..14].copy_from_slice(&[0x08, 0x06]);
//! assert!(program.run(&frame, 60, &Ancillary::default()) > 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is supported
//!
//! - **Link types:** those of [`LinkType`]: Ethernet and what has it inside, Linux cooked (SLL, SLL2), raw IP, NULL and LOOP,
//!   802.11 with and without radiotap, Prism and AVS headers, PPP, FDDI, token ring, ATM and others. Headers that name
//!   another link type are passed by [`inner_link_type`].
//! - **Addresses:** `host`, `net` (dotted with one to four parts, `/length`, `mask`, IPv6), with `src`, `dst`, `src or
//!   dst`, `src and dst`, under `ip`, `ip6`, `arp`, `rarp`; `ether host` (also `link`, `fddi`, `tr`, `wlan`, `ppp`,
//!   `slip`, which mean the same); `decnet host`.
//! - **Ports:** `port`, `portrange`, under `tcp`, `udp`, `sctp`, by number or name. Names are those of a built-in table of
//!   services, so that an expression means the same on every machine.
//! - **Protocols:** every keyword of [`Protocol`]; `proto` under `ip`, `ip6`, `ether`, `iso`, `isis`, by number or name;
//!   `protochain`. A keyword may follow `proto` without a backslash.
//! - **Encapsulation:** `vlan`, `mpls`, `pppoed`, `pppoes`, `geneve`; they move the offsets of everything to their right,
//!   whatever joins them.
//! - **802.2 frames:** `llc`, alone or with one of the types of [`LlcType`], on Ethernet.
//! - **Others:** `broadcast`, `multicast`, `ip broadcast` (with [`Options::netmask`]), `ip multicast`, `ip6 multicast`,
//!   `less`, `greater`, `inbound`, `outbound`, `ifindex`.
//! - **Arithmetic:** `+ - * / % & | ^ << >>`, negation, `len`, bytes of every [`Header`], the named offsets and values of
//!   the manual page. As in libpcap's grammar, `%` and `^` take the operand right before them and *everything* after
//!   them: write parentheses.
//! - **Logic:** `and`, `or` (of equal precedence, from the left), `not`, `&&`, `||`, `!`, parentheses; a name without
//!   qualifiers takes those before it.
//!
//! # What is not
//!
//! Each of these is an error that says so, never a filter that means something else:
//!
//! - names of hosts, networks and DECnet nodes, `/etc/ethers`, and so `gateway`;
//! - `byte`, which the manual page leaves out, and DECnet areas above 63 and nodes above 1023, which libpcap cuts off;
//! - `decnet net`, a DECnet address that is a bare number, and numbers above 255 behind `protochain`;
//! - other link types, and primitives that only some have: addresses and `llc` on anything but Ethernet (802.11 has
//!   more than two of them), 802.11 (`type`, `subtype`, `dir`, `ra` …),
//!   ATM, SS7, `pf` logs, `radio`;
//! - `vxlan`, which libpcap 1.10 has not either;
//! - `llc`, `vlan` and `mpls` on cooked captures and raw IP (unless inside Geneve), `inbound` and `ifindex` on Ethernet files;
//! - offsets that are constant and negative, with which libpcap reads the kernel's variables.
//!
//! # Where verdicts differ from libpcap's
//!
//! - `protochain` follows [`MAX_EXTENSION_HEADERS`] headers, because a program for the kernel cannot loop, and finds what
//!   follows an authentication header, or a fragment header whose reserved byte is not zero, where libpcap looks at the
//!   wrong place. It works in the kernel; libpcap's does not.
//! - On NULL and LOOP the protocol families of all systems are known (IPv6 is 10, 24, 28 or 30), and on NULL in either
//!   byte order; libpcap knows those of the machine it was compiled on.
//! - On 802.11 the fourth address of frames between access points is passed, and on frame relay what follows is found;
//!   libpcap looks at the wrong place for both. Where a header has no fixed length libpcap does not optimise, and writes
//!   over the length of the header in expressions with constants.
//! - `stp`, `ipx`, `iso` and other 802.2 protocols are found in SLL2, as in SLL.
//! - `geneve` alone does not ask for the bytes behind what it tests, so that a packet cut off there still matches.
//! - An expression that no packet can pass is a program that says so ([`Program::verdict`], [`Filter::rejects_all`]), not an
//!   error.
//! - A packet that is cut off is rejected at the first load beyond its end. Where an optimiser changes the order of
//!   tests, that may be another one than libpcap's.
//!
//! Followed consciously, though one may call it a mistake: in `a + tcp[0]` and other operations, the test for the header
//! of the *left* operand guards the whole; `tcp[…]` and its like look at IPv4 only, and `ip multicast` takes class E in.
//!
//! # Limits
//!
//! An expression has at most [`MAX_EXPRESSION_LEN`] bytes and is nested at most [`MAX_NESTING`] deep; a program has at most
//! 4,096 instructions for a socket and [`Program::MAX_LEN`] otherwise. Time and memory are bounded by that.

#![forbid(unsafe_code)]

mod compile;
mod decnet;
mod ebpf;
mod emit;
mod error;
mod expression;
mod filter;
mod graph;
mod ir;
mod lexer;
mod link_type;
mod lower;
mod mentions;
mod names;
mod nested;
mod network;
mod network_layer;
mod options;
mod parser;
mod program;

pub use decnet::DecnetAddress;
pub use ebpf::{EbpfInstruction, XdpAction, XdpFragment};
pub use error::{CompileError, ParseError, ParseErrorKind, ProgramError, UnsupportedLinkType};
pub use expression::{
    Arithmetic, BinaryOperator, Comparison, Direction, Expression, Header, HostProtocol, Layer,
    LlcType, MulticastLayer, Operands, Primitive, Protocol, ProtocolLayer, Relation, Transport,
    Width,
};
pub use filter::Filter;
pub use link_type::LinkType;
pub use lower::MAX_EXTENSION_HEADERS;
pub use nested::inner_link_type;
pub use network::{MacAddress, Network};
pub use options::{ExtensionHeaders, Options, Target};
pub use parser::{MAX_EXPRESSION_LEN, MAX_NESTING};
pub use program::{Ancillary, Instruction, Program};

/// The example of the README is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
