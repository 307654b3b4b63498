//! What a capture file says of an interface.

use crate::{FileInterface, LinkType};

/// An interface as a pcapng file is to describe it (Interface Description Block of draft-ietf-opsawg-pcapng).
///
/// The header of a pcap file has a place for the link type, the length limit and the length of the frame check sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InterfaceDescription {
    /// The link type of its packets.
    pub link_type: LinkType,
    /// Bytes of a packet that are stored at most, 0 for as many as readers take.
    pub snaplen: u32,
    /// Length in bytes of the frame check sequence at the end of its packets, 0 if there is none.
    pub fcs_len: u8,
    /// Its name, as `eth0`.
    pub name: Option<String>,
    /// What it is, for people.
    pub description: Option<String>,
    /// The filter expression that its packets passed.
    pub filter: Option<String>,
    /// The operating system that captured.
    pub os: Option<String>,
    /// The interface's hardware.
    pub hardware: Option<String>,
    /// Its Ethernet address.
    pub mac: Option<[u8; 6]>,
    /// Bits a second.
    pub speed: Option<u64>,
    /// A remark.
    pub comment: Option<String>,
}

impl InterfaceDescription {
    /// An interface of which only the link type is known.
    #[must_use]
    pub const fn new(link_type: LinkType) -> Self {
        Self {
            link_type,
            snaplen: 0,
            fcs_len: 0,
            name: None,
            description: None,
            filter: None,
            os: None,
            hardware: None,
            mac: None,
            speed: None,
            comment: None,
        }
    }

    /// With this name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// With at most so many bytes a packet; longer ones are cut. 0 for as many as readers take.
    #[must_use]
    pub fn snaplen(mut self, bytes: u32) -> Self {
        self.snaplen = bytes;
        self
    }

    /// With the filter expression that its packets passed.
    #[must_use]
    pub fn filter(mut self, expression: impl Into<String>) -> Self {
        self.filter = Some(expression.into());
        self
    }

    /// With the operating system that captured.
    #[must_use]
    pub fn os(mut self, name: impl Into<String>) -> Self {
        self.os = Some(name.into());
        self
    }

    /// With the interface's hardware.
    #[must_use]
    pub fn hardware(mut self, name: impl Into<String>) -> Self {
        self.hardware = Some(name.into());
        self
    }

    /// With a remark.
    #[must_use]
    pub fn comment(mut self, text: impl Into<String>) -> Self {
        self.comment = Some(text.into());
        self
    }
}

/// What another file says of the interface, for copies.
impl From<&FileInterface> for InterfaceDescription {
    fn from(interface: &FileInterface) -> Self {
        Self {
            snaplen: interface.snaplen,
            fcs_len: interface.fcs_len,
            name: interface.name.clone(),
            ..Self::new(interface.link_type)
        }
    }
}
