//! Filtering what does not come through a kernel filter.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use bytes::Bytes;
use packet_filter::{Ancillary, Filter, Options, Program};

use crate::capture::ancillary;
use crate::{
    Error, Interrupter, LinkType, Next, Packet, PacketBatch, PacketSource, Statistics, Timeout,
};

/// Another source's packets as far as they pass a filter expression: for files and memory, where there is no kernel to
/// do it. (For a [`Capture`](crate::Capture) set the filter there: it costs less.)
///
/// The expression is compiled for each link type as its first packet comes. Packets keep their numbers. A batch of which
/// nothing passes is delivered empty.
///
/// ```
/// use ring_core::{Filtered, LinkType, MemorySource, Next, PacketBatch as _, PacketSource as _, Timeout, Timestamp};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut source = MemorySource::new(LinkType::ETHERNET);
/// source.push(Timestamp::default(), b"short");
/// source.push(Timestamp::default(), &[0; 64]);
/// let mut source = Filtered::new(source, "greater 60".parse()?)?;
/// let Next::Batch(batch) = source.next_batch(Timeout::Now)? else { panic!("two packets are there") };
/// assert_eq!(batch.packets().map(|packet| packet.number()).collect::<Vec<_>>(), [2]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Filtered<S> {
    source: S,
    filter: Filter,
    programs: Vec<Compiled>,
    /// Which packets of the present batch pass.
    verdicts: Vec<bool>,
    passed: u64,
    truncated: u64,
}

/// The expression, compiled.
#[derive(Debug)]
struct Compiled {
    link_type: LinkType,
    /// For packets whose VLAN tag is in their metadata, as opposed to in their bytes.
    tag_apart: bool,
    program: Program,
}

/// The packets of a batch that pass a filter.
#[derive(Debug)]
pub struct FilteredBatch<'a, B> {
    batch: B,
    verdicts: &'a [bool],
}

impl<S: PacketSource> Filtered<S> {
    /// Filters a source.
    ///
    /// # Errors
    /// [`Error::Compile`] and [`Error::FilterLinkType`] where the source has one link type and the expression cannot be
    /// compiled for it.
    pub fn new(source: S, filter: Filter) -> Result<Self, Error> {
        let mut programs = Vec::new();
        if let Some(link_type) = source.link_type()
            && filter.expression().is_some()
        {
            programs.push(compile(&filter, link_type, false)?);
        }
        Ok(Self { source, filter, programs, verdicts: Vec::new(), passed: 0, truncated: 0 })
    }

    /// The source.
    pub fn get_ref(&self) -> &S {
        &self.source
    }

    /// The source, no longer filtered.
    pub fn into_inner(self) -> S {
        self.source
    }
}

impl<S: PacketSource> PacketSource for Filtered<S> {
    type Batch<'a>
        = FilteredBatch<'a, S::Batch<'a>>
    where
        S: 'a;

    fn next_batch(&mut self, timeout: Timeout) -> Result<Next<Self::Batch<'_>>, Error> {
        let Self { source, filter, programs, verdicts, passed, truncated } = self;
        let batch = match source.next_batch(timeout)? {
            Next::Batch(batch) => batch,
            Next::TimedOut => return Ok(Next::TimedOut),
            Next::Interrupted => return Ok(Next::Interrupted),
            Next::End => return Ok(Next::End),
        };
        verdicts.clear();
        for packet in batch.packets() {
            let passes = filter.expression().is_none()
                || program(filter, programs, &packet)?.passes(&packet);
            verdicts.push(passes);
            *passed += u64::from(passes);
            *truncated += u64::from(passes && packet.is_truncated());
        }
        Ok(Next::Batch(FilteredBatch { batch, verdicts }))
    }

    /// As the source's, but for the packets that passed.
    fn statistics(&mut self) -> Result<Statistics, Error> {
        let all = self.source.statistics()?;
        Ok(Statistics { packets: self.passed, truncated: self.truncated, ..all })
    }

    fn link_type(&self) -> Option<LinkType> {
        self.source.link_type()
    }

    fn is_live(&self) -> bool {
        self.source.is_live()
    }

    fn never_waits(&self) -> bool {
        self.source.never_waits()
    }

    fn held_back(&self) -> Duration {
        self.source.held_back()
    }

    fn interrupter(&self) -> Option<Interrupter> {
        self.source.interrupter()
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        self.source.readiness()
    }
}

impl<B> FilteredBatch<'_, B> {
    /// The batch, with what does not pass.
    #[must_use]
    pub fn get_ref(&self) -> &B {
        &self.batch
    }
}

impl<B: PacketBatch> PacketBatch for FilteredBatch<'_, B> {
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.batch
            .packets()
            .zip(self.verdicts)
            .filter_map(|(packet, &passes)| passes.then_some(packet))
    }

    fn retain(&self) -> Option<Bytes> {
        self.batch.retain()
    }
}

impl Compiled {
    fn passes(&self, packet: &Packet<'_>) -> bool {
        let ancillary = if self.tag_apart { ancillary(packet, 0, 0) } else { Ancillary::default() };
        self.program.run(packet.data(), packet.wire_len(), &ancillary) != 0
    }
}

fn program<'p>(
    filter: &Filter,
    programs: &'p mut Vec<Compiled>,
    packet: &Packet<'_>,
) -> Result<&'p Compiled, Error> {
    let (link_type, tag_apart) = (packet.link_type(), packet.vlan().is_some());
    let known =
        |compiled: &Compiled| compiled.link_type == link_type && compiled.tag_apart == tag_apart;
    let at = match programs.iter().position(known) {
        Some(at) => at,
        None => {
            programs.push(compile(filter, link_type, tag_apart)?);
            programs.len() - 1
        }
    };
    Ok(&programs[at])
}

fn compile(filter: &Filter, link_type: LinkType, tag_apart: bool) -> Result<Compiled, Error> {
    let known = packet_filter::LinkType::try_from(u32::from(link_type.0));
    let known = known.map_err(|_| Error::FilterLinkType { link_type })?;
    let options = if tag_apart { Options::socket() } else { Options::file() };
    let program =
        filter.compile(known, &options).map_err(|source| Error::Compile { link_type, source })?;
    Ok(Compiled { link_type, tag_apart, program })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemorySource, PacketMeta, Timestamp, VlanTag};

    fn numbers(source: &mut impl PacketSource) -> Result<Vec<u64>, Error> {
        let mut numbers = Vec::new();
        while let Next::Batch(batch) = source.next_batch(Timeout::Now)? {
            numbers.extend(batch.packets().map(|packet| packet.number()));
        }
        Ok(numbers)
    }

    #[test]
    fn each_link_type_and_place_of_the_tag_has_its_program() {
        let mut ethernet = [0; 60];
        ethernet[12..15].copy_from_slice(&[8, 0, 0x45]);
        ethernet[23] = 6;
        let mut tagged = ethernet.to_vec();
        tagged.splice(12..12, [0x81, 0, 0, 7]);
        let meta = |number, link_type| PacketMeta::new(number, Timestamp::default(), link_type);
        let mut apart = meta(4, LinkType::ETHERNET);
        apart.vlan = Some(VlanTag { tpid: 0x8100, tci: 7 });
        let source = || {
            let mut source = MemorySource::new(LinkType::ETHERNET);
            source.push_with(meta(1, LinkType::RAW), &ethernet[14..]);
            source.push_with(meta(2, LinkType::ETHERNET), &ethernet);
            source.push_with(meta(3, LinkType::ETHERNET), &tagged);
            source.push_with(apart, &ethernet);
            source
        };
        let mut tcp =
            Filtered::new(source(), "ip proto 6".parse().expect("parses")).expect("compiles");
        assert_eq!(numbers(&mut tcp).expect("no error"), [1, 2, 4]);
        assert_eq!(tcp.statistics().expect("always").packets, 3);
        let mut ethernet_alone = MemorySource::new(LinkType::ETHERNET);
        ethernet_alone.push(Timestamp::default(), &ethernet);
        ethernet_alone.push(Timestamp::default(), &tagged);
        ethernet_alone.push_with(PacketMeta { number: 3, ..apart }, &ethernet);
        let filter = "vlan 7 and ip proto 6".parse().expect("parses");
        let mut vlan = Filtered::new(ethernet_alone, filter).expect("compiles");
        assert_eq!(numbers(&mut vlan).expect("no error"), [2, 3]);
        let mut vlan = Filtered::new(source(), "vlan 7".parse().expect("parses"))
            .expect("compiles for Ethernet");
        assert!(matches!(numbers(&mut vlan), Err(Error::Compile { link_type: LinkType::RAW, .. })));
    }

    #[test]
    fn what_cannot_be_filtered_is_an_error() {
        let usb = LinkType(189);
        let filter: Filter = "tcp".parse().expect("parses");
        let refused = Filtered::new(MemorySource::new(usb), filter.clone());
        assert!(matches!(refused, Err(Error::FilterLinkType { link_type }) if link_type == usb));
        let mut later = MemorySource::new(LinkType::ETHERNET);
        later.push_with(PacketMeta::new(1, Timestamp::default(), usb), b"usb");
        let mut later = Filtered::new(later, filter).expect("compiles for Ethernet");
        assert!(matches!(numbers(&mut later), Err(Error::FilterLinkType { .. })));
        let mut everything = MemorySource::new(usb);
        everything.push(Timestamp::default(), b"usb");
        let mut everything =
            Filtered::new(everything, Filter::everything()).expect("nothing to compile");
        assert_eq!(numbers(&mut everything).expect("no error"), [1]);
    }
}
