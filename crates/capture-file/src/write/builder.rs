//! Settings of a capture file writer.

#[cfg(unix)]
use std::fs::Metadata;
use std::io::Write;
use std::path::Path;

use super::output::Output;
use super::{CaptureWriter, Encoder};
use super::{pcap::PcapEncoder, pcapng::PcapNgEncoder};
use crate::system::Identity;
use crate::{Error, FileFormat, RotatingWriter, Rotation, Unwritable};

/// Settings of a [`CaptureWriter`], made by [`CaptureWriter::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing before `create`"]
pub struct CaptureWriterBuilder {
    format: FileFormat,
    buffer: usize,
    section: Section,
    input: Option<Identity>,
    cooked: bool,
}

/// Metadata of a pcapng section.
#[derive(Clone, Debug, Default)]
pub(crate) struct Section {
    pub(crate) application: Option<String>,
    pub(crate) hardware: Option<String>,
    pub(crate) os: Option<String>,
    pub(crate) comment: Option<String>,
}

impl CaptureWriterBuilder {
    pub(crate) fn new() -> Self {
        Self {
            format: FileFormat::PcapNg,
            buffer: 256 << 10,
            section: Section::default(),
            input: None,
            cooked: false,
        }
    }

    /// Sets the format (default: pcapng).
    pub fn format(mut self, format: FileFormat) -> Self {
        self.format = format;
        self
    }

    /// Sets the number of bytes to buffer before writing (default: 256 KiB). 0 writes each packet
    /// separately.
    pub fn buffer(mut self, bytes: usize) -> Self {
        self.buffer = bytes;
        self
    }

    /// Sets the name of the writing program, for pcapng.
    pub fn application(mut self, name: impl Into<String>) -> Self {
        self.section.application = Some(name.into());
        self
    }

    /// Sets a description of the host's hardware, for pcapng.
    pub fn hardware(mut self, name: impl Into<String>) -> Self {
        self.section.hardware = Some(name.into());
        self
    }

    /// Sets the name of the host's operating system, for pcapng.
    pub fn os(mut self, name: impl Into<String>) -> Self {
        self.section.os = Some(name.into());
        self
    }

    /// Sets a comment on the whole file, for pcapng.
    pub fn comment(mut self, text: impl Into<String>) -> Self {
        self.section.comment = Some(text.into());
        self
    }

    /// Sets the file that packets are read from. It is never written to, whatever link or
    /// descriptor leads to it. Only on Unix: elsewhere the standard library cannot tell whether two
    /// files are the same.
    #[cfg(unix)]
    pub fn input(mut self, file: &Metadata) -> Self {
        self.input = Some(Identity::of(file));
        self
    }

    /// Converts packets of all link types to Linux cooked packets
    /// ([`LinkType::LINUX_SLL2`](crate::LinkType::LINUX_SLL2)). Their header has interface,
    /// direction and protocol, and the network header follows it. Useful for captures of several
    /// link types: pcap cannot hold them, and libpcap reads only packets of the first one.
    pub fn cooked(mut self, cooked: bool) -> Self {
        self.cooked = cooked;
        self
    }

    /// Creates a file, or truncates an existing one; `-` is standard output.
    ///
    /// # Errors
    /// [`Error::Open`]; [`Error::Unwritable`] for texts longer than 65,535 bytes, for
    /// [`FileFormat::PcapModified`], and if the file is the `input`.
    pub fn create(self, path: impl AsRef<Path>) -> Result<CaptureWriter, Error> {
        // Checks the settings before it truncates the file.
        self.encoder()?;
        CaptureWriter::start(&self, Output::create(path.as_ref(), self.buffer, self.input)?)
    }

    /// Writes to any writer.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn to_writer(self, writer: impl Write + Send + 'static) -> Result<CaptureWriter, Error> {
        CaptureWriter::start(&self, Output::to_writer(Box::new(writer), self.buffer))
    }

    /// Writes a sequence of files whose names derive from `name`: see [`Rotation`].
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn rotate(
        self,
        name: impl AsRef<Path>,
        rotation: Rotation,
    ) -> Result<RotatingWriter, Error> {
        RotatingWriter::new(self, name.as_ref(), rotation)
    }

    pub(crate) fn is_cooked(&self) -> bool {
        self.cooked
    }

    pub(crate) fn read_from(&self) -> Option<Identity> {
        self.input
    }

    pub(crate) fn buffer_size(&self) -> usize {
        self.buffer
    }

    pub(crate) fn encoder(&self) -> Result<Encoder, Error> {
        Ok(match self.format {
            FileFormat::PcapMicroseconds => Encoder::Pcap(PcapEncoder::new(false)),
            FileFormat::PcapNanoseconds => Encoder::Pcap(PcapEncoder::new(true)),
            FileFormat::PcapNg => Encoder::PcapNg(PcapNgEncoder::new(self.section.clone())?),
            FileFormat::PcapModified => return Err(Unwritable::ModifiedPcap.into()),
        })
    }
}
