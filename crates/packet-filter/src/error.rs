//! Typed errors of parsing, compiling and verifying.

use packet::LinkType;
use thiserror::Error;

use crate::link::{self, Unsupported};

/// The text is not a valid filter expression.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("column {column}: {kind}")]
#[non_exhaustive]
pub struct ParseError {
    /// The position of the error, in characters from the start of the text. The first character is
    /// 1.
    pub column: usize,
    /// The cause.
    pub kind: ParseErrorKind,
}

/// The cause of a [`ParseError`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// An unexpected token.
    #[error("expected {expected}, found {found:?}")]
    Unexpected {
        /// The tokens that would be valid here.
        expected: &'static str,
        /// The token that was found.
        found: String,
    },
    /// The text ends too early.
    #[error("expected {expected}, found the end of the expression")]
    UnexpectedEnd {
        /// The tokens that would be valid here.
        expected: &'static str,
    },
    /// A character that is not part of the language.
    #[error("{character:?} cannot stand in an expression")]
    Character {
        /// The character.
        character: char,
    },
    /// A word that is neither a keyword nor a known name.
    #[error("{word:?} is no keyword; expected {expected}")]
    UnknownWord {
        /// The word.
        word: String,
        /// The tokens that would be valid here.
        expected: &'static str,
    },
    /// The name of a host or network.
    #[error("{name:?} is a name: names of hosts and networks are not looked up; write an address")]
    HostName {
        /// The name.
        name: String,
    },
    /// A name that is not in the table of services.
    #[error("no port is known by the name {name:?}; write its number")]
    UnknownPort {
        /// The name.
        name: String,
    },
    /// A service that is known only for other transport protocols.
    #[error("port {name:?} is not known for {transport}; write its number")]
    PortOfOtherTransport {
        /// The name.
        name: String,
        /// The transport protocol in the expression.
        transport: &'static str,
    },
    /// A name that is not in the table of protocols.
    #[error("no protocol is known by the name {name:?}; write its number")]
    UnknownProtocol {
        /// The name.
        name: String,
    },
    /// A number above the maximum for its position.
    #[error("{number} is too large: {what} goes up to {maximum}")]
    TooLarge {
        /// The number as written.
        number: String,
        /// The quantity that the number stands for.
        what: &'static str,
        /// The largest value.
        maximum: u32,
    },
    /// Digits that do not form a number.
    #[error("{text:?} is no number")]
    Number {
        /// The text.
        text: String,
    },
    /// Neither an IPv4, an IPv6 nor a MAC address.
    #[error("{text:?} is no address")]
    Address {
        /// The text.
        text: String,
    },
    /// A network address with bits outside its mask.
    #[error("{network} has bits set outside its mask")]
    HostBits {
        /// The network as written.
        network: String,
    },
    /// A mask or prefix length on a host.
    #[error("a mask makes it a network: write `net`")]
    MaskOnHost,
    /// A qualifier that does not apply to the operand that follows it.
    #[error("`{qualifier}` cannot qualify {what}")]
    Qualifier {
        /// The qualifier.
        qualifier: &'static str,
        /// The operand that follows the qualifier.
        what: &'static str,
    },
    /// A word without a qualifier, and none to inherit from the words before it.
    #[error("say what {text:?} is: `host`, `net`, `port` … before it")]
    MissingQualifier {
        /// The word.
        text: String,
    },
    /// A name that its field cannot hold.
    #[error("{what} has at most {limit} bytes")]
    NameTooLong {
        /// The object that the name is for.
        what: &'static str,
        /// The maximum length in bytes.
        limit: usize,
    },
    /// A byte index on a protocol without a header of its own.
    #[error("bytes of `{protocol}` cannot be indexed")]
    Index {
        /// The protocol.
        protocol: &'static str,
    },
    /// A width other than 1, 2 and 4.
    #[error("a value has 1, 2 or 4 bytes")]
    Width,
    /// A feature of pcap-filter(7) that is not supported here.
    #[error("`{keyword}` is not supported: {reason}")]
    Unsupported {
        /// The keyword.
        keyword: String,
        /// The reason why it is not supported.
        reason: &'static str,
    },
    /// Parentheses, negations or operators are nested too deep.
    #[error("nested more than {limit} deep")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// The text is too long.
    #[error("longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
}

/// A filter cannot be compiled for a link type.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CompileError {
    /// Filters cannot be compiled for this link type.
    #[error("filters cannot be compiled for link type {}", link_type.0)]
    UnsupportedLinkType {
        /// The link type.
        link_type: LinkType,
    },
    /// The link type has no field that the primitive could test.
    #[error("`{primitive}` cannot be tested on {}", link::name(*link_type))]
    LinkType {
        /// The primitive.
        primitive: &'static str,
        /// The link type.
        link_type: LinkType,
    },
    /// The primitive is not valid after an encapsulation that precedes it in the expression.
    #[error("`{primitive}` cannot be tested inside {inside}")]
    Encapsulated {
        /// The primitive.
        primitive: &'static str,
        /// The encapsulation.
        inside: &'static str,
    },
    /// The primitive needs metadata that only the kernel has.
    #[error("`{primitive}` needs a live capture on {}", link::name(*link_type))]
    LiveOnly {
        /// The primitive.
        primitive: &'static str,
        /// The link type.
        link_type: LinkType,
    },
    /// `ip broadcast` without [`Options::netmask`](crate::Options::netmask).
    #[error("`ip broadcast` needs the network mask of the interface, which is not known")]
    NetmaskUnknown,
    /// A number above the maximum of its field.
    #[error("{number} is too large: {what} goes up to {maximum}")]
    TooLarge {
        /// The number.
        number: u32,
        /// The quantity that the number stands for.
        what: &'static str,
        /// The largest value.
        maximum: u32,
    },
    /// An address of another family than its qualifier.
    #[error("`{qualifier}` cannot qualify {what}")]
    Qualifier {
        /// The qualifier.
        qualifier: &'static str,
        /// The operand that follows the qualifier.
        what: &'static str,
    },
    /// An arithmetic expression that divides by zero or shifts by more than 31 bits.
    #[error("{what}")]
    Arithmetic {
        /// The cause.
        what: &'static str,
    },
    /// A constant offset beyond any packet. The kernel would take such an offset for one of its
    /// ancillary variables.
    #[error("offset {offset} lies outside any packet")]
    Offset {
        /// The offset.
        offset: u32,
    },
    /// The program would exceed the maximum length.
    #[error("the program has {len} instructions, {limit} are possible")]
    TooLong {
        /// The number of instructions, or the count at which compilation stopped.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// The expression tree is nested too deep.
    #[error("nested more than {limit} deep")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// An arithmetic expression needs more than the 16 scratch words of the machine.
    #[error("an arithmetic expression needs more than 16 intermediate results")]
    TooComplex,
    /// A jump in the eBPF fragment would be out of range.
    #[error("a jump in the eBPF program spans more than 32,767 instructions")]
    JumpTooFar,
    /// A load of kernel metadata that is not available to an XDP program.
    #[error("instruction {at} loads what an XDP program cannot see")]
    NotInXdp {
        /// The index of the instruction in the classic program.
        at: usize,
    },
}

impl From<Unsupported> for CompileError {
    fn from(Unsupported(link_type): Unsupported) -> Self {
        Self::UnsupportedLinkType { link_type }
    }
}

/// The instructions are not a valid program.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// The program is empty.
    #[error("the program is empty")]
    Empty,
    /// Too many instructions.
    #[error("the program has {len} instructions, {limit} are possible")]
    TooLong {
        /// The number of instructions.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// An unknown operation code.
    #[error("instruction {at}: unknown code {code:#06x}")]
    UnknownCode {
        /// The index of the instruction.
        at: usize,
        /// The operation code.
        code: u16,
    },
    /// A jump beyond the end of the program.
    #[error("instruction {at} jumps out of the program")]
    Jump {
        /// The index of the instruction.
        at: usize,
    },
    /// The last instruction does not return.
    #[error("the program does not end with a return")]
    NoReturn,
    /// A scratch word that does not exist. The machine has sixteen.
    #[error("instruction {at} uses scratch word {word} of 16")]
    Scratch {
        /// The index of the instruction.
        at: usize,
        /// The word.
        word: u32,
    },
    /// A read of a scratch word that some path to the instruction has not written.
    #[error("instruction {at} reads scratch word {word} before it is written")]
    ScratchUnset {
        /// The index of the instruction.
        at: usize,
        /// The word.
        word: u32,
    },
    /// A division by the constant zero.
    #[error("instruction {at} divides by zero")]
    DivisionByZero {
        /// The index of the instruction.
        at: usize,
    },
    /// A shift by a constant above 31.
    #[error("instruction {at} shifts by more than 31 bits")]
    Shift {
        /// The index of the instruction.
        at: usize,
    },
    /// An ancillary load that only the kernel can perform.
    #[error("instruction {at} loads ancillary datum {offset}, which only the kernel has")]
    Ancillary {
        /// The index of the instruction.
        at: usize,
        /// The offset from `SKF_AD_OFF` that selects the variable.
        offset: u32,
    },
}
