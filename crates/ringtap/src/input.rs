//! The source of a command's packets: the options that all commands share.

use std::fs::{self, File, Metadata};
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use capture_file::{CaptureFile, Unwritable};
use clap::error::ErrorKind;
use clap::{CommandFactory as _, ValueEnum};
use flow::FiveTuple;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use packet_filter::{Filter, Program, Target};
use ring_core::{
    Capture, Filtered, LinkType, Next, PacketSource as _, RingGeometry, RingProfile, Timeout, xdp,
};
use ring_sys::interface;

use crate::Error;
use crate::cause::Cause;
use crate::interrupt;
use crate::link_types;
use crate::privileges::Privileges;
use crate::progress;
use crate::report;
use crate::selection::{Condition, Selection, Shows};
use crate::text::clock::Clock;
use crate::text::escape::Escaped;

/// libpcap's `MAXIMUM_SNAPLEN`, which tcpdump takes for `-s 0`.
const MAX_SNAPSHOT_LENGTH: u32 = 262_144;

/// One of an interface and a file, and which of its packets.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Input {
    #[command(flatten)]
    from: From,
    /// Take packets from the interface by this means.
    #[arg(long, value_enum, default_value_t = Backend::Packet)]
    backend: Backend,
    /// With `--backend xdp`: pass on to this interface what comes on the other, and back, as a wire
    /// between them would. Both directions are seen then.
    #[arg(long, value_name = "INTERFACE")]
    forward: Option<String>,
    /// Truncate each packet to this many bytes (snap length), 0 for whole packets [default: 0]
    #[arg(short, long, value_name = "BYTES")]
    snapshot_length: Option<u32>,
    /// Size of the ring that the kernel puts packets into, in KiB; a larger one holds longer bursts
    /// [default: 32768]
    #[arg(short = 'B', long, value_name = "KIB", value_parser = clap::value_parser!(u32).range(1..))]
    buffer_size: Option<u32>,
    /// Say nothing of an interface that is down or goes down, and capture once it is up.
    #[arg(long)]
    wait: bool,
    /// Do not put the interface into promiscuous mode.
    #[arg(short = 'p', long)]
    no_promiscuous_mode: bool,
    /// Show times in UTC instead of the local time zone.
    #[arg(long)]
    utc: bool,
    #[command(flatten)]
    selection: Selection,
    /// Names are never looked up: this is taken, and does nothing.
    #[arg(short = 'n', action = clap::ArgAction::Count, hide = true)]
    numeric: u8,
    /// Hand over each line at once, also of a file.
    #[arg(short, long)]
    line_buffered: bool,
    /// Hand over packets within a millisecond, at the cost of waking up more often. The ring has 16
    /// MiB unless -B says otherwise.
    #[arg(long)]
    immediate_mode: bool,
    /// Take times from here; the host is the only source.
    #[arg(short = 'j', long, value_name = "SOURCE", value_parser = ["host"])]
    time_stamp_type: Option<String>,
    #[command(flatten)]
    privileges: Privileges,
}

#[derive(Clone, Debug, clap::Args)]
#[group(multiple = false)]
struct From {
    /// Capture on this interface; `any` for all.
    #[arg(short, long, value_name = "INTERFACE")]
    interface: Option<String>,
    /// Read a pcap or pcapng file; `-` for standard input.
    #[arg(short, long, value_name = "FILE")]
    read: Option<PathBuf>,
}

/// The means by which packets are taken from an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    /// AF_PACKET: a copy of everything that the interface sends and receives.
    Packet,
    /// AF_XDP: what the interface receives, before this host gets it; the host does not get it
    /// then. An expression leaves the rest to the host. For the port of a mirror or a tap, or with
    /// --forward.
    Xdp,
}

/// The source, opened.
pub(crate) enum Source {
    /// An interface.
    Live(Box<Capture>),
    /// An interface, past the kernel's stack.
    Xdp(Box<xdp::Group>),
    /// Two interfaces, between which packets are passed on.
    Tap(Box<Filtered<xdp::Tap>>),
    /// A file.
    File(Box<Filtered<CaptureFile>>),
}

impl Source {
    /// The raised MTUs of the interfaces, where they change what is captured.
    pub(crate) fn mtu_reports(&self) -> Option<xdp::MtuReports> {
        match self {
            Self::Xdp(group) => Some(group.mtu_reports()),
            Self::Tap(tap) => Some(tap.get_ref().mtu_reports()),
            Self::Live(_) | Self::File(_) => None,
        }
    }

    /// The counters of forwarded packets, if packets are forwarded.
    pub(crate) fn counters(&self) -> Option<xdp::TapCounters> {
        match self {
            Self::Tap(tap) => Some(tap.get_ref().counters()),
            _ => None,
        }
    }
}

impl Input {
    /// Its name in errors.
    pub(crate) fn name(&self) -> String {
        match (&self.from.interface, &self.from.read) {
            (Some(interface), _) => match &self.forward {
                Some(other) => format!("{interface} and {other}"),
                None => interface.clone(),
            },
            (None, Some(file)) => file.display().to_string(),
            (None, None) => String::new(),
        }
    }

    /// The interfaces that packets come from, `any` not among them.
    pub(crate) fn interfaces(&self) -> impl Iterator<Item = &str> {
        let names = [self.from.interface.as_deref(), self.forward.as_deref()];
        names.into_iter().flatten().filter(|name| *name != "any")
    }

    /// The clock by which times are shown.
    pub(crate) fn clock(&self) -> Clock {
        Clock::new(self.utc)
    }

    /// Returns `true` if packets come from an interface.
    pub(crate) fn is_live(&self) -> bool {
        self.from.interface.is_some()
    }

    /// The file on a disk that is read, which must not be written to.
    pub(crate) fn file(&self) -> Option<Metadata> {
        let path = self.from.read.as_ref()?;
        let metadata = if path.as_os_str() == "-" {
            File::from(io::stdin().as_fd().try_clone_to_owned().ok()?).metadata()
        } else {
            fs::metadata(path)
        };
        metadata.ok().filter(Metadata::is_file)
    }

    /// Returns `true` if each line is handed over at once, whatever is read.
    pub(crate) fn is_line_buffered(&self) -> bool {
        self.line_buffered
    }

    /// The expression as one text, as tcpdump joins its arguments.
    pub(crate) fn expression(&self) -> String {
        self.selection.text()
    }

    /// The expression, compiled for a link type, or if none is asked for, for that of the interface
    /// or file, or if there is neither, for Ethernet.
    pub(crate) fn program(&self, asked: Option<LinkType>) -> Result<Program, Error> {
        let condition = self.selection.condition(Shows::Packets, self.interface())?;
        let target = if self.from.read.is_some() { Target::File } else { Target::Socket };
        let link_type = match (asked, self.interface(), &self.from.read) {
            (Some(asked), ..) => asked,
            (None, Some("any"), _) => {
                report::say(format_args!(
                    "any has a program for each link type; this is that for EN10MB, and -y RAW prints the other one"
                ));
                LinkType::ETHERNET
            }
            (None, Some(name), _) => {
                let hardware = interface::hardware_type(name);
                let hardware = hardware
                    .map_err(|source| Error::Interface { name: name.to_owned(), source })?;
                ring_core::link_type_of(hardware).unwrap_or(LinkType::ETHERNET)
            }
            (None, None, Some(path)) => {
                let Some(file) = open_file(path)? else { return Err(Error::Interrupted) };
                let mut file =
                    CaptureFile::from_file(file).map_err(|source| self.failed(source))?;
                self.link_type_of(&mut file)?
            }
            (None, None, None) => LinkType::ETHERNET,
        };
        if packet_filter::has_inner_link_type(link_type) {
            return Err(Error::Nested { link_type: link_types::name(link_type) });
        }
        condition.check(Some(link_type), target)?;
        if !packet_filter::is_supported(link_type) {
            return Err(self.failed(ring_core::Error::FilterLinkType { link_type }));
        }
        Ok(condition.program(link_type, target)?)
    }

    /// The link type of a file, if all of its interfaces have the same.
    fn link_type_of(&self, file: &mut CaptureFile) -> Result<LinkType, Error> {
        // In pcapng, it is known only with the first packets.
        while file.link_type().is_none() && file.interfaces().is_empty() {
            let next = file.next_batch(Timeout::Never).map_err(|source| self.failed(source))?;
            if !matches!(next, Next::Batch(_)) {
                break;
            }
        }
        let mut all: Vec<_> = file.interfaces().iter().map(|found| found.link_type).collect();
        all.sort_unstable_by_key(|link_type| link_type.0);
        all.dedup();
        match (file.link_type(), &all[..]) {
            (Some(one), _) => Ok(one),
            (None, [one]) => Ok(*one),
            (None, []) => Ok(LinkType::ETHERNET),
            (None, several) => {
                let names: Vec<_> = several.iter().map(|one| link_types::name(*one)).collect();
                Err(Error::SeveralLinkTypes { name: self.name(), names: names.join(", ") })
            }
        }
    }

    fn interface(&self) -> Option<&str> {
        self.from.interface.as_deref()
    }

    fn failed(&self, source: impl Into<Cause>) -> Error {
        Error::Source { name: self.name(), source: source.into() }
    }

    /// Opens the interface or the file, and drops the privileges that this needs if the command
    /// line says so: what is written is to be opened afterwards. If there is room for a progress
    /// bar, a long file gets one.
    ///
    /// With another filter only packets that pass it as well are wanted. It is used where it saves
    /// copies: in the kernel.
    pub(crate) fn open_for(
        &self,
        bar: bool,
        shows: Shows,
        implied: Option<Filter>,
    ) -> Result<Source, Error> {
        match (self.backend, self.snapshot_length, &self.forward) {
            _ if self.from.interface.is_none() && self.from.read.is_none() => {
                let mut message =
                    "packets come from an interface or a file: give --interface or --read"
                        .to_owned();
                if let Some(path) = self.selection.file() {
                    message = format!("to read {0}, write -r {0}", Escaped(path));
                }
                crate::Arguments::command()
                    .error(ErrorKind::MissingRequiredArgument, message)
                    .exit()
            }
            (Backend::Xdp, ..) if !self.is_live() => wrong("--backend xdp needs --interface"),
            (Backend::Packet, _, Some(_)) => wrong("--forward needs --backend xdp"),
            (Backend::Xdp, Some(_), _) => {
                wrong("with --backend xdp packets come whole: there is no --snapshot-length")
            }
            (Backend::Xdp, ..) if self.buffer_size.is_some() => {
                wrong("--buffer-size is for AF_PACKET: there is none with --backend xdp")
            }
            (Backend::Xdp, ..) if self.privileges.are_dropped() => wrong(
                "with --backend xdp there is no --relinquish-privileges (-Z): opening the rings again after a raised \
                 MTU needs them",
            ),
            _ => {}
        }
        let condition = self.selection.condition(shows, self.interface())?;
        let opened = match (&self.from.interface, &self.from.read) {
            (Some(interface), _) => self.open_interface(interface, &condition, implied.as_ref()),
            (None, path) => {
                let path = path.as_deref().unwrap_or(Path::new("-"));
                let Some(file) = open_file(path)? else { return Err(Error::Interrupted) };
                read(file, &condition, bar)
            }
        };
        let source = opened.map_err(|source| self.failed(source))?;
        match &source {
            Source::Live(capture) => condition.check(capture.link_type(), Target::Socket)?,
            Source::Xdp(group) => condition.check(group.link_type(), Target::File)?,
            Source::Tap(tap) => condition.check(tap.link_type(), Target::File)?,
            Source::File(file) => condition.check(file.link_type(), Target::File)?,
        }
        if matches!(source, Source::Live(_) | Source::Xdp(_)) {
            condition.say_what_is_not_seen();
        }
        self.privileges.drop()?;
        Ok(source)
    }

    fn open_interface(
        &self,
        interface: &str,
        condition: &Condition,
        implied: Option<&Filter>,
    ) -> Result<Source, Cause> {
        if self.backend == Backend::Xdp {
            self.open_xdp(interface, condition)
        } else {
            let mut capture = Capture::builder(interface)
                .filter(condition.and(implied).capture_filter())
                .promiscuous(!self.no_promiscuous_mode);
            if let Some(bytes) = self.snapshot_length.filter(|bytes| *bytes > 0) {
                capture = capture.snaplen(bytes);
            }
            let ring = self.ring();
            let least = ring.block_size * ring.blocks / 1024;
            if let Some(kib) = self.buffer_size.filter(|kib| (*kib as usize) < least) {
                report::say(format_args!(
                    "-B {kib}: the smallest ring has {least} KiB, and is used"
                ));
            }
            capture = capture.geometry(ring);
            Ok(Source::Live(Box::new(capture.open()?)))
        }
    }

    /// The ring, in blocks that are small enough for it to have some.
    fn ring(&self) -> RingGeometry {
        let profile =
            if self.immediate_mode { RingProfile::LowLatency } else { RingProfile::default() };
        let mut geometry = profile.geometry();
        if let Some(kib) = self.buffer_size {
            let bytes = kib as usize * 1024;
            // A block holds the longest packet, of 64 KiB and its headers, at least.
            geometry.block_size = (bytes / 16).next_power_of_two().clamp(128 << 10, 1 << 20);
            geometry.blocks = (bytes / geometry.block_size).max(2);
        }
        geometry
    }

    /// The maximum number of bytes of a packet that are captured. Without a limit, that which
    /// libpcap has for what can be read from a file.
    pub(crate) fn snapshot_length(&self) -> u32 {
        self.snapshot_length.filter(|bytes| *bytes > 0).unwrap_or(MAX_SNAPSHOT_LENGTH)
    }

    /// Bytes of the ring; `None` where packets do not come through one of this size.
    pub(crate) fn ring_size(&self) -> Option<usize> {
        let geometry = self.ring();
        let has = self.is_live() && self.backend == Backend::Packet;
        has.then_some(geometry.block_size * geometry.blocks)
    }

    /// `true` if an interface that is down is waited for without a word.
    pub(crate) fn waits(&self) -> bool {
        self.wait
    }

    fn open_xdp(&self, interface: &str, condition: &Condition) -> Result<Source, Cause> {
        // Room for a burst of some milliseconds.
        const RING: u32 = 4096;
        let builder = |name: &str| -> xdp::SocketBuilder {
            xdp::Socket::builder(name)
                .ring_size(RING)
                .memory(xdp::UmemConfig::new().frames(4 * RING))
                .reopen(true)
                .promiscuous(!self.no_promiscuous_mode)
        };
        let Condition { filter, options } = condition.clone();
        let Some(other) = &self.forward else {
            let steered = xdp::SteeringFilter::expression(filter, options);
            let builder = builder(interface).steer(steered);
            return Ok(Source::Xdp(Box::new(builder.group().open()?)));
        };
        // Everything is passed on, whatever is looked at.
        let tap = builder(interface).tap(builder(other)).open()?;
        Ok(Source::Tap(Box::new(Filtered::with_options(tap, filter, options)?)))
    }
}

/// Opens a file, or waits until a pipe or FIFO has something to read; `None` if the end was
/// requested first.
fn open_file(path: &Path) -> Result<Option<File>, Error> {
    let failed = |source: io::Error| {
        Error::Open(capture_file::Error::Open { path: path.to_owned(), source }.into())
    };
    let file = if path.as_os_str() == "-" {
        File::from(io::stdin().as_fd().try_clone_to_owned().map_err(failed)?)
    } else {
        // Opening a FIFO would block until somebody writes to it.
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = File::options().read(true).custom_flags(flags.bits()).open(path);
        let file = file.map_err(failed)?;
        let cleared = fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()));
        cleared.map_err(|error| failed(error.into()))?;
        file
    };
    let metadata = file.metadata().map_err(failed)?;
    refuse_as_output(&metadata).map_err(|error| Error::Open(error.into()))?;
    let kind = metadata.file_type();
    let waits = kind.is_fifo() || kind.is_socket() || file.is_terminal();
    let ready = !waits || interrupt::wait_to_read(file.as_fd()).map_err(failed)?;
    Ok(ready.then_some(file))
}

/// Fails if what the shell connected to an output is the file that is read: it would grow while it
/// is read, or be overwritten.
fn refuse_as_output(input: &Metadata) -> Result<(), capture_file::Error> {
    let outputs =
        [(io::stdout().as_fd(), "standard output"), (io::stderr().as_fd(), "standard error")]
            .map(|(fd, name)| (fd.try_clone_to_owned().map(File::from), name));
    for (output, name) in outputs {
        // An output that is closed is no file.
        if let Ok(output) = output.and_then(|output| output.metadata())
            && input.is_file()
            && (output.dev(), output.ino()) == (input.dev(), input.ino())
        {
            return Err(Unwritable::Input { path: name.into() }.into());
        }
    }
    Ok(())
}

fn read(file: File, condition: &Condition, bar: bool) -> Result<Source, Cause> {
    let file = match progress::bar(&file).filter(|_| bar) {
        Some(bar) => CaptureFile::from_reader(bar.wrap_read(file))?,
        None => CaptureFile::from_file(file)?,
    };
    let Condition { filter, options } = condition.clone();
    Ok(Source::File(Box::new(Filtered::with_options(file, filter, options)?)))
}

/// Options that do not go together: says so as the command line's parser does, and ends.
pub(crate) fn wrong(message: &str) -> ! {
    crate::Arguments::command().error(ErrorKind::ArgumentConflict, message).exit()
}

/// The rule by which packets belong together, for the commands that track flows.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Keying {
    /// Ignore VLAN and tunnel identifiers when matching packets to flows.
    #[arg(long)]
    pub(crate) ignore_scope: bool,
}

impl Keying {
    pub(crate) fn extractor(self) -> FiveTuple {
        let key = FiveTuple::bidirectional();
        if self.ignore_scope { key.ignoring_scope() } else { key }
    }
}
