//! Lines on standard error, at the end of a command that follows packets, about what it did not
//! show, or only in part.

pub(crate) mod totals;

use std::io::{self, Write};

use conversation::Statistics;
use flow::{Cause, NotFollowed, protocol};
use ring_core::DedupStatistics;

use crate::limits::Limits;
use crate::names::{bytes, count};
use crate::report::packets;

/// Causes that are named one by one; the rest are counted together.
const NAMED: usize = 8;

/// The things that the command shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// TCP conversations.
    Conversations,
    /// Messages in TCP and UDP.
    Messages,
    /// Flows of every protocol.
    Flows,
}

/// Prints a line for everything that was not shown, or that is wrong with what was. Where there is
/// nothing of the kind, nothing is printed.
pub(crate) fn print(statistics: &Statistics, shown: Shown, limits: &Limits, live: bool) {
    // If nobody reads standard error, that is no reason to stop.
    let _ = write(&mut io::stderr().lock(), statistics, shown, limits, live);
}

/// Prints a line for everything that the source lost or could not use.
pub(crate) fn print_lost(source: &ring_core::Statistics, live: bool) {
    let _ = lost(&mut io::stderr().lock(), source, live);
}

/// Prints a line for the packets that `--dedup` omitted, and one for those that it may have missed.
pub(crate) fn print_duplicates(found: &DedupStatistics) {
    let mut w = io::stderr().lock();
    let _ = writeln!(w, "{} omitted as duplicates", packets(found.duplicates));
    if found.forgotten > 0 {
        let forgotten = packets(found.forgotten);
        let _ = writeln!(
            w,
            "{forgotten} not compared within the whole time of --dedup: no memory was left"
        );
    }
}

fn write(
    w: &mut dyn Write,
    statistics: &Statistics,
    shown: Shown,
    limits: &Limits,
    live: bool,
) -> io::Result<()> {
    lost(w, &statistics.source, live)?;
    let table = &statistics.table;
    if !table.not_followed.is_empty() {
        let total = packets(table.not_followed.total());
        writeln!(w, "{total} not followed: {}", causes(&table.not_followed))?;
    }
    if shown == Shown::Conversations && !table.not_streams.is_empty() {
        let (total, flows) = (packets(table.not_streams.total()), statistics.datagram_flows);
        let only_udp = table.not_streams.iter().all(|(cause, _)| cause == UDP);
        let kind = if only_udp { "UDP " } else { "" };
        let (one, several) = (format!("{kind}flow"), format!("{kind}flows"));
        let flows = count(flows, &one, &several);
        let which =
            if only_udp { String::new() } else { format!(": {}", causes(&table.not_streams)) };
        writeln!(
            w,
            "{total} in {flows} not shown, since follow shows TCP (see ringtap flows){which}"
        )?;
    }
    if shown == Shown::Messages {
        let mut others = NotFollowed::default();
        for (cause, packets) in table.not_streams.iter().filter(|(cause, _)| *cause != UDP) {
            others.add(cause, packets);
        }
        if !others.is_empty() {
            let total = table.not_streams.total() - table.not_streams.packets(UDP);
            let (total, which) = (packets(total), causes(&others));
            writeln!(w, "{total} not parsed, since messages reads TCP and UDP: {which}")?;
        }
    }
    if statistics.unselected > 0 {
        let kind = if shown == Shown::Conversations {
            ["conversation", "conversations"]
        } else {
            ["flow", "flows"]
        };
        let total = count(statistics.unselected, kind[0], kind[1]);
        writeln!(w, "{total} not shown, since --where rejects them")?;
    }
    for (number, what) in [
        (statistics.undecided_accepted, "shown although --where was undecided"),
        (statistics.undecided_dropped, "dropped although --where was undecided"),
    ] {
        if number > 0 {
            let total = count(number, "conversation", "conversations");
            writeln!(w, "{total} {what}: no memory was left (--undecided-memory)")?;
        }
    }
    if table.discarded.total() > 0 {
        let causes: Vec<_> =
            table.discarded.iter().map(|(defect, packets)| format!("{packets} {defect}")).collect();
        let total = packets(table.discarded.total());
        writeln!(w, "{total} discarded, as their receivers do: {}", causes.join(", "))?;
    }
    if table.orphan_resets > 0 {
        let resets = count(table.orphan_resets, "reset", "resets");
        writeln!(w, "{resets} of connections of which nothing else was captured, not shown")?;
    }
    if table.after_end_bytes > 0 {
        let late = bytes(table.after_end_bytes);
        writeln!(w, "{late} not shown, since they came when their connection had ended")?;
    }
    // `follow` shows them.
    if statistics.late_bytes > 0 && shown != Shown::Conversations {
        writeln!(w, "{} came late, when their place was a gap", bytes(statistics.late_bytes))?;
    }
    if statistics.unplaced_bytes > 0 {
        writeln!(w, "{} seen but not placed in a stream", bytes(statistics.unplaced_bytes))?;
    }
    if statistics.conflicts > 0 {
        let conflicts = count(statistics.conflicts, "conflict", "conflicts");
        writeln!(
            w,
            "{conflicts}: two packets brought different bytes for the same place of a stream"
        )?;
    }
    if table.not_compared > 0 {
        let repetitions = count(table.not_compared, "repetition", "repetitions");
        writeln!(
            w,
            "{repetitions} of bytes too far back, or before a gap, not compared with them"
        )?;
    }
    if table.fragment_conflicts > 0 {
        let fragments = count(table.fragment_conflicts, "IP fragment", "IP fragments");
        writeln!(w, "{fragments} with other bytes than an earlier one for the same place")?;
    }
    // Live, processors stamp packets before they queue for the ring.
    if table.time_steps_back > 0 && !live {
        writeln!(
            w,
            "{} with an earlier time than a packet before, taken as simultaneous with it",
            packets(table.time_steps_back)
        )?;
    }
    acted(w, statistics, limits)
}

/// Prints a line for everything that the source lost or could not use. What a live source dropped
/// is among its counts.
fn lost(w: &mut dyn Write, source: &ring_core::Statistics, live: bool) -> io::Result<()> {
    if source.drops > 0 && !live {
        writeln!(w, "{} dropped when the file was captured, as it says", packets(source.drops))?;
    }
    if source.packets == 0 && source.unmatched > 0 {
        let all = packets(source.unmatched);
        writeln!(w, "0 of {all} matched the expression")?;
    }
    for (number, what) in [
        (source.truncated, "captured only in part"),
        (source.untestable, "left out: the expression cannot be tested on their link type"),
        (source.discarded, "left out, since the expression was not in place yet"),
    ] {
        if number > 0 {
            writeln!(w, "{} {what}", packets(number))?;
        }
    }
    if source.undecided_fragments > 0 {
        let fragments = count(source.undecided_fragments, "IP fragment", "IP fragments");
        writeln!(
            w,
            "{fragments} left out: the first fragment of the datagram, which has the ports, was not captured"
        )?;
    }
    // Of a file, the error says which record it is.
    if source.malformed > 0 && live {
        let broken = count(source.malformed, "block or record", "blocks or records");
        writeln!(w, "{broken} damaged: what it says of its length cannot be true")?;
    }
    Ok(())
}

/// Prints a line for every limit that has cost something.
fn acted(w: &mut dyn Write, statistics: &Statistics, limits: &Limits) -> io::Result<()> {
    let Limits { max_flows, memory } = limits;
    let for_memory = statistics.table.evicted_for_memory;
    let for_others = statistics.table.ended_evicted.saturating_sub(for_memory);
    if for_others > 0 {
        let evicted = count(for_others, "flow", "flows");
        writeln!(w, "{evicted} given up to make room for others (--max-flows {max_flows})")?;
    }
    if for_memory > 0 {
        let evicted = count(for_memory, "flow", "flows");
        writeln!(
            w,
            "{evicted} given up since all of them take too much memory (--memory {memory})"
        )?;
    }
    if statistics.table.datagrams_evicted > 0 {
        let evicted = count(statistics.table.datagrams_evicted, "datagram", "datagrams");
        writeln!(w, "{evicted} given up before all fragments came, to make room for others")?;
    }
    let given_up = statistics.gaps.limit;
    if given_up.count > 0 {
        let (gaps, missing) = (count(given_up.count, "gap", "gaps"), bytes(given_up.bytes));
        writeln!(
            w,
            "{missing} in {gaps} not waited for, since too much waited behind them (--memory {memory}, \
             and 8M for each direction)"
        )?;
    }
    Ok(())
}

const UDP: Cause = Cause::Protocol(protocol::UDP);

/// The causes with their packets, the most frequent first: `3 ARP, 1 IP protocol 50 (ESP)`.
fn causes(counts: &NotFollowed) -> String {
    let mut named: Vec<_> =
        counts.iter().take(NAMED).map(|(cause, packets)| format!("{packets} {cause}")).collect();
    let others =
        counts.other() + counts.iter().skip(NAMED).map(|(_, packets)| packets).sum::<u64>();
    if others > 0 {
        named.push(format!("{others} others"));
    }
    named.join(", ")
}

#[cfg(test)]
mod tests {
    use flow::{LinkType, Unparsed};

    use super::*;

    fn written(statistics: &Statistics, shown: Shown) -> String {
        let mut text = Vec::new();
        let limits = Limits { max_flows: 1000, memory: "2M".parse().unwrap() };
        write(&mut text, statistics, shown, &limits, false).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn where_all_is_shown_nothing_is_said() {
        let mut statistics = Statistics::default();
        (statistics.packets, statistics.bytes) = (1000, 50_000);
        assert_eq!(written(&statistics, Shown::Conversations), "");
        assert_eq!(written(&statistics, Shown::Flows), "");
    }

    #[test]
    fn packets_that_are_not_followed_are_named_by_cause() {
        let mut statistics = Statistics::default();
        let counts = &mut statistics.table.not_followed;
        counts.add(Cause::Unparsed(Unparsed::EtherType(0x0806)), 3);
        counts.add(Cause::Unparsed(Unparsed::UnsupportedLinkType(LinkType(9999))), 1);
        let text = written(&statistics, Shown::Flows);
        assert_eq!(text, "4 packets not followed: 3 ARP, 1 link type 9999\n");
        for number in 0..20 {
            let cause = Cause::Unparsed(Unparsed::EtherType(0x9999 + number));
            statistics.table.not_followed.add(cause, 1);
        }
        let text = written(&statistics, Shown::Flows);
        assert!(text.starts_with("24 packets not followed: 3 ARP, 1 "), "{text}");
        assert!(text.ends_with(", 14 others\n"), "{text}");
    }

    #[test]
    fn flows_that_are_not_shown_are_counted_where_they_are_not() {
        let mut statistics = Statistics::default();
        statistics.table.not_streams.add(UDP, 1);
        statistics.datagram_flows = 1;
        let text = written(&statistics, Shown::Conversations);
        assert_eq!(
            text,
            "1 packet in 1 UDP flow not shown, since follow shows TCP (see ringtap flows)\n"
        );
        assert_eq!(written(&statistics, Shown::Flows), "");
        assert_eq!(written(&statistics, Shown::Messages), "");
        statistics.table.not_streams.add(Cause::Protocol(protocol::ICMP), 5);
        statistics.datagram_flows = 3;
        let text = written(&statistics, Shown::Conversations);
        assert!(text.starts_with("6 packets in 3 flows not shown"), "{text}");
        assert!(text.ends_with(": 5 ICMP, 1 UDP\n"), "{text}");
        let text = written(&statistics, Shown::Messages);
        assert_eq!(text, "5 packets not parsed, since messages reads TCP and UDP: 5 ICMP\n");
    }

    #[test]
    fn what_was_captured_and_is_not_shown_is_counted() {
        let mut statistics = Statistics::default();
        let table = &mut statistics.table;
        (table.after_end_bytes, table.orphan_resets, table.time_steps_back) = (700, 1, 2);
        (table.fragment_conflicts, table.not_compared) = (1, 2);
        statistics.late_bytes = 3;
        let text = written(&statistics, Shown::Flows);
        let lines: Vec<_> =
            text.lines().map(|line| line.split([',', ':']).next().unwrap()).collect();
        let expected = [
            "1 reset of connections of which nothing else was captured",
            "700 bytes not shown",
            "3 bytes came late",
            "2 repetitions of bytes too far back",
            "1 IP fragment with other bytes than an earlier one for the same place",
            "2 packets with an earlier time than a packet before",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn what_the_source_could_not_use_is_counted_by_cause() {
        let mut source = ring_core::Statistics::default();
        (source.truncated, source.untestable, source.undecided_fragments) = (1, 2, 3);
        (source.malformed, source.drops, source.discarded) = (1, 5, 1);
        let written = |live| {
            let mut text = Vec::new();
            lost(&mut text, &source, live).unwrap();
            String::from_utf8(text).unwrap()
        };
        let text = written(false);
        for line in [
            "5 packets dropped when the file was captured, as it says\n",
            "1 packet captured only in part\n",
            "2 packets left out: the expression cannot be tested on their link type\n",
            "3 IP fragments left out: the first fragment of the datagram",
            "1 packet left out, since the expression",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert_eq!(text.lines().count(), 5);
        let text = written(true);
        assert!(text.contains("1 block or record damaged") && !text.contains("dropped"), "{text}");
    }

    #[test]
    fn an_expression_that_no_packet_matched_is_reported() {
        let mut source = ring_core::Statistics::default();
        source.unmatched = 1234;
        let written = |source: &ring_core::Statistics| {
            let mut text = Vec::new();
            lost(&mut text, source, false).unwrap();
            String::from_utf8(text).unwrap()
        };
        assert_eq!(written(&source), "0 of 1234 packets matched the expression\n");
        source.packets = 1;
        assert_eq!(written(&source), "");
    }

    #[test]
    fn limits_that_acted_are_named_with_their_options() {
        let mut statistics = Statistics::default();
        (statistics.table.ended_evicted, statistics.table.evicted_for_memory) = (6, 5);
        (statistics.gaps.limit.count, statistics.gaps.limit.bytes) = (2, 700);
        let text = written(&statistics, Shown::Flows);
        assert!(text.starts_with("1 flow given up to make room for others (--max-flows 1000)\n"));
        assert!(
            text.contains(
                "\n5 flows given up since all of them take too much memory (--memory 2M)\n"
            )
        );
        assert!(text.contains("\n700 bytes in 2 gaps not waited for"), "{text}");
        assert!(text.contains("(--memory 2M"), "{text}");
    }
}
