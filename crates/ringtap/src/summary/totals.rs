//! The totals of a command for a program to read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use conversation::{GapTotals, Gaps, Statistics};
use flow::{NotFollowed, TableStatistics};
use nix::fcntl::OFlag;
use serde::Serialize;

use crate::Error;

/// The destination of totals.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct TotalsFile {
    /// Write the totals at the end to this file as well, as one JSON object: packets, bytes and
    /// gaps by what became of them. A file that exists has to be empty.
    #[arg(long, value_name = "FILE")]
    totals: Option<PathBuf>,
}

/// The file that the totals are written to, open since the beginning.
#[derive(Debug)]
pub(crate) struct Totals {
    path: PathBuf,
    file: File,
}

impl TotalsFile {
    /// Opens the file, if there is to be one.
    pub(crate) fn open(&self) -> Result<Option<Totals>, Error> {
        let Some(path) = self.totals.clone() else { return Ok(None) };
        // A FIFO that nobody reads is an error instead of a wait.
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let opened =
            File::options().create(true).append(true).custom_flags(flags.bits()).open(&path);
        let checked = opened.and_then(|file| {
            let metadata = file.metadata()?;
            if metadata.is_file() && metadata.len() > 0 {
                let what = "the file is not empty; name another one, or remove it";
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
            }
            Ok(file)
        });
        match checked {
            Ok(file) => Ok(Some(Totals { path, file })),
            Err(source) => Err(Error::Write { path, source }),
        }
    }
}

impl Totals {
    /// Writes the totals of a command that follows packets.
    pub(crate) fn write(self, statistics: &Statistics) -> Result<(), Error> {
        self.object(&Summary::new(statistics))
    }

    /// Writes those of a command that takes packets as they come.
    pub(crate) fn write_packets(
        self,
        packets: u64,
        source: &ring_core::Statistics,
        (selection, recorded): (Option<Selected>, Option<Recorded>),
        duplicates: Option<u64>,
    ) -> Result<(), Error> {
        let source = Source::new(source);
        self.object(&Packets { packets, source, duplicates, selection, recorded })
    }

    fn object(mut self, object: &impl Serialize) -> Result<(), Error> {
        let text = serde_json::to_string(object).map_err(io::Error::from);
        let written = text.and_then(|text| self.file.write_all(format!("{text}\n").as_bytes()));
        written.map_err(|source| Error::Write { path: self.path, source })
    }
}

/// Of `capture`.
#[derive(Debug, Serialize)]
struct Packets {
    packets: u64,
    source: Source,
    /// Packets that `--dedup` omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicates: Option<u64>,
    #[serde(flatten)]
    selection: Option<Selected>,
    #[serde(flatten)]
    recorded: Option<Recorded>,
}

/// Of `capture --keep-last`.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Recorded {
    /// Conversations that met the condition.
    pub(crate) triggers: u64,
    pub(crate) files: u64,
    /// Packets in these files.
    pub(crate) written: u64,
    /// Packets that were dropped from memory, or in it at the end.
    pub(crate) unwritten: u64,
}

/// Of `capture --where`: conversations by their verdicts, and packets.
#[derive(Debug, Serialize)]
pub(crate) struct Selected {
    pub(crate) selected: u64,
    pub(crate) unselected: u64,
    pub(crate) undecided_accepted: u64,
    pub(crate) undecided_dropped: u64,
    /// Written after later ones.
    pub(crate) disordered: u64,
    /// Missing from a conversation that they turned out to belong to.
    pub(crate) astray: u64,
    /// Packets beyond `--first-bytes`, and their captured bytes.
    pub(crate) cut_packets: u64,
    pub(crate) cut_bytes: u64,
}

/// Of `follow` and `flows`.
#[derive(Debug, Serialize)]
struct Summary {
    packets: u64,
    source: Source,
    conversations: u64,
    bytes: u64,
    missing_bytes: u64,
    /// By cause.
    gaps: BTreeMap<&'static str, Total>,
    late_bytes: u64,
    repeated_bytes: u64,
    unplaced_bytes: u64,
    conflicts: u64,
    /// Because the output is too slow.
    dropped_bytes: u64,
    unselected: u64,
    undecided_accepted: u64,
    undecided_dropped: u64,
    refused: u64,
    overruns: u64,
    /// Packets by cause.
    not_followed: BTreeMap<String, u64>,
    not_shown: BTreeMap<String, u64>,
    discarded: BTreeMap<String, u64>,
    table: Table,
}

/// The counters of the interface or file: packets.
#[derive(Debug, Serialize)]
struct Source {
    received: u64,
    dropped: u64,
    truncated: u64,
    untestable: u64,
    undecided_fragments: u64,
    unmatched: u64,
    discarded: u64,
    malformed: u64,
}

#[derive(Debug, Serialize)]
struct Total {
    count: u64,
    bytes: u64,
}

/// The other counters of the flow table: packets and flows, if the name does not differ.
#[derive(Debug, Serialize)]
struct Table {
    flows: u64,
    evicted_for_memory: u64,
    ended: BTreeMap<&'static str, u64>,
    after_end: u64,
    after_end_bytes: u64,
    orphan_resets: u64,
    doubtful_resets: u64,
    out_of_window: u64,
    after_fin: u64,
    refuted_fins: u64,
    rival_syns: u64,
    rival_syns_dropped: u64,
    scopes_joined: u64,
    scopes_parted: u64,
    time_steps_back: u64,
    fragments: u64,
    datagrams: u64,
    fragment_conflicts: u64,
    datagrams_evicted: u64,
    pending_bytes_peak: u64,
}

impl Source {
    fn new(source: &ring_core::Statistics) -> Self {
        Self {
            received: source.packets,
            dropped: source.drops,
            truncated: source.truncated,
            untestable: source.untestable,
            undecided_fragments: source.undecided_fragments,
            unmatched: source.unmatched,
            discarded: source.discarded,
            malformed: source.malformed,
        }
    }
}

impl Summary {
    fn new(statistics: &Statistics) -> Self {
        let Statistics { table, source, .. } = statistics;
        Self {
            packets: statistics.packets,
            source: Source::new(source),
            conversations: statistics.conversations,
            bytes: statistics.bytes,
            missing_bytes: statistics.gap_bytes,
            gaps: gaps(&statistics.gaps),
            late_bytes: statistics.late_bytes,
            repeated_bytes: table.repeated_bytes,
            unplaced_bytes: statistics.unplaced_bytes,
            conflicts: statistics.conflicts,
            dropped_bytes: statistics.dropped_bytes,
            unselected: statistics.unselected,
            undecided_accepted: statistics.undecided_accepted,
            undecided_dropped: statistics.undecided_dropped,
            refused: statistics.refused,
            overruns: statistics.overruns,
            not_followed: by_cause(&table.not_followed),
            not_shown: by_cause(&table.not_streams),
            discarded: table.discarded.iter().map(|(cause, n)| (cause.to_string(), n)).collect(),
            table: Table::new(table),
        }
    }
}

impl Table {
    fn new(table: &TableStatistics) -> Self {
        let ended = [
            ("fin", table.ended_fin),
            ("rst", table.ended_rst),
            ("idle", table.ended_idle),
            ("evicted", table.ended_evicted),
            ("capture-ended", table.ended_capture),
            ("replaced", table.ended_replaced),
        ];
        Self {
            flows: table.flows_started,
            evicted_for_memory: table.evicted_for_memory,
            ended: ended.into_iter().filter(|(_, flows)| *flows > 0).collect(),
            after_end: table.after_end,
            after_end_bytes: table.after_end_bytes,
            orphan_resets: table.orphan_resets,
            doubtful_resets: table.doubtful_resets,
            out_of_window: table.out_of_window,
            after_fin: table.after_fin,
            refuted_fins: table.refuted_fins,
            rival_syns: table.rivals,
            rival_syns_dropped: table.rivals_dropped,
            scopes_joined: table.scopes_joined,
            scopes_parted: table.scopes_parted,
            time_steps_back: table.time_steps_back,
            fragments: table.fragments,
            datagrams: table.datagrams,
            fragment_conflicts: table.fragment_conflicts,
            datagrams_evicted: table.datagrams_evicted,
            pending_bytes_peak: table.pending_bytes_peak,
        }
    }
}

/// The gaps by cause, named as in the events.
fn gaps(gaps: &Gaps) -> BTreeMap<&'static str, Total> {
    let named = [
        ("acknowledged", gaps.acknowledged),
        ("limit", gaps.limit),
        ("timeout", gaps.timeout),
        ("end", gaps.end),
        ("outage", gaps.outage),
        ("truncated", gaps.truncated),
        ("out-of-band", gaps.out_of_band),
        ("other", gaps.other),
    ];
    let there = named.into_iter().filter(|(_, GapTotals { count, .. })| *count > 0);
    there.map(|(cause, GapTotals { count, bytes, .. })| (cause, Total { count, bytes })).collect()
}

/// Every packet is under one name or under `others`.
fn by_cause(counts: &NotFollowed) -> BTreeMap<String, u64> {
    let mut named: BTreeMap<_, _> =
        counts.iter().map(|(cause, packets)| (cause.to_string(), packets)).collect();
    if counts.other() > 0 {
        named.insert("others".to_owned(), counts.other());
    }
    named
}

#[cfg(test)]
mod tests {
    use flow::{Cause, protocol};

    use super::*;

    #[test]
    fn totals_name_their_causes_and_keep_their_numbers() {
        let mut statistics = Statistics::default();
        (statistics.packets, statistics.table.after_end_bytes) = (9, 7);
        (statistics.source.untestable, statistics.source.undecided_fragments) = (2, 3);
        (statistics.gaps.limit.count, statistics.gaps.limit.bytes) = (1, 50);
        statistics.table.not_streams.add(Cause::Protocol(protocol::ICMP), 4);
        let json = serde_json::to_value(Summary::new(&statistics)).unwrap();
        assert_eq!(json["packets"], 9);
        assert_eq!(json["table"]["after_end_bytes"], 7);
        assert_eq!(json["source"]["untestable"], 2);
        assert_eq!(json["source"]["undecided_fragments"], 3);
        assert_eq!(json["gaps"], serde_json::json!({"limit": {"count": 1, "bytes": 50}}));
        assert_eq!(json["not_shown"], serde_json::json!({"ICMP": 4}));
    }
}
