//! Captures in several files.

mod name;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::name::Names;
use crate::system::wall_clock;
use crate::write::Output;
use crate::{
    Annotation, CaptureWriter, CaptureWriterBuilder, Error, InterfaceDescription, Packet,
    PacketSink, SinkStatistics, Statistics, Timestamp, Unwritable,
};

type Finished = Box<dyn FnMut(&Path) + Send>;

/// Settings for a capture in several files: when to start a new file, and how to name it.
///
/// Names follow tcpdump:
///
/// - By size alone: `name`, `name1`, `name2` … With a maximum [number of files](Self::files), the
///   count starts at 0, has leading zeros and wraps around: `name0` to `name9`, then `name0` again.
/// - By time, with strftime(3) conversions in the name: they are replaced by the local time at
///   which the file starts. If the name is taken, a count is appended. Existing files are never
///   overwritten. Only on Linux: elsewhere such a name is refused with [`Unwritable::LocalTime`].
/// - By time, without a conversion in the name: as by size. (tcpdump overwrites its only file.)
///
/// The clock is that of the packets, so reading a file splits it as the live capture would have. A
/// live capture can [begin](RotatingWriter::begin) the first interval before the first packet, and
/// [end](RotatingWriter::advance) intervals while no packets arrive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    size: Option<u64>,
    interval: Option<Duration>,
    files: Option<u32>,
    intervals: Option<u32>,
    pub(crate) digits: usize,
}

/// Writes a capture into a sequence of files, each complete in itself. Made by
/// [`CaptureWriterBuilder::rotate`].
///
/// Each packet is in exactly one file. If the next file cannot be created, the packet that was to
/// go there is refused with the error, and the next call tries again. If the oldest file cannot be
/// removed, the first packet of the new file is refused in the same way; the oldest file stays, and
/// the next call continues in the new file.
pub struct RotatingWriter {
    builder: CaptureWriterBuilder,
    rotation: Rotation,
    names: Names,
    writer: CaptureWriter,
    /// The current file. `None` before the first packet if its name contains a time.
    path: Option<PathBuf>,
    /// Start of the current interval, set by the first packet at the latest.
    start: Option<Timestamp>,
    /// Packets in the current file.
    packets: u64,
    /// The number of intervals that ended.
    past: u32,
    /// `true` once the last interval ended and its file is complete.
    complete: bool,
    on_finish: Option<Finished>,
}

impl Rotation {
    /// Creates settings without rotation: one file.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a new file once the current one has at least this number of bytes. A file exceeds it
    /// by at most one packet and the trailing blocks of the format. 0 disables rotation by size.
    #[must_use]
    pub fn size(mut self, bytes: u64) -> Self {
        self.size = (bytes > 0).then_some(bytes);
        self
    }

    /// Starts a new file at each interval, counted from the first packet. Zero disables rotation by
    /// time.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = (!interval.is_zero()).then_some(interval);
        self
    }

    /// Completes the capture after this number of intervals; later packets are refused with
    /// [`Unwritable::Complete`]. Corresponds to `tcpdump -G seconds -W count`. 0 means no limit.
    #[must_use]
    pub fn intervals(mut self, count: u32) -> Self {
        self.intervals = (count > 0).then_some(count);
        self
    }

    /// Sets the minimum number of digits of the count in a name, from the first file on. With 0 the
    /// first file has no count.
    #[must_use]
    pub fn digits(mut self, digits: usize) -> Self {
        self.digits = digits;
        self
    }

    /// Sets the maximum number of files of this capture. Names without a time are reused; with a
    /// time, the oldest file is removed. 0 means no limit.
    #[must_use]
    pub fn files(mut self, count: u32) -> Self {
        self.files = (count > 0).then_some(count);
        self
    }
}

impl RotatingWriter {
    pub(crate) fn new(
        builder: CaptureWriterBuilder,
        name: &Path,
        rotation: Rotation,
    ) -> Result<Self, Error> {
        let names = Names::new(name, &rotation);
        let writer = CaptureWriter::start(&builder, Output::nowhere_yet())?;
        let mut rotating = Self {
            builder,
            rotation,
            names,
            writer,
            path: None,
            start: None,
            packets: 0,
            past: 0,
            complete: false,
            on_finish: None,
        };
        if !rotating.names.are_timed() {
            rotating.open_first(Timestamp::default())?;
        }
        Ok(rotating)
    }

    /// Sets a function to call with the path of each complete file, as tcpdump's option `-z` runs a
    /// command.
    #[must_use]
    pub fn on_finish(mut self, finished: impl FnMut(&Path) + Send + 'static) -> Self {
        self.on_finish = Some(Box::new(finished));
        self
    }

    /// The current file. `None` before the first packet if its name contains a time.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// As [`CaptureWriter::add_interface`], for this file and all later ones.
    ///
    /// # Errors
    /// As [`CaptureWriter::add_interface`].
    pub fn add_interface(
        &mut self,
        source: u32,
        description: InterfaceDescription,
    ) -> Result<(), Error> {
        self.writer.add_interface(source, description)
    }

    /// Writes a packet, in a new file if rotation is due.
    ///
    /// # Errors
    /// As [`CaptureWriter::write`]; [`Error::Open`] if the next file cannot be created.
    pub fn write(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        self.write_annotated(packet, &Annotation::new())
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
        let time = packet.timestamp();
        self.begin(time)?;
        self.advance(time)?;
        if self.complete {
            return Err(Unwritable::Complete.into());
        }
        if self.is_full() {
            self.rotate(self.start.unwrap_or(time))?;
        }
        self.writer.write_annotated(packet, annotation)?;
        self.packets += 1;
        Ok(())
    }

    /// Begins the first interval at this time. Without this call it begins with the first packet;
    /// once it has begun, the call has no effect.
    ///
    /// # Errors
    /// As [`CaptureWriterBuilder::create`].
    pub fn begin(&mut self, at: Timestamp) -> Result<(), Error> {
        if self.path.is_none() && !self.complete {
            self.open_first(at)?;
        }
        self.start.get_or_insert(at);
        Ok(())
    }

    /// The end of the current interval. `None` without intervals and before the first one begins.
    #[must_use]
    pub fn interval_end(&self) -> Option<Timestamp> {
        let interval = u64::try_from(self.rotation.interval?.as_nanos()).ok()?;
        Some(Timestamp::from_nanos(self.start?.as_nanos().saturating_add(interval)))
    }

    /// Starts the next file if the interval is over at `now`, as a packet would. Meant for times
    /// without packets; it may leave a file empty.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn advance(&mut self, now: Timestamp) -> Result<(), Error> {
        let next =
            self.start.filter(|_| !self.complete).and_then(|start| self.interval_of(start, now));
        let Some(next) = next else { return Ok(()) };
        if self.rotation.intervals.is_some_and(|limit| self.past + 1 >= limit) {
            self.writer.end()?;
            self.complete = true;
            let last = self.path.take();
            self.finished(last);
            return Ok(());
        }
        self.rotate(next)?;
        self.past += 1;
        Ok(())
    }

    /// `true` once the last of the [intervals](Rotation::intervals) is over. Nothing more is
    /// written then.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// As [`CaptureWriter::set_statistics`]. Each file gets the latest totals.
    pub fn set_statistics(&mut self, source: u32, totals: &Statistics, at: Timestamp) {
        self.writer.set_statistics(source, totals, at);
    }

    /// As [`CaptureWriter::write_statistics`].
    ///
    /// # Errors
    /// As [`CaptureWriter::write_statistics`].
    pub fn write_statistics(&mut self) -> Result<(), Error> {
        self.writer.write_statistics()
    }

    /// As [`CaptureWriter::flush`].
    ///
    /// # Errors
    /// As [`CaptureWriter::flush`].
    pub fn flush(&mut self) -> Result<(), Error> {
        self.writer.flush()
    }

    /// As [`CaptureWriter::flush_due`].
    #[must_use]
    pub fn flush_due(&self) -> Option<Duration> {
        self.writer.flush_due()
    }

    /// As [`CaptureWriter::sync`].
    ///
    /// # Errors
    /// As [`CaptureWriter::sync`].
    pub fn sync(&mut self) -> Result<(), Error> {
        self.writer.sync()
    }

    /// Ends the last file. A capture without packets still creates one file, with the current time.
    ///
    /// # Errors
    /// As [`CaptureWriter::finish`], and [`Error::Open`] for a file that did not exist yet.
    pub fn finish(mut self) -> Result<SinkStatistics, Error> {
        if self.complete {
            return Ok(self.writer.statistics());
        }
        if self.path.is_none() {
            self.open_first(Timestamp::from_nanos(wall_clock()))?;
        }
        self.writer.end()?;
        let last = self.path.take();
        self.finished(last);
        Ok(self.writer.statistics())
    }

    /// The start of the interval that contains `time`, if it is later than the one that starts at
    /// `start`.
    fn interval_of(&self, start: Timestamp, time: Timestamp) -> Option<Timestamp> {
        let interval = u64::try_from(self.rotation.interval?.as_nanos()).ok()?;
        let past = time.as_nanos().checked_sub(start.as_nanos())?;
        (past >= interval).then(|| Timestamp::from_nanos(time.as_nanos() - past % interval))
    }

    fn is_full(&self) -> bool {
        // At least one packet per file, even if the headers alone exceed the limit.
        self.packets > 0 && self.rotation.size.is_some_and(|size| self.writer.position() >= size)
    }

    fn open_first(&mut self, at: Timestamp) -> Result<(), Error> {
        let (path, file) = self.names.open(at, self.builder.read_from())?;
        self.writer.output().direct_to(file, self.builder.buffer_size());
        self.path = Some(path);
        Ok(())
    }

    /// Ends the file before the next one is created, since both may have the same name. If creating
    /// it fails, each later call tries it again, so nothing more is written to the old file.
    fn rotate(&mut self, at: Timestamp) -> Result<(), Error> {
        self.writer.end()?;
        let (path, file) = self.names.open(at, self.builder.read_from())?;
        self.writer.go_on(Output::to_file(file, self.builder.buffer_size()))?;
        self.packets = 0;
        self.start = Some(at);
        let complete = self.path.replace(path);
        self.finished(complete);
        let Some(oldest) = self.names.superfluous() else { return Ok(()) };
        match fs::remove_file(oldest) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::System { operation: "remove the oldest capture file", source: error })
            }
            _ => Ok(()),
        }
    }

    fn finished(&mut self, file: Option<PathBuf>) {
        if let (Some(call), Some(file)) = (&mut self.on_finish, file) {
            call(&file);
        }
    }
}

impl PacketSink for RotatingWriter {
    type Error = Error;

    fn send(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        self.write(packet)
    }

    fn flush(&mut self) -> Result<(), Error> {
        Self::flush(self)
    }

    fn statistics(&self) -> SinkStatistics {
        self.writer.statistics()
    }
}

impl fmt::Debug for RotatingWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RotatingWriter")
            .field("path", &self.path)
            .field("rotation", &self.rotation)
            .field("writer", &self.writer)
            .finish_non_exhaustive()
    }
}
