#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod body_head;
pub mod coding;
mod datagram_session;
pub mod dns;
mod field;
pub mod http1;
pub mod http2;
mod identify;
mod message;
pub mod opening;
mod parser;
pub mod quic;
mod reader;
pub mod redis;
mod registry;
mod session;
mod side;
pub mod tls;
mod value;
pub mod websocket;

pub use body_head::BodyHead;
pub use datagram_session::DatagramSession;
pub use field::{Field, FieldInfo};
pub use identify::{Prefix, Verdict};
pub use message::{Content, CustomMessage, Lost, LostCause, Message};
pub use packet::Timestamp;
pub use parser::{BodyPiece, DatagramParser, MessageSink, Next, Pending, StreamParser, Switch};
pub use registry::{DatagramProtocol, Protocol, Registry, StreamProtocol};
pub use session::Session;
pub use side::{Ports, Side, Span, Times};
pub use value::{Kind, Value};
