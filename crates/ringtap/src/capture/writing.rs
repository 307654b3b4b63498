//! Writing what was captured.

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use capture_file::{
    CaptureWriter, FileFormat, FileInterface, InterfaceDescription, RotatingWriter, Rotation,
    Unwritable,
};
use ring_core::{LinkType, Packet, Statistics, Timestamp};

use ring_sys::clock;

use super::described::Described;
use super::postrotate;
use crate::Error;
use crate::input::{self, Input};
use crate::link_types;
use crate::output::patient::{Patient, Unit};

/// The options for files.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Arguments {
    /// Write the packets to this file: pcap if its name ends in `.pcap` or `.cap`, else pcapng; `-`
    /// for standard output. A name with conversions of strftime(3) is filled in where files are
    /// rotated by time.
    #[arg(id = "write", short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Begin another file when this one has this many millions of bytes.
    #[arg(short = 'C', long, value_name = "MILLIONS", requires = "write", value_parser = clap::value_parser!(u64).range(1..))]
    file_size: Option<u64>,
    /// Begin another file after each interval of this many seconds, counted from the start of the
    /// capture.
    #[arg(short = 'G', long, value_name = "SECONDS", requires = "write", value_parser = clap::value_parser!(u64).range(1..))]
    rotate_seconds: Option<u64>,
    /// With -G: end after this many files. With -C: begin again with the first after this many
    /// files. With both: pad the counts in file names to as many digits as this number has.
    #[arg(short = 'W', long, value_name = "COUNT", requires = "write", value_parser = clap::value_parser!(u32).range(1..))]
    file_count: Option<u32>,
    /// With -C or -G: run this command with the name of each file that is complete because the next
    /// one begins, at the lowest priority, while the capture continues.
    #[arg(short = 'z', long, value_name = "COMMAND", requires = "write")]
    postrotate_command: Option<OsString>,
    /// Write packets with this link-layer header: LINUX_SLL2 for all packets, or the name of the
    /// interface's own (EN10MB, RAW …). With -d: print the program for this header, of any name of
    /// libpcap's [default: the interface's own; LINUX_SLL2 for `any`]
    #[arg(short = 'y', long = "linktype", value_name = "TYPE", value_parser = link_types::parse)]
    link_type: Option<LinkType>,
    /// Hand each batch of packets to the file at once.
    #[arg(short = 'U', long)]
    packet_buffered: bool,
    /// Print times, and write those of a pcap file, in this precision; pcapng always has
    /// nanoseconds.
    #[arg(long, value_enum, value_name = "PRECISION", default_value_t = Precision::Micro)]
    time_stamp_precision: Precision,
    /// The same as --time-stamp-precision=nano.
    #[arg(long, conflicts_with_all = ["micro", "time_stamp_precision"])]
    nano: bool,
    /// The same as --time-stamp-precision=micro.
    #[arg(long, conflicts_with = "time_stamp_precision")]
    micro: bool,
}

/// Decimals of time stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Precision {
    /// Six.
    Micro,
    /// Nine.
    Nano,
}

/// Of files that are rotated each has the totals, no older than this where packets come.
const TOTALS: Duration = Duration::from_secs(1);

/// A file, or one after another.
pub(crate) struct Writing {
    writer: Kind,
    name: String,
    /// All interfaces together, for a file without packets of any.
    all: InterfaceDescription,
    /// The delay after which the last interval ends without another packet: the longest time that
    /// an earlier packet may be held back.
    ends_after: Option<Duration>,
    packet_buffered: bool,
    last: Timestamp,
    /// The time at which the totals were read.
    counted: Timestamp,
    /// The interface's index, where there is only one.
    interface: u32,
    /// The interfaces, if there are several.
    interfaces: Option<Interfaces>,
    /// The interfaces that another file describes.
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
    /// The one that came first: it has the totals of all.
    first: Option<u32>,
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
        self.open_file(path, None, input, source).map(Some)
    }

    /// Makes a file of this name, with a comment if the format has comments.
    pub(crate) fn open_file(
        &self,
        path: &Path,
        comment: Option<String>,
        input: &Input,
        source: &impl Described,
    ) -> Result<Writing, Error> {
        let name = path.display().to_string();
        let failed =
            |source: capture_file::Error| Error::Save { name: name.clone(), source: source.into() };
        let pcap =
            path.extension().is_some_and(|extension| extension == "pcap" || extension == "cap");
        let format = match (pcap, self.nanoseconds()) {
            (true, false) => FileFormat::PcapMicroseconds,
            (true, true) => FileFormat::PcapNanoseconds,
            (false, _) => FileFormat::PcapNg,
        };
        let application = concat!("ringtap ", env!("CARGO_PKG_VERSION"));
        let mut builder = CaptureWriter::builder().format(format).application(application);
        if let Some(comment) = comment {
            builder = builder.comment(comment);
        }
        if let Some(file) = input.file() {
            builder = builder.input(&file);
            if path.as_os_str() == "-" && Patient::stdout(Unit::Write)?.is(&file)? {
                return Err(failed(Unwritable::Input { path: path.to_owned() }.into()));
            }
        }
        // Packets of `any` have several link types, of which pcap holds one, and libpcap reads one.
        let cooked = self.cooks(input, source)?;
        builder = builder.cooked(cooked);
        let rotation = self.rotation();
        let mut writer = if path.as_os_str() == "-" {
            Kind::One(Box::new(builder.to_writer(Patient::stdout(Unit::Write)?).map_err(failed)?))
        } else if path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo()) {
            let opened = Patient::fifo(path);
            let opened = opened.map_err(|source| {
                failed(capture_file::Error::Open { path: path.to_owned(), source })
            });
            let Some(fifo) = opened? else { return Err(Error::Interrupted) };
            Kind::One(Box::new(builder.to_writer(fifo).map_err(failed)?))
        } else if rotation == Rotation::new() {
            Kind::One(Box::new(builder.create(path).map_err(failed)?))
        } else {
            let mut writer = builder.rotate(path, rotation).map_err(failed)?;
            if let Some(command) = self.postrotate_command.clone() {
                writer = writer.on_finish(move |file: &Path| postrotate::run(&command, file));
            }
            Kind::Rotating(Box::new(writer))
        };
        let mut interface = 0;
        if input.is_live() {
            interface = ring_sys::interface::index(&input.name()).unwrap_or(0);
        }
        let expression = input.expression();
        let own = source.link_type().unwrap_or(LinkType::ETHERNET);
        let all = describe(own, Some(input.name()), &expression);
        let timed = input.is_live() && self.file_count.is_some() && self.file_size.is_none();
        let ends_after = timed.then(|| source.held_back());
        let (mut interfaces, mut copied) = (None, None);
        if input.is_live() && interface == 0 && !pcap {
            let (described, last) = (HashSet::new(), None);
            interfaces = Some(Interfaces { expression, described, last, first: None });
        } else if cooked && pcap {
            writer
                .describe(interface, describe(LinkType::LINUX_SLL2, None, &expression))
                .map_err(failed)?;
        } else if let Some(link_type) = source.link_type() {
            let name = input.is_live().then(|| input.name());
            let mut description = describe(link_type, name, &expression);
            description.fcs_len = source.interfaces().first().map_or(0, |found| found.fcs_len);
            writer.describe(interface, description).map_err(failed)?;
        } else if !input.is_live() && !pcap {
            copied = Some(Copied { expression, packets: Vec::new() });
        }
        if let (Kind::Rotating(writer), true) = (&mut writer, input.is_live()) {
            // As tcpdump counts; otherwise a silent wire would have no intervals.
            writer.begin(Timestamp::from_nanos(clock::wall())).map_err(failed)?;
        }
        Ok(Writing {
            writer,
            name,
            all,
            ends_after,
            packet_buffered: self.packet_buffered,
            last: Timestamp::default(),
            counted: Timestamp::default(),
            interface,
            interfaces,
            copied,
        })
    }

    /// The name of the file, if one is wanted.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Ends the command if options contradict each other.
    pub(crate) fn check(&self) {
        if self.postrotate_command.is_some()
            && self.file_size.is_none()
            && self.rotate_seconds.is_none()
        {
            input::wrong(
                "--postrotate-command (-z) runs for each file that is followed by another one: it needs -C or -G",
            );
        }
    }

    /// `true` if times have all nine decimals.
    pub(crate) fn nanoseconds(&self) -> bool {
        self.nano || self.time_stamp_precision == Precision::Nano
    }

    /// The conditions for the next file and for the end, as `-C`, `-G` and `-W` mean in tcpdump.
    fn rotation(&self) -> Rotation {
        let rotation = Rotation::new();
        let count = self.file_count.unwrap_or(0);
        let size = self.file_size.unwrap_or(0).saturating_mul(1_000_000);
        let interval = Duration::from_secs(self.rotate_seconds.unwrap_or(0));
        match (self.file_size, self.rotate_seconds) {
            (None, None) => rotation,
            (Some(_), None) => rotation.size(size).files(count),
            (None, Some(_)) => rotation.interval(interval).intervals(count),
            // With both the count has no effect but on names.
            (Some(_), Some(_)) => {
                let highest = count.saturating_sub(1);
                let digits = if highest > 0 { highest.to_string().len() } else { 0 };
                rotation.size(size).interval(interval).digits(digits)
            }
        }
    }

    /// The link-layer header that `-y` names.
    pub(crate) fn asked(&self) -> Option<LinkType> {
        self.link_type
    }

    /// The link-layer header of what is captured, as tcpdump names it.
    pub(crate) fn link_type(
        &self,
        input: &Input,
        source: &impl Described,
    ) -> Result<String, Error> {
        let own = source.link_type().filter(|_| !self.cooks(input, source).unwrap_or(false));
        Ok(link_types::description(own.unwrap_or(LinkType::LINUX_SLL2)))
    }

    /// `true` if packets are to be written as Linux cooked ones.
    fn cooks(&self, input: &Input, source: &impl Described) -> Result<bool, Error> {
        let own = source.link_type();
        let Some(asked) = self.link_type else { return Ok(input.is_live() && own.is_none()) };
        match own {
            _ if asked == LinkType::LINUX_SLL2 => Ok(true),
            Some(own) if asked == own => Ok(false),
            own => Err(Error::LinkType {
                name: input.name(),
                asked: link_types::name(asked),
                own: own.map(link_types::name),
            }),
        }
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
            described
                .map_err(|source| Error::Save { name: self.name.clone(), source: source.into() })?;
            packets.push(0);
        }
        Ok(())
    }

    /// Writes a packet; `false` if the last interval was over before it.
    pub(crate) fn write(&mut self, packet: &Packet<'_>) -> Result<bool, Error> {
        if let Some(interfaces) = &mut self.interfaces {
            let described = interfaces.describe(packet, &mut self.writer);
            described.map_err(|source| self.failed(source))?;
        }
        let written = match &mut self.writer {
            Kind::One(writer) => writer.write(packet),
            Kind::Rotating(writer) => writer.write(packet),
        };
        match written {
            Err(capture_file::Error::Unwritable(Unwritable::Complete)) => return Ok(false),
            written => written.map_err(|source| self.failed(source))?,
        }
        self.last = packet.timestamp();
        let interface = packet.meta().interface as usize;
        let copied = self.copied.as_mut();
        if let Some(count) = copied.and_then(|copied| copied.packets.get_mut(interface)) {
            *count += 1;
        }
        Ok(true)
    }

    /// The time until [`batch_ended`](Self::batch_ended) has something to do though no packet
    /// comes, if it has.
    pub(crate) fn due(&self) -> Option<Duration> {
        let (flush, end) = match &self.writer {
            Kind::One(writer) => (writer.flush_due(), None),
            Kind::Rotating(writer) => (writer.flush_due(), writer.interval_end()),
        };
        let end = self.ends_after.zip(end).map(|(held_back, end)| {
            end.saturating_duration_since(Timestamp::from_nanos(clock::wall())) + held_back
        });
        flush.into_iter().chain(end).min()
    }

    fn flush_due(&self) -> bool {
        let left = match &self.writer {
            Kind::One(writer) => writer.flush_due(),
            Kind::Rotating(writer) => writer.flush_due(),
        };
        left.is_some_and(|left| left.is_zero())
    }

    /// `true` once the last interval is over.
    pub(crate) fn is_complete(&self) -> bool {
        matches!(&self.writer, Kind::Rotating(writer) if writer.is_complete())
    }

    /// Hands over what is due, or everything.
    pub(crate) fn batch_ended(&mut self, flush: bool) -> Result<(), Error> {
        if let (Kind::Rotating(writer), Some(held_back)) = (&mut self.writer, self.ends_after) {
            let certain = clock::wall().saturating_sub(held_back.as_nanos() as u64);
            let advanced = writer.advance(Timestamp::from_nanos(certain));
            advanced.map_err(|source| self.failed(source))?;
        }
        if !flush && !self.flush_due() && !self.packet_buffered {
            return Ok(());
        }
        let flushed = match &mut self.writer {
            Kind::One(writer) => writer.flush(),
            Kind::Rotating(writer) => writer.flush(),
        };
        flushed.map_err(|source| self.failed(source))
    }

    /// Returns `true` if it is time for the totals, for the files that end before the capture does.
    pub(crate) fn wants_statistics(&self) -> bool {
        let old = self.last.saturating_duration_since(self.counted) >= TOTALS;
        old && matches!(self.writer, Kind::Rotating(_))
    }

    /// Takes the totals so far: of the interfaces that a file describes, what that says.
    pub(crate) fn set_statistics(&mut self, statistics: &Statistics, found: &[FileInterface]) {
        self.counted = self.last;
        let Some(Copied { packets, .. }) = &self.copied else {
            let several = self.interfaces.as_ref().and_then(|interfaces| interfaces.first);
            let interface = several.unwrap_or(self.interface);
            self.writer.set_statistics(interface, statistics, self.last);
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
        if let Some(Interfaces { first: None, .. }) = &self.interfaces {
            // A file without an interface is one that libpcap does not read.
            let described = self.writer.describe(self.interface, self.all.clone());
            described
                .map_err(|source| Error::Save { name: name.clone(), source: source.into() })?;
        }
        self.set_statistics(statistics, found);
        let finished = match self.writer {
            Kind::One(writer) => writer.finish(),
            // The last file is not rotated: as in tcpdump, no command is run for it.
            Kind::Rotating(writer) => writer.on_finish(|_| ()).finish(),
        };
        finished.map(|_| ()).map_err(|source| Error::Save { name, source: source.into() })
    }

    fn failed(&self, source: capture_file::Error) -> Error {
        Error::Save { name: self.name.clone(), source: source.into() }
    }
}

impl Interfaces {
    /// Describes the packet's interface, unless that was done.
    fn describe(
        &mut self,
        packet: &Packet<'_>,
        writer: &mut Kind,
    ) -> Result<(), capture_file::Error> {
        let key @ (index, link_type) = (packet.meta().interface, packet.link_type());
        if self.last == Some(key) {
            return Ok(());
        }
        if !self.described.contains(&key) {
            // One that is gone has no name any more.
            let name = ring_sys::interface::name(index).ok();
            let mut description = describe(link_type, name, &self.expression);
            if self.first.is_none() {
                self.first = Some(index);
                description =
                    description.comment("statistics are those of all interfaces together");
            }
            writer.describe(index, description)?;
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
    ) -> Result<(), capture_file::Error> {
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
