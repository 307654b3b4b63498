//! Protocols that are tested by their bare keyword.

macro_rules! protocols {
    ($($(#[doc = $doc:literal])+ $name:ident = $keyword:literal,)+) => {
        /// A protocol that is tested by its bare keyword.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Protocol {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Protocol {
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)+];

            /// The keyword.
            pub fn keyword(self) -> &'static str {
                match self {
                    $(Self::$name => $keyword,)+
                }
            }
        }
    };
}

protocols! {
    /// IPv4.
    Ip = "ip",
    /// IPv6.
    Ip6 = "ip6",
    /// Address resolution (RFC 826).
    Arp = "arp",
    /// Reverse address resolution (RFC 903).
    Rarp = "rarp",
    /// TCP over IPv4 or IPv6.
    Tcp = "tcp",
    /// UDP over IPv4 or IPv6.
    Udp = "udp",
    /// SCTP over IPv4 or IPv6.
    Sctp = "sctp",
    /// ICMP over IPv4.
    Icmp = "icmp",
    /// ICMPv6.
    Icmp6 = "icmp6",
    /// IGMP over IPv4.
    Igmp = "igmp",
    /// IGRP over IPv4 (protocol 9).
    Igrp = "igrp",
    /// PIM over IPv4 or IPv6.
    Pim = "pim",
    /// VRRP over IPv4.
    Vrrp = "vrrp",
    /// CARP over IPv4 (the number of VRRP).
    Carp = "carp",
    /// An authentication header over IPv4 or IPv6.
    Ah = "ah",
    /// An encapsulating security payload over IPv4 or IPv6.
    Esp = "esp",
    /// AppleTalk.
    Atalk = "atalk",
    /// AppleTalk ARP.
    Aarp = "aarp",
    /// DECnet.
    Decnet = "decnet",
    /// DEC local area transport.
    Lat = "lat",
    /// DEC SCA.
    Sca = "sca",
    /// DEC MOP dump/load.
    Mopdl = "mopdl",
    /// DEC MOP remote console.
    Moprc = "moprc",
    /// Any OSI protocol.
    Iso = "iso",
    /// ES-IS.
    Esis = "esis",
    /// IS-IS.
    Isis = "isis",
    /// CLNP.
    Clnp = "clnp",
    /// IS-IS, level 1.
    IsisLevel1 = "l1",
    /// IS-IS, level 2.
    IsisLevel2 = "l2",
    /// IS-IS hello.
    IsisHello = "iih",
    /// IS-IS link state.
    IsisLinkState = "lsp",
    /// IS-IS sequence numbers.
    IsisSequence = "snp",
    /// IS-IS complete sequence numbers.
    IsisCompleteSequence = "csnp",
    /// IS-IS partial sequence numbers.
    IsisPartialSequence = "psnp",
    /// The spanning tree.
    Stp = "stp",
    /// IPX, in each of its encapsulations.
    Ipx = "ipx",
    /// NetBEUI.
    Netbeui = "netbeui",
}
