//! The pcap writer, in little-endian byte order (draft-ietf-opsawg-pcap).

use super::record::{self, Recorded};
use super::{InterfaceDescription, limit};
use crate::{Error, LinkType, Packet, Unwritable};

pub(crate) struct PcapEncoder {
    nanoseconds: bool,
    /// The interface that the file header describes.
    interface: Option<InterfaceDescription>,
    begun: bool,
}

impl PcapEncoder {
    pub(crate) fn new(nanoseconds: bool) -> Self {
        Self { nanoseconds, interface: None, begun: false }
    }

    /// Starts a new file. Its header is written once the link type is known.
    pub(crate) fn begin(&mut self, out: &mut Vec<u8>) {
        self.begun = false;
        if self.interface.is_some() {
            self.header(out);
        }
    }

    /// Adds an interface. The first one determines the header; later ones need the same link type.
    pub(crate) fn add(
        &mut self,
        description: InterfaceDescription,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match &self.interface {
            Some(interface) => same(interface.link_type, description.link_type)?,
            None => {
                self.interface = Some(description);
                self.header(out);
            }
        }
        Ok(())
    }

    pub(crate) fn packet(
        &mut self,
        packet: &Packet<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Recorded, Error> {
        let time = packet.timestamp();
        let seconds = u32::try_from(time.seconds()).map_err(|_| Unwritable::Time(time))?;
        if self.interface.is_none() {
            let mut description = InterfaceDescription::new(packet.link_type());
            description.fcs_len = packet.meta().fcs_len;
            self.add(description, out)?;
        }
        let interface = self.interface.as_ref().expect("there is one since the line above");
        same(interface.link_type, packet.link_type())?;
        let unit = if self.nanoseconds { 1 } else { 1_000 };
        let start = out.len();
        out.extend(
            [seconds, time.subsec_nanos() / unit, 0, 0].map(u32::to_le_bytes).as_flattened(),
        );
        let recorded = record::append(out, packet, limit(interface));
        let lengths = [recorded.captured, recorded.wire].map(u32::to_le_bytes);
        out[start + 8..start + 16].copy_from_slice(lengths.as_flattened());
        Ok(recorded)
    }

    /// A file without packets or interfaces gets a header with link type Ethernet.
    pub(crate) fn end(&mut self, out: &mut Vec<u8>) {
        if !self.begun {
            self.interface.get_or_insert(InterfaceDescription::new(LinkType::ETHERNET));
            self.header(out);
        }
    }

    fn header(&mut self, out: &mut Vec<u8>) {
        let Some(interface) = &self.interface else { return };
        let magic: u32 = if self.nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
        out.extend(magic.to_le_bytes());
        out.extend([2_u16, 4].map(u16::to_le_bytes).as_flattened());
        // Two unused fields.
        out.extend([0; 8]);
        // Never 0, which some versions of libpcap interpret as a limit of 0 bytes.
        let fields = [limit(interface), u32::from(interface.link_type.0) | fcs(interface.fcs_len)];
        out.extend(fields.map(u32::to_le_bytes).as_flattened());
        self.begun = true;
    }
}

/// The flag and the length of the frame check sequence in 16-bit words, stored above the link type.
const fn fcs(len: u8) -> u32 {
    if len == 0 { 0 } else { 0x0400_0000 | (len as u32).div_ceil(2) << 28 }
}

fn same(file: LinkType, packet: LinkType) -> Result<(), Unwritable> {
    if file == packet { Ok(()) } else { Err(Unwritable::LinkType { file, packet }) }
}
