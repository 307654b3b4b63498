//! How a capture file is to be written.

use std::fs::Metadata;
use std::io::Write;
use std::path::Path;

use super::output::{self, Identity, Output};
use super::{CaptureWriter, Encoder};
use super::{pcap::PcapEncoder, pcapng::PcapNgEncoder};
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

/// What a pcapng file says of itself as a whole.
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

    /// The format; pcapng at first.
    pub fn format(mut self, format: FileFormat) -> Self {
        self.format = format;
        self
    }

    /// Bytes that are collected before they are written; 256 KiB at first. 0 writes each packet by itself.
    pub fn buffer(mut self, bytes: usize) -> Self {
        self.buffer = bytes;
        self
    }

    /// The program that writes, of which pcapng files tell.
    pub fn application(mut self, name: impl Into<String>) -> Self {
        self.section.application = Some(name.into());
        self
    }

    /// The hardware of the host, of which pcapng files tell.
    pub fn hardware(mut self, name: impl Into<String>) -> Self {
        self.section.hardware = Some(name.into());
        self
    }

    /// The operating system of the host, of which pcapng files tell.
    pub fn os(mut self, name: impl Into<String>) -> Self {
        self.section.os = Some(name.into());
        self
    }

    /// A remark on the file as a whole, for pcapng.
    pub fn comment(mut self, text: impl Into<String>) -> Self {
        self.section.comment = Some(text.into());
        self
    }

    /// The file that packets are read from. It is never written to, whatever link or descriptor leads to it.
    pub fn input(mut self, file: &Metadata) -> Self {
        self.input = Some(output::identity(file));
        self
    }

    /// Writes packets of all link types as Linux cooked ones ([`LinkType::LINUX_SLL2`](crate::LinkType::LINUX_SLL2)): the
    /// header names interface, direction and protocol, and what follows the link-layer header comes after it. For packets
    /// of several link types, which pcap cannot hold and of which libpcap reads the first one's only.
    pub fn cooked(mut self, cooked: bool) -> Self {
        self.cooked = cooked;
        self
    }

    /// Makes a file, or empties the one that is there; `-` is standard output.
    ///
    /// # Errors
    /// [`Error::Open`]; [`Error::Unwritable`] for texts longer than 65,535 bytes, for [`FileFormat::PcapModified`], and
    /// for the [`input`](Self::input).
    pub fn create(self, path: impl AsRef<Path>) -> Result<CaptureWriter, Error> {
        // Before a file is emptied for nothing.
        self.encoder()?;
        CaptureWriter::start(&self, Output::create(path.as_ref(), self.buffer, self.input)?)
    }

    /// Writes to anything that can be written.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn to_writer(self, writer: impl Write + Send + 'static) -> Result<CaptureWriter, Error> {
        CaptureWriter::start(&self, Output::to_writer(Box::new(writer), self.buffer))
    }

    /// Writes several files, one after another, whose names are made of `name`: see [`Rotation`].
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
