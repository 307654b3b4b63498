//! Messages on standard error besides the output: that the command has begun, what is wrong, and
//! the totals at its end.

mod links;

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use conversation::{Handle, Statistics};
use ring_core::{Side, xdp};

pub(crate) use self::links::Links;
use crate::Error;
use crate::input::Input;
use crate::interrupt;
use crate::names::{bytes, count};
use crate::text::escape::{Escaped, EscapedLines};
use crate::text::wrap::{self, Width};

/// Time between two looks at what may have happened to the interfaces: drops, their MTU, whether
/// they are up.
pub(crate) const LOOK: Duration = Duration::from_secs(1);

/// The longest time that the end of a command waits for final counters.
const SETTLE: Duration = Duration::from_secs(2);

/// The time in which a thread that is not blocked answers SIGUSR1.
const ANSWER: Duration = Duration::from_millis(200);

/// Says something on standard error, in lines of its own. If nobody reads standard error, that is
/// no reason to stop.
pub(crate) fn say(what: fmt::Arguments<'_>) {
    let width = match io::stderr().is_terminal() {
        true => Width::of_terminal(ring_sys::terminal::columns(io::stderr().as_fd())),
        false => Width::default(),
    };
    let (text, mut rows) = (format!("ringtap: {what}"), Vec::new());
    for line in text.lines() {
        let _ = wrap::line(&mut rows, width, ["", "    "], line);
        rows.push(b'\n');
    }
    let _ = io::stderr().lock().write_all(&rows);
}

/// Reports why the command ends early. An error that names a file with a line break in its name is
/// still one line.
pub(crate) fn error(error: &Error) {
    let text = error.to_string();
    match error {
        Error::Expression { .. } => say(format_args!("{}", EscapedLines(&text))),
        _ => say(format_args!("{}", Escaped(&text))),
    }
}

/// Says that packets are captured from now on, for scripts that wait for it, and which interfaces
/// are down: these are to be looked at from now on. Of a file there is nothing to say.
pub(crate) fn listening(input: &Input) -> Links {
    begun(input, format_args!("{}: listening; Ctrl-C ends", Escaped(&input.name())))
}

/// The same in the words of tcpdump, with the link-layer header and the number of bytes with which
/// packets are captured.
pub(crate) fn listening_with(input: &Input, link_type: &str, snapshot_length: u32) -> Links {
    let name = input.name();
    begun(
        input,
        format_args!(
            "listening on {}, link-type {link_type}, snapshot length {snapshot_length} bytes",
            Escaped(&name)
        ),
    )
}

fn begun(input: &Input, what: fmt::Arguments<'_>) -> Links {
    let links = Links::of(input);
    if input.is_live() {
        links.say_down();
        say(what);
    }
    links
}

/// Warns that the kernel drops packets, and says what helps.
pub(crate) fn dropped(drops: u64, input: &Input) {
    let dropped = packets(drops);
    match input.ring_size() {
        Some(ring) => say(format_args!(
            "warning: the kernel dropped {dropped}, since the ring of {} KiB was full; -B {} makes it larger",
            ring >> 10,
            ring >> 8
        )),
        None => say(format_args!(
            "warning: {dropped} dropped before ringtap could take them; an expression leaves out what is not needed"
        )),
    }
}

/// Says which interfaces have a larger MTU than before.
pub(crate) fn raised_mtus(reports: Option<&xdp::MtuReports>) {
    while let Some(xdp::RaisedMtu { interface, before, now, fits, reopened, .. }) =
        reports.and_then(xdp::MtuReports::take)
    {
        let what = match (fits, reopened) {
            (true, false) => "packets of that length are captured",
            (true, true) => "opened again to capture packets of that length",
            (false, _) => "longer packets than before are dropped and counted",
        };
        let interface = Escaped(&interface);
        say(format_args!("the MTU of {interface} was raised from {before} to {now}: {what}"));
    }
}

/// Watches the engines' sources in a thread of its own: warns once when they drop packets, and says
/// what changes of the interfaces.
pub(crate) fn watch_source(
    handle: Handle,
    input: &Input,
    mut links: Links,
    mtus: Option<xdp::MtuReports>,
) {
    if !input.is_live() {
        return;
    }
    let input = input.clone();
    let watch = move || {
        let mut warned = false;
        while !handle.is_finished() {
            let drops = handle.statistics().source.drops;
            if drops > 0 && !warned {
                dropped(drops, &input);
                warned = true;
            }
            raised_mtus(mtus.as_ref());
            links.look();
            thread::sleep(LOOK);
        }
    };
    // Without the thread the totals at the end still say it.
    let _ = thread::Builder::new().name("drops".to_owned()).spawn(watch);
}

/// A number of packets.
pub(crate) fn packets(number: u64) -> String {
    count(number, "packet", "packets")
}

/// Prints what became of the packets, a line each; of a file there is nothing to say but how many
/// were read.
pub(crate) fn print_packets(captured: u64, source: Option<&ring_core::Statistics>) {
    for count in packet_counts(captured, source) {
        line(format_args!("{count}"));
    }
}

/// Prints the same in one line, as tcpdump does on SIGUSR1.
pub(crate) fn print_counts(captured: u64, source: Option<&ring_core::Statistics>) {
    say(format_args!("{}", packet_counts(captured, source).join(", ")));
}

/// Prints the counts of engines at every SIGUSR1.
pub(crate) fn print_counts_of(handle: Handle, live: bool) {
    interrupt::counts(move || {
        let mut statistics = handle.statistics();
        // Engines ask the kernel for its counters twice a second.
        for _ in 0..6 {
            if !live || statistics.source.packets >= statistics.packets {
                break;
            }
            thread::sleep(Duration::from_millis(100));
            statistics = handle.statistics();
        }
        print_counts(statistics.packets, live.then_some(&statistics.source));
    });
}

/// The counts of a command that takes packets and writes them in one thread, for SIGUSR1 while that
/// thread waits for the reader of its output.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    captured: AtomicU64,
    /// The kernel's totals when it was last asked, and the time of that.
    source: Mutex<Option<(ring_core::Statistics, Instant)>>,
}

impl Counts {
    /// Counts that are not printed, for a command to which SIGUSR1 means something else.
    pub(crate) fn silent() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Counts, printed at each SIGUSR1 that the thread itself does not answer in time.
    pub(crate) fn new() -> Arc<Self> {
        let counts = Arc::new(Self::default());
        let shared = counts.clone();
        interrupt::counts(move || {
            let shared = shared.clone();
            // In a thread of its own: the signals that follow are not to wait.
            let _ = thread::Builder::new().name("counts".to_owned()).spawn(move || {
                thread::sleep(ANSWER);
                if interrupt::takes_counts() {
                    shared.print();
                }
            });
        });
        counts
    }

    /// `captured` packets have been captured.
    pub(crate) fn set_captured(&self, captured: u64) {
        self.captured.store(captured, Ordering::Relaxed);
    }

    /// The kernel's totals at this moment.
    pub(crate) fn set_source(&self, statistics: ring_core::Statistics) {
        let now = Instant::now();
        *self.source.lock().unwrap_or_else(PoisonError::into_inner) = Some((statistics, now));
    }

    fn print(&self) {
        let source = *self.source.lock().unwrap_or_else(PoisonError::into_inner);
        let captured = self.captured.load(Ordering::Relaxed);
        let counts = packet_counts(captured, source.as_ref().map(|(statistics, _)| statistics));
        let mut text = counts.join(", ");
        if let Some((_, at)) = source {
            // Asking the kernel is up to the thread that waits.
            let _ = write!(text, " (as of {:.1} s ago)", at.elapsed().as_secs_f64());
        }
        say(format_args!("{text}; the output is blocked by its reader"));
    }
}

fn packet_counts(captured: u64, source: Option<&ring_core::Statistics>) -> Vec<String> {
    let mut counts = vec![format!("{} captured", packets(captured))];
    if let Some(source) = source {
        counts.push(format!("{} received by filter", packets(source.packets)));
        counts.push(format!("{} dropped by kernel", packets(source.drops)));
    }
    counts
}

/// Waits until the counters are final, for a moment: where the reader of the output has closed it,
/// the engines go on until they notice. Until then, the kernel's counters are older than theirs.
pub(crate) async fn settle(handle: &Handle) {
    handle.shutdown();
    // After a signal, a summary with counters that are not final is better than none: engines that
    // end a million flows, on a busy machine, take longer than the process may.
    let limit = interrupt::time_to_summary().map_or(SETTLE, |left| left.min(SETTLE));
    let _ = tokio::time::timeout(limit, handle.finished()).await;
}

/// Prints the totals of a command that follows packets.
pub(crate) fn print(statistics: &Statistics, live: bool) {
    print_packets(statistics.packets, live.then_some(&statistics.source));
    line(format_args!("{}", count(statistics.conversations, "conversation", "conversations")));
    let (captured, missing) = (bytes(statistics.bytes), statistics.gap_bytes);
    line(format_args!("{captured} of streams, {missing} missing"));
    if statistics.dropped_bytes > 0 {
        let dropped = bytes(statistics.dropped_bytes);
        line(format_args!("{dropped} dropped because the output is too slow"));
    }
    for (number, one, several, why) in [
        (statistics.overruns, "conversation", "conversations", "given up"),
        (statistics.missed_events, "event of flows", "events of flows", "not shown"),
    ] {
        if number > 0 {
            let what = count(number, one, several);
            line(format_args!("{what} {why} because the output is too slow"));
        }
    }
    if statistics.refused > 0 {
        let refused = count(statistics.refused, "flow", "flows");
        line(format_args!("{refused} not shown because the output is too slow"));
    }
}

/// Prints what became of the packets that were to be passed on.
pub(crate) fn print_forwarded(counters: Option<&xdp::TapCounters>) {
    let Some(counters) = counters else { return };
    let [left, right] = [Side::Left, Side::Right].map(|side| counters.forwarded(side));
    line(format_args!("{} passed on", packets(left.forwarded + right.forwarded)));
    for (lost, why) in [
        (left.full + right.full, "the other interface has no room for them"),
        (left.refused + right.refused, "they are too long for the other interface"),
    ] {
        if lost > 0 {
            line(format_args!("{} not passed on because {why}", packets(lost)));
        }
    }
}

/// Prints a line of the totals.
pub(crate) fn line(what: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{what}");
}
