//! Descriptions of interfaces in capture files.

use crate::{FileInterface, LinkType};

/// The description of an interface in a pcapng file (Interface Description Block of
/// draft-ietf-opsawg-pcapng).
///
/// A pcap file stores only the link type, the snap length and the length of the frame check
/// sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InterfaceDescription {
    /// The link type of its packets.
    pub link_type: LinkType,
    /// Maximum number of bytes stored of a packet, 0 for the maximum that readers accept.
    pub snaplen: u32,
    /// Length in bytes of the frame check sequence at the end of its packets, or 0.
    pub fcs_len: u8,
    /// The interface's name, such as `eth0`.
    pub name: Option<String>,
    /// A description for humans.
    pub description: Option<String>,
    /// The filter expression of the capture.
    pub filter: Option<String>,
    /// The capturing host's operating system.
    pub os: Option<String>,
    /// The interface's hardware.
    pub hardware: Option<String>,
    /// The interface's Ethernet address.
    pub mac: Option<[u8; 6]>,
    /// Bits per second.
    pub speed: Option<u64>,
    /// A comment.
    pub comment: Option<String>,
}

impl InterfaceDescription {
    /// Creates a description with only the link type.
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

    /// Sets the name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the maximum number of bytes stored of a packet; longer packets are truncated. 0 stands
    /// for the maximum that readers accept.
    #[must_use]
    pub fn snaplen(mut self, bytes: u32) -> Self {
        self.snaplen = bytes;
        self
    }

    /// Sets the filter expression of the capture.
    #[must_use]
    pub fn filter(mut self, expression: impl Into<String>) -> Self {
        self.filter = Some(expression.into());
        self
    }

    /// Sets the capturing host's operating system.
    #[must_use]
    pub fn os(mut self, name: impl Into<String>) -> Self {
        self.os = Some(name.into());
        self
    }

    /// Sets the interface's hardware.
    #[must_use]
    pub fn hardware(mut self, name: impl Into<String>) -> Self {
        self.hardware = Some(name.into());
        self
    }

    /// Sets a comment.
    #[must_use]
    pub fn comment(mut self, text: impl Into<String>) -> Self {
        self.comment = Some(text.into());
        self
    }
}

/// Copies the description from another file.
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
