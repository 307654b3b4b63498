//! The position within a packet, and the loop over its layers.

use std::net::IpAddr;

use super::scope::Kind;
use super::{
    Fragment, FrameFragment, Parsed, Parser, Unparsed, ethernet, ip, ipv6, llc, mpls, ppp, quick,
    tag, transport, wireless,
};
use crate::headers::protocol;
use crate::{Checksum, Defect, Headers, Scope, TcpHeader};

/// The type of the bytes at the walk's position.
#[derive(Clone, Copy, Debug)]
pub(super) enum Layer {
    /// An Ethernet frame without its preamble.
    Ethernet,
    /// The payload of an Ethernet frame with this type, or with this length (802.3).
    EtherType(u16),
    /// An IP packet of the version in its first four bits.
    Ip,
    /// An IPv4 packet.
    Ipv4,
    /// An IPv6 packet.
    Ipv6,
    /// An IPv4 packet with TCP but another number in the protocol field (RFC 1144, section 3.2.3).
    UncompressedTcp,
    /// An MPLS label stack.
    Mpls,
    /// A PPP frame.
    Ppp,
    /// An LLC header.
    Llc,
    /// An 802.11 frame.
    Wlan,
    /// An 802.11 frame whose first two bytes may be swapped.
    SwappedWlan,
    /// An 802.11 frame with a radiotap header.
    Radiotap,
    /// A network service header.
    ServiceHeader,
    /// The payload of an IP header with this protocol number.
    Protocol(u8),
    /// The end of the walk. The result is in [`Walk::found`].
    Found,
}

/// The addresses of the innermost IP header so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Network {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) offset: usize,
}

/// A position within a packet, and the state collected on the way there.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    pub(super) parser: &'a Parser,
    /// All captured bytes.
    data: &'a [u8],
    /// Offset of the next layer. May be past the captured bytes, but never past `end`.
    offset: usize,
    /// Offset of the end of the next layer on the wire.
    end: usize,
    pub(super) scope: Scope,
    layers: u8,
    pub(super) network: Option<Network>,
    /// The flow to report if there is no IP header within the tunnel that was entered last.
    outer: Option<Headers>,
    found: Option<Parsed>,
    /// The first reason found for the receiver to discard the packet.
    defect: Option<Defect>,
    /// The packet of an aggregate to find, counted from 0.
    subframe: u8,
    /// `true` if more packets follow in the aggregate.
    more_subframes: bool,
    #[cfg(test)]
    pub(super) slow: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        parser: &'a Parser,
        data: &'a [u8],
        wire_len: usize,
        scope: Scope,
        layers: u8,
    ) -> Self {
        // Offsets are 32-bit numbers. No real packet is longer.
        let data = &data[..data.len().min(MAX_LEN)];
        let end = wire_len.clamp(data.len(), MAX_LEN);
        Self {
            parser,
            data,
            offset: 0,
            end,
            scope,
            layers,
            network: None,
            outer: None,
            found: None,
            defect: None,
            subframe: 0,
            more_subframes: false,
            #[cfg(test)]
            slow: false,
        }
    }

    /// Walks from layer to layer until it finds a flow or a fragment.
    pub(super) fn run(&mut self, mut layer: Layer) -> Result<Parsed, Unparsed> {
        loop {
            let next = match layer {
                Layer::Ethernet => ethernet::frame(self),
                Layer::EtherType(ether_type) => ethernet::payload(self, ether_type),
                Layer::Ip => ip::any(self),
                Layer::Ipv4 => match self.quick(quick::v4) {
                    Some(found) => return Ok(Parsed::Transport(found)),
                    None => ip::v4(self),
                },
                Layer::Ipv6 => match self.quick(quick::v6) {
                    Some(found) => return Ok(Parsed::Transport(found)),
                    None => ipv6::header(self),
                },
                Layer::UncompressedTcp => ip::v4(self).map(|layer| match layer {
                    Layer::Protocol(_) => Layer::Protocol(protocol::TCP),
                    other => other,
                }),
                Layer::Mpls => mpls::label(self),
                Layer::Ppp => ppp::frame(self),
                Layer::Llc => llc::header(self),
                Layer::Wlan => wireless::frame(self),
                Layer::SwappedWlan => wireless::swapped(self),
                Layer::Radiotap => wireless::radiotap(self),
                Layer::ServiceHeader => tag::service_header(self),
                Layer::Protocol(protocol) => transport::above_ip(self, protocol),
                Layer::Found => return self.found.ok_or(Unparsed::NotIp),
            };
            layer = match next {
                Ok(layer) => layer,
                Err(Unparsed::TooDeep) => return Err(Unparsed::TooDeep),
                Err(reason) => return self.outer.map(Parsed::Transport).ok_or(reason),
            };
        }
    }

    /// The flow, if an IP packet of the common kind starts here.
    #[inline(always)]
    fn quick(&self, ip: impl Fn(&[u8], usize, Scope, bool) -> Option<Headers>) -> Option<Headers> {
        #[cfg(test)]
        if self.slow {
            return None;
        }
        if self.layers >= self.parser.options.max_layers || self.defect == Some(Defect::NoLength) {
            return None;
        }
        let data = self.data.get(..self.end).unwrap_or(self.data);
        let headers = ip(data, self.offset, self.scope, self.parser.options.decapsulate)?;
        Some(Headers { defect: self.defect, ..headers })
    }

    /// Counts a tag, a label, a tunnel or an IP header.
    #[inline]
    pub(super) fn enter(&mut self) -> Result<(), Unparsed> {
        if self.layers >= self.parser.options.max_layers {
            return Err(Unparsed::TooDeep);
        }
        self.layers += 1;
        Ok(())
    }

    /// Takes the number of the wanted packet of an aggregate. A nested aggregate then yields its
    /// first packet. The flow of a tunnel around the aggregate is dropped after the first packet,
    /// because it was reported with that one, if at all.
    pub(super) fn take_subframe(&mut self) -> u8 {
        if self.subframe > 0 {
            self.outer = None;
        }
        std::mem::take(&mut self.subframe)
    }

    pub(super) const fn want_subframe(&mut self, number: u8) {
        self.subframe = number;
    }

    pub(super) const fn set_more_subframes(&mut self, more: bool) {
        self.more_subframes = more;
    }

    pub(super) const fn more_subframes(&self) -> bool {
        self.more_subframes
    }

    pub(super) const fn layers(&self) -> u8 {
        self.layers
    }

    /// Enters a VLAN. Identifier 0 is a priority without a VLAN (802.1Q, table 9-2).
    pub(super) fn vlan(&mut self, tci: u16) -> Result<(), Unparsed> {
        self.enter()?;
        if tci & 0x0fff != 0 {
            self.scope = self.parser.scopes.vlan(self.scope, tci & 0x0fff);
        }
        Ok(())
    }

    /// Records a valid IP header: there is a packet inside the layers so far.
    #[inline]
    pub(super) fn arrive(&mut self, network: Network) {
        self.network = Some(network);
        self.outer = None;
    }

    /// The headers of the flow whose transport header starts here and is `header_len` bytes long.
    #[inline]
    pub(super) fn headers(
        &self,
        protocol: u8,
        (source_port, destination_port): (u16, u16),
        header_len: usize,
        tcp: TcpHeader,
    ) -> Result<Headers, Unparsed> {
        let network = self.network.ok_or(Unparsed::NotIp)?;
        let captured = self.data.len();
        let payload = self.offset + header_len;
        let payload_wire_len = self.end.checked_sub(payload).ok_or(Unparsed::Malformed)?;
        Ok(Headers {
            source: network.source,
            destination: network.destination,
            protocol,
            source_port,
            destination_port,
            scope: self.scope,
            network_offset: network.offset as u32,
            transport_offset: self.offset.min(captured) as u32,
            payload_offset: payload.min(captured) as u32,
            payload_len: self.end.min(captured).saturating_sub(payload) as u32,
            payload_wire_len: payload_wire_len as u32,
            tcp,
            defect: self.defect,
        })
    }

    /// Ends the walk with a packet of a flow.
    #[inline]
    pub(super) fn flow(&mut self, mut headers: Headers) -> Layer {
        // An adapter that does the segmentation also computes the checksums. So if the checksum is
        // complete, the length of 0 was on the wire, and the receiver finds no segment.
        if self.defect == Some(Defect::NoLength)
            && headers.verify_checksum(self.data) != Checksum::Valid
        {
            headers.defect = None;
        }
        self.found = Some(Parsed::Transport(headers));
        Layer::Found
    }

    /// Records a reason for the receiver to discard the packet.
    #[cold]
    pub(super) fn note(&mut self, defect: Defect) {
        self.defect.get_or_insert(defect);
    }

    pub(super) const fn defect(&self) -> Option<Defect> {
        self.defect
    }

    /// Ends the walk with a fragment.
    pub(super) fn fragment(&mut self, fragment: Fragment) -> Layer {
        self.found = Some(Parsed::Fragment(fragment));
        Layer::Found
    }

    /// Ends the walk with a fragment of a frame.
    pub(super) fn frame_fragment(&mut self, fragment: FrameFragment) -> Layer {
        self.found = Some(Parsed::FrameFragment(fragment));
        Layer::Found
    }

    /// Enters a tunnel whose packets belong to the flow `outer` until there is an IP header inside.
    /// `id` is the number that separates the networks in it.
    pub(super) fn tunnel_in(
        &mut self,
        outer: Headers,
        kind: Kind,
        id: u64,
    ) -> Result<(), Unparsed> {
        self.enter()?;
        self.scope =
            self.parser.scopes.tunnel(self.scope, kind, id, outer.source, outer.destination);
        self.outer = Some(outer);
        Ok(())
    }

    /// Returns `true` if the next IP header would be the first within a tunnel.
    #[inline]
    pub(super) const fn in_tunnel(&self) -> bool {
        self.outer.is_some()
    }

    #[inline]
    pub(super) const fn offset(&self) -> usize {
        self.offset
    }

    /// The number of bytes left on the wire in this layer.
    #[inline]
    pub(super) const fn wire_remaining(&self) -> usize {
        self.end - self.offset
    }

    /// The captured bytes of this layer.
    #[inline]
    pub(super) fn captured(&self) -> &'a [u8] {
        let end = self.end.min(self.data.len());
        self.data.get(self.offset..end).unwrap_or_default()
    }

    /// Returns `true` if this layer was captured to its end, including the part already skipped.
    pub(super) const fn is_whole(&self) -> bool {
        self.end <= self.data.len()
    }

    /// A byte that was already skipped.
    pub(super) fn byte(&self, at: usize) -> Result<u8, Unparsed> {
        self.data.get(at).copied().ok_or(Unparsed::Truncated)
    }

    /// The next `N` bytes.
    #[inline]
    pub(super) fn header<const N: usize>(&self) -> Result<&'a [u8; N], Unparsed> {
        self.captured().first_chunk().ok_or_else(|| self.missing(N))
    }

    /// The next `len` bytes.
    #[inline]
    pub(super) fn bytes(&self, len: usize) -> Result<&'a [u8], Unparsed> {
        self.captured().get(..len).ok_or_else(|| self.missing(len))
    }

    /// Skips `len` bytes, captured or not.
    #[inline]
    pub(super) fn skip(&mut self, len: usize) -> Result<(), Unparsed> {
        if len > self.wire_remaining() {
            return Err(Unparsed::Malformed);
        }
        self.offset += len;
        Ok(())
    }

    /// Ends this layer after `len` bytes, or at the end of the layer around it if that is earlier.
    #[inline]
    pub(super) fn limit(&mut self, len: usize) {
        self.end = self.end.min(self.offset.saturating_add(len));
    }

    /// The reason why `len` bytes are not available.
    #[cold]
    fn missing(&self, len: usize) -> Unparsed {
        if len > self.wire_remaining() { Unparsed::Malformed } else { Unparsed::Truncated }
    }
}

/// The maximum length of a packet, because offsets have 32 bits.
const MAX_LEN: usize = u32::MAX as usize;

/// A big-endian number from two bytes.
#[inline]
pub(super) const fn be16(high: u8, low: u8) -> u16 {
    u16::from_be_bytes([high, low])
}
