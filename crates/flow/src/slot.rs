//! What the table keeps of each flow.

use crate::history::{History, Seen};
use crate::stream::ahead;
use crate::{FlowSide, Orientation, TcpFlags};

/// No index: of a backlog that a direction does not have.
pub(crate) const NONE: u32 = u32::MAX;
/// How far behind the next expected byte an acknowledgement is nothing special: more than most connections have in flight. One
/// further back may be a way around the sequence space, and is looked at closely.
pub(crate) const FAR_BEHIND: i32 = 1 << 26;

/// What a packet touches of a flow: two cache lines, which a processor may fetch as one. The rest is [`Cold`].
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct Slot {
    /// By side: what the initiator sends, what the responder sends.
    pub(crate) directions: [Direction; 2],
    /// The key as [`FlowExtractor::compact`](crate::FlowExtractor::compact) tells it, 0 if it does not fit: then the key
    /// itself is compared.
    pub(crate) compact: u128,
    /// Nanoseconds.
    pub(crate) last_seen: u64,
    /// Nanoseconds.
    pub(crate) started: u64,
    pub(crate) counters: [Counters; 2],
    pub(crate) generation: u32,
    pub(crate) state: State,
    pub(crate) protocol: u8,
    pub(crate) flags: SlotFlags,
    pub(crate) calm: Calm,
}

const _: () = assert!(size_of::<Slot>() == 128);

/// What is looked at only when a flow begins, changes its state or ends; the key also for packets whose key has no
/// number.
#[derive(Debug)]
pub(crate) struct Cold<K> {
    pub(crate) key: K,
    pub(crate) history: History,
    /// The time of the SYN, 0 if its answer came first; once [`SlotFlags::HANDSHAKE`] is set, how long the handshake took,
    /// `u64::MAX` if that is not known. Nanoseconds.
    pub(crate) handshake: u64,
    /// When a record of the flow was last handed out. Nanoseconds.
    pub(crate) reported: u64,
}

impl<K> Cold<K> {
    /// The acknowledgement of the SYN-ACK came. If the SYN was not seen before its answer, the time between them is unknown.
    pub(crate) const fn complete_handshake(&mut self, now: u64) {
        self.handshake =
            if self.handshake == 0 { u64::MAX } else { now.saturating_sub(self.handshake) };
    }
}

/// A segment with SYN whose sequence number does not belong to the flow, remembered until something confirms it.
#[derive(Debug)]
pub(crate) struct PendingSyn {
    pub(crate) side: FlowSide,
    pub(crate) sequence: u32,
    pub(crate) acknowledgement: u32,
    pub(crate) flags: TcpFlags,
    pub(crate) window: u16,
    pub(crate) window_scale: Option<u8>,
    pub(crate) payload: Vec<u8>,
    pub(crate) payload_wire_len: u32,
    pub(crate) wire_len: u32,
    pub(crate) timestamp: u64,
    pub(crate) number: u64,
}

/// The sequence space of one direction of a TCP flow. 32 bytes: two of them are a cache line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Direction {
    /// Stream offset of the next byte to be delivered.
    pub(crate) next: u64,
    /// Sequence number of stream offset 0; before that is known, see [`DirectionFlags::HINT`] and
    /// [`DirectionFlags::HOLD`].
    pub(crate) base: u32,
    /// The highest acknowledgement by the peer, with [`DirectionFlags::ACKED`].
    pub(crate) acked: u32,
    /// The end of the window that the peer has opened, with [`DirectionFlags::ACKED`].
    pub(crate) edge: u32,
    /// Sequence number of the FIN, with [`DirectionFlags::FIN`]. Before, the place of
    /// [`latest_timestamp`](Self::latest_timestamp): to be set to 0 when a FIN turns out to be none.
    pub(crate) fin: u32,
    /// The direction's [`Backlog`](crate::backlog::Backlog), or [`NONE`].
    pub(crate) backlog: u32,
    pub(crate) flags: DirectionFlags,
    pub(crate) scale: Scale,
    /// Letters of the history that this side has brought.
    pub(crate) seen: Seen,
}

/// The window scale option of one side. The lower half is what its SYN announced, the upper the shift that holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale(u8);

/// What one side has sent since these last were carried over to the table's [`Totals`]: half as wide, since every packet
/// writes them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    packets: u32,
    payload_bytes: u32,
    wire_bytes: u32,
}

/// What the sides of a flow had sent when their [`Counters`] were full.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) packets: u64,
    pub(crate) payload_bytes: u64,
    pub(crate) wire_bytes: u64,
}

impl Counters {
    /// With one packet more, if there is room for it.
    #[inline(always)]
    pub(crate) const fn plus(self, payload_bytes: u32, wire_bytes: u32) -> Option<Self> {
        let (packets, a) = self.packets.overflowing_add(1);
        let (payload_bytes, b) = self.payload_bytes.overflowing_add(payload_bytes);
        let (wire_bytes, c) = self.wire_bytes.overflowing_add(wire_bytes);
        if a | b | c { None } else { Some(Self { packets, payload_bytes, wire_bytes }) }
    }

    /// Of one packet.
    pub(crate) const fn one(payload_bytes: u32, wire_bytes: u32) -> Self {
        Self { packets: 1, payload_bytes, wire_bytes }
    }
}

impl Totals {
    pub(crate) fn add(&mut self, counters: Counters) {
        self.packets += u64::from(counters.packets);
        self.payload_bytes += u64::from(counters.payload_bytes);
        self.wire_bytes += u64::from(counters.wire_bytes);
    }
}

/// By side, one bit: whether a segment that this side sends can be the common case. It is found out when a segment takes
/// the long way, and holds until anything but the common case changes the flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Calm(u8);

/// Where a flow is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    /// The slot is not in use; its key is a left-over.
    Free,
    /// Not TCP.
    Datagrams,
    /// A SYN that nobody has answered.
    HalfOpen,
    /// TCP, neither closed by both sides nor reset.
    Established,
    /// Both sides have sent a FIN.
    Closing,
    /// A valid RST was seen.
    Reset,
    /// The flow's end has been told; its key stays for a while, so that stragglers do not open a flow.
    Ended,
}

/// Small set types without a dependency.
macro_rules! flags {
    ($(#[$doc:meta])* $name:ident: $type:ty { $($(#[$flag_doc:meta])* $flag:ident = $value:expr;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) struct $name($type);

        impl $name {
            $($(#[$flag_doc])* pub(crate) const $flag: Self = Self($value);)*

            /// Whether none is set.
            #[allow(dead_code, reason = "not every set is asked")]
            #[inline]
            pub(crate) const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// Whether any of these is set.
            #[inline]
            pub(crate) const fn has(self, other: Self) -> bool {
                self.0 & other.0 != 0
            }

            #[inline]
            pub(crate) const fn or(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            #[inline]
            pub(crate) const fn set(&mut self, other: Self) {
                self.0 |= other.0;
            }

            #[inline]
            pub(crate) const fn clear(&mut self, other: Self) {
                self.0 &= !other.0;
            }
        }
    };
}

flags! {
    /// What is known of a flow.
    SlotFlags: u8 {
        /// Packets of the initiator go against the key.
        REVERSE = 1;
        /// The whole handshake was seen.
        HANDSHAKE = 2;
        /// A RST elsewhere in the window came last: believed if nothing follows it.
        DOUBTFUL_RESET = 4;
        /// The table keeps a [`PendingSyn`] for the slot.
        PENDING_SYN = 8;
        /// The flow was reset, whatever its state says now.
        WAS_RESET = 16;
        /// The handler did not admit it.
        REFUSED = 32;
        /// The initiator's packets come in another scope than the flow's own.
        INITIATOR_ELSEWHERE = 64;
        /// The responder's packets do.
        RESPONDER_ELSEWHERE = 128;
    }
}

flags! {
    /// What is known of a direction.
    DirectionFlags: u16 {
        /// `base` and `next` hold.
        ANCHORED = 1;
        /// The SYN was seen.
        SYN = 2;
        /// Not anchored: `base` is the sequence number of a segment without payload.
        HINT = 4;
        /// Not anchored: segments are held back because an earlier one may still come. `base` lies before them.
        HOLD = 8;
        /// `acked` and `edge` hold.
        ACKED = 16;
        /// A FIN was seen.
        FIN = 32;
        /// All bytes before the FIN were delivered.
        FIN_REACHED = 64;
        /// The FIN was reached and acknowledged, and the handler knows.
        FIN_ACKED = 128;
        /// A hole was acknowledged and becomes a gap soon.
        GRACE = 256;
        /// Segments wait behind a hole.
        PENDING = 512;
        /// Segments are in [quarantine](crate::quarantine::Quarantine), or were once found to be of another sequence space.
        QUARANTINE = 1024;
        /// The payload of the SYN waits until it is known whether the receiver took it.
        EARLY = 2048;
    }
}

impl DirectionFlags {
    /// The bits that hold a [`path`](Self::path).
    const PATH: u32 = 12;

    /// A few bits of the link-layer destination of the side's packets; 0 if that is not known.
    #[inline(always)]
    pub(crate) const fn path(self) -> u8 {
        (self.0 >> Self::PATH) as u8
    }

    pub(crate) const fn set_path(&mut self, path: u8) {
        self.0 = self.0 & ((1 << Self::PATH) - 1) | (path as u16) << Self::PATH;
    }

    /// The flags that [`follows`](Self::follows) compares with those of a direction.
    #[inline(always)]
    pub(crate) const fn anchored_on(path: u8) -> Self {
        Self(Self::ANCHORED.0 | (path as u16) << Self::PATH)
    }

    /// `true` if the direction is anchored and its packets take the path of `expected`: one comparison for both.
    #[inline(always)]
    pub(crate) const fn follows(self, expected: Self) -> bool {
        self.0 & (Self::ANCHORED.0 | u16::MAX << Self::PATH) == expected.0
    }
}

impl Direction {
    pub(crate) const NEW: Self = Self {
        next: 0,
        base: 0,
        acked: 0,
        edge: 0,
        fin: 0,
        backlog: NONE,
        flags: DirectionFlags(0),
        scale: Scale::NEW,
        seen: Seen::NONE,
    };

    /// The sequence number of the next byte to be delivered.
    #[inline]
    pub(crate) const fn expected(&self) -> u32 {
        self.base.wrapping_add(self.next as u32)
    }

    /// The side's latest time stamp (`TS.Recent` of its peer, RFC 7323, section 4.3), or 0 if its SYN had none. It shares its
    /// place with the FIN's sequence number, so it is known only until the side sends a FIN.
    #[inline(always)]
    pub(crate) const fn latest_timestamp(&self) -> u32 {
        if self.flags.has(DirectionFlags::FIN) { 0 } else { self.fin }
    }

    /// Sets the side's latest time stamp; 0 for none. Nothing is done once the side has sent a FIN.
    #[inline(always)]
    pub(crate) const fn set_latest_timestamp(&mut self, timestamp: u32) {
        if !self.flags.has(DirectionFlags::FIN) {
            self.fin = timestamp;
        }
    }

    /// `true` if an acknowledgement is of nothing but what was seen. One that no window spans is not: it
    /// may be of bytes so far ahead that their numbers come before the others again.
    #[inline(always)]
    pub(crate) const fn has_seen(&self, acknowledgement: u32) -> bool {
        type F = DirectionFlags;
        let distance = acknowledgement.wrapping_sub(self.expected()).cast_signed();
        self.flags.has(F::ANCHORED)
            && ((distance <= 0 && distance >= -FAR_BEHIND)
                || (distance == 1 && self.flags.has(F::FIN_REACHED)))
    }

    /// Takes an acknowledgement of nothing but what was seen; else false, with nothing done. The caller looks at
    /// [`fin_is_due`](Self::fin_is_due) afterwards.
    #[inline(always)]
    pub(crate) const fn takes_acknowledgement(&mut self, acknowledgement: u32, edge: u32) -> bool {
        type F = DirectionFlags;
        if !self.has_seen(acknowledgement) {
            return false;
        }
        let first = !self.flags.has(F::ACKED);
        if first || ahead(acknowledgement, self.acked) {
            self.acked = acknowledgement;
        }
        if first || ahead(edge, self.edge) {
            self.edge = edge;
        }
        self.flags.set(F::ACKED);
        true
    }

    /// `true` if the FIN was reached and acknowledged, and the handler does not know it yet.
    #[inline(always)]
    pub(crate) const fn fin_is_due(&self) -> bool {
        type F = DirectionFlags;
        self.flags.has(F::FIN_REACHED)
            && !self.flags.has(F::FIN_ACKED)
            && self.flags.has(F::ACKED)
            && self.acked == self.fin.wrapping_add(1)
    }

    /// `true` if the window that the peer has opened is closed, or so small that a segment or two overrun it.
    pub(crate) const fn is_narrow(&self) -> bool {
        /// Three segments of a common size.
        const NARROW: i32 = 4096;
        self.flags.has(DirectionFlags::ACKED)
            && self.edge.wrapping_sub(self.acked).cast_signed() < NARROW
    }

    /// `true` if a sequence number is so far from the next expected byte that no window spans it (RFC 7323, section 2.3).
    #[inline(always)]
    pub(crate) const fn strays(&self, sequence: u32) -> bool {
        sequence.wrapping_sub(self.expected()).cast_signed().unsigned_abs() > 1 << 30
    }

    /// Whether a FIN comes next.
    #[inline(always)]
    pub(crate) const fn can_end_at(&self, sequence: u32) -> bool {
        type F = DirectionFlags;
        self.flags.has(F::ANCHORED)
            && !self.flags.has(F::FIN.or(F::PENDING).or(F::EARLY))
            && sequence == self.expected()
            // The peer has more than that: then this FIN is not what ends the stream.
            && !(self.flags.has(F::ACKED) && ahead(self.acked, sequence.wrapping_add(1)))
    }

    /// Takes a FIN that comes next; else false, with nothing done.
    #[inline(always)]
    pub(crate) const fn takes_fin(&mut self, sequence: u32) -> bool {
        if !self.can_end_at(sequence) {
            return false;
        }
        self.fin = sequence;
        self.flags.set(DirectionFlags::FIN.or(DirectionFlags::FIN_REACHED));
        true
    }

    /// The whole stream was delivered, the FIN was acknowledged, and nothing waits.
    pub(crate) const fn is_complete(&self) -> bool {
        type F = DirectionFlags;
        self.flags.has(F::FIN_ACKED)
            && !self.flags.has(F::PENDING.or(F::HOLD).or(F::QUARANTINE).or(F::EARLY))
    }

    /// Only where the stream begins is known: nothing of it was seen.
    pub(crate) const fn has_brought_nothing(&self) -> bool {
        type F = DirectionFlags;
        self.next == 0 && !self.flags.has(F::PENDING.or(F::FIN).or(F::QUARANTINE).or(F::EARLY))
    }

    /// The same, but for the payload of a SYN that waits.
    pub(crate) const fn has_brought_nothing_but_early(&self) -> bool {
        type F = DirectionFlags;
        self.next == 0
            && !self.flags.has(F::FIN.or(F::QUARANTINE))
            && (self.flags.has(F::EARLY) || !self.flags.has(F::PENDING))
    }

    /// Forgets what is known of the sequence space.
    pub(crate) const fn forget(&mut self) {
        *self = Self { backlog: self.backlog, seen: self.seen, ..Self::NEW };
    }

    /// Nothing was known of the direction, and now the sequence number of stream offset 0 is.
    #[inline(always)]
    pub(crate) const fn begin_at(&mut self, base: u32) {
        self.base = base;
        self.next = 0;
        self.flags.clear(DirectionFlags::HINT);
        self.flags.set(DirectionFlags::ANCHORED);
    }

    /// A segment without payload in a direction of which nothing else is known shows what comes next.
    #[inline(always)]
    pub(crate) const fn hint(&mut self, sequence: u32) {
        if !self.flags.has(DirectionFlags::ANCHORED.or(DirectionFlags::HOLD)) {
            self.base = sequence;
            self.flags.set(DirectionFlags::HINT);
        }
    }

    /// The stream offset of a sequence number, which is taken to be within 2³¹ of the next byte.
    #[inline]
    pub(crate) const fn offset(&self, sequence: u32) -> i64 {
        let distance = sequence.wrapping_sub(self.expected()).cast_signed();
        // Offsets stay far below 2⁶³: a stream of a terabit a second needs two years to get there.
        self.next.cast_signed().wrapping_add(distance as i64)
    }
}

impl Scale {
    /// The largest shift (RFC 7323, section 2.3).
    const MAX: u8 = 14;
    const NONE: u8 = 15;
    /// Where a SYN was not seen: an estimate, large rather than small.
    const UNKNOWN: u8 = 8;
    const NEW: Self = Self(Self::UNKNOWN << 4 | Self::NONE);

    /// What the side's SYN says.
    pub(crate) fn announce(&mut self, option: Option<u8>) {
        let announced =
            option.map_or(Self::NONE, |shift| if shift < Self::MAX { shift } else { Self::MAX });
        self.0 = self.0 & 0xf0 | announced;
    }

    /// The shift that holds for the side's windows.
    #[inline(always)]
    pub(crate) const fn shift(self) -> u8 {
        self.0 >> 4
    }

    const fn announced(self) -> u8 {
        self.0 & 15
    }
}

impl Calm {
    pub(crate) const NO: Self = Self(0);

    #[inline(always)]
    pub(crate) const fn of(self, side: FlowSide) -> bool {
        self.0 >> side as u8 & 1 == 1
    }
}

impl Slot {
    /// `true` if both SYNs had a time stamp and neither side has sent a FIN.
    #[inline(always)]
    pub(crate) const fn is_stamped(&self) -> bool {
        let [initiator, responder] = &self.directions;
        initiator.latest_timestamp() != 0 && responder.latest_timestamp() != 0
    }

    /// Finds out which shifts hold for windows (RFC 7323, section 2.2): those of both SYNs, if both had the option.
    pub(crate) fn agree_on_scales(&mut self) {
        let [initiator, responder] = &self.directions;
        if !(initiator.flags.has(DirectionFlags::SYN) && responder.flags.has(DirectionFlags::SYN)) {
            return;
        }
        let announced = [initiator.scale.announced(), responder.scale.announced()];
        let scaled = !announced.contains(&Scale::NONE);
        for (direction, announced) in self.directions.iter_mut().zip(announced) {
            direction.scale = Scale((if scaled { announced } else { 0 }) << 4 | announced);
        }
    }

    /// Finds out whether the flow is calm: an open connection in which nothing is amiss.
    pub(crate) fn calm_down(&mut self) {
        self.calm = Calm::NO;
        if self.nothing_is_amiss() {
            let [initiator, responder] = &self.directions;
            let acked =
                |direction: &Direction| u8::from(direction.flags.has(DirectionFlags::ACKED));
            let narrow = |direction: &Direction| u8::from(direction.is_narrow());
            let sides = acked(responder) | acked(initiator) << 1;
            let narrow = narrow(initiator) | narrow(responder) << 1;
            self.calm = Calm(sides & !narrow & !self.elsewhere());
        }
    }

    /// Whether a segment of this side can be the common case.
    pub(crate) fn is_calm(&self, side: FlowSide) -> bool {
        let peer = self.directions[side.opposite() as usize].flags;
        self.nothing_is_amiss()
            && peer.has(DirectionFlags::ACKED)
            && self.elsewhere() >> side as u8 & 1 == 0
    }

    /// By side, one bit: its packets come in another scope, so that any of them in the flow's own scope takes a closer look.
    const fn elsewhere(&self) -> u8 {
        self.flags.0 >> 6
    }

    #[inline]
    fn nothing_is_amiss(&self) -> bool {
        type F = DirectionFlags;
        let amiss = F::GRACE.or(F::HOLD).or(F::PENDING).or(F::FIN).or(F::QUARANTINE).or(F::EARLY);
        let [initiator, responder] = &self.directions;
        let (initiator, responder) = (initiator.flags, responder.flags);
        let both_greeted = initiator.has(F::SYN) && responder.has(F::SYN);
        self.state == State::Established
            && !self.flags.has(SlotFlags::PENDING_SYN.or(SlotFlags::DOUBTFUL_RESET))
            && !initiator.or(responder).has(amiss)
            && (self.flags.has(SlotFlags::HANDSHAKE) || !both_greeted)
    }

    /// Which side sends packets of this orientation.
    #[inline(always)]
    pub(crate) const fn side(&self, orientation: Orientation) -> FlowSide {
        let against = matches!(orientation, Orientation::Reverse);
        // Without branches: which way packets go is what no processor can predict.
        if against != self.flags.has(SlotFlags::REVERSE) {
            FlowSide::Responder
        } else {
            FlowSide::Initiator
        }
    }

    pub(crate) const fn initiator(&self) -> Orientation {
        if self.flags.has(SlotFlags::REVERSE) { Orientation::Reverse } else { Orientation::Forward }
    }

    pub(crate) const fn is_tcp(&self) -> bool {
        !matches!(self.state, State::Free | State::Datagrams)
    }
}
