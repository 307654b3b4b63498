//! Packet filters in the language of tcpdump: parsed, compiled to BPF, and interpreted.
#![forbid(unsafe_code)]

mod compile;
mod ebpf;
mod emit;
mod error;
mod expression;
mod filter;
mod graph;
mod ir;
mod lexer;
mod link_type;
mod lower;
mod names;
mod network;
mod options;
mod parser;
mod program;

pub use ebpf::{EbpfInstruction, XdpAction, XdpFragment};
pub use error::{CompileError, ParseError, ParseErrorKind, ProgramError, UnsupportedLinkType};
pub use expression::{
    Arithmetic, BinaryOperator, Comparison, Direction, Expression, Header, HostProtocol, Layer,
    MulticastLayer, Operands, Primitive, Protocol, ProtocolLayer, Relation, Transport, Width,
};
pub use filter::Filter;
pub use link_type::LinkType;
pub use lower::MAX_EXTENSION_HEADERS;
pub use network::{MacAddress, Network};
pub use options::{ExtensionHeaders, Options, Target};
pub use parser::{MAX_EXPRESSION_LEN, MAX_NESTING};
pub use program::{Ancillary, Instruction, Program};
