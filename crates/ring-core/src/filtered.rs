//! Filter expressions for sources without a kernel filter.

mod fragments;
#[cfg(test)]
mod tests;

use packet_filter::{Ancillary, Filter, Options, Program, Target};

use self::fragments::{Datagram, Fragment, Fragments, Held};
use crate::capture::{ancillary, not_compiled};
use crate::{Error, LinkType, Packet, PacketBatch, PacketSource, Select, Selected, Statistics};

/// Packets of another source that match a filter expression. Meant for files and memory. For a
/// [`Capture`](crate::Capture), set the filter there: the kernel does it at less cost.
///
/// The expression is compiled for each link type when its first packet is read. Packets of a link
/// type for which the expression cannot be compiled do not pass, and
/// [`untestable`](Self::untestable) counts them. If no packet could be tested, the source ends with
/// that error. The totals of packets are those of packets that passed.
///
/// Only the first fragment of an IP datagram has ports. If the expression tests them
/// ([`Filter::misses_fragments`]), the other fragments get the verdict of the first one, for up to
/// a minute of capture time. Fragments that precede the first one by a batch or more are copied and
/// held back. They are then delivered ahead of the batch with the first fragment.
///
/// ```
/// use ring_core::{Filtered, LinkType, MemorySource, Next, Timeout, Timestamp};
/// use ring_core::{PacketBatch as _, PacketSource as _};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut source = MemorySource::new(LinkType::ETHERNET);
/// source.push(Timestamp::default(), b"short");
/// source.push(Timestamp::default(), &[0; 64]);
/// let mut source = Filtered::new(source, "greater 60".parse()?)?;
/// let Next::Batch(batch) = source.next_batch(Timeout::Now)? else { panic!("no batch") };
/// assert_eq!(batch.packets().map(|packet| packet.number()).collect::<Vec<_>>(), [2]);
/// # Ok(())
/// # }
/// ```
pub type Filtered<S> = Selected<S, CompiledFilter>;

/// A filter expression, compiled for each link type when its first packet is read.
#[derive(Debug)]
pub struct CompiledFilter {
    expression: Expression,
    programs: Vec<Compiled>,
    /// State of fragmented datagrams, if the expression tests fields that only first fragments
    /// have.
    fragments: Option<Box<Fragments>>,
    /// Held fragments of earlier batches that pass because this batch has their first fragment.
    released: Vec<Held>,
    /// Fragments of this batch without a verdict, with their index in the batch.
    waiting: Vec<(usize, Datagram)>,
    /// Packets of the source.
    read: u64,
    passed: u64,
    truncated: u64,
    untestable: u64,
}

/// An expression with its compile options.
#[derive(Debug)]
struct Expression {
    filter: Filter,
    options: Options,
}

/// The expression, compiled for one link type.
#[derive(Debug)]
struct Compiled {
    link_type: LinkType,
    /// `true` if compiled for packets whose VLAN tag is in the metadata rather than in the bytes.
    tag_apart: bool,
    /// `Err` if the expression cannot be tested on this link type. Holds the error until it is
    /// returned.
    program: Result<Program, Option<Error>>,
}

impl<S: PacketSource> Filtered<S> {
    /// Filters a source.
    ///
    /// # Errors
    /// [`Error::Compile`] and [`Error::FilterLinkType`] if the source has a single link type and
    /// the expression cannot be compiled for it.
    pub fn new(source: S, filter: Filter) -> Result<Self, Error> {
        Self::with_options(source, filter, Options::file())
    }

    /// Filters a source by an expression compiled with `options`. Their target is ignored; it is
    /// always that of a file or socket, as the packets need.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_options(source: S, filter: Filter, options: Options) -> Result<Self, Error> {
        let expression = Expression { filter, options };
        let mut programs = Vec::new();
        // For these headers, the inner link type is known only from the packets.
        let nests = |link_type: &LinkType| packet_filter::has_inner_link_type(*link_type);
        let known = source.link_type().filter(|link_type| !nests(link_type));
        if let Some(link_type) = known
            && expression.filter.expression().is_some()
        {
            let program = expression.compile(link_type, false)?;
            programs.push(Compiled { link_type, tag_apart: false, program: Ok(program) });
        }
        let fragments = expression.filter.misses_fragments().then(Box::default);
        let filter = CompiledFilter {
            expression,
            programs,
            fragments,
            released: Vec::new(),
            waiting: Vec::new(),
            read: 0,
            passed: 0,
            truncated: 0,
            untestable: 0,
        };
        Ok(Self::by(source, filter))
    }

    /// The number of packets that failed because the expression cannot be tested on their link
    /// type.
    pub fn untestable(&self) -> u64 {
        self.decision.untestable
    }

    /// The number of fragments that failed because the first fragment of their datagram was not
    /// captured.
    pub fn undecided_fragments(&self) -> u64 {
        self.decision.undecided_fragments()
    }
}

impl CompiledFilter {
    fn undecided_fragments(&self) -> u64 {
        self.fragments.as_ref().map_or(0, |fragments| fragments.undecided())
    }
}

impl Select for CompiledFilter {
    fn select(&mut self, batch: &impl PacketBatch, verdicts: &mut Vec<bool>) {
        let Self {
            expression,
            programs,
            fragments,
            released,
            waiting,
            read,
            passed,
            truncated,
            untestable,
        } = self;
        released.clear();
        if expression.filter.expression().is_none() {
            verdicts.resize(batch.packets().count(), true);
        } else {
            for packet in batch.packets() {
                let (link_type, data) = innermost(&packet);
                let compiled = program(expression, programs, link_type, packet.vlan().is_some());
                let passes = match &compiled.program {
                    Ok(program) => runs(program, &packet, data),
                    Err(_) => {
                        *untestable += 1;
                        false
                    }
                };
                verdicts.push(passes);
            }
        }
        *read += verdicts.len() as u64;
        if let Some(fragments) = fragments {
            judge_fragments(batch, fragments, verdicts, waiting, released);
        }
        for (packet, _) in batch.packets().zip(&*verdicts).filter(|(_, passes)| **passes) {
            *passed += 1;
            *truncated += u64::from(packet.is_truncated());
        }
        for held in &*released {
            *passed += 1;
            *truncated += u64::from(held.packet().is_truncated());
        }
    }

    fn released(&self) -> impl Iterator<Item = Packet<'_>> {
        self.released.iter().map(Held::packet)
    }

    fn end(&mut self) -> Result<(), Error> {
        never_tested(&mut self.programs).map_or(Ok(()), Err)
    }

    /// The number of packets counts those that passed, and untested packets are added.
    fn adjust(&self, mut all: Statistics) -> Statistics {
        all.unmatched += self.read.saturating_sub(self.passed);
        (all.packets, all.truncated) = (self.passed, self.truncated);
        all.untestable += self.untestable;
        all.undecided_fragments += self.undecided_fragments();
        all
    }
}

impl Expression {
    fn compile(&self, link_type: LinkType, tag_apart: bool) -> Result<Program, Error> {
        let target = if tag_apart { Target::Socket } else { Target::File };
        let program = self.filter.compile(link_type, &self.options.target(target));
        program.map_err(not_compiled(link_type))
    }
}

/// The link type to compile the expression for, and the bytes from that header on.
fn innermost<'p>(packet: &Packet<'p>) -> (LinkType, &'p [u8]) {
    let (mut link_type, mut data) = (packet.link_type(), packet.data());
    // No program nests such headers more deeply.
    for _ in 0..2 {
        let inner = packet_filter::inner_link_type(link_type, data);
        let Some((inner, at)) = inner else { break };
        let Some(rest) = data.get(at..) else { break };
        (link_type, data) = (inner, rest);
    }
    (link_type, data)
}

fn runs(program: &Program, packet: &Packet<'_>, data: &[u8]) -> bool {
    let ancillary = match packet.vlan() {
        Some(_) => ancillary(packet, 0, 0),
        None => Ancillary::default(),
    };
    program.run(data, packet.wire_len(), &ancillary) != 0
}

fn program<'p>(
    expression: &Expression,
    programs: &'p mut Vec<Compiled>,
    link_type: LinkType,
    tag_apart: bool,
) -> &'p Compiled {
    let known =
        |compiled: &Compiled| compiled.link_type == link_type && compiled.tag_apart == tag_apart;
    let at = programs.iter().position(known).unwrap_or_else(|| {
        let program = expression.compile(link_type, tag_apart).map_err(Some);
        programs.push(Compiled { link_type, tag_apart, program });
        programs.len() - 1
    });
    &programs[at]
}

/// The error to return if the expression could not be tested on any packet.
fn never_tested(programs: &mut [Compiled]) -> Option<Error> {
    if programs.iter().any(|compiled| compiled.program.is_ok()) {
        return None;
    }
    programs.iter_mut().find_map(|compiled| compiled.program.as_mut().err()?.take())
}

/// Applies the verdict on a datagram's first fragment to its later fragments.
fn judge_fragments(
    batch: &impl PacketBatch,
    fragments: &mut Fragments,
    verdicts: &mut [bool],
    waiting: &mut Vec<(usize, Datagram)>,
    released: &mut Vec<Held>,
) {
    waiting.clear();
    for (at, packet) in batch.packets().enumerate() {
        let Some(Fragment { datagram, is_first }) = fragment(&packet) else { continue };
        let now = packet.timestamp();
        if is_first {
            fragments.decide(datagram, verdicts[at], now, released);
            waiting.retain(|&(place, other)| {
                if other == datagram {
                    verdicts[place] = verdicts[at];
                }
                other != datagram
            });
        } else if !verdicts[at] {
            match fragments.verdict(datagram, now) {
                Some(passes) => verdicts[at] = passes,
                None => waiting.push((at, datagram)),
            }
        }
    }
    if waiting.is_empty() {
        return;
    }
    let mut places = waiting.iter().peekable();
    for (at, packet) in batch.packets().enumerate() {
        if let Some((_, datagram)) = places.next_if(|(place, _)| *place == at) {
            fragments.hold(*datagram, &packet);
        }
    }
}

fn fragment(packet: &Packet<'_>) -> Option<Fragment> {
    let (link_type, data) = innermost(packet);
    let at = packet_filter::network_offset(link_type, data)?;
    Fragment::parse(data.get(at..)?)
}
