//! How a filter is compiled.

use std::net::Ipv4Addr;

/// Settings of a compilation; the default suits a live capture that keeps whole packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Bytes of a matching packet to keep: what the program returns for it. Default: 262,144, as tcpdump has it.
    pub snaplen: u32,
    /// Whether to run the optimiser. Default: yes.
    pub optimise: bool,
    /// Where the program will run. Default: [`Target::Socket`].
    pub target: Target,
    /// How far IPv6 transport headers are looked for. Default: [`ExtensionHeaders::Ignored`].
    pub extension_headers: ExtensionHeaders,
    /// The network mask that `ip broadcast` refers to; without it that primitive is an error.
    pub netmask: Option<Ipv4Addr>,
}

impl Options {
    /// The default settings for packets of a capture file.
    pub fn file() -> Self {
        Self { target: Target::File, ..Self::default() }
    }

    /// The default settings for a live socket.
    pub fn socket() -> Self {
        Self::default()
    }

    /// Sets the bytes to keep of a matching packet.
    #[must_use]
    pub fn snaplen(self, snaplen: u32) -> Self {
        Self { snaplen, ..self }
    }

    /// Turns the optimiser on or off.
    #[must_use]
    pub fn optimise(self, optimise: bool) -> Self {
        Self { optimise, ..self }
    }

    /// Sets where the program will run.
    #[must_use]
    pub fn target(self, target: Target) -> Self {
        Self { target, ..self }
    }

    /// Sets how IPv6 transport headers are found.
    #[must_use]
    pub fn extension_headers(self, extension_headers: ExtensionHeaders) -> Self {
        Self { extension_headers, ..self }
    }

    /// Sets the network mask for `ip broadcast`.
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

/// Where a program will run, which decides where a VLAN tag is found and how long the program may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Target {
    /// A Linux socket (or an interpreter fed with the same metadata): the kernel has moved the outer VLAN tag out
    /// of an Ethernet frame into the packet's metadata (`SKF_AD_VLAN_TAG`, linux/filter.h). At most 4,096
    /// instructions (`BPF_MAXINSNS`, linux/bpf_common.h).
    Socket,
    /// The interpreter over stored packets, or an XDP program: every VLAN tag is in the frame. At most
    /// [`Program::MAX_LEN`](crate::Program::MAX_LEN) instructions.
    File,
}

/// How the transport header of an IPv6 packet is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExtensionHeaders {
    /// As libpcap has it: the transport header follows the fixed header at once; `proto` and its abbreviations
    /// look behind one fragment header.
    Ignored,
    /// Hop-by-hop options, routing, destination options, authentication and fragment headers are followed (up to
    /// [`MAX_EXTENSION_HEADERS`](crate::MAX_EXTENSION_HEADERS) of them), and fragments other than the first match
    /// no port.
    Followed,
}
