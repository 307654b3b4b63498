//! Compilation options.

use std::net::Ipv4Addr;

/// Compilation options. The defaults suit a live capture of whole packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// The number of bytes of a matching packet to keep, which is the program's return value.
    /// Default: 262,144, as in tcpdump.
    pub snaplen: u32,
    /// `true` to run the optimiser. Default: `true`.
    pub optimise: bool,
    /// The machine that will run the program. Default: [`Target::Socket`].
    pub target: Target,
    /// The way to find the transport header of an IPv6 packet. Default:
    /// [`ExtensionHeaders::Ignored`].
    pub extension_headers: ExtensionHeaders,
    /// The netmask for `ip broadcast`. Without it, that primitive is an error.
    pub netmask: Option<Ipv4Addr>,
}

impl Options {
    /// The default options for packets of a capture file.
    pub fn file() -> Self {
        Self { target: Target::File, ..Self::default() }
    }

    /// The default options for a live socket.
    pub fn socket() -> Self {
        Self::default()
    }

    /// Sets the number of bytes of a matching packet to keep.
    #[must_use]
    pub fn snaplen(self, snaplen: u32) -> Self {
        Self { snaplen, ..self }
    }

    /// Turns the optimiser on or off.
    #[must_use]
    pub fn optimise(self, optimise: bool) -> Self {
        Self { optimise, ..self }
    }

    /// Sets the machine that will run the program.
    #[must_use]
    pub fn target(self, target: Target) -> Self {
        Self { target, ..self }
    }

    /// Sets the way to find the transport header of an IPv6 packet.
    #[must_use]
    pub fn extension_headers(self, extension_headers: ExtensionHeaders) -> Self {
        Self { extension_headers, ..self }
    }

    /// Sets the netmask for `ip broadcast`.
    #[must_use]
    pub fn netmask(self, netmask: Ipv4Addr) -> Self {
        Self { netmask: Some(netmask), ..self }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            snaplen: 262_144,
            optimise: true,
            target: Target::Socket,
            extension_headers: ExtensionHeaders::Ignored,
            netmask: None,
        }
    }
}

/// The machine that will run a program. It determines where a VLAN tag is and how long the program
/// may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Target {
    /// A Linux socket, or an interpreter that gets the same metadata. The kernel has moved the
    /// outer VLAN tag of an Ethernet frame to the packet's metadata (`SKF_AD_VLAN_TAG`,
    /// linux/filter.h). At most 4,096 instructions (`BPF_MAXINSNS`, linux/bpf_common.h).
    Socket,
    /// The interpreter over stored packets, or an XDP program: every VLAN tag is in the frame. At
    /// most [`Program::MAX_LEN`](crate::Program::MAX_LEN) instructions.
    File,
}

/// The way to find the transport header of an IPv6 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExtensionHeaders {
    /// As in libpcap: the transport header is expected right after the fixed header. `proto` and
    /// its abbreviations also look behind one fragment header.
    Ignored,
    /// Hop-by-hop options, routing, destination options, authentication and fragment headers are
    /// followed (up to [`MAX_EXTENSION_HEADERS`](crate::MAX_EXTENSION_HEADERS) of them), and
    /// fragments other than the first match no port.
    Followed,
}
