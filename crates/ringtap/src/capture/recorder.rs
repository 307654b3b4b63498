//! `--keep-last`: a flight recorder. The latest packets are kept in memory, and written once there
//! is a reason: a signal, or a conversation that meets `--trigger`.

mod ring;
mod trigger;

use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use conversation::select::Condition;
use nix::unistd::{AccessFlags, access};
use ring_core::{Packet, Timestamp};

use self::ring::Ring;
use self::trigger::{Met, Trigger};
use super::described::Described;
use super::earlier;
use super::parties::Parties;
use super::writing::{self, Writing};
use crate::Error;
use crate::choice;
use crate::input::{self, Input};
use crate::limits::{self, Size};
use crate::names::count;
use crate::report;
use crate::summary::totals::Recorded;
use crate::text::clock::Clock;

/// The options of the flight recorder.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Arguments {
    /// Keep packets in memory instead of writing them: those of the last 30s, 5m or 1h, or the last
    /// 512M or 2G (powers of 1024). They are written when SIGUSR1 comes or a conversation meets
    /// --trigger, each time to another file: the name of -w with date and time of the reason. A
    /// packet is written once.
    #[arg(long, value_name = "TIME|SIZE", requires = "write", conflicts_with_all = ["file_size", "rotate_seconds", "file_count", "postrotate_command", "per_conversation", "condition"])]
    keep_last: Option<Span>,
    /// With --keep-last TIME: the memory for the packets. If it is full, the oldest are dropped.
    #[arg(long, value_name = "SIZE", default_value = "1G", requires = "keep_last")]
    keep_memory: Size,
    /// With --keep-last: write the packets when a conversation meets this condition, which is
    /// written like that of --where.
    #[arg(long, value_name = "CONDITION", requires = "keep_last", value_parser = choice::parse)]
    trigger: Option<Condition>,
    /// With --trigger: write the packets that come in this time after the condition was met as
    /// well.
    #[arg(long, value_name = "TIME", default_value = "10s", requires = "trigger", value_parser = limits::time)]
    keep_after: Duration,
}

/// The packets that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Span {
    Time(Duration),
    Size(usize),
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // 5m are minutes, 5M are MiB.
        let time = limits::time(text).ok().filter(|time| !time.is_zero());
        let size = || {
            let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
            let is_size = unit.starts_with(['K', 'M', 'G']);
            is_size.then(|| text.parse::<Size>().ok().map(|Size(bytes)| bytes)).flatten()
        };
        time.map(Self::Time).or_else(|| size().map(Self::Size)).ok_or_else(|| {
            "it is a time with s, m or h, such as 30s, or a size with K, M or G of 1M or more, such as 2G".to_owned()
        })
    }
}

impl Arguments {
    /// `true` if conversations are watched.
    pub(crate) const fn is_triggered(&self) -> bool {
        self.trigger.is_some()
    }

    /// `true` if packets are kept in memory.
    pub(crate) const fn is_given(&self) -> bool {
        self.keep_last.is_some()
    }
}

/// Keeps the latest packets.
pub(crate) struct Recorder {
    ring: Ring,
    span: Span,
    /// The memory for packets in bytes.
    limit: usize,
    after: Duration,
    trigger: Option<Trigger>,
    /// The name of each file, but for its time.
    path: PathBuf,
    clock: Clock,
    /// The windows that are not begun, in the order of time.
    windows: VecDeque<Window>,
    open: Option<Open>,
    /// The time of the latest packet.
    newest: Timestamp,
    totals: Recorded,
    /// The shortest time that packets were kept for because memory was full.
    shortened: Option<Duration>,
}

/// Packets that are to be written, and the reason.
struct Window {
    from: Timestamp,
    until: Timestamp,
    at: Timestamp,
    reason: Reason,
}

#[derive(Clone, Copy)]
enum Reason {
    Signal,
    Met(Parties),
}

/// A file that is being written.
struct Open {
    writing: Writing,
    window: Window,
}

impl Recorder {
    /// `None` if packets are written as they come.
    pub(crate) fn new(
        arguments: &Arguments,
        writing: &writing::Arguments,
        input: &Input,
    ) -> Result<Option<Box<Self>>, Error> {
        let (Some(span), Some(path)) = (arguments.keep_last, writing.path()) else {
            return Ok(None);
        };
        if path.as_os_str() == "-" {
            input::wrong("--keep-last writes several files: -w needs a name for them, not -");
        }
        // An error now is better than one when the packets are needed.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        access(folder, AccessFlags::W_OK | AccessFlags::X_OK)
            .map_err(|error| Error::Write { path: folder.to_owned(), source: error.into() })?;
        let limit = match span {
            Span::Size(bytes) => bytes,
            Span::Time(_) => arguments.keep_memory.0,
        };
        Ok(Some(Box::new(Self {
            ring: Ring::new(limit),
            span,
            limit,
            after: arguments.keep_after,
            trigger: arguments.trigger.clone().map(Trigger::new),
            path: path.to_owned(),
            clock: input.clock(),
            windows: VecDeque::new(),
            open: None,
            newest: Timestamp::default(),
            totals: Recorded::default(),
            shortened: None,
        })))
    }

    /// Looks for conversations that meet the condition.
    pub(crate) fn watch(&mut self, packets: &[Packet<'_>]) {
        let met = self.trigger.as_mut().map(|trigger| trigger.take(packets));
        self.met(met.unwrap_or_default());
    }

    /// Time has passed without packets.
    pub(crate) fn advance(&mut self, now: Timestamp) {
        let met = self.trigger.as_mut().map(|trigger| trigger.advance(now));
        self.met(met.unwrap_or_default());
    }

    /// Takes the total of packets that the source has lost.
    pub(crate) fn note_drops(&mut self, drops: u64, now: Timestamp) {
        if let Some(trigger) = &mut self.trigger {
            trigger.note_drops(drops, now);
        }
    }

    fn met(&mut self, all: Vec<Met>) {
        for Met { at, conversation } in all {
            self.totals.triggers += 1;
            let until = at + self.after;
            self.want(Window {
                from: self.begin(at),
                until,
                at,
                reason: Reason::Met(conversation),
            });
        }
    }

    /// A signal came. `now` is the time of a live capture.
    pub(crate) fn ask(&mut self, now: Option<Timestamp>) {
        let at = now.unwrap_or(self.newest);
        self.want(Window { from: self.begin(at), until: at, at, reason: Reason::Signal });
    }

    /// The time of the first packet that is wanted at this one.
    fn begin(&self, at: Timestamp) -> Timestamp {
        match self.span {
            Span::Time(span) => earlier(at, span),
            Span::Size(_) => Timestamp::default(),
        }
    }

    /// Windows that overlap are one.
    fn want(&mut self, window: Window) {
        let open = self.open.as_mut().map(|open| &mut open.window);
        match self.windows.back_mut().or(open) {
            Some(last) if window.from <= last.until => last.until = last.until.max(window.until),
            _ => self.windows.push_back(window),
        }
    }

    /// Keeps a packet.
    pub(crate) fn keep(&mut self, packet: &Packet<'_>) {
        self.newest = self.newest.max(packet.timestamp());
        self.ring.push(packet);
    }

    /// Writes what is wanted, and frees what is not kept any longer. `now` is a time from which on
    /// no packet of before will come.
    pub(crate) fn batch_ended<S: Described>(
        &mut self,
        (writing, input): (&writing::Arguments, &Input),
        source: &mut S,
        (now, flush): (Timestamp, bool),
    ) -> Result<(), Error> {
        let now = now.max(self.newest);
        while self.open.is_some() || !self.windows.is_empty() {
            if !self.write((writing, input), source, now)? {
                break;
            }
        }
        if let Some(Open { writing, .. }) = &mut self.open {
            writing.batch_ended(flush)?;
        }
        self.free();
        Ok(())
    }

    /// Writes to the file that is open, or to the next one. Returns `true` if that is complete.
    fn write<S: Described>(
        &mut self,
        (arguments, input): (&writing::Arguments, &Input),
        source: &mut S,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => {
                let Some(window) = self.windows.pop_front() else { return Ok(false) };
                let path = self.name(window.at);
                let comment = Some(self.comment(&window));
                let writing = arguments.open_file(&path, comment, input, source)?;
                report::say(format_args!("writing to {}", path.display()));
                self.totals.files += 1;
                Open { writing, window }
            }
        };
        open.writing.describe(source.interfaces())?;
        let (from, until) = (open.window.from, open.window.until);
        let (mut written, mut older) = (0, 0);
        let passed = self.ring.pass(|packet| {
            if packet.timestamp() > until {
                return Ok(false);
            }
            if packet.timestamp() < from {
                older += 1;
                return Ok(true);
            }
            written += 1;
            open.writing.write(packet)
        });
        self.totals.written += written;
        self.totals.unwritten += older;
        if passed? || now > until {
            let statistics = source
                .statistics()
                .map_err(|source| Error::Source { name: input.name(), source: source.into() })?;
            open.writing.finish(&statistics, source.interfaces())?;
            return Ok(true);
        }
        // What is in the file survives the end of the process, whatever ends it.
        open.writing.batch_ended(written > 0 && !source.never_waits())?;
        self.open = Some(open);
        Ok(false)
    }

    fn free(&mut self) {
        if let Span::Time(span) = self.span {
            let bound = earlier(self.newest, span);
            while self.ring.oldest().is_some_and(|oldest| oldest < bound) {
                self.totals.unwritten += self.ring.free();
            }
        }
        while self.ring.memory() > self.limit {
            if let (Span::Time(_), Some(oldest)) = (self.span, self.ring.oldest()) {
                let kept = self.newest.saturating_duration_since(oldest);
                self.shortened = Some(self.shortened.map_or(kept, |least| least.min(kept)));
            }
            self.totals.unwritten += self.ring.free();
        }
    }

    /// The time until a file has to be flushed or completed though no packet comes.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.open.as_ref()?.writing.due()
    }

    /// The capture has ended.
    pub(crate) fn finish<S: Described>(
        &mut self,
        arguments: (&writing::Arguments, &Input),
        source: &mut S,
    ) -> Result<(), Error> {
        let met = self.trigger.as_mut().map(Trigger::finish);
        self.met(met.unwrap_or_default());
        self.batch_ended(arguments, source, (Timestamp::from_nanos(u64::MAX), true))?;
        self.totals.unwritten += self.ring.held();
        Ok(())
    }

    /// The name of a file: that of `-w` with date and time before its extension, without colons,
    /// which some file systems and programs give a meaning.
    fn name(&self, at: Timestamp) -> PathBuf {
        let moment = self.clock.at(at);
        let day = moment.day_of_calendar().replace('-', "");
        let time = moment.precise(9).replace(':', "");
        let mut name = self.path.file_stem().unwrap_or_default().to_owned();
        name.push(format!("-{day}T{time}"));
        if let Some(extension) = self.path.extension() {
            name.push(".");
            name.push(extension);
        }
        self.path.with_file_name(name)
    }

    fn comment(&self, window: &Window) -> String {
        let at = self.clock.at(window.at).word();
        match (window.reason, &self.trigger) {
            (Reason::Met(parties), Some(trigger)) => {
                let condition = trigger.condition().expression();
                format!("at {at}, {parties} met --trigger {condition}")
            }
            _ => format!("at {at}, SIGUSR1 asked for what --keep-last had kept"),
        }
    }

    /// Prints what was written, and what was not.
    pub(crate) fn print(&self) {
        let Recorded { triggers, files, written, unwritten } = self.totals;
        if self.trigger.is_some() {
            let met = count(triggers, "conversation", "conversations");
            report::line(format_args!("{met} met --trigger"));
        }
        let (packets, files) = (report::packets(written), count(files, "file", "files"));
        report::line(format_args!("{packets} written to {files}"));
        if unwritten > 0 {
            let packets = report::packets(unwritten);
            report::line(format_args!("{packets} not written: nothing asked for them in time"));
        }
        if let Some(kept) = self.shortened {
            let kept = kept.as_secs_f64();
            report::line(format_args!(
                "packets were kept for {kept:.3} s only at times: no memory was left (--keep-memory)"
            ));
        }
        let given_up = self.trigger.as_ref().map_or(0, Trigger::given_up);
        if given_up > 0 {
            let conversations = count(given_up, "conversation", "conversations");
            report::line(format_args!(
                "{conversations} not watched to the end by --trigger: no memory was left"
            ));
        }
    }

    /// The counters for a program to read.
    pub(crate) const fn totals(&self) -> Recorded {
        self.totals
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("totals", &self.totals).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_time_or_a_size() {
        let seconds = |seconds| Ok(Span::Time(Duration::from_secs(seconds)));
        assert_eq!("5m".parse(), seconds(300));
        assert_eq!("90s".parse(), seconds(90));
        assert_eq!("2h".parse(), seconds(7200));
        assert_eq!("5M".parse(), Ok(Span::Size(5 << 20)));
        assert_eq!("2G".parse(), Ok(Span::Size(2 << 30)));
        assert_eq!("2GiB".parse(), Ok(Span::Size(2 << 30)));
        for wrong in ["5", "0", "0s", "-5s", "1K", "5g", "m", "M", "", "99999999999999999h"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }
}
