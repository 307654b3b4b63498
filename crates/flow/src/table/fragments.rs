//! Packets that come in pieces.

use super::checksums::ipv4_header;
use crate::{
    Cause, Checksum, Defect, FlowExtractor, FlowHandler, FlowTable, Fragment, FrameFragment,
    LinkType, OverlapPolicy, Packet, Parsed, Timestamp, VerifyChecksums, verify_ipv4_header,
};

/// Tunnels within fragments within tunnels that are followed. Each level costs a copy, so their
/// number is not left to the sender.
const NESTED_FRAGMENTS: usize = 4;

impl<E: FlowExtractor> FlowTable<E> {
    /// A piece of a frame; the last one missing makes it a packet.
    #[cold]
    pub(super) fn frame_fragment(
        &mut self,
        packet: &Packet<'_>,
        fragment: FrameFragment,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        self.carry(packet, handler);
        self.join_frame(packet, fragment, handler);
        self.unclaim(handler);
    }

    fn join_frame(
        &mut self,
        packet: &Packet<'_>,
        mut fragment: FrameFragment,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let now = Timestamp::from_nanos(self.now.max(packet.timestamp().as_nanos()));
        let mut frame = Vec::new();
        for level in 0..NESTED_FRAGMENTS {
            let data = if level == 0 { packet.data() } else { &frame };
            self.defragmenter.carried_by(&mut self.carriers);
            let Some(joined) = self.defragmenter.push_frame(&fragment, data, now) else { return };
            frame = joined.to_vec();
            self.carriers = self.defragmenter.carriers();
            let joined = datagram_of(packet, &frame);
            match self.parser.parse_frame(&frame, &fragment) {
                Ok(Parsed::Transport(headers)) => {
                    let extracted = self.extractor.extract_joined(packet, &joined, &headers);
                    return self.at_once(&joined, &headers, extracted, handler);
                }
                Ok(Parsed::Fragment(inner)) => return self.fragment(&joined, inner, handler),
                Ok(Parsed::FrameFragment(nested)) => fragment = nested,
                Err(reason) => return self.unparsed(Cause::Unparsed(reason)),
            }
        }
    }

    /// A piece of a datagram; the last one missing makes it a packet.
    pub(super) fn fragment(
        &mut self,
        packet: &Packet<'_>,
        mut fragment: Fragment,
        handler: &mut impl FlowHandler<E::Key>,
    ) {
        let discards = |defect| match defect {
            Defect::TooLong => packet.data().len() < self.longest as usize,
            Defect::Padding => {
                self.config.overlap.of(|| Some(fragment.destination)) == OverlapPolicy::Linux
            }
            Defect::SourceRoute => false,
            _ => true,
        };
        let mut defect = fragment.defect.filter(|defect| discards(*defect));
        if self.config.verify_checksums == VerifyChecksums::Always
            && let Some(header) = ipv4_header(packet.data(), fragment.network_offset)
            && verify_ipv4_header(header) == Checksum::Invalid
            && header[10..12] != [0, 0]
        {
            defect = Some(Defect::IpChecksum);
        }
        if let Some(defect) = defect {
            self.statistics.discarded.add(defect);
            self.unclaim(handler);
            return;
        }
        self.carry(packet, handler);
        let now = Timestamp::from_nanos(self.now.max(packet.timestamp().as_nanos()));
        let mut datagram = std::mem::take(&mut self.datagram);
        let mut inner = std::mem::take(&mut self.inner_datagram);
        for level in 0..NESTED_FRAGMENTS {
            let frame = if level == 0 { packet.data() } else { &datagram };
            // Systems resolve overlapping fragments differently. If the capture does not do as the
            // destination does, an attacker can show it other bytes.
            let overlap = match self.config.overlap.of_network(fragment.destination) {
                Some(policy) => policy.fragments(),
                None => self.config.fragments.overlap,
            };
            self.defragmenter.carried_by(&mut self.carriers);
            let joined = self.defragmenter.push_for(&fragment, frame, now, overlap);
            let Some(joined) = joined else { break };
            inner.clear();
            inner.extend_from_slice(joined);
            self.carriers = self.defragmenter.carriers();
            std::mem::swap(&mut datagram, &mut inner);
            match self.parser.parse_datagram(&datagram, fragment.scope, fragment.layers) {
                Ok(Parsed::Transport(headers)) => {
                    let joined = datagram_of(packet, &datagram);
                    let extracted = self.extractor.extract_joined(packet, &joined, &headers);
                    self.at_once(&joined, &headers, extracted, handler);
                    break;
                }
                Ok(Parsed::Fragment(nested)) => fragment = nested,
                Ok(Parsed::FrameFragment(nested)) => {
                    let joined = packet.with_data(&datagram);
                    self.frame_fragment(&joined, nested, handler);
                    break;
                }
                Err(reason) => {
                    self.unparsed(Cause::Unparsed(reason));
                    break;
                }
            }
        }
        self.datagram = datagram;
        self.inner_datagram = inner;
        self.unclaim(handler);
    }
}

/// The packet that a datagram which was joined from fragments counts as.
fn datagram_of<'d>(fragment: &Packet<'_>, datagram: &'d [u8]) -> Packet<'d> {
    let mut joined = fragment.with_data(datagram);
    let meta = joined.meta_mut();
    (meta.link_type, meta.vlan) = (LinkType::RAW, None);
    joined
}
