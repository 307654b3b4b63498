//! Work that the kernel or the adapter does on a frame when sending it (`struct virtio_net_hdr` of
//! `linux/virtio_net.h`).

use crate::LinkType;
use crate::checksum::{IPV4, Segment, TCP};

/// Work on a frame that is left to the kernel or the adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Offload {
    /// Offset in the frame of the bytes to checksum, which extend to the end.
    pub checksum_start: u16,
    /// Offset of the checksum in these bytes. The frame has the sum of the pseudo-header there.
    pub checksum_offset: u16,
    /// Segmentation, if the frame is longer than the interface accepts.
    pub segmentation: Option<Segmentation>,
}

/// The kind of segmentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Segmentation {
    /// TCP over IPv4.
    TcpV4 {
        /// Bytes of payload per packet.
        size: u16,
        /// Bytes before the payload.
        header: u16,
    },
    /// TCP over IPv6.
    TcpV6 {
        /// Bytes of payload per packet.
        size: u16,
        /// Bytes before the payload.
        header: u16,
    },
}

impl Offload {
    /// Computes the offload of a TCP or UDP frame and writes the pseudo-header's sum into the
    /// frame. A TCP frame longer than `limit` bytes is segmented into packets of at most `limit`
    /// bytes.
    ///
    /// `None` for other protocols, fragments, IPv6 extension headers, and frames whose lengths
    /// contradict each other.
    #[must_use]
    pub fn of_frame(frame: &mut [u8], link_type: LinkType, limit: usize) -> Option<Self> {
        let segment = Segment::of(frame, link_type)?;
        let payload = segment.place.start + segment.header;
        let segmentation = if frame.len() <= limit {
            None
        } else {
            let size = u16::try_from(limit.checked_sub(payload)?).ok().filter(|&size| size > 0)?;
            let header = u16::try_from(payload).ok()?;
            match (segment.protocol, segment.ethertype) {
                (TCP, IPV4) => Some(Segmentation::TcpV4 { size, header }),
                (TCP, _) => Some(Segmentation::TcpV6 { size, header }),
                _ => return None,
            }
        };
        let checksum_start = u16::try_from(segment.place.start).ok()?;
        frame[segment.field()].copy_from_slice(&segment.pseudo.to_be_bytes());
        Some(Self { checksum_start, checksum_offset: segment.checksum as u16, segmentation })
    }
}

/// A `struct virtio_net_hdr` in the host's byte order. `header` is the minimum number of bytes that
/// the kernel should keep in one piece.
pub(crate) fn virtio_header(offload: Option<&Offload>, header: u16) -> [u8; VIRTIO_HEADER] {
    const NEEDS_CHECKSUM: u8 = 1;
    const TCP_V4: u8 = 1;
    const TCP_V6: u8 = 4;
    let mut bytes = [0; VIRTIO_HEADER];
    let mut header = header;
    if let Some(offload) = offload {
        bytes[0] = NEEDS_CHECKSUM;
        bytes[6..8].copy_from_slice(&offload.checksum_start.to_ne_bytes());
        bytes[8..].copy_from_slice(&offload.checksum_offset.to_ne_bytes());
        if let Some(segmentation) = offload.segmentation {
            let (kind, size, before) = match segmentation {
                Segmentation::TcpV4 { size, header } => (TCP_V4, size, header),
                Segmentation::TcpV6 { size, header } => (TCP_V6, size, header),
            };
            bytes[1] = kind;
            bytes[4..6].copy_from_slice(&size.to_ne_bytes());
            header = header.max(before);
        }
    }
    bytes[2..4].copy_from_slice(&header.to_ne_bytes());
    bytes
}

pub(crate) const VIRTIO_HEADER: usize = 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tcp(payload: usize) -> Vec<u8> {
        let mut frame = vec![0; 54 + payload];
        frame[12..15].copy_from_slice(&[8, 0, 0x45]);
        frame[16..18].copy_from_slice(&(40 + payload as u16).to_be_bytes());
        frame[23] = 6;
        frame[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        frame[46] = 0x50;
        frame
    }

    #[test]
    fn the_pseudo_header_is_summed() {
        let mut frame = tcp(100);
        let offload = Offload::of_frame(&mut frame, LinkType::ETHERNET, 1514).expect("TCP");
        assert_eq!((offload.checksum_start, offload.checksum_offset), (34, 16));
        assert_eq!(offload.segmentation, None);
        // 10.0.0.1, 10.0.0.2, protocol 6, length 120.
        let sum = 0x0a00_u16 + 1 + 0x0a00 + 2 + 6 + 120;
        assert_eq!(frame[50..52], sum.to_be_bytes());
    }

    #[test]
    fn long_ones_are_cut() {
        let mut frame = tcp(4000);
        let offload = Offload::of_frame(&mut frame, LinkType::ETHERNET, 1514).expect("TCP");
        let cut = Segmentation::TcpV4 { size: 1460, header: 54 };
        assert_eq!(offload.segmentation, Some(cut));
        assert_eq!(virtio_header(Some(&offload), 0)[..2], [1, 1]);
        frame[23] = 17;
        assert_eq!(Offload::of_frame(&mut frame, LinkType::ETHERNET, 1514), None);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(
            mut frame in proptest::collection::vec(any::<u8>(), 0..120),
            start in prop_oneof![Just([8, 0, 0x45]), Just([0x86, 0xdd, 0x60]), Just([0x81, 0, 0])],
            limit in 0..200_usize,
        ) {
            if frame.len() > 15 {
                frame[12..15].copy_from_slice(&start);
            }
            let len = frame.len();
            if let Some(offload) = Offload::of_frame(&mut frame, LinkType::ETHERNET, limit) {
                let field = usize::from(offload.checksum_start + offload.checksum_offset);
                prop_assert!(field + 2 <= len);
            }
            let _ = Offload::of_frame(&mut frame, LinkType::RAW, limit);
        }
    }
}
