#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod checksum;
mod chunked;
mod community_id;
mod config;
mod defect;
mod defragment;
mod delivered;
mod event;
#[cfg(feature = "flowscope")]
pub mod flowscope;
mod handler;
mod headers;
mod history;
mod index;
mod key;
mod network;
mod not_followed;
mod overlap;
mod pair;
mod parse;
mod pending;
mod prefetch;
mod quarantine;
mod reassembly;
mod record;
mod slot;
mod statistics;
mod stream;
mod table;
mod timer;

pub use checksum::{Checksum, verify_ipv4_header};
pub use community_id::CommunityId;
pub use config::{FlowTableBuilder, Timeouts, VerifyChecksums};
pub use defect::{Defect, Discarded};
pub use defragment::{DefragmentOptions, DefragmentStatistics, Defragmenter, FragmentOverlap};
pub use event::{
    Conflict, Data, Datagram, EndReason, FirstPacket, FlowId, FlowPacket, Gap, GapCause, Unplaced,
    UnplacedCause,
};
pub use handler::{Flow, FlowHandler};
pub use headers::{Headers, Scope, TcpFlags, TcpHeader, TcpOptions, protocol};
pub use key::{Endpoint, FiveTuple, FiveTupleKey, FlowExtractor, FlowSide, Orientation};
pub use network::{Network, NetworkError};
pub use not_followed::{Cause, NotFollowed};
pub use overlap::{OverlapPolicy, OverlapPolicyError};
pub use packet::{
    ChecksumStatus, LinkType, MacAddress, Packet, PacketMeta, Timestamp, TimestampError, VlanTag,
};
pub use pair::{IpPair, IpPairKey, MacPair, MacPairKey};
pub use parse::{
    Encapsulation, Fragment, FrameFragment, ParseOptions, Parsed, Parser, Unparsed, WirelessFrame,
    parse,
};
#[doc(hidden)]
pub use prefetch::prefetch_bytes;
pub use record::{FlowRecord, IcmpMessage, SideCounters};
pub use statistics::TableStatistics;
pub use table::FlowTable;
