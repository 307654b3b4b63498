//! Configuration of a flow table.

use std::time::Duration;

use crate::overlap::Policies;
use crate::{DefragmentOptions, FlowExtractor, FlowTable, Network, OverlapPolicy, ParseOptions};

/// Configures a [`FlowTable`]. The defaults suit a laptop.
#[derive(Clone, Debug)]
#[must_use]
pub struct FlowTableBuilder<E> {
    extractor: E,
    config: Config,
}

#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) max_flows: usize,
    pub(crate) overlap: Policies,
    pub(crate) grace_packets: u32,
    pub(crate) grace_time: u64,
    pub(crate) pickup_packets: u32,
    pub(crate) pickup_time: u64,
    pub(crate) answer_ends_pickup: bool,
    pub(crate) direction_bytes: usize,
    pub(crate) direction_segments: usize,
    pub(crate) table_bytes: usize,
    pub(crate) memory_bytes: usize,
    pub(crate) header_fields: bool,
    pub(crate) quarantine_bytes: usize,
    pub(crate) quarantine_table_bytes: usize,
    pub(crate) hole_timeout: u64,
    pub(crate) idle_expiry: bool,
    pub(crate) timeouts: Timeouts,
    pub(crate) active_timeout: Option<u64>,
    pub(crate) expiry_budget: usize,
    pub(crate) verify_checksums: VerifyChecksums,
    /// The limits for a direction and for the table.
    pub(crate) remembered_bytes: Option<(usize, usize)>,
    pub(crate) fragments: DefragmentOptions,
    pub(crate) parse: ParseOptions,
}

/// The time that a flow may be idle, by class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// TCP: a SYN without an answer. [default: 30 seconds]
    pub half_open: Duration,
    /// TCP: open connections. [default: one hour]
    pub established: Duration,
    /// TCP: both sides sent a FIN, but something before one of them is missing. Applies even if
    /// idle flows do not expire. [default: one minute]
    pub closing: Duration,
    /// TCP: after a reset, or until the last FIN is acknowledged. Data that arrives in this time
    /// still belongs to the flow. Applies even if idle flows do not expire. [default: two seconds]
    pub linger: Duration,
    /// TCP: the time after a flow's end in which its late packets are recognised. RFC 9293, section
    /// 3.6.1, requires twice the maximum lifetime of a segment. Applies even if idle flows do not
    /// expire. [default: one minute]
    pub time_wait: Duration,
    /// UDP. [default: one minute]
    pub udp: Duration,
    /// Everything else. [default: one minute]
    pub other: Duration,
}

/// The packets that are dropped if their checksum is wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VerifyChecksums {
    /// None.
    #[default]
    Never,
    /// Those of senders whose checksums are known to be real, because their first four in a row
    /// were right. For captures that may contain packets whose checksums an adapter had yet to fill
    /// in.
    Auto,
    /// All.
    Always,
}

impl From<bool> for VerifyChecksums {
    fn from(on: bool) -> Self {
        if on { Self::Always } else { Self::Never }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            half_open: Duration::from_secs(30),
            established: Duration::from_secs(3600),
            closing: Duration::from_secs(60),
            linger: Duration::from_secs(2),
            time_wait: Duration::from_secs(60),
            udp: Duration::from_secs(60),
            other: Duration::from_secs(60),
        }
    }
}

impl<E: FlowExtractor> FlowTableBuilder<E> {
    pub(crate) fn new(extractor: E) -> Self {
        let config = Config {
            max_flows: 1 << 20,
            overlap: Policies::default(),
            grace_packets: 64,
            grace_time: nanos(Duration::from_secs(2)),
            pickup_packets: 16,
            pickup_time: nanos(Duration::from_millis(100)),
            answer_ends_pickup: false,
            direction_bytes: 8 << 20,
            direction_segments: 64 << 10,
            table_bytes: 256 << 20,
            memory_bytes: usize::MAX,
            header_fields: true,
            quarantine_bytes: 2 << 20,
            quarantine_table_bytes: 16 << 20,
            hole_timeout: nanos(Duration::from_secs(120)),
            idle_expiry: true,
            timeouts: Timeouts::default(),
            active_timeout: None,
            expiry_budget: 1024,
            verify_checksums: VerifyChecksums::Never,
            remembered_bytes: None,
            fragments: DefragmentOptions::default(),
            parse: ParseOptions::default(),
        };
        Self { extractor, config }
    }

    /// Builds the table.
    #[must_use]
    pub fn build(self) -> FlowTable<E> {
        FlowTable::new(self.extractor, self.config)
    }

    /// Sets the maximum number of flows, at least 1 [default: 2²⁰].
    ///
    /// If another flow begins in a full table, the table examines a few flows and evicts the best
    /// candidate: a flow that has ended, else a half-open one, else the one that has been idle
    /// longest.
    pub const fn max_flows(mut self, flows: usize) -> Self {
        // Slots are numbered with 32 bits, and the highest number stands for "none".
        let most = u32::MAX as usize - 1;
        self.config.max_flows = if flows == 0 {
            1
        } else if flows > most {
            most
        } else {
            flows
        };
        self
    }

    /// Sets the time that flows may be idle.
    pub const fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.config.timeouts = timeouts;
        self
    }

    /// Sets whether idle flows expire [default: yes]. Turn it off for capture files, in which a
    /// pause costs nothing.
    pub const fn idle_expiry(mut self, on: bool) -> Self {
        self.config.idle_expiry = on;
        self
    }

    /// Sets the interval at which an interim record of each active flow is reported [default:
    /// none].
    pub fn active_timeout(mut self, interval: Option<Duration>) -> Self {
        self.config.active_timeout = interval.map(|interval| nanos(interval).max(1));
        self
    }

    /// Sets the maximum number of timers that one call of [`advance`](FlowTable::advance)
    /// processes, at least 1 [default: 1,024]. Each timer may end a flow. The default takes less
    /// than a millisecond, without the time spent in the handler.
    ///
    /// Further timers stay due, and [`next_deadline`](FlowTable::next_deadline) accounts for them.
    /// A flow whose timeout has passed ends before it gets another packet. A packet processes at
    /// most 32 timers.
    pub const fn expiry_budget(mut self, timers: usize) -> Self {
        self.config.expiry_budget = if timers == 0 { 1 } else { timers };
        self
    }

    /// Sets how receiving hosts treat overlapping TCP segments and IPv4 fragments [default:
    /// [`OverlapPolicy::First`]]. Replaces the overlap policy of an earlier call of
    /// [`fragments`](Self::fragments).
    pub const fn overlap_policy(mut self, policy: OverlapPolicy) -> Self {
        self.config.overlap.default = policy;
        self.config.fragments.overlap = policy.fragments();
        self
    }

    /// Sets the overlap policy for receivers in a network. The longest matching prefix wins.
    /// Applies only if the key has a [receiver](FlowExtractor::receiver).
    pub fn overlap_policy_for(mut self, network: Network, policy: OverlapPolicy) -> Self {
        self.config.overlap.set(network, policy);
        self
    }

    /// Sets the time in which a hole that the receiver has acknowledged may still be filled,
    /// because captures reorder packets [default: 64 packets and two seconds]. The hole becomes a
    /// gap after this number of packets of the flow or after this time, whichever comes first. 0
    /// packets turn the grace period off.
    pub fn grace(mut self, packets: u32, time: Duration) -> Self {
        self.config.grace_packets = packets;
        self.config.grace_time = nanos(time);
        self
    }

    /// Sets the time for which the first bytes of a stream without a SYN are held back, because
    /// earlier ones may still arrive [default: 16 packets and 100 milliseconds]. The hold ends
    /// after this number of packets of the flow or after this time, whichever comes first. 0
    /// packets turn it off.
    ///
    /// The bytes are not held back if an acknowledgement, or an earlier segment without payload,
    /// shows that nothing precedes them.
    pub fn pickup_grace(mut self, packets: u32, time: Duration) -> Self {
        self.config.pickup_packets = packets;
        self.config.pickup_time = nanos(time);
        self
    }

    /// Ends the [hold](Self::pickup_grace) of a stream without a SYN when the other side answers,
    /// that is, sends payload that acknowledges held bytes [default: off].
    ///
    /// For handlers that depend on the order of events between the two sides, as with
    /// [`on_ack_ahead`](crate::FlowHandler::on_ack_ahead). Without it, an answer is delivered
    /// before the request that is still held. Bytes from before the first one that arrive after the
    /// answer are late.
    pub const fn answer_ends_pickup(mut self, yes: bool) -> Self {
        self.config.answer_ends_pickup = yes;
        self
    }

    /// Sets the memory in bytes, and the number of segments, that may be pending behind holes in
    /// one direction [default: 8 MiB and 65,536]. A segment counts 128 bytes besides its own, and
    /// the first of a direction 600 more. Beyond the limit the oldest hole becomes a gap.
    pub const fn direction_limit(mut self, bytes: usize, segments: usize) -> Self {
        self.config.direction_bytes = bytes;
        self.config.direction_segments = segments;
        self
    }

    /// Sets the memory in bytes that may be pending behind holes in the whole table, counted in the
    /// same way [default: 256 MiB]. Beyond the limit the oldest holes become gaps.
    pub const fn table_limit(mut self, bytes: usize) -> Self {
        self.config.table_bytes = bytes;
        self
    }

    /// Sets the memory in bytes for flows and for what is pending [default: no limit]. What the
    /// caller keeps counts as well, if it [reports](FlowTable::note_memory) it. Memory is released
    /// in this order:
    ///
    /// 1. Delivered bytes that are [remembered](Self::remember_delivered).
    /// 2. Bytes that are pending: the oldest holes become gaps. Together with flows, these two get
    ///    four fifths of the limit, and pending bytes a sixteenth in any case.
    /// 3. Flows, as if [`max_flows`](Self::max_flows) were reached: one that has ended, else a
    ///    half-open one, else the one that has been idle longest.
    ///
    /// [`TableStatistics::evicted_for_memory`](crate::TableStatistics::evicted_for_memory) counts
    /// the flows.
    pub const fn memory_limit(mut self, bytes: usize) -> Self {
        self.config.memory_bytes = bytes;
        self
    }

    /// Sets if flows keep the header fields that their records tell of [default: `true`]: TCP
    /// flags, traffic class, hop limit, link-layer address, and type and code of ICMP. They take 24
    /// bytes a flow. Without them these fields of a record are `None`.
    pub const fn header_fields(mut self, keep: bool) -> Self {
        self.config.header_fields = keep;
        self
    }

    /// Sets the memory in bytes for segments that do not fit their stream and await evidence, for
    /// one direction and for the whole table [default: 2 MiB and 16 MiB]. The overhead of a segment
    /// counts as well, up to 600 bytes. Beyond the limit the oldest segment is reported with
    /// [`UnplacedCause::Limit`](crate::UnplacedCause::Limit).
    pub const fn quarantine_limit(mut self, direction: usize, table: usize) -> Self {
        self.config.quarantine_bytes = direction;
        self.config.quarantine_table_bytes = table;
        self
    }

    /// Sets the time for which bytes are pending behind a hole that is not acknowledged [default:
    /// two minutes]. It starts again when bytes arrive in front of the hole.
    pub fn hole_timeout(mut self, time: Duration) -> Self {
        self.config.hole_timeout = nanos(time);
        self
    }

    /// Sets the options of the parser: the tunnels to decapsulate and how they are recognised.
    pub const fn parse_options(mut self, options: ParseOptions) -> Self {
        self.config.parse = options;
        self
    }

    /// Sets the options for joining fragments of IP datagrams: limits, and the overlap policy.
    pub const fn fragments(mut self, options: DefragmentOptions) -> Self {
        self.config.fragments = options;
        self
    }

    /// Sets the number of delivered bytes to keep, for one direction and for the whole table
    /// [default: none]. Repeated bytes are compared with them. Bytes that differ are passed to
    /// [`on_conflict`](crate::FlowHandler::on_conflict) instead of
    /// [`on_repeat`](crate::FlowHandler::on_repeat). This is the only way to detect that the bytes
    /// that arrived first were forged. Beyond the total, the direction that has been remembered
    /// longest is dropped.
    pub const fn remember_delivered(mut self, direction_bytes: usize, table_bytes: usize) -> Self {
        self.config.remembered_bytes = Some((direction_bytes, table_bytes));
        self
    }

    /// Sets the packets that are dropped if the checksum of TCP, UDP or the IPv4 header is wrong,
    /// as the receiver does; `true` means all [default: none].
    ///
    /// On the sending host, captures see packets before the adapter has filled in their checksums.
    /// Packets that were truncated or are marked as unfinished are never dropped.
    pub fn verify_checksums(mut self, packets: impl Into<VerifyChecksums>) -> Self {
        self.config.verify_checksums = packets.into();
        self
    }
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
