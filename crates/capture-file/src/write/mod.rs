//! Capture files as packet sinks.

mod builder;
mod cooked;
mod interface;
mod output;
mod pcap;
mod pcapng;
mod record;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::time::Duration;

pub use self::builder::CaptureWriterBuilder;
use self::builder::Section;
pub use self::interface::InterfaceDescription;
pub(crate) use self::output::{Output, create};
use self::pcap::PcapEncoder;
use self::pcapng::PcapNgEncoder;
use self::record::Recorded;
use crate::read::longest_packet;
use crate::{Error, LinkType, Packet, PacketSink, SinkStatistics, Statistics, Timestamp};

/// Writes a capture file: pcapng, or pcap with timestamps in nanoseconds or microseconds.
///
/// Records are buffered and written whole, so a file whose writer crashed is valid at least up to
/// the last [`flush`](Self::flush). Headers are written at once. A record that has been in the
/// buffer for a second is written with the next record. Programs that wait for packets should flush
/// in between when [`flush_due`](Self::flush_due) says so. [`finish`](Self::finish) writes the rest
/// and reports errors. Dropping a writer also writes the rest, but cannot report errors.
///
/// VLAN tags that were removed on receipt are reinserted into Ethernet frames and cooked packets,
/// which makes them four bytes longer. Packets are truncated at their interface's limit. Metadata
/// without a place in the format is not written: the receive hash, the checksum's status and, in
/// pcap, the direction and the interface.
///
/// ```
/// use capture_file::{CaptureWriter, InterfaceDescription};
/// use capture_file::{LinkType, Packet, PacketMeta, Timestamp};
///
/// # fn main() -> Result<(), capture_file::Error> {
/// # let folder = std::env::temp_dir().join(format!("capture-file-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// # let path = folder.join("one.pcapng");
/// let mut writer = CaptureWriter::builder().application("example").create(&path)?;
/// writer.add_interface(3, InterfaceDescription::new(LinkType::ETHERNET).name("eth0"))?;
/// let time = Timestamp::from_nanos(1_700_000_000_000_000_001);
/// let mut meta = PacketMeta::new(1, time, LinkType::ETHERNET);
/// meta.interface = 3;
/// writer.write(&Packet::with_meta(b"at least fourteen bytes", meta))?;
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
    /// Buffer for cooked packets, if the writer converts to them.
    cooked: Option<Vec<u8>>,
}

/// Additional information on a packet, for pcapng; pcap has no place for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Annotation<'a> {
    /// A comment.
    pub comment: Option<&'a str>,
    /// The number of packets lost between the previous packet of this interface and this one.
    pub dropped: Option<u64>,
}

pub(crate) enum Encoder {
    Pcap(PcapEncoder),
    PcapNg(PcapNgEncoder),
}

impl CaptureWriter {
    /// Returns the settings for a writer.
    pub fn builder() -> CaptureWriterBuilder {
        CaptureWriterBuilder::new()
    }

    /// Creates a pcapng file with the defaults. Shorthand for [`builder`](Self::builder) and
    /// [`create`](CaptureWriterBuilder::create).
    ///
    /// # Errors
    /// [`Error::Open`].
    pub fn create(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::builder().create(path)
    }

    /// Describes an interface. From now on, packets with this link type whose
    /// [`PacketMeta::interface`](crate::PacketMeta::interface) is `source` belong to it. An
    /// interface without a description gets one from its first packet, without a name.
    ///
    /// A pcap file has the link type and the snap length of the first described interface.
    ///
    /// # Errors
    /// [`Error::Unwritable`] for another link type in a pcap file, a text longer than 65,535 bytes,
    /// or more than 65,536 interfaces. [`Error::System`] if writing fails.
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
    /// [`Error::Unwritable`] for a packet that the format cannot hold. [`Error::System`] if earlier
    /// packets cannot be written; this packet is not written then and may be tried again.
    pub fn write(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        self.write_annotated(packet, &Annotation::default())
    }

    /// Writes a packet with an annotation.
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
        let recorded = self.output.append(|out| match encoder {
            Encoder::Pcap(encoder) => encoder.packet(packet, out),
            Encoder::PcapNg(encoder) => encoder.packet(packet, annotation, out),
        })?;
        self.count(&recorded);
        Ok(())
    }

    /// Sets the totals of a source's interface at a time. They are written by the next
    /// [`write_statistics`](Self::write_statistics), at the latest at the end of the file. Ignored
    /// for pcap and for interfaces that are not described.
    pub fn set_statistics(&mut self, source: u32, totals: &Statistics, at: Timestamp) {
        if let Encoder::PcapNg(encoder) = &mut self.encoder {
            encoder.set_statistics(source, *totals, at);
        }
    }

    /// Writes the totals that were [set](Self::set_statistics) since the last call.
    ///
    /// # Errors
    /// [`Error::System`] if writing fails.
    pub fn write_statistics(&mut self) -> Result<(), Error> {
        let encoder = &mut self.encoder;
        self.output.append(|out| {
            if let Encoder::PcapNg(encoder) = encoder {
                encoder.statistics(out);
            }
            Ok(())
        })
    }

    /// Hands all buffered data to the kernel. The file is then complete up to here, even if this
    /// process crashes.
    ///
    /// # Errors
    /// [`Error::System`]; what was not written stays in the buffer.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.output.flush()
    }

    /// The time until the buffer should be [flushed](Self::flush), zero if that is due now, `None`
    /// if the buffer is empty. For programs that wait for packets, since nothing is written while
    /// none arrive.
    #[must_use]
    pub fn flush_due(&self) -> Option<Duration> {
        self.output.flush_due()
    }

    /// Waits until all data is on the disk. The file is then complete up to here, even if the host
    /// crashes. Same as [`flush`](Self::flush) for anything that is not a file.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn sync(&mut self) -> Result<(), Error> {
        self.output.sync()
    }

    /// Ends the file: writes statistics, then hands everything to the kernel.
    ///
    /// # Errors
    /// [`Error::System`] if writing fails; what was not written is lost then.
    pub fn finish(mut self) -> Result<SinkStatistics, Error> {
        self.end()?;
        Ok(self.statistics)
    }

    /// The length of this file so far in bytes, including the buffer.
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

    /// Ends this file and continues in another one with the same interfaces.
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

    fn count(&mut self, recorded: &Recorded) {
        self.statistics.packets += 1;
        self.statistics.bytes += u64::from(recorded.captured);
        self.statistics.truncated += u64::from(recorded.truncated);
        self.statistics.tags_lost += u64::from(recorded.tag_lost);
    }
}

impl PacketSink for CaptureWriter {
    type Error = Error;

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
            // Errors are ignored here; `finish` reports them.
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
    /// Creates an empty annotation.
    #[must_use]
    pub const fn new() -> Self {
        Self { comment: None, dropped: None }
    }

    /// Sets the comment.
    #[must_use]
    pub const fn comment(mut self, text: &'a str) -> Self {
        self.comment = Some(text);
        self
    }

    /// Sets the number of packets lost before this one.
    #[must_use]
    pub const fn dropped(mut self, packets: u64) -> Self {
        self.dropped = Some(packets);
        self
    }

    fn is_empty(&self) -> bool {
        *self == Self::new()
    }
}

/// Maximum number of bytes that a file stores of a packet.
fn limit(interface: &InterfaceDescription) -> u32 {
    let longest = longest_packet(interface.link_type);
    match interface.snaplen {
        0 => longest,
        snaplen => snaplen.min(longest),
    }
}
