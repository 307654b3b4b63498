//! Packet filters in the language of tcpdump: parsed, compiled to BPF, and interpreted.
//!
//! A [`Filter`] is parsed from an expression of pcap-filter(7) (libpcap 1.10) or built in code. It
//! is compiled for a [`LinkType`], either to a [`Program`] of classic BPF or to an [`XdpFragment`]
//! of eBPF. A classic program can be attached to a Linux socket or interpreted by [`Program::run`].
//!
//! ```
//! use packet_filter::{Ancillary, Filter, LinkType, Options};
//!
//! let filter: Filter = "arp or icmp6".parse()?;
//! let program = filter.compile(LinkType::ETHERNET, &Options::file())?;
//! let mut frame = [0u8; 60];
//! frame[12..14].copy_from_slice(&[0x08, 0x06]);
//! assert!(program.run(&frame, 60, &Ancillary::default()) > 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Supported
//!
//! - **Link types:** those that [`is_supported`] accepts: Ethernet and formats that
//!   contain it, Linux cooked (SLL, SLL2), raw IP, NULL and LOOP, 802.11 with and without radiotap,
//!   Prism and AVS headers, PPP, FDDI, token ring, ATM and others. [`inner_link_type`] skips
//!   headers that name another link type.
//! - **Addresses:** `host`, `net` (dotted with one to four parts, `/length`, `mask`, IPv6), with
//!   `src`, `dst`, `src or dst`, `src and dst`, under `ip`, `ip6`, `arp`, `rarp`; `ether host`
//!   (also `link`, `fddi`, `tr`, `wlan`, `ppp`, `slip`, which mean the same) on Ethernet, FDDI,
//!   token ring, IP over Fibre Channel and 802.11; `decnet host`.
//! - **Ports:** `port`, `portrange`, under `tcp`, `udp`, `sctp`, by number or name. The table of
//!   service names is built in, so that an expression means the same on every machine.
//! - **Protocols:** every keyword of [`Protocol`]; `proto` under `ip`, `ip6`, `ether`, `iso`,
//!   `isis`, by number or name; `protochain`. A keyword may follow `proto` without a backslash.
//! - **Encapsulation:** `vlan`, `mpls`, `pppoed`, `pppoes`, `geneve`. They move the offsets of
//!   everything to their right, whether `and` or `or` joins them.
//! - **802.2 frames:** `llc`, alone or with one of the types of [`LlcType`], on Ethernet, FDDI,
//!   token ring, ATM and 802.11.
//! - **802.11 frames:** `type`, `subtype`, `dir`, `wlan ra`, `ta`, `addr1` to `addr4`, and bytes of
//!   the header in front of them (`radio[…]`): radiotap, Prism or AVS.
//! - **Packet filter logs** (pflog): `ifname`, `ruleset`, `rulenum`, `subrulenum`, `reason`,
//!   `action`, and their short forms.
//! - **Others:** `broadcast`, `multicast`, `ip broadcast` (with [`Options::netmask`]),
//!   `ip multicast`, `ip6 multicast`, `less`, `greater`, `inbound`, `outbound`, `ifindex`.
//! - **Arithmetic:** `+ - * / % & | ^ << >>`, negation, `len`, bytes of every [`Header`], the named
//!   offsets and values of the manual page. As in libpcap's grammar, `%` and `^` take the operand
//!   right before them and *everything* after them, so write parentheses.
//! - **Logic:** `and`, `or` (equal precedence, left to right), `not`, `&&`, `||`, `!`, parentheses.
//!   A name without qualifiers inherits those of the name before it.
//!
//! # Not supported
//!
//! Each of these is an error that names the cause. None of them compiles to a filter with another
//! meaning.
//!
//! - Names of hosts, networks and DECnet nodes, `/etc/ethers`, and therefore `gateway`.
//! - `byte`, which the manual page does not document.
//! - DECnet areas above 63 and nodes above 1023, which libpcap truncates.
//! - `decnet net`, a DECnet address that is a bare number, and numbers above 255 after
//!   `protochain`.
//! - Other link types.
//! - Primitives of ATM and SS7.
//! - `vxlan`, which libpcap 1.10 does not have either.
//! - `llc`, `vlan` and `mpls` on cooked captures and raw IP (unless inside Geneve), and `inbound`
//!   and `ifindex` on Ethernet files.
//! - Constant negative offsets, with which libpcap reads the kernel's variables.
//!
//! # Differences from libpcap
//!
//! - `protochain` follows at most [`MAX_EXTENSION_HEADERS`] headers, because a program for the
//!   kernel cannot loop. libpcap's version loops, so it does not run in the kernel. Ours also finds
//!   the header after an authentication header, and after a fragment header with a reserved byte
//!   other than zero; libpcap computes a wrong offset for both.
//! - NULL and LOOP: the protocol families of all systems are known (IPv6 is 10, 24, 28 or 30), and
//!   NULL is read in either byte order. libpcap knows only those of the machine it was compiled on.
//! - 802.11: the fourth address of frames between access points is skipped. Frame relay: the
//!   payload is found. libpcap computes a wrong offset for both. For headers of variable length
//!   libpcap does not optimise, and expressions with constants overwrite its header length.
//! - `stp`, `ipx`, `iso` and other 802.2 protocols are found in SLL2, as in SLL.
//! - `geneve` alone does not load the bytes after those it tests, so a packet truncated there still
//!   matches.
//! - An expression that no packet can match compiles to a program that rejects everything
//!   ([`Program::verdict`], [`Filter::rejects_all`]). libpcap reports an error.
//! - A truncated packet is rejected at the first load beyond its end. If an optimiser changes the
//!   order of tests, that may be another load than in libpcap's program.
//!
//! Two debatable habits of libpcap are kept on purpose. In `a + tcp[0]` and other operations, only
//! the test for the header of the *left* operand guards the expression. `tcp[…]` and similar loads
//! look at IPv4 only, and `ip multicast` includes class E.
//!
//! # Limits
//!
//! An expression has at most [`MAX_EXPRESSION_LEN`] bytes and nests at most [`MAX_NESTING`] deep. A
//! program has at most 4,096 instructions for a socket, otherwise [`Program::MAX_LEN`]. These
//! limits bound time and memory.

#![cfg_attr(docsrs, feature(doc_cfg))]
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
mod link;
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
pub use error::{CompileError, ParseError, ParseErrorKind, ProgramError};
pub use expression::{
    Arithmetic, BinaryOperator, Comparison, Direction, Expression, Header, HostProtocol, Layer,
    LlcType, MulticastLayer, Operands, Primitive, Protocol, ProtocolLayer, Relation, Transport,
    Width, WirelessAddress,
};
pub use filter::Filter;
pub use link::is_supported;
pub use lower::MAX_EXTENSION_HEADERS;
pub use nested::{has_inner_link_type, inner_link_type};
pub use network::Network;
pub use network_layer::network_offset;
pub use options::{ExtensionHeaders, Options, Target};
pub use packet::{LinkType, MacAddress};
pub use parser::{MAX_EXPRESSION_LEN, MAX_NESTING};
pub use program::{Ancillary, Instruction, Program};

/// Compiles and runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
