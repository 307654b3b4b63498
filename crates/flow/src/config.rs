//! How a table is set up.

use std::time::Duration;

use crate::overlap::Policies;
use crate::{DefragmentOptions, FlowExtractor, FlowTable, Network, OverlapPolicy, ParseOptions};

/// Sets up a [`FlowTable`]; every setting has a default that suits a laptop.
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
    pub(crate) quarantine_bytes: usize,
    pub(crate) quarantine_table_bytes: usize,
    pub(crate) hole_timeout: u64,
    pub(crate) idle_expiry: bool,
    pub(crate) timeouts: Timeouts,
    pub(crate) active_timeout: Option<u64>,
    pub(crate) expiry_budget: usize,
    pub(crate) verify_checksums: VerifyChecksums,
    /// Of a direction and of the table.
    pub(crate) remembered_bytes: Option<(usize, usize)>,
    pub(crate) fragments: DefragmentOptions,
    pub(crate) parse: ParseOptions,
}

/// How long a flow may be silent, by class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// TCP: a SYN that nobody answered. 30 seconds.
    pub half_open: Duration,
    /// TCP: open. An hour.
    pub established: Duration,
    /// TCP: both sides sent a FIN, but something before one of them is missing. A minute. Counts even where idle flows do
    /// not expire.
    pub closing: Duration,
    /// TCP: after a reset, or until the last FIN is acknowledged; data that arrives meanwhile still belongs to the flow. Two
    /// seconds. Counts even where idle flows do not expire.
    pub linger: Duration,
    /// TCP: how long after a flow's end its stragglers are recognised (RFC 9293 names twice the longest life of a
    /// segment). A minute. Counts even where idle flows do not expire.
    pub time_wait: Duration,
    /// UDP. A minute.
    pub udp: Duration,
    /// Everything else. A minute.
    pub other: Duration,
}

/// The packets that are dropped if their checksum is wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VerifyChecksums {
    /// None.
    #[default]
    Never,
    /// Those of senders whose checksums have proved to be real: the first four in a row were right. It serves captures of
    /// which it is not known whether an adapter finishes the checksums.
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
            quarantine_bytes: 1 << 20,
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

    /// The table.
    #[must_use]
    pub fn build(self) -> FlowTable<E> {
        FlowTable::new(self.extractor, self.config)
    }

    /// Flows that the table holds at most, 2²⁰ by default; at least 1. When another one begins, the table looks at a
    /// few flows and evicts the best of them: one that has ended, else one half open, else the one silent longest.
    pub const fn max_flows(mut self, flows: usize) -> Self {
        // Slots are counted in 32 bits, and the last number says "none".
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

    /// How long flows may be silent.
    pub const fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.config.timeouts = timeouts;
        self
    }

    /// Whether silent flows end, as they should live (the default); in a capture file silence costs nothing.
    pub const fn idle_expiry(mut self, on: bool) -> Self {
        self.config.idle_expiry = on;
        self
    }

    /// Hands out a record of each flow at this interval while it goes on; by default only its end does.
    pub fn active_timeout(mut self, interval: Option<Duration>) -> Self {
        self.config.active_timeout = interval.map(|interval| nanos(interval).max(1));
        self
    }

    /// How much one call of [`advance`](FlowTable::advance) does at most: so many timers are worked off, each of which may
    /// end a flow; 1,024 by default (below a millisecond, without what the handler does), at least 1. What is due
    /// beyond that stays due, [`next_deadline`](FlowTable::next_deadline) says so, and a flow whose time is over ends
    /// before it is given another packet. A packet works off 32 timers at most.
    pub const fn expiry_budget(mut self, timers: usize) -> Self {
        self.config.expiry_budget = if timers == 0 { 1 } else { timers };
        self
    }

    /// Sets how the hosts that receive treat segments and IPv4 fragments that overlap
    /// [default: [`OverlapPolicy::First`]]. It replaces the overlap of [`fragments`](Self::fragments) set before.
    pub const fn overlap_policy(mut self, policy: OverlapPolicy) -> Self {
        self.config.overlap.default = policy;
        self.config.fragments.overlap = policy.fragments();
        self
    }

    /// Sets the same for the receivers in a network. The longest prefix decides. A key without
    /// [receiver](FlowExtractor::receiver) belongs to no network.
    pub fn overlap_policy_for(mut self, network: Network, policy: OverlapPolicy) -> Self {
        self.config.overlap.set(network, policy);
        self
    }

    /// How long a hole that the receiver has acknowledged may still be filled before it becomes a gap, since captures
    /// reorder: so many packets of the flow, or so much time, whichever is over first. 64 packets and two seconds by
    /// default; 0 packets for none.
    pub fn grace(mut self, packets: u32, time: Duration) -> Self {
        self.config.grace_packets = packets;
        self.config.grace_time = nanos(time);
        self
    }

    /// How long the first bytes of a stream without a SYN are held back, since earlier ones may still come: so many
    /// packets of the flow, or so much time, whichever is over first. 16 packets and 100 milliseconds by default; 0
    /// packets for none. They are not held back where an acknowledgement, or an earlier segment without payload, shows
    /// that nothing comes before them.
    pub fn pickup_grace(mut self, packets: u32, time: Duration) -> Self {
        self.config.pickup_packets = packets;
        self.config.pickup_time = nanos(time);
        self
    }

    /// Ends the [hold](Self::pickup_grace) of a stream without a SYN when the other side answers it: sends payload that
    /// acknowledges bytes that are held back. Off by default.
    ///
    /// For handlers that care for the order between the two sides, as in
    /// [`on_awaited`](crate::FlowHandler::on_awaited): otherwise the answer comes before what it answers. Bytes from before the
    /// first that was seen, if any turn up after the answer, are late.
    pub const fn answer_ends_pickup(mut self, yes: bool) -> Self {
        self.config.answer_ends_pickup = yes;
        self
    }

    /// What may wait behind a hole in one direction: memory in bytes and segments. 8 MiB and 65,536 by default; a segment
    /// counts 128 bytes besides its own, the first of a direction 600 more. Beyond it the oldest hole becomes a gap.
    pub const fn direction_limit(mut self, bytes: usize, segments: usize) -> Self {
        self.config.direction_bytes = bytes;
        self.config.direction_segments = segments;
        self
    }

    /// What may wait behind holes in the whole table, in bytes, counted in the same way. 256 MiB by default. Beyond it the
    /// oldest holes become gaps.
    pub const fn table_limit(mut self, bytes: usize) -> Self {
        self.config.table_bytes = bytes;
        self
    }

    /// Sets the memory in bytes for segments that do not fit their stream and wait for evidence, for one direction and for
    /// the whole table; what a segment takes besides its bytes counts, too: up to 600 bytes. Beyond it the oldest is reported with
    /// [`UnplacedCause::Limit`](crate::UnplacedCause::Limit). [default: 1 MiB and 16 MiB]
    pub const fn quarantine_limit(mut self, direction: usize, table: usize) -> Self {
        self.config.quarantine_bytes = direction;
        self.config.quarantine_table_bytes = table;
        self
    }

    /// How long bytes wait behind a hole that nobody acknowledges. Two minutes by default.
    pub fn hole_timeout(mut self, time: Duration) -> Self {
        self.config.hole_timeout = nanos(time);
        self
    }

    /// Sets how packets are parsed: whether tunnels are opened, and what is taken for one.
    pub const fn parse_options(mut self, options: ParseOptions) -> Self {
        self.config.parse = options;
        self
    }

    /// How fragments of IP datagrams are joined: limits, and whose bytes count where they overlap.
    pub const fn fragments(mut self, options: DefragmentOptions) -> Self {
        self.config.fragments = options;
        self
    }

    /// Keeps the latest bytes that were delivered, so many of a direction and in all, and compares repetitions with them: those
    /// that differ are passed to [`on_conflict`](crate::FlowHandler::on_conflict) instead of
    /// [`on_repeat`](crate::FlowHandler::on_repeat) [default: off]. Nothing else shows that a segment was forged whose
    /// bytes came first. Beyond the total, the direction that was remembered first is forgotten.
    pub const fn remember_delivered(mut self, direction_bytes: usize, table_bytes: usize) -> Self {
        self.config.remembered_bytes = Some((direction_bytes, table_bytes));
        self
    }

    /// Sets which packets with a wrong checksum are dropped, as their receiver does: TCP, UDP and IPv4 headers; `true` for
    /// all [default: none]. On the host that sends, captures show packets before the adapter has filled in their checksum.
    /// Packets that the capture cut short, or that are marked as not finished, are never dropped.
    pub fn verify_checksums(mut self, packets: impl Into<VerifyChecksums>) -> Self {
        self.config.verify_checksums = packets.into();
        self
    }
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
