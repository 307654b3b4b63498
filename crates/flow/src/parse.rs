//! Parses a captured frame down to its innermost flow.

mod ax25;
mod batman;
mod capwap;
mod erf;
mod esp;
mod ethernet;
mod frame_fragment;
mod gre;
mod gtp;
mod gue;
mod ip;
mod ipcomp;
mod ipv6;
mod ipv6_over_udp;
mod l2tp;
mod l2tpv3;
mod link;
mod llc;
mod mobile_ip;
mod mpls;
mod pim;
mod ppp;
mod quick;
mod scope;
mod slip;
mod tag;
mod tcp_options;
mod transport;
mod tzsp;
mod udp;
mod unparsed;
mod vxlan;
mod walk;
mod wireless;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::LazyLock;

pub use self::frame_fragment::FrameFragment;
pub(crate) use self::quick::Plain;
pub use self::unparsed::{Encapsulation, Unparsed, WirelessFrame};
pub(crate) use self::unparsed::{Name, ip_protocol};
use self::walk::{Layer, Walk};
use crate::{Checksum, Defect, Headers, LinkType, Packet, Scope, TcpHeader, TcpOptions};

/// Parses a packet with the default options. The seed for scopes is chosen once for the process.
///
/// # Errors
///
/// Returns the reason why the packet belongs to no flow.
///
/// # Examples
///
/// ```
/// use flow::{LinkType, Packet, Parsed, Timestamp};
///
/// let datagram = [
///     0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, // IPv4
///     0x30, 0x39, 0, 9, 0, 8, 0, 0, // UDP
/// ];
/// let packet = Packet::new(&datagram, Timestamp::from_nanos(0), LinkType::RAW);
/// let Ok(Parsed::Transport(headers)) = flow::parse(&packet) else { unreachable!() };
/// assert_eq!((headers.source_port, headers.destination_port), (12345, 9));
/// ```
#[inline]
pub fn parse(packet: &Packet<'_>) -> Result<Parsed, Unparsed> {
    static PARSER: LazyLock<Parser> = LazyLock::new(Parser::default);
    PARSER.parse(packet)
}

/// Parses packets.
///
/// A parser walks the headers of a packet in place: link layer, tags and tunnels, IP, transport. It
/// copies and allocates nothing, uses no length that it has not checked, and does a bounded amount
/// of work ([`ParseOptions::max_layers`]). Every offset in a result is within the bytes that were
/// passed in.
///
/// A tunnel is decapsulated if the outer header indicates one (IP protocol, EtherType, well-known
/// UDP port) *and* there is a valid IP header inside. Otherwise the outer flow is reported: a UDP
/// payload is never treated as a tunnel because of its port alone.
///
/// IP fragments are returned as [`Parsed::Fragment`]. A [`Defragmenter`](crate::Defragmenter) joins
/// them, and [`Parser::parse_datagram`] continues where the walk stopped. Compressed datagrams
/// (IPComp) are handled in the same way.
#[derive(Clone, Debug, Default)]
pub struct Parser {
    options: ParseOptions,
    scopes: scope::Scopes,
}

impl Parser {
    /// Creates a parser with these options. Its seed for [`Scope`]s is random, so scopes of
    /// different parsers cannot be compared. Clones share the seed.
    #[must_use]
    pub fn new(mut options: ParseOptions) -> Self {
        options.max_layers = options.max_layers.max(1);
        Self { options, scopes: scope::Scopes::default() }
    }

    /// Finds the innermost flow of a packet. For an 802.11 aggregate (A-MSDU), that is the flow of
    /// the first packet in it. A [`FlowTable`](crate::FlowTable) processes all of them.
    ///
    /// # Errors
    ///
    /// Returns the reason why the packet belongs to no flow.
    #[inline]
    pub fn parse(&self, packet: &Packet<'_>) -> Result<Parsed, Unparsed> {
        let cut;
        let packet = if packet.meta().fcs_len == 0 {
            packet
        } else {
            cut = packet.without_fcs();
            &cut
        };
        if let Some(plain) = Self::plain(packet) {
            let mut headers = plain.headers();
            if headers.tcp.options.contains(TcpOptions::UNREAD) {
                let (end, carries) = (headers.payload_offset as usize, headers.payload_len > 0);
                Self::read_plain_options(packet, end, carries, &mut headers.tcp);
            }
            return Ok(Parsed::Transport(headers));
        }
        self.parse_subframe(packet, 0).0
    }

    /// Parses one packet of an aggregate, counted from 0. Also returns `true` if another packet
    /// follows it.
    #[inline]
    pub(crate) fn parse_subframe(
        &self,
        packet: &Packet<'_>,
        number: u8,
    ) -> (Result<Parsed, Unparsed>, bool) {
        if packet.link_type() == LinkType::ETHERNET && packet.vlan().is_none() && number == 0 {
            let decapsulate = self.options.decapsulate;
            let headers = match packet.data().get(12..14) {
                Some([0x08, 0x00]) => quick::v4(packet.data(), 14, Scope::NONE, decapsulate),
                Some([0x86, 0xdd]) => quick::v6(packet.data(), 14, Scope::NONE, decapsulate),
                _ => None,
            };
            if let Some(headers) = headers {
                return (Ok(Parsed::Transport(headers)), false);
            }
        }
        self.walk(packet, number)
    }

    /// The common case of [`parse`](Self::parse) only: TCP over IPv4 over Ethernet. Options may be
    /// [unread](TcpOptions::UNREAD).
    #[inline(always)]
    pub(crate) fn plain<'a>(packet: &Packet<'a>) -> Option<Plain<'a>> {
        if packet.link_type() == LinkType::ETHERNET && packet.vlan().is_none() {
            Plain::of(packet.data())
        } else {
            None
        }
    }

    /// Reads the options that [`plain`](Self::plain) left [unread](TcpOptions::UNREAD). `end` is
    /// the offset of their end, and `carries` is `true` if the segment has payload.
    #[inline(never)]
    pub(crate) fn read_plain_options(
        packet: &Packet<'_>,
        end: usize,
        carries: bool,
        tcp: &mut TcpHeader,
    ) {
        quick::read_options(packet.data(), end, carries, tcp);
    }

    /// Finds the innermost flow of a datagram that begins with its IP header, as returned by a
    /// [`Defragmenter`](crate::Defragmenter). `scope` and `layers` are those of its fragments.
    ///
    /// Offsets in the result are relative to `datagram`. The result may itself be a fragment, of a
    /// tunnelled packet.
    ///
    /// # Errors
    ///
    /// Returns the reason why the datagram belongs to no flow.
    pub fn parse_datagram(
        &self,
        datagram: &[u8],
        scope: Scope,
        layers: u8,
    ) -> Result<Parsed, Unparsed> {
        Walk::new(self, datagram, datagram.len(), scope, layers).run(Layer::Ip)
    }

    /// Finds the innermost flow of a frame that a [`Defragmenter`](crate::Defragmenter) joined.
    /// `fragment` is any fragment of it.
    ///
    /// Offsets in the result are relative to `frame`. The result may itself be a fragment.
    ///
    /// # Errors
    ///
    /// Returns the reason why the frame belongs to no flow.
    pub fn parse_frame(&self, frame: &[u8], fragment: &FrameFragment) -> Result<Parsed, Unparsed> {
        let FrameFragment { scope, layers, content, .. } = *fragment;
        Walk::new(self, frame, frame.len(), scope, layers).run(content.layer())
    }

    #[inline(never)]
    fn walk(&self, packet: &Packet<'_>, subframe: u8) -> (Result<Parsed, Unparsed>, bool) {
        let mut walk = Walk::new(self, packet.data(), wire_len(packet), Scope::NONE, 0);
        walk.want_subframe(subframe);
        let parsed = self.walk_from(packet, &mut walk);
        (parsed, walk.more_subframes())
    }

    /// Parses without the fast path, for tests.
    #[cfg(test)]
    fn walk_slowly(&self, packet: &Packet<'_>) -> Result<Parsed, Unparsed> {
        let mut walk = Walk::new(self, packet.data(), wire_len(packet), Scope::NONE, 0);
        walk.slow = true;
        self.walk_from(packet, &mut walk)
    }

    fn walk_from(&self, packet: &Packet<'_>, walk: &mut Walk<'_>) -> Result<Parsed, Unparsed> {
        if let Some(tag) = packet.vlan() {
            walk.vlan(tag.tci)?;
        }
        let layer = link::first_layer(walk, packet.link_type())?;
        walk.run(layer)
    }
}

/// Verifies the checksum of an IP datagram that was joined from fragments: that of the outer
/// transport header and, unless it is valid, that of the innermost packet. Outer headers often have
/// no checksum, or a wrong one if addresses were rewritten.
pub(crate) fn verify(datagram: &[u8]) -> Checksum {
    static OUTER: LazyLock<Parser> = LazyLock::new(|| {
        Parser::new(ParseOptions { decapsulate: false, ..ParseOptions::default() })
    });
    static INNER: LazyLock<Parser> = LazyLock::new(Parser::default);
    let verify = |parser: &Parser| match parser.parse_datagram(datagram, Scope::NONE, 0) {
        Ok(Parsed::Transport(headers)) => headers.verify_joined(datagram),
        _ => Checksum::Unknown,
    };
    match verify(&OUTER) {
        Checksum::Valid => Checksum::Valid,
        outer => match verify(&INNER) {
            Checksum::Unknown => outer,
            inner => inner,
        },
    }
}

fn wire_len(packet: &Packet<'_>) -> usize {
    usize::try_from(packet.wire_len()).unwrap_or(usize::MAX)
}

/// Options of a [`Parser`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseOptions {
    /// Decapsulate tunnels, that is, protocols that are carried inside IP [default: yes]. Tags and
    /// labels below the first IP header are skipped in any case.
    pub decapsulate: bool,
    /// The maximum number of tags, labels, tunnels and IP headers, at least 1 [default: 32]. A
    /// packet with more is reported as [`Unparsed::TooDeep`].
    pub max_layers: u8,
    /// Assume that ESP packets (RFC 4303) use NULL encryption (RFC 2410) [default: no]. The payload
    /// is parsed if it is consistent with its own lengths and with the padding. Nothing in a packet
    /// indicates NULL encryption, and encrypted bytes are consistent by chance once in many
    /// thousand packets.
    pub esp_null: bool,
}

impl Default for ParseOptions {
    fn default() -> Self {
        Self { decapsulate: true, max_layers: 32, esp_null: false }
    }
}

/// The result of parsing a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A packet of a flow.
    Transport(Headers),
    /// A fragment of an IP datagram, which belongs to a flow once the datagram is complete. Also a
    /// whole datagram that has to be decompressed first.
    Fragment(Fragment),
    /// A fragment of a link-layer frame.
    FrameFragment(FrameFragment),
}

/// A fragment of an IP datagram (RFC 791, section 3.2; RFC 8200, section 4.5). Offsets are relative
/// to the bytes that were parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Address of the sender.
    pub source: IpAddr,
    /// Address of the receiver.
    pub destination: IpAddr,
    /// The protocol field of the IPv4 header, or the next header of the IPv6 fragment header.
    pub protocol: u8,
    /// The identification that the fragments of a datagram share: 16 bits in IPv4, 32 in IPv6.
    pub identification: u32,
    /// The VLANs and tunnels around it.
    pub scope: Scope,
    /// The number of layers so far, for [`Parser::parse_datagram`].
    pub layers: u8,
    /// Offset of the IP header.
    pub network_offset: u32,
    /// Length of the part that every fragment repeats: the IPv4 header, or the IPv6 header and the
    /// extension headers before the fragment header.
    pub header_len: u32,
    /// Offset from the start of the IPv6 header to the field that names the fragment header. For
    /// IPv4 it is 9, that of the protocol field.
    pub next_header_offset: u32,
    /// Offset of this fragment in the datagram's payload, in bytes. At most 65,528.
    pub fragment_offset: u32,
    /// `true` if more fragments follow.
    pub more: bool,
    /// Offset of the fragment's payload, all of which was captured.
    pub payload_offset: u32,
    /// Length of the fragment's payload.
    pub payload_len: u32,
    /// `true` if this is the whole payload, but compressed (IPComp, RFC 3173).
    pub compressed: bool,
    /// The reason why the receiving host discards it, if the headers show one.
    pub defect: Option<Defect>,
}
