//! What can go wrong, as types.

use thiserror::Error;

use crate::link_type::LinkType;

/// The text is no filter expression.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("column {column}: {kind}")]
#[non_exhaustive]
pub struct ParseError {
    /// Where, in characters from the start of the text, the first being 1.
    pub column: usize,
    /// What is wrong there.
    pub kind: ParseErrorKind,
}

/// What is wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// Something else was expected.
    #[error("expected {expected}, found {found:?}")]
    Unexpected {
        /// What could stand here.
        expected: &'static str,
        /// What stands here.
        found: String,
    },
    /// The text ends too early.
    #[error("expected {expected}, found the end of the expression")]
    UnexpectedEnd {
        /// What could stand here.
        expected: &'static str,
    },
    /// A character that no expression contains.
    #[error("{character:?} cannot stand in an expression")]
    Character {
        /// The character.
        character: char,
    },
    /// A word that is neither keyword nor known name.
    #[error("{word:?} is no keyword; expected {expected}")]
    UnknownWord {
        /// The word.
        word: String,
        /// What could stand here.
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
    /// A service that is known for other transport protocols only.
    #[error("port {name:?} is not known for {transport}; write its number")]
    PortOfOtherTransport {
        /// The name.
        name: String,
        /// The protocol that was asked for.
        transport: &'static str,
    },
    /// A name that is not in the table of protocols.
    #[error("no protocol is known by the name {name:?}; write its number")]
    UnknownProtocol {
        /// The name.
        name: String,
    },
    /// A number above what its place allows.
    #[error("{number} is too large: {what} goes up to {maximum}")]
    TooLarge {
        /// The number as written.
        number: String,
        /// What it stands for.
        what: &'static str,
        /// The largest value.
        maximum: u32,
    },
    /// Digits that form no number.
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
    /// Qualifiers that cannot qualify this.
    #[error("`{qualifier}` cannot qualify {what}")]
    Qualifier {
        /// The qualifier.
        qualifier: &'static str,
        /// What it stands before.
        what: &'static str,
    },
    /// A word without a qualifier, where there is none to inherit.
    #[error("say what {text:?} is: `host`, `net`, `port` … before it")]
    MissingQualifier {
        /// The word.
        text: String,
    },
    /// Bytes at an offset of something that has no header to index.
    #[error("bytes of `{protocol}` cannot be indexed")]
    Index {
        /// The protocol.
        protocol: &'static str,
    },
    /// A width other than 1, 2 and 4.
    #[error("a value has 1, 2 or 4 bytes")]
    Width,
    /// Known to pcap-filter(7), but not supported here.
    #[error("`{keyword}` is not supported: {reason}")]
    Unsupported {
        /// The keyword.
        keyword: String,
        /// Why not.
        reason: &'static str,
    },
    /// Too many parentheses, negations or operators inside each other.
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
    /// The link type has nothing that the primitive could test.
    #[error("`{primitive}` cannot be tested on {}", link_type.name())]
    LinkType {
        /// The primitive.
        primitive: &'static str,
        /// The link type.
        link_type: LinkType,
    },
    /// The primitive cannot follow an encapsulation that was named before it.
    #[error("`{primitive}` cannot be tested inside {inside}")]
    Encapsulated {
        /// The primitive.
        primitive: &'static str,
        /// The encapsulation.
        inside: &'static str,
    },
    /// The primitive needs what only the kernel knows of a packet.
    #[error("`{primitive}` needs a live capture on {}", link_type.name())]
    LiveOnly {
        /// The primitive.
        primitive: &'static str,
        /// The link type.
        link_type: LinkType,
    },
    /// `ip broadcast` without [`Options::netmask`](crate::Options::netmask).
    #[error("`ip broadcast` needs the network mask of the interface, which is not known")]
    NetmaskUnknown,
    /// A number above what its field holds.
    #[error("{number} is too large: {what} goes up to {maximum}")]
    TooLarge {
        /// The number.
        number: u32,
        /// What it stands for.
        what: &'static str,
        /// The largest value.
        maximum: u32,
    },
    /// An address range of another family than its qualifier.
    #[error("`{qualifier}` cannot qualify {what}")]
    Qualifier {
        /// The qualifier.
        qualifier: &'static str,
        /// What it stands before.
        what: &'static str,
    },
    /// An arithmetic expression that divides by zero or shifts by more than 31 bits.
    #[error("{what}")]
    Arithmetic {
        /// What is wrong.
        what: &'static str,
    },
    /// A constant offset beyond any packet. (The kernel would read such an offset as one of its own variables.)
    #[error("offset {offset} lies outside any packet")]
    Offset {
        /// The offset.
        offset: u32,
    },
    /// The program would not fit.
    #[error("the program has {len} instructions, {limit} are possible")]
    TooLong {
        /// Instructions of the program, or how far they were counted.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// The tree is nested too deep.
    #[error("nested more than {limit} deep")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// An arithmetic expression needs more than the 16 scratch words of the machine.
    #[error("an arithmetic expression needs more than 16 intermediate results")]
    TooComplex,
    /// The eBPF fragment would not fit.
    #[error("a jump in the eBPF program spans more than 32,767 instructions")]
    JumpTooFar,
    /// A load of kernel metadata that an XDP program has not got.
    #[error("instruction {at} loads what an XDP program cannot see")]
    NotInXdp {
        /// The instruction of the cBPF program.
        at: usize,
    },
}

/// Instructions that are no program.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// No instruction at all.
    #[error("the program is empty")]
    Empty,
    /// Too many instructions.
    #[error("the program has {len} instructions, {limit} are possible")]
    TooLong {
        /// Instructions of the program.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// A code that the machine has not.
    #[error("instruction {at}: unknown code {code:#06x}")]
    UnknownCode {
        /// Its index.
        at: usize,
        /// Its code.
        code: u16,
    },
    /// A jump to behind the end.
    #[error("instruction {at} jumps out of the program")]
    Jump {
        /// Its index.
        at: usize,
    },
    /// The last instruction does not return.
    #[error("the program does not end with a return")]
    NoReturn,
    /// A scratch word beyond the sixteenth.
    #[error("instruction {at} uses scratch word {word} of 16")]
    Scratch {
        /// Its index.
        at: usize,
        /// The word.
        word: u32,
    },
    /// A scratch word is read that was not written on every way there.
    #[error("instruction {at} reads scratch word {word} before it is written")]
    ScratchUnset {
        /// Its index.
        at: usize,
        /// The word.
        word: u32,
    },
    /// A division by the constant zero.
    #[error("instruction {at} divides by zero")]
    DivisionByZero {
        /// Its index.
        at: usize,
    },
    /// A constant shift by more than 31.
    #[error("instruction {at} shifts by more than 31 bits")]
    Shift {
        /// Its index.
        at: usize,
    },
    /// An ancillary load that only the kernel can perform.
    #[error("instruction {at} loads ancillary datum {offset}, which only the kernel has")]
    Ancillary {
        /// Its index.
        at: usize,
        /// The datum: what is added to `SKF_AD_OFF`.
        offset: u32,
    },
}

/// A link type for which no filter can be compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("filters cannot be compiled for link type {number}")]
pub struct UnsupportedLinkType {
    /// The number of the link type.
    pub number: u32,
}
