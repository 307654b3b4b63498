//! Constants of the kernel's netlink families, named as in their headers.

/// `linux/if_link.h`
pub(crate) const IFLA_ADDRESS: u16 = 1;
pub(crate) const IFLA_IFNAME: u16 = 3;
pub(crate) const IFLA_MTU: u16 = 4;
pub(crate) const IFLA_LINKINFO: u16 = 18;
pub(crate) const IFLA_AF_SPEC: u16 = 26;
pub(crate) const IFLA_NET_NS_FD: u16 = 28;
pub(crate) const IFLA_INFO_KIND: u16 = 1;
pub(crate) const IFLA_INFO_DATA: u16 = 2;
pub(crate) const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
pub(crate) const IN6_ADDR_GEN_MODE_NONE: u8 = 1;

/// `linux/veth.h`
pub(crate) const VETH_INFO_PEER: u16 = 1;

/// `linux/if_addr.h`
pub(crate) const IFA_ADDRESS: u16 = 1;
pub(crate) const IFA_LOCAL: u16 = 2;
pub(crate) const IFA_F_NODAD: u8 = 0x02;

/// `linux/rtnetlink.h`
pub(crate) const RTM_NEWLINK: u16 = 16;
pub(crate) const RTM_DELLINK: u16 = 17;
pub(crate) const RTM_GETLINK: u16 = 18;
pub(crate) const RTM_NEWADDR: u16 = 20;
pub(crate) const RTM_NEWROUTE: u16 = 24;
pub(crate) const RTA_DST: u16 = 1;
pub(crate) const RTA_GATEWAY: u16 = 5;
pub(crate) const RT_TABLE_MAIN: u8 = 254;
pub(crate) const RTPROT_STATIC: u8 = 4;
pub(crate) const RT_SCOPE_UNIVERSE: u8 = 0;
pub(crate) const RTN_UNICAST: u8 = 1;

/// `linux/netlink.h`
pub(crate) const NLM_F_EXCL: u16 = 0x200;
pub(crate) const NLM_F_CREATE: u16 = 0x400;

/// `linux/genetlink.h`
pub(crate) const GENL_ID_CTRL: u16 = 16;
pub(crate) const CTRL_CMD_GETFAMILY: u8 = 3;
pub(crate) const CTRL_ATTR_FAMILY_ID: u16 = 1;
pub(crate) const CTRL_ATTR_FAMILY_NAME: u16 = 2;

/// `linux/ethtool_netlink.h`
pub(crate) const ETHTOOL_GENL_VERSION: u8 = 1;
pub(crate) const ETHTOOL_MSG_FEATURES_GET: u8 = 11;
pub(crate) const ETHTOOL_MSG_FEATURES_SET: u8 = 12;
pub(crate) const ETHTOOL_A_FEATURES_HEADER: u16 = 1;
pub(crate) const ETHTOOL_A_FEATURES_HW: u16 = 2;
pub(crate) const ETHTOOL_A_FEATURES_WANTED: u16 = 3;
pub(crate) const ETHTOOL_A_FEATURES_ACTIVE: u16 = 4;
pub(crate) const ETHTOOL_A_HEADER_DEV_INDEX: u16 = 1;
pub(crate) const ETHTOOL_A_HEADER_FLAGS: u16 = 3;
pub(crate) const ETHTOOL_FLAG_OMIT_REPLY: u32 = 2;
pub(crate) const ETHTOOL_A_BITSET_NOMASK: u16 = 1;
pub(crate) const ETHTOOL_A_BITSET_BITS: u16 = 3;
pub(crate) const ETHTOOL_A_BITSET_BITS_BIT: u16 = 1;
pub(crate) const ETHTOOL_A_BITSET_BIT_NAME: u16 = 2;
pub(crate) const ETHTOOL_A_BITSET_BIT_VALUE: u16 = 3;
