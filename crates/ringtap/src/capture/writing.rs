//! Writing what was captured.

use std::collections::HashSet;
use std::os::unix::fs::FileTypeExt as _;
use std::path::PathBuf;
use std::time::Duration;

use ring_core::{
    CaptureWriter, FileFormat, FileInterface, InterfaceDescription, LinkType, Packet,
    RotatingWriter, Rotation, Statistics, Timestamp, Unwritable,
};

use super::described::Described;
use crate::Error;
use crate::input::Input;
use crate::output::patient::Patient;

/// The options for files.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Arguments {
    /// Write the packets to this file: pcap if its name ends in `.pcap` or `.cap`, else pcapng; `-` for standard
    /// output. A name with conversions of strftime(3) is filled in where files are rotated by time.
    #[arg(id = "write", short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Begin another file when this one has so many millions of bytes.
    #[arg(short = 'C', long, value_name = "MILLIONS", requires = "write")]
    file_size: Option<u64>,
    /// Begin another file after so many seconds.
    #[arg(short = 'G', long, value_name = "SECONDS", requires = "write")]
    rotate_seconds: Option<u64>,
    /// Keep at most so many files.
    #[arg(short = 'W', long, value_name = "COUNT", requires = "write")]
    file_count: Option<u32>,
    /// Hand each batch of packets to the file at once.
    #[arg(short = 'U', long, requires = "write")]
    packet_buffered: bool,
}

/// Of files that are rotated each has the totals, no older than this where packets come.
const TOTALS: Duration = Duration::from_secs(1);

/// A file, or one after another.
pub(crate) struct Writing {
    writer: Kind,
    name: String,
    packet_buffered: bool,
    last: Timestamp,
    /// When the totals were taken.
    counted: Timestamp,
    /// The interface's index, where there is only one.
    interface: u32,
    /// Where there are several.
    interfaces: Option<Interfaces>,
    /// Where another file describes them.
    copied: Option<Copied>,
}

/// Interfaces of a file that is read, each described as that file does it, with the same number.
struct Copied {
    expression: String,
    /// Packets of each that were written.
    packets: Vec<u64>,
}

/// Interfaces that are described when the first packet of each comes.
struct Interfaces {
    expression: String,
    described: HashSet<(u32, LinkType)>,
    /// That of the packet before: mostly that of the next.
    last: Option<(u32, LinkType)>,
}

enum Kind {
    One(Box<CaptureWriter>),
    Rotating(Box<RotatingWriter>),
}

impl Arguments {
    /// Makes the file, if one is wanted.
    pub(crate) fn open(
        &self,
        input: &Input,
        source: &impl Described,
    ) -> Result<Option<Writing>, Error> {
        let Some(path) = &self.file else { return Ok(None) };
        let name = path.display().to_string();
        let failed = |source| Error::Save { name: name.clone(), source };
        let pcap =
            path.extension().is_some_and(|extension| extension == "pcap" || extension == "cap");
        let format = if pcap { FileFormat::PcapMicroseconds } else { FileFormat::PcapNg };
        let application = concat!("ringtap ", env!("CARGO_PKG_VERSION"));
        let mut builder = CaptureWriter::builder().format(format).application(application);
        if let Some(file) = input.file() {
            builder = builder.input(&file);
            if path.as_os_str() == "-" && Patient::stdout()?.is(&file)? {
                return Err(failed(Unwritable::Input { path: path.clone() }.into()));
            }
        }
        let rotation = Rotation::new()
            .size(self.file_size.unwrap_or(0).saturating_mul(1_000_000))
            .interval(Duration::from_secs(self.rotate_seconds.unwrap_or(0)))
            .files(self.file_count.unwrap_or(0));
        let mut writer = if path.as_os_str() == "-" {
            Kind::One(Box::new(builder.to_writer(Patient::stdout()?).map_err(failed)?))
        } else if path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo()) {
            let opened = Patient::fifo(path);
            let opened = opened
                .map_err(|source| failed(ring_core::Error::Open { path: path.clone(), source }));
            let Some(fifo) = opened? else { return Err(Error::Interrupted) };
            Kind::One(Box::new(builder.to_writer(fifo).map_err(failed)?))
        } else if rotation == Rotation::new() {
            Kind::One(Box::new(builder.create(path).map_err(failed)?))
        } else {
            Kind::Rotating(Box::new(builder.rotate(path, rotation).map_err(failed)?))
        };
        let mut interface = 0;
        if input.is_live() {
            interface = ring_sys::interface::index(&input.name()).unwrap_or(0);
        }
        let expression = input.expression();
        let (mut interfaces, mut copied) = (None, None);
        if input.is_live() && interface == 0 && !pcap {
            // The totals are of all together: so there is one more, which has no packets.
            let all = describe(LinkType::ETHERNET, Some(input.name()), &expression);
            writer.describe(interface, all).map_err(failed)?;
            interfaces = Some(Interfaces { expression, described: HashSet::new(), last: None });
        } else if let Some(link_type) = source.link_type() {
            let name = input.is_live().then(|| input.name());
            let mut description = describe(link_type, name, &expression);
            description.fcs_len = source.interfaces().first().map_or(0, |found| found.fcs_len);
            writer.describe(interface, description).map_err(failed)?;
        } else if !input.is_live() && !pcap {
            copied = Some(Copied { expression, packets: Vec::new() });
        }
        Ok(Some(Writing {
            writer,
            name,
            packet_buffered: self.packet_buffered,
            last: Timestamp::default(),
            counted: Timestamp::default(),
            interface,
            interfaces,
            copied,
        }))
    }
}

impl Writing {
    /// Takes over what the file that is read says of its interfaces.
    pub(crate) fn describe(&mut self, found: &[FileInterface]) -> Result<(), Error> {
        let Some(Copied { expression, packets }) = &mut self.copied else { return Ok(()) };
        for interface in &found[packets.len().min(found.len())..] {
            let mut description = describe(interface.link_type, interface.name.clone(), expression);
            description.fcs_len = interface.fcs_len;
            let described = self.writer.describe(packets.len() as u32, description);
            described.map_err(|source| Error::Save { name: self.name.clone(), source })?;
            packets.push(0);
        }
        Ok(())
    }

    pub(crate) fn write(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        self.last = packet.timestamp();
        if let Some(interfaces) = &mut self.interfaces {
            let described = interfaces.describe(packet, &mut self.writer);
            described.map_err(|source| self.failed(source))?;
        }
        let written = match &mut self.writer {
            Kind::One(writer) => writer.write(packet),
            Kind::Rotating(writer) => writer.write(packet),
        };
        written.map_err(|source| self.failed(source))?;
        let interface = packet.meta().interface as usize;
        let copied = self.copied.as_mut();
        if let Some(count) = copied.and_then(|copied| copied.packets.get_mut(interface)) {
            *count += 1;
        }
        Ok(())
    }

    /// The time until what is buffered is to be handed over, if anything is.
    pub(crate) fn flush_due(&self) -> Option<Duration> {
        match &self.writer {
            Kind::One(writer) => writer.flush_due(),
            Kind::Rotating(writer) => writer.flush_due(),
        }
    }

    /// Hands over what is due, or everything.
    pub(crate) fn batch_ended(&mut self, flush: bool) -> Result<(), Error> {
        let due = self.flush_due().is_some_and(|left| left.is_zero());
        if !flush && !due && !self.packet_buffered {
            return Ok(());
        }
        let flushed = match &mut self.writer {
            Kind::One(writer) => writer.flush(),
            Kind::Rotating(writer) => writer.flush(),
        };
        flushed.map_err(|source| self.failed(source))
    }

    /// Whether it is time for the totals, for the files that end before the capture does.
    pub(crate) fn wants_statistics(&self) -> bool {
        let old = self.last.saturating_duration_since(self.counted) >= TOTALS;
        old && matches!(self.writer, Kind::Rotating(_))
    }

    /// Takes the totals so far: of the interfaces that a file describes, what that says.
    pub(crate) fn set_statistics(&mut self, statistics: &Statistics, found: &[FileInterface]) {
        self.counted = self.last;
        let Some(Copied { packets, .. }) = &self.copied else {
            self.writer.set_statistics(self.interface, statistics, self.last);
            return;
        };
        for (number, (&packets, FileInterface { drops, .. })) in
            packets.iter().zip(found).enumerate()
        {
            let mut totals = Statistics::default();
            totals.packets = packets.saturating_add(*drops);
            totals.drops = *drops;
            self.writer.set_statistics(number as u32, &totals, self.last);
        }
    }

    /// Writes the totals and closes the file.
    pub(crate) fn finish(
        mut self,
        statistics: &Statistics,
        found: &[FileInterface],
    ) -> Result<(), Error> {
        self.describe(found)?;
        let name = std::mem::take(&mut self.name);
        self.set_statistics(statistics, found);
        let finished = match self.writer {
            Kind::One(writer) => writer.finish(),
            Kind::Rotating(writer) => writer.finish(),
        };
        finished.map(|_| ()).map_err(|source| Error::Save { name, source })
    }

    fn failed(&self, source: ring_core::Error) -> Error {
        Error::Save { name: self.name.clone(), source }
    }
}

impl Interfaces {
    /// Describes the packet's interface, unless that was done.
    fn describe(&mut self, packet: &Packet<'_>, writer: &mut Kind) -> Result<(), ring_core::Error> {
        let key @ (index, link_type) = (packet.meta().interface, packet.link_type());
        if self.last == Some(key) {
            return Ok(());
        }
        if !self.described.contains(&key) {
            // One that is gone has no name any more.
            let name = ring_sys::interface::name(index).ok();
            writer.describe(index, describe(link_type, name, &self.expression))?;
            self.described.insert(key);
        }
        self.last = Some(key);
        Ok(())
    }
}

impl Kind {
    fn set_statistics(&mut self, interface: u32, statistics: &Statistics, at: Timestamp) {
        match self {
            Self::One(writer) => writer.set_statistics(interface, statistics, at),
            Self::Rotating(writer) => writer.set_statistics(interface, statistics, at),
        }
    }

    fn describe(
        &mut self,
        interface: u32,
        description: InterfaceDescription,
    ) -> Result<(), ring_core::Error> {
        match self {
            Self::One(writer) => writer.add_interface(interface, description),
            Self::Rotating(writer) => writer.add_interface(interface, description),
        }
    }
}

fn describe(link_type: LinkType, name: Option<String>, expression: &str) -> InterfaceDescription {
    let mut description = InterfaceDescription::new(link_type);
    description.name = name;
    if expression.is_empty() { description } else { description.filter(expression) }
}
