//! Capture files as packet sinks.

mod builder;
mod cooked;
mod interface;
mod laid;
mod output;
mod pcap;
mod pcapng;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::time::Duration;

pub use self::builder::CaptureWriterBuilder;
use self::builder::Section;
pub use self::interface::InterfaceDescription;
use self::laid::Laid;
pub(crate) use self::output::{Identity, Output, create};
use self::pcap::PcapEncoder;
use self::pcapng::PcapNgEncoder;
use crate::file::longest_packet;
use crate::{Error, LinkType, Packet, PacketSink, SinkStatistics, Statistics, Timestamp};

/// Writes a capture file: pcapng, or pcap with time stamps of nanoseconds or microseconds.
///
/// Records are collected in a buffer and handed to the kernel whole, so that a file whose writer crashed is a valid one
/// up to the last [`flush`](Self::flush) at least; headers are handed over at once. A record that has been in the buffer
/// for a second is handed over with the next one; a program that waits for packets in between flushes when
/// [`flush_due`](Self::flush_due) says so. [`finish`](Self::finish) writes what
/// is left and tells whether that went well; a writer that is dropped does the same but cannot tell.
///
/// VLAN tags that were taken off on receiving are put back into Ethernet frames and cooked packets, which get four
/// bytes longer by that. Packets are cut at their interface's limit. What the formats have no place for is not
/// written: the receive hash, the checksum's status, and of pcap the direction and the interface.
///
/// ```
/// use ring_core::{CaptureWriter, InterfaceDescription, LinkType, Packet, PacketMeta, Timestamp};
///
/// # fn main() -> Result<(), ring_core::Error> {
/// # let folder = std::env::temp_dir().join(format!("ring-core-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// # let path = folder.join("one.pcapng");
/// let mut writer = CaptureWriter::builder().application("example").create(&path)?;
/// writer.add_interface(3, InterfaceDescription::new(LinkType::ETHERNET).name("eth0"))?;
/// let mut meta = PacketMeta::new(1, Timestamp::from_nanos(1_700_000_000_000_000_001), LinkType::ETHERNET);
/// meta.interface = 3;
/// writer.write(&Packet::new(b"at least fourteen bytes", meta))?;
/// writer.finish()?;
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok(())
/// # }
/// ```
pub struct CaptureWriter {
    output: Output,
    encoder: Encoder,
    statistics: SinkStatistics,
    finished: bool,
    /// Memory for cooked packets, if they are to be.
    cooked: Option<Vec<u8>>,
}

/// What there is to say of a packet besides the packet itself; pcap files have no place for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Annotation<'a> {
    /// A remark.
    pub comment: Option<&'a str>,
    /// How many packets were lost between the previous packet of this interface and this one.
    pub dropped: Option<u64>,
}

pub(crate) enum Encoder {
    Pcap(PcapEncoder),
    PcapNg(PcapNgEncoder),
}

impl CaptureWriter {
    /// Settings for a writer.
    pub fn builder() -> CaptureWriterBuilder {
        CaptureWriterBuilder::new()
    }

    /// A pcapng file with the defaults: shorthand for [`builder`](Self::builder) and
    /// [`create`](CaptureWriterBuilder::create).
    ///
    /// # Errors
    /// [`Error::Open`].
    pub fn create(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::builder().create(path)
    }

    /// Describes an interface. Packets whose [`PacketMeta::interface`](crate::PacketMeta::interface) is `source` and
    /// that have its link type belong to it from now on. One that nobody described is described by its first packet,
    /// without a name.
    ///
    /// A pcap file has the link type and the length limit of the first that is described.
    ///
    /// # Errors
    /// [`Error::Unwritable`]: another link type in a pcap file, a text longer than 65,535 bytes, more than 65,536
    /// interfaces. [`Error::System`] when writing fails.
    pub fn add_interface(
        &mut self,
        source: u32,
        mut description: InterfaceDescription,
    ) -> Result<(), Error> {
        if self.cooked.is_some() {
            description.link_type = LinkType::LINUX_SLL2;
        }
        let encoder = &mut self.encoder;
        self.output.append(|out| match encoder {
            Encoder::Pcap(encoder) => encoder.add(description, out),
            Encoder::PcapNg(encoder) => encoder.add(source, description, out).map(|_| ()),
        })?;
        if self.statistics.packets == 0 {
            self.output.hand_over_early();
        }
        Ok(())
    }

    /// Writes a packet.
    ///
    /// # Errors
    /// [`Error::Unwritable`] for one that the format cannot hold; [`Error::System`] when what was written before does
    /// not get onto the disk. The packet is not written then, and one more try is possible.
    pub fn write(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        self.write_annotated(packet, &Annotation::default())
    }

    /// Writes a packet and what there is to say of it.
    ///
    /// # Errors
    /// As [`write`](Self::write), and for a comment longer than 65,535 bytes.
    pub fn write_annotated(
        &mut self,
        packet: &Packet<'_>,
        annotation: &Annotation<'_>,
    ) -> Result<(), Error> {
        let packet = match &mut self.cooked {
            Some(memory) => &cooked::cook(packet, memory),
            None => packet,
        };
        let encoder = &mut self.encoder;
        let laid = self.output.append(|out| match encoder {
            Encoder::Pcap(encoder) => encoder.packet(packet, out),
            Encoder::PcapNg(encoder) => encoder.packet(packet, annotation, out),
        })?;
        self.count(&laid);
        Ok(())
    }

    /// Takes the totals of a source's interface at a time. The file gets them with the next
    /// [`write_statistics`](Self::write_statistics), at the latest at its end; pcap has no place for them. An
    /// interface that is not described has none.
    pub fn set_statistics(&mut self, source: u32, totals: &Statistics, at: Timestamp) {
        if let Encoder::PcapNg(encoder) = &mut self.encoder {
            encoder.set_statistics(source, *totals, at);
        }
    }

    /// Writes the totals that were [set](Self::set_statistics) since they were written last.
    ///
    /// # Errors
    /// [`Error::System`] when writing fails.
    pub fn write_statistics(&mut self) -> Result<(), Error> {
        let encoder = &mut self.encoder;
        self.output.append(|out| {
            if let Encoder::PcapNg(encoder) = encoder {
                encoder.statistics(out);
            }
            Ok(())
        })
    }

    /// Hands everything to the kernel: from then on the file is complete up to here, also if this process crashes.
    ///
    /// # Errors
    /// [`Error::System`]; what was not written stays in the buffer.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.output.flush()
    }

    /// The time until what is in the buffer should be [flushed](Self::flush), zero if it should be now; `None` while the
    /// buffer is empty. For programs that wait for packets: nothing is written while none is.
    #[must_use]
    pub fn flush_due(&self) -> Option<Duration> {
        self.output.flush_due()
    }

    /// Waits until the disk has everything: from then on the file is complete up to here, also if the host crashes.
    /// Of what is no file it is the same as [`flush`](Self::flush).
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn sync(&mut self) -> Result<(), Error> {
        self.output.sync()
    }

    /// Ends the file: statistics, then everything to the kernel.
    ///
    /// # Errors
    /// [`Error::System`] when writing fails; what was not written is lost then.
    pub fn finish(mut self) -> Result<SinkStatistics, Error> {
        self.end()?;
        Ok(self.statistics)
    }

    /// Bytes of this file so far, those in the buffer included.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.output.position()
    }

    pub(crate) fn start(builder: &CaptureWriterBuilder, output: Output) -> Result<Self, Error> {
        let encoder = builder.encoder()?;
        let cooked = builder.is_cooked().then(Vec::new);
        let statistics = SinkStatistics::default();
        let mut writer = Self { output, encoder, statistics, finished: false, cooked };
        writer.begin()?;
        Ok(writer)
    }

    /// Ends this file and goes on in another, which has the same interfaces.
    pub(crate) fn go_on(&mut self, output: Output) -> Result<(), Error> {
        self.end()?;
        self.output = output;
        self.finished = false;
        self.begin()
    }

    pub(crate) fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    pub(crate) fn end(&mut self) -> Result<(), Error> {
        let encoder = &mut self.encoder;
        if !self.finished {
            self.output.append(|out| {
                match encoder {
                    Encoder::Pcap(encoder) => encoder.end(out),
                    Encoder::PcapNg(encoder) => encoder.statistics(out),
                }
                Ok(())
            })?;
        }
        self.output.flush()?;
        self.finished = true;
        Ok(())
    }

    fn begin(&mut self) -> Result<(), Error> {
        let encoder = &mut self.encoder;
        self.output.append(|out| {
            match encoder {
                Encoder::Pcap(encoder) => encoder.begin(out),
                Encoder::PcapNg(encoder) => encoder.begin(out),
            }
            Ok(())
        })?;
        self.output.hand_over_early();
        Ok(())
    }

    fn count(&mut self, laid: &Laid) {
        self.statistics.packets += 1;
        self.statistics.bytes += u64::from(laid.captured);
        self.statistics.truncated += u64::from(laid.truncated);
        self.statistics.tags_lost += u64::from(laid.tag_lost);
    }
}

impl PacketSink for CaptureWriter {
    fn send(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        self.write(packet)
    }

    fn flush(&mut self) -> Result<(), Error> {
        Self::flush(self)
    }

    fn statistics(&self) -> SinkStatistics {
        self.statistics
    }
}

impl Drop for CaptureWriter {
    fn drop(&mut self) {
        if !self.finished {
            // Whoever wants to know calls `finish`.
            let _ = self.end();
        }
    }
}

impl fmt::Debug for CaptureWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaptureWriter")
            .field("output", &self.output)
            .field("statistics", &self.statistics)
            .finish_non_exhaustive()
    }
}

impl<'a> Annotation<'a> {
    /// Nothing to say.
    #[must_use]
    pub const fn new() -> Self {
        Self { comment: None, dropped: None }
    }

    /// With this remark.
    #[must_use]
    pub const fn comment(mut self, text: &'a str) -> Self {
        self.comment = Some(text);
        self
    }

    /// After so many lost packets.
    #[must_use]
    pub const fn dropped(mut self, packets: u64) -> Self {
        self.dropped = Some(packets);
        self
    }

    fn is_empty(&self) -> bool {
        *self == Self::new()
    }
}

/// Bytes of a packet that a file stores at most.
fn limit(interface: &InterfaceDescription) -> u32 {
    let longest = longest_packet(interface.link_type);
    match interface.snaplen {
        0 => longest,
        snaplen => snaplen.min(longest),
    }
}
