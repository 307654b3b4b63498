//! Writing what was captured.

use std::path::PathBuf;
use std::time::Duration;

use ring_core::{
    CaptureWriter, FileFormat, InterfaceDescription, LinkType, Packet, PacketSource,
    RotatingWriter, Rotation, Statistics, Timestamp,
};

use crate::Error;
use crate::input::Input;

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

/// A file, or one after another.
pub(crate) struct Writing {
    writer: Kind,
    name: String,
    packet_buffered: bool,
    last: Timestamp,
    /// The interface's index, where there is only one.
    interface: u32,
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
        source: &impl PacketSource,
    ) -> Result<Option<Writing>, Error> {
        let Some(path) = &self.file else { return Ok(None) };
        let name = path.display().to_string();
        let failed = |source| Error::Source { name: name.clone(), source };
        let pcap =
            path.extension().is_some_and(|extension| extension == "pcap" || extension == "cap");
        let format = if pcap { FileFormat::PcapMicroseconds } else { FileFormat::PcapNg };
        let application = concat!("ringtap ", env!("CARGO_PKG_VERSION"));
        let builder = CaptureWriter::builder().format(format).application(application);
        let rotation = Rotation::new()
            .size(self.file_size.unwrap_or(0).saturating_mul(1_000_000))
            .interval(Duration::from_secs(self.rotate_seconds.unwrap_or(0)))
            .files(self.file_count.unwrap_or(0));
        let mut writer = if path.as_os_str() == "-" {
            Kind::One(Box::new(builder.to_writer(std::io::stdout()).map_err(failed)?))
        } else if rotation == Rotation::new() {
            Kind::One(Box::new(builder.create(path).map_err(failed)?))
        } else {
            Kind::Rotating(Box::new(builder.rotate(path, rotation).map_err(failed)?))
        };
        let mut interface = 0;
        if input.is_live() {
            interface = ring_sys::interface::index(&input.name()).unwrap_or(0);
        }
        if let Some(link_type) = source.link_type() {
            writer.describe(interface, describe(link_type, input)).map_err(failed)?;
        }
        let last = Timestamp::default();
        Ok(Some(Writing { writer, name, packet_buffered: self.packet_buffered, last, interface }))
    }
}

impl Writing {
    pub(crate) fn write(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        self.last = packet.timestamp();
        let written = match &mut self.writer {
            Kind::One(writer) => writer.write(packet),
            Kind::Rotating(writer) => writer.write(packet),
        };
        written.map_err(|source| self.failed(source))
    }

    pub(crate) fn batch_ended(&mut self) -> Result<(), Error> {
        if !self.packet_buffered {
            return Ok(());
        }
        let flushed = match &mut self.writer {
            Kind::One(writer) => writer.flush(),
            Kind::Rotating(writer) => writer.flush(),
        };
        flushed.map_err(|source| self.failed(source))
    }

    /// Writes the totals and closes the file.
    pub(crate) fn finish(mut self, statistics: &Statistics) -> Result<(), Error> {
        let name = std::mem::take(&mut self.name);
        let finished = match self.writer {
            Kind::One(mut writer) => {
                writer.set_statistics(self.interface, statistics, self.last);
                writer.finish()
            }
            Kind::Rotating(mut writer) => {
                writer.set_statistics(self.interface, statistics, self.last);
                writer.finish()
            }
        };
        finished.map(|_| ()).map_err(|source| Error::Source { name, source })
    }

    fn failed(&self, source: ring_core::Error) -> Error {
        Error::Source { name: self.name.clone(), source }
    }
}

impl Kind {
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

fn describe(link_type: LinkType, input: &Input) -> InterfaceDescription {
    let mut description = InterfaceDescription::new(link_type);
    if input.is_live() {
        description = description.name(input.name());
    }
    let expression = input.expression();
    if expression.is_empty() { description } else { description.filter(expression) }
}
