//! Flow tracking and TCP reassembly without I/O: packets and time go in, events come out.

mod checksum;
mod event;
mod handler;
mod headers;
mod key;
mod link_type;
mod packet;
mod parse;
mod record;
mod timestamp;

pub use checksum::{Checksum, verify_ipv4_header};
pub use event::{Conflict, Data, Datagram, EndReason, FlowId, Gap, GapCause};
pub use handler::{Flow, FlowHandler};
pub use headers::{Headers, Scope, TcpFlags, TcpHeader, protocol};
pub use key::{Endpoint, FiveTuple, FiveTupleKey, FlowExtractor, FlowSide, Orientation};
pub use link_type::LinkType;
pub use packet::Packet;
pub use parse::{Fragment, ParseOptions, Parsed, Parser, Unparsed, parse};
pub use record::{FlowRecord, SideCounters};
pub use timestamp::Timestamp;
