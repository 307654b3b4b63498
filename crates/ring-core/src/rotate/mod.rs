//! A capture in several files.

mod name;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ring_sys::clock;

use self::name::Names;
use crate::write::Output;
use crate::{
    Annotation, CaptureWriter, CaptureWriterBuilder, Error, InterfaceDescription, Packet,
    PacketSink, SinkStatistics, Statistics, Timestamp, Unwritable,
};

type Finished = Box<dyn FnMut(&Path) + Send>;

/// When a capture goes on in another file, and what the files are called.
///
/// Names are made as tcpdump makes them:
/// - By size alone: `name`, `name1`, `name2` … With a [number of files](Self::files) the count starts at 0, has leading
///   zeros, and starts again: `name0` to `name9`, then `name0` anew.
/// - By time, with conversions of strftime(3) in the name: the local time at which the file starts is filled in. Where
///   that name was given already a count follows it. Files that are there are never overwritten.
/// - By time without a conversion in the name: as by size. (tcpdump overwrites its only file.)
///
/// The clock is that of the packets, so that a file that is read is split as the live capture would have been. Who captures
/// from a wire can have the first interval [begin](RotatingWriter::begin) before the first packet, and intervals
/// [end](RotatingWriter::advance) though no packet comes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    size: Option<u64>,
    interval: Option<Duration>,
    files: Option<u32>,
    intervals: Option<u32>,
    pub(crate) digits: usize,
}

/// Writes a capture into several files, one after another, each complete in itself. Made by
/// [`CaptureWriterBuilder::rotate`].
///
/// A packet is in exactly one file. When the next file cannot be made, the packet that was to go there is refused with
/// the error, and the next call tries again. So is the first packet of a file for which the oldest cannot be removed: that
/// one stays, and the next call goes on in the new file.
pub struct RotatingWriter {
    builder: CaptureWriterBuilder,
    rotation: Rotation,
    names: Names,
    writer: CaptureWriter,
    /// The file that is being written; none before the first packet if its name has a time.
    path: Option<PathBuf>,
    /// Start of the file's interval, from the first packet on.
    start: Option<Timestamp>,
    /// Packets in the file.
    packets: u64,
    /// Intervals that are over.
    past: u32,
    /// The last interval is over, and its file is complete.
    complete: bool,
    on_finish: Option<Finished>,
}

impl Rotation {
    /// No rotation: one file.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Another file when this one has at least so many bytes: it exceeds them by at most one packet and what ends a
    /// file. 0 for never.
    #[must_use]
    pub fn size(mut self, bytes: u64) -> Self {
        self.size = (bytes > 0).then_some(bytes);
        self
    }

    /// Another file every so often, counted from the first packet. Zero for never.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = (!interval.is_zero()).then_some(interval);
        self
    }

    /// The capture is complete after so many intervals: a later packet is refused with [`Unwritable::Complete`]. So `tcpdump
    /// -G seconds -W count` ends. 0 for never.
    #[must_use]
    pub fn intervals(mut self, count: u32) -> Self {
        self.intervals = (count > 0).then_some(count);
        self
    }

    /// The least number of digits that the count in a name has, from the first file on; 0 for a first file without one.
    #[must_use]
    pub fn digits(mut self, digits: usize) -> Self {
        self.digits = digits;
        self
    }

    /// At most so many files of this capture: names without a time are used again, of others the oldest file is
    /// removed. 0 for any number.
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

    /// Calls this with each file that is complete, as tcpdump runs the command of its option `-z`.
    #[must_use]
    pub fn on_finish(mut self, finished: impl FnMut(&Path) + Send + 'static) -> Self {
        self.on_finish = Some(Box::new(finished));
        self
    }

    /// The file that is being written; `None` before the first packet if its name has a time.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// As [`CaptureWriter::add_interface`], for this file and all after it.
    ///
    /// # Errors
    /// As there.
    pub fn add_interface(
        &mut self,
        source: u32,
        description: InterfaceDescription,
    ) -> Result<(), Error> {
        self.writer.add_interface(source, description)
    }

    /// Writes a packet, in another file if it is time for that.
    ///
    /// # Errors
    /// As [`CaptureWriter::write`]; [`Error::Open`] when the next file cannot be made.
    pub fn write(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        self.write_annotated(packet, &Annotation::new())
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

    /// Begins the first interval at this time, unless it has begun: otherwise it begins with the first packet.
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

    /// When the present interval ends; `None` without intervals, and before the first has begun.
    #[must_use]
    pub fn interval_end(&self) -> Option<Timestamp> {
        let interval = u64::try_from(self.rotation.interval?.as_nanos()).ok()?;
        Some(Timestamp::from_nanos(self.start?.as_nanos().saturating_add(interval)))
    }

    /// Goes on in the next file if the interval is over at this time. A packet does the same; this is for a wire that
    /// is silent, and may leave a file without packets.
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

    /// `true` once the last of the [intervals](Rotation::intervals) is over: nothing more is written.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// As [`CaptureWriter::set_statistics`]; each file gets the totals that were set last.
    pub fn set_statistics(&mut self, source: u32, totals: &Statistics, at: Timestamp) {
        self.writer.set_statistics(source, totals, at);
    }

    /// As [`CaptureWriter::write_statistics`].
    ///
    /// # Errors
    /// As there.
    pub fn write_statistics(&mut self) -> Result<(), Error> {
        self.writer.write_statistics()
    }

    /// As [`CaptureWriter::flush`].
    ///
    /// # Errors
    /// As there.
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
    /// As there.
    pub fn sync(&mut self) -> Result<(), Error> {
        self.writer.sync()
    }

    /// Ends the last file. A capture without packets leaves one file as well, of the present time.
    ///
    /// # Errors
    /// As [`CaptureWriter::finish`], and [`Error::Open`] for a file that was not made before.
    pub fn finish(mut self) -> Result<SinkStatistics, Error> {
        if self.complete {
            return Ok(self.writer.statistics());
        }
        if self.path.is_none() {
            self.open_first(Timestamp::from_nanos(clock::wall()))?;
        }
        self.writer.end()?;
        let last = self.path.take();
        self.finished(last);
        Ok(self.writer.statistics())
    }

    /// The start of the interval that a time belongs to, if it is a later one than that which starts at `start`.
    fn interval_of(&self, start: Timestamp, time: Timestamp) -> Option<Timestamp> {
        let interval = u64::try_from(self.rotation.interval?.as_nanos()).ok()?;
        let past = time.as_nanos().checked_sub(start.as_nanos())?;
        (past >= interval).then(|| Timestamp::from_nanos(time.as_nanos() - past % interval))
    }

    fn is_full(&self) -> bool {
        // A file whose headers alone are too large holds one packet all the same.
        self.packets > 0 && self.rotation.size.is_some_and(|size| self.writer.position() >= size)
    }

    fn open_first(&mut self, at: Timestamp) -> Result<(), Error> {
        let (path, file) = self.names.open(at, self.builder.read_from())?;
        self.writer.output().direct_to(file, self.builder.buffer_size());
        self.path = Some(path);
        Ok(())
    }

    /// Ends the file before the next is made: the two may have the same name. If then the next cannot be made, nothing
    /// more is written to this one, since each call comes here again.
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
