//! Filters of captures.

use std::fmt;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;

use packet_filter::{Ancillary, CompileError, Filter, Options, Program, Target};
use ring_sys::filter as bpf;
pub use ring_sys::filter::Instruction;
use ring_sys::packet::abi::PACKET_OUTGOING;

use crate::hardware::{ETHERNET_HARDWARE, RAW_HARDWARE};
use crate::{Direction, Error, LinkType, Packet};

/// Selects the packets that a capture delivers.
///
/// A filter is an expression or its text, a classic BPF program, the descriptor of an eBPF program,
/// or accepts everything. It runs in the kernel, before a packet takes any room in the ring.
///
/// An expression is compiled for the interface's link type when the capture is opened. On `any` it
/// applies to Ethernet and raw IP packets; no packets of other link types are captured then.
#[derive(Clone)]
pub struct CaptureFilter(Kind);

#[derive(Clone)]
enum Kind {
    Everything,
    Expression(Filter, Options),
    /// The text of an expression, parsed when the filter is set.
    Text(Box<str>),
    Classic(RawFilter),
    Descriptor(Arc<OwnedFd>),
}

/// A classic BPF program.
///
/// It returns the number of bytes to keep of a packet, or 0 to drop it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFilter(Vec<Instruction>);

/// A filter in the form that a socket takes.
#[derive(Debug)]
pub(crate) enum Prepared<'a> {
    Nothing,
    Classic(Vec<Instruction>),
    Descriptor(BorrowedFd<'a>),
}

impl RawFilter {
    /// Creates a program from instructions. The kernel checks it when it is attached.
    ///
    /// # Errors
    /// [`Error::FilterLength`].
    pub fn new(program: impl Into<Vec<Instruction>>) -> Result<Self, Error> {
        let program = program.into();
        if program.is_empty() || program.len() > bpf::LONGEST_PROGRAM {
            return Err(Error::FilterLength { len: program.len(), limit: bpf::LONGEST_PROGRAM });
        }
        Ok(Self(program))
    }

    /// The instructions.
    #[must_use]
    pub fn instructions(&self) -> &[Instruction] {
        &self.0
    }

    /// The program with its return values limited to `snaplen`.
    fn limited(&self, snaplen: u32) -> Result<Vec<Instruction>, Error> {
        let mut program = self.0.clone();
        if snaplen == u32::MAX {
            return Ok(program);
        }
        for instruction in &mut program {
            match instruction.code {
                bpf::RET_K => instruction.k = instruction.k.min(snaplen),
                bpf::RET_A => return Err(Error::FilterSnaplen),
                _ => {}
            }
        }
        Ok(program)
    }
}

impl CaptureFilter {
    /// Accepts every packet.
    #[must_use]
    pub const fn everything() -> Self {
        Self(Kind::Everything)
    }

    /// An expression compiled with these options. Their target and snap length are replaced by
    /// those of the capture.
    #[must_use]
    pub fn expression(filter: Filter, options: Options) -> Self {
        Self(if filter.expression().is_some() {
            Kind::Expression(filter, options)
        } else {
            Kind::Everything
        })
    }

    /// An eBPF program of the type `SOCKET_FILTER`, loaded by other means.
    #[must_use]
    pub fn descriptor(program: OwnedFd) -> Self {
        Self(Kind::Descriptor(Arc::new(program)))
    }

    pub(crate) fn is_descriptor(&self) -> bool {
        matches!(self.0, Kind::Descriptor(_))
    }

    /// Prepares the filter for a socket. It keeps at most `snaplen` bytes per packet, or all for
    /// `u32::MAX`. With `once`, it drops outgoing copies on loopback interfaces. `link_type` is
    /// `None` for all interfaces.
    pub(crate) fn prepare(
        &self,
        link_type: Option<LinkType>,
        snaplen: u32,
        once: bool,
    ) -> Result<Prepared<'_>, Error> {
        let program = match &self.0 {
            Kind::Everything if snaplen == u32::MAX && !once => return Ok(Prepared::Nothing),
            Kind::Text(expression) => {
                let filter: Filter =
                    expression.parse().map_err(|source| Error::FilterSyntax { source })?;
                return match Self::from(filter).prepare(link_type, snaplen, once)? {
                    Prepared::Nothing => Ok(Prepared::Nothing),
                    Prepared::Classic(program) => Ok(Prepared::Classic(program)),
                    Prepared::Descriptor(_) => unreachable!("an expression is no descriptor"),
                };
            }
            Kind::Everything => vec![Instruction::statement(bpf::RET_K, snaplen)],
            Kind::Expression(filter, options) => match link_type {
                Some(link_type) => compile(filter, options, link_type, snaplen)?,
                None => compile_for_any(filter, options, snaplen)?,
            },
            Kind::Classic(program) => program.limited(snaplen)?,
            Kind::Descriptor(_) if snaplen != u32::MAX => return Err(Error::FilterSnaplen),
            Kind::Descriptor(program) => return Ok(Prepared::Descriptor(program.as_fd())),
        };
        let program = if once { [&ONCE_ON_LOOPBACK[..], &program].concat() } else { program };
        if program.len() > bpf::LONGEST_PROGRAM {
            return Err(Error::FilterLength { len: program.len(), limit: bpf::LONGEST_PROGRAM });
        }
        Ok(Prepared::Classic(program))
    }
}

/// Accepts a filter expression.
impl From<Filter> for CaptureFilter {
    fn from(filter: Filter) -> Self {
        Self::expression(filter, Options::socket())
    }
}

/// Accepts the text of a filter expression. It is parsed when the filter is set, on opening the
/// capture or by [`Capture::set_filter`](crate::Capture::set_filter), which returns
/// [`Error::FilterSyntax`] if it is invalid.
impl From<&str> for CaptureFilter {
    fn from(expression: &str) -> Self {
        Self(Kind::Text(expression.into()))
    }
}

/// As for `&str`.
impl From<String> for CaptureFilter {
    fn from(expression: String) -> Self {
        Self(Kind::Text(expression.into()))
    }
}

/// Accepts a program compiled for a socket and for the capture's link type.
impl From<Program> for CaptureFilter {
    fn from(program: Program) -> Self {
        Self(Kind::Classic(RawFilter(instructions(&program))))
    }
}

impl From<RawFilter> for CaptureFilter {
    fn from(program: RawFilter) -> Self {
        Self(Kind::Classic(program))
    }
}

impl fmt::Debug for CaptureFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Everything => f.write_str("CaptureFilter(everything)"),
            Kind::Expression(filter, _) => write!(f, "CaptureFilter({filter})"),
            Kind::Text(expression) => write!(f, "CaptureFilter({expression})"),
            Kind::Classic(program) => f.debug_tuple("CaptureFilter").field(program).finish(),
            Kind::Descriptor(program) => f.debug_tuple("CaptureFilter").field(program).finish(),
        }
    }
}

/// Drops outgoing copies on loopback interfaces, then restores the accumulator's initial value.
const ONCE_ON_LOOPBACK: [Instruction; 6] = [
    Instruction::statement(bpf::LD_W_ABS, bpf::ANCILLARY_PACKET_TYPE),
    Instruction::jump(bpf::JMP_JEQ_K, PACKET_OUTGOING as u32, 0, 3),
    Instruction::statement(bpf::LD_W_ABS, bpf::ANCILLARY_HARDWARE_TYPE),
    Instruction::jump(bpf::JMP_JEQ_K, ring_sys::interface::ARPHRD_LOOPBACK as u32, 0, 1),
    Instruction::statement(bpf::RET_K, 0),
    Instruction::statement(bpf::LD_IMM, 0),
];

/// Drops outgoing copies on loopback interfaces, and nothing else.
pub(crate) fn once_on_loopback() -> Result<Program, Error> {
    interpretable(
        &[&ONCE_ON_LOOPBACK[..], &[Instruction::statement(bpf::RET_K, u32::MAX)]].concat(),
    )
}

/// Compiles an expression for a socket.
fn compile(
    filter: &Filter,
    options: &Options,
    link_type: LinkType,
    snaplen: u32,
) -> Result<Vec<Instruction>, Error> {
    let program = filter.compile(link_type, &options.target(Target::Socket).snaplen(snaplen));
    Ok(instructions(&program.map_err(not_compiled(link_type))?))
}

/// The error of compiling an expression for a link type.
pub(crate) fn not_compiled(link_type: LinkType) -> impl FnOnce(CompileError) -> Error {
    move |source| match source {
        CompileError::UnsupportedLinkType { link_type } => Error::FilterLinkType { link_type },
        source => Error::Compile { link_type, source },
    }
}

/// Compiles an expression for a socket that receives from interfaces of all types. The result tests
/// the interface's type and contains one program for Ethernet and one for raw IP.
fn compile_for_any(
    filter: &Filter,
    options: &Options,
    snaplen: u32,
) -> Result<Vec<Instruction>, Error> {
    let ethernet = compile(filter, options, LinkType::ETHERNET, snaplen)?;
    let raw = match compile(filter, options, LinkType::RAW, snaplen) {
        // If the expression cannot be tested on raw IP, no raw IP packet matches it.
        Err(Error::Compile { .. }) => vec![Instruction::statement(bpf::RET_K, 0)],
        raw => raw?,
    };
    let reset = Instruction::statement(bpf::LD_IMM, 0);
    let mut program = vec![Instruction::statement(bpf::LD_W_ABS, bpf::ANCILLARY_HARDWARE_TYPE)];
    // The comparisons are followed by the return for other types, the jump to the raw IP program,
    // and the Ethernet program.
    let types = RAW_HARDWARE
        .map(|raw| (raw, 1))
        .into_iter()
        .chain(ETHERNET_HARDWARE.map(|ethernet| (ethernet, 2)));
    let count = RAW_HARDWARE.len() + ETHERNET_HARDWARE.len();
    for (at, (hardware_type, target)) in types.enumerate() {
        let skip = (count - at - 1 + target) as u8;
        program.push(Instruction::jump(bpf::JMP_JEQ_K, u32::from(hardware_type), skip, 0));
    }
    program.push(Instruction::statement(bpf::RET_K, 0));
    program.push(Instruction::statement(bpf::JMP_JA, ethernet.len() as u32 + 1));
    program.push(reset);
    program.extend(ethernet);
    program.push(reset);
    program.extend(raw);
    Ok(program)
}

fn instructions(program: &Program) -> Vec<Instruction> {
    let convert = |i: &packet_filter::Instruction| Instruction::jump(i.code, i.k, i.jt, i.jf);
    program.instructions().iter().map(convert).collect()
}

/// Converts the program for the interpreter.
pub(crate) fn interpretable(program: &[Instruction]) -> Result<Program, Error> {
    let convert = |i: &Instruction| packet_filter::Instruction {
        code: i.code,
        jt: i.jump_true,
        jf: i.jump_false,
        k: i.k,
    };
    Ok(Program::from_instructions(program.iter().map(convert).collect())?)
}

/// The ancillary data of a packet for the kernel's filters. Processor, queue and mark are not
/// recorded.
pub(crate) fn ancillary(packet: &Packet<'_>, hardware_type: u16, protocol: u16) -> Ancillary {
    let meta = packet.meta();
    let mut ancillary = Ancillary::vlan(meta.vlan.map(|tag| tag.tci));
    ancillary.vlan_protocol = meta.vlan.map_or(0, |tag| tag.tpid);
    ancillary.protocol = protocol;
    ancillary.packet_type = match meta.direction {
        Direction::Broadcast => 1,
        Direction::Multicast => 2,
        Direction::OtherHost => 3,
        Direction::Outgoing => PACKET_OUTGOING,
        Direction::Host | Direction::Unknown => 0,
    };
    ancillary.interface_index = meta.interface;
    ancillary.hardware_type = hardware_type;
    ancillary.receive_hash = meta.hash.unwrap_or(0);
    ancillary.network_offset = meta.network_offset.map_or(0, u32::from);
    ancillary
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PacketMeta, Timestamp};

    fn verdict(
        program: &[Instruction],
        data: &[u8],
        hardware_type: u16,
        direction: Direction,
    ) -> u32 {
        let mut meta = PacketMeta::new(1, Timestamp::default(), LinkType::UNKNOWN);
        meta.direction = direction;
        let packet = Packet::with_meta(data, meta);
        let program = interpretable(program).expect("valid");
        program.run(data, packet.wire_len(), &ancillary(&packet, hardware_type, 0))
    }

    fn prepared(
        filter: &CaptureFilter,
        link_type: Option<LinkType>,
        snaplen: u32,
        once: bool,
    ) -> Vec<Instruction> {
        match filter.prepare(link_type, snaplen, once) {
            Ok(Prepared::Classic(program)) => program,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn on_any_each_type_of_interface_has_its_program() {
        let filter: CaptureFilter = "udp port 53".parse::<Filter>().expect("parses").into();
        let program = prepared(&filter, None, 90, true);
        let mut frame = [0; 60];
        frame[12..15].copy_from_slice(&[8, 0, 0x45]);
        frame[23] = 17;
        frame[37] = 53;
        let (host, out) = (Direction::Host, Direction::Outgoing);
        assert_eq!(verdict(&program, &frame, 1, out), 90);
        assert_eq!(verdict(&program, &frame, 772, host), 90);
        assert_eq!(verdict(&program, &frame, 772, out), 0, "the copy of what was sent to oneself");
        for raw in RAW_HARDWARE {
            assert_eq!(verdict(&program, &frame[14..], raw, out), 90, "{raw}");
            assert_eq!(verdict(&program, &frame, raw, out), 0, "{raw}");
        }
        assert_eq!(verdict(&program, &frame[14..], 1, host), 0);
        assert_eq!(verdict(&program, &frame, 803, host), 0, "no program for this type");
        frame[37] = 54;
        assert_eq!(verdict(&program, &frame, 1, host), 0);
    }

    #[test]
    fn what_cannot_be_said_of_raw_ip_holds_for_none_of_its_packets() {
        let filter: CaptureFilter =
            "ether dst 2:0:0:0:0:1".parse::<Filter>().expect("parses").into();
        let program = prepared(&filter, None, u32::MAX, false);
        assert_eq!(verdict(&program, &[2, 0, 0, 0, 0, 1, 0], 1, Direction::Host), u32::MAX);
        assert_eq!(verdict(&program, &[2, 0, 0, 0, 0, 1, 0], 0xfffe, Direction::Host), 0);
        assert!(matches!(
            filter.prepare(Some(LinkType::RAW), 1, false),
            Err(Error::Compile { .. })
        ));
        assert!(matches!(
            filter.prepare(Some(LinkType(195)), 1, false),
            Err(Error::FilterLinkType { .. })
        ));
    }

    #[test]
    fn long_programs_are_reached_by_long_jumps() {
        let ports: Vec<String> = (1..90).map(|port| format!("port {}", port * 3)).collect();
        let filter: CaptureFilter = ports.join(" or ").parse::<Filter>().expect("parses").into();
        let program = prepared(&filter, None, u32::MAX, true);
        assert!(program.len() > 600);
        let mut packet = [0; 40];
        packet[0] = 0x45;
        packet[9] = 17;
        packet[22..24].copy_from_slice(&267_u16.to_be_bytes());
        assert_ne!(verdict(&program, &packet, 0xfffe, Direction::Host), 0);
    }

    #[test]
    fn text_is_an_expression() {
        for (text, link_type) in [("udp port 53", Some(LinkType::ETHERNET)), ("ip or ip6", None)] {
            let parsed: CaptureFilter = text.parse::<Filter>().expect("parses").into();
            let expected = prepared(&parsed, link_type, 90, true);
            assert_eq!(prepared(&text.into(), link_type, 90, true), expected, "{text}");
            assert_eq!(prepared(&text.to_owned().into(), link_type, 90, true), expected);
        }
        let everything = CaptureFilter::from("");
        assert!(matches!(everything.prepare(None, u32::MAX, false), Ok(Prepared::Nothing)));
        let wrong = CaptureFilter::from("udp prot 53");
        assert!(matches!(wrong.prepare(None, 90, false), Err(Error::FilterSyntax { .. })));
    }

    #[test]
    fn everything_needs_no_program() {
        let everything = CaptureFilter::from(Filter::everything());
        assert!(matches!(everything.prepare(None, u32::MAX, false), Ok(Prepared::Nothing)));
        assert_eq!(
            prepared(&everything, None, 64, false),
            [Instruction::statement(bpf::RET_K, 64)]
        );
        assert!(RawFilter::new(vec![]).is_err());
        assert!(RawFilter::new(vec![Instruction::statement(bpf::RET_K, 0); 4097]).is_err());
    }
}
