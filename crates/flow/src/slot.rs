//! The per-flow state of the table.

mod direction;
mod observed;

use crate::history::{History, Seen};
use crate::{FlowSide, Orientation, TcpFlags};

pub(crate) use observed::Observed;

/// The index of a reassembly that does not exist.
pub(crate) const NONE: u32 = u32::MAX;
/// The maximum distance behind the next expected byte at which an acknowledgement is ordinary. It
/// is more than most connections have in flight. An acknowledgement further behind may have wrapped
/// around the sequence space, so the slow path examines it.
pub(crate) const FAR_BEHIND: i32 = 1 << 26;

/// The part of a flow that every packet touches: two cache lines, which a processor may fetch as
/// one. The rest is in [`Cold`].
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct Slot {
    /// By side: the initiator's stream, the responder's stream.
    pub(crate) directions: [Direction; 2],
    /// The key from [`FlowExtractor::compact`](crate::FlowExtractor::compact). 0 if the key does
    /// not fit; then the key itself is compared.
    pub(crate) compact: u128,
    /// In nanoseconds.
    pub(crate) last_seen: u64,
    pub(crate) counters: [Counters; 2],
    pub(crate) generation: u32,
    pub(crate) state: State,
    pub(crate) protocol: u8,
    pub(crate) flags: SlotFlags,
    pub(crate) fast_path: FastPath,
}

const _: () = assert!(size_of::<Slot>() == 128);

/// The part of a flow that is needed only when it begins, changes its state or ends. The key is
/// also needed for packets whose key has no compact form.
#[derive(Debug)]
pub(crate) struct Cold<K> {
    pub(crate) key: K,
    pub(crate) history: History,
    /// In nanoseconds.
    pub(crate) started: u64,
    /// The time of the SYN, or 0 if its answer arrived first. Once [`SlotFlags::HANDSHAKE`] is set,
    /// the duration of the handshake, or `u64::MAX` if unknown. In nanoseconds.
    pub(crate) handshake: u64,
    /// The time of the last record of the flow, in nanoseconds.
    pub(crate) reported: u64,
}

impl<K> Cold<K> {
    /// Records the acknowledgement of the SYN-ACK. If the SYN was not captured before its answer,
    /// the time between them is unknown.
    pub(crate) const fn complete_handshake(&mut self, now: u64) {
        self.handshake =
            if self.handshake == 0 { u64::MAX } else { now.saturating_sub(self.handshake) };
    }
}

/// The sequence space of one direction of a TCP flow. 32 bytes, so that two of them fill a cache
/// line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Direction {
    /// Stream offset of the next byte to be delivered.
    pub(crate) next: u64,
    /// Sequence number of stream offset 0. Before that is known, see [`DirectionFlags::HINT`] and
    /// [`DirectionFlags::HOLD`].
    pub(crate) base: u32,
    /// The highest acknowledgement by the peer, with [`DirectionFlags::ACKED`].
    pub(crate) acked: u32,
    /// The end of the window that the peer has opened, with [`DirectionFlags::ACKED`].
    pub(crate) edge: u32,
    /// Sequence number of the FIN, with [`DirectionFlags::FIN`]. Before that, the storage of
    /// [`latest_timestamp`](Self::latest_timestamp), so it must be set to 0 when a FIN turns out to
    /// be false.
    pub(crate) fin: u32,
    /// The direction's [`Reassembly`](crate::reassembly::Reassembly), or [`NONE`].
    pub(crate) reassembly: u32,
    pub(crate) flags: DirectionFlags,
    pub(crate) scale: Scale,
    /// The letters of the history that this side has noted.
    pub(crate) seen: Seen,
}

/// The window scale option of one side. The lower half is the shift that its SYN announced, the
/// upper half the one in effect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale(u8);

/// The counters of one side since they were last added to the table's [`Totals`]. They have half
/// the width, because every packet writes them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    packets: u32,
    payload_bytes: u32,
    wire_bytes: u32,
    ip_bytes: u32,
}

/// The lengths of a packet, in bytes on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lengths {
    pub(crate) payload: u32,
    /// The frame.
    pub(crate) wire: u32,
    /// The IP packet: header and payload.
    pub(crate) ip: u32,
}

/// The counters of the sides of a flow, up to the last time their [`Counters`] were full.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) packets: u64,
    pub(crate) payload_bytes: u64,
    pub(crate) wire_bytes: u64,
    pub(crate) ip_bytes: u64,
}

impl Counters {
    /// Adds a packet. `None` if a counter might overflow: if its sum has the highest bit, or what
    /// is added has. (One comparison instead of three.)
    #[inline(always)]
    pub(crate) const fn plus(self, lengths: Lengths) -> Option<Self> {
        let Lengths { payload, wire, ip } = lengths;
        let sum = Self {
            packets: self.packets.wrapping_add(1),
            payload_bytes: self.payload_bytes.wrapping_add(payload),
            wire_bytes: self.wire_bytes.wrapping_add(wire),
            ip_bytes: self.ip_bytes.wrapping_add(ip),
        };
        let sums = sum.packets | sum.payload_bytes | sum.wire_bytes | sum.ip_bytes;
        let all = sums | payload | wire | ip;
        if all >> 31 == 0 { Some(sum) } else { None }
    }

    /// The counters of one packet.
    pub(crate) const fn one(lengths: Lengths) -> Self {
        let Lengths { payload, wire, ip } = lengths;
        Self { packets: 1, payload_bytes: payload, wire_bytes: wire, ip_bytes: ip }
    }

    /// Returns `true` if no packet was counted, unless all were added to the [`Totals`].
    #[inline(always)]
    pub(crate) const fn is_empty(self) -> bool {
        self.packets == 0
    }
}

impl Totals {
    pub(crate) fn add(&mut self, counters: Counters) {
        self.packets += u64::from(counters.packets);
        self.payload_bytes += u64::from(counters.payload_bytes);
        self.wire_bytes += u64::from(counters.wire_bytes);
        self.ip_bytes += u64::from(counters.ip_bytes);
    }
}

/// One bit for each side: `true` if a segment that this side sends may take the fast path. The slow
/// path recomputes it, and it is valid until anything but the fast path changes the flow.
///
/// The other bits are the TCP flags PSH, ECE and CWR that were seen on the fast path, three for
/// each side. They are here because every packet has this byte in the processor's cache, and not
/// [`Cold`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FastPath(u8);

/// The state of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    /// The slot is free. Its key is stale.
    Free,
    /// Not TCP.
    Datagrams,
    /// A SYN without an answer.
    HalfOpen,
    /// TCP, neither closed by both sides nor reset.
    Established,
    /// Both sides have sent a FIN.
    Closing,
    /// A valid RST was seen.
    Reset,
    /// The end was reported. The key stays for a while, so that late packets do not begin a new
    /// flow.
    Ended,
}

/// Small bit sets without a dependency.
macro_rules! flags {
    ($(#[$doc:meta])* $name:ident: $type:ty { $($(#[$flag_doc:meta])* $flag:ident = $value:expr;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) struct $name($type);

        impl $name {
            $($(#[$flag_doc])* pub(crate) const $flag: Self = Self($value);)*

            /// Returns `true` if no flag is set.
            #[allow(dead_code, reason = "not every set is asked")]
            #[inline]
            pub(crate) const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// Returns `true` if any of these flags is set.
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
    /// The flags of a flow.
    SlotFlags: u8 {
        /// Packets of the initiator have the reverse orientation of the key.
        REVERSE = 1;
        /// The whole handshake was captured.
        HANDSHAKE = 2;
        /// The last packet was a RST elsewhere in the window. It is accepted if nothing follows it.
        DOUBTFUL_RESET = 4;
        /// The table keeps SYNs for the slot that may begin another connection.
        PENDING_SYN = 8;
        /// The flow was reset, although its state may have changed since.
        WAS_RESET = 16;
        /// The handler did not admit it.
        REFUSED = 32;
        /// The initiator's packets are in another scope than the flow's own.
        INITIATOR_ELSEWHERE = 64;
        /// The responder's packets are.
        RESPONDER_ELSEWHERE = 128;
    }
}

flags! {
    /// The flags of a direction.
    DirectionFlags: u16 {
        /// `base` and `next` are valid.
        ANCHORED = 1;
        /// The SYN was captured.
        SYN = 2;
        /// Not anchored: `base` is the sequence number of a segment without payload.
        HINT = 4;
        /// Not anchored: segments are held back because an earlier one may still arrive. `base` is
        /// before them.
        HOLD = 8;
        /// `acked` and `edge` are valid.
        ACKED = 16;
        /// A FIN was captured.
        FIN = 32;
        /// All bytes before the FIN were delivered.
        FIN_REACHED = 64;
        /// The FIN was reached and acknowledged, and this was reported to the handler.
        FIN_ACKED = 128;
        /// A hole was acknowledged and becomes a gap soon.
        GRACE = 256;
        /// Segments are pending behind a hole.
        PENDING = 512;
        /// Segments are in [quarantine](crate::quarantine::Quarantine), or were once found to
        /// belong to another sequence space.
        QUARANTINE = 1024;
        /// The payload of the SYN is held until it is known if the receiver accepted it.
        EARLY = 2048;
    }
}

impl DirectionFlags {
    /// The position of the bits of [`path`](Self::path).
    const PATH: u32 = 12;

    /// A few bits of the link-layer destination of the side's packets. 0 if unknown.
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

    /// Returns `true` if the direction is anchored and its packets take the path of `expected`,
    /// with a single comparison.
    #[inline(always)]
    pub(crate) const fn follows(self, expected: Self) -> bool {
        self.0 & (Self::ANCHORED.0 | u16::MAX << Self::PATH) == expected.0
    }
}

impl Scale {
    /// The maximum shift (RFC 7323, section 2.3).
    const MAX: u8 = 14;
    const NONE: u8 = 15;
    /// The estimate if a SYN was not captured. Rather too large, because a window that is too small
    /// would discard valid segments.
    const UNKNOWN: u8 = 8;
    const NEW: Self = Self(Self::UNKNOWN << 4 | Self::NONE);

    /// Records the option in the side's SYN.
    pub(crate) fn announce(&mut self, option: Option<u8>) {
        let announced =
            option.map_or(Self::NONE, |shift| if shift < Self::MAX { shift } else { Self::MAX });
        self.0 = self.0 & 0xf0 | announced;
    }

    /// The shift in effect for the side's windows.
    #[inline(always)]
    pub(crate) const fn shift(self) -> u8 {
        self.0 >> 4
    }

    const fn announced(self) -> u8 {
        self.0 & 15
    }
}

impl FastPath {
    pub(crate) const NO: Self = Self(0);
    const SIDES: u8 = 3;

    /// From now on no segment takes the fast path.
    #[inline(always)]
    pub(crate) const fn close(&mut self) {
        self.0 &= !Self::SIDES;
    }

    const fn open(&mut self, sides: u8) {
        self.0 |= sides & Self::SIDES;
    }

    /// Notes the flags of a segment.
    #[inline(always)]
    pub(crate) const fn note(&mut self, side: FlowSide, flags: TcpFlags) {
        let bits = (flags.0 >> 3 & 1) | (flags.0 >> 5 & 6);
        self.0 |= bits << (2 + 3 * side as u8);
    }

    /// The flags that were noted.
    pub(crate) const fn noted(self, side: usize) -> TcpFlags {
        let bits = self.0 >> (2 + 3 * side);
        TcpFlags((bits & 1) << 3 | (bits & 6) << 5)
    }

    #[inline(always)]
    pub(crate) const fn of(self, side: FlowSide) -> bool {
        self.0 >> side as u8 & 1 == 1
    }
}

impl Slot {
    /// Returns `true` if both SYNs had a time stamp and neither side has sent a FIN.
    #[inline(always)]
    pub(crate) const fn is_stamped(&self) -> bool {
        let [initiator, responder] = &self.directions;
        initiator.latest_timestamp() != 0 && responder.latest_timestamp() != 0
    }

    /// Computes the shifts in effect (RFC 7323, section 2.2): those of both SYNs, if both had the
    /// option.
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

    /// Recomputes if the flow may take the fast path: an open connection without any exceptional
    /// state.
    pub(crate) fn update_fast_path(&mut self) {
        self.fast_path.close();
        if self.fast_path_ok() {
            let [initiator, responder] = &self.directions;
            let acked =
                |direction: &Direction| u8::from(direction.flags.has(DirectionFlags::ACKED));
            let sides = acked(responder) | acked(initiator) << 1;
            self.fast_path.open(sides & !self.elsewhere());
        }
    }

    /// Returns `true` if a segment of this side may take the fast path.
    pub(crate) fn is_fast_path_ok(&self, side: FlowSide) -> bool {
        let peer = self.directions[side.opposite() as usize].flags;
        self.fast_path_ok()
            && peer.has(DirectionFlags::ACKED)
            && self.elsewhere() >> side as u8 & 1 == 0
    }

    /// One bit for each side whose packets are in another scope. Its packets in the flow's own
    /// scope then need the slow path.
    const fn elsewhere(&self) -> u8 {
        self.flags.0 >> 6
    }

    #[inline]
    fn fast_path_ok(&self) -> bool {
        type F = DirectionFlags;
        let amiss = F::GRACE.or(F::HOLD).or(F::PENDING).or(F::FIN).or(F::QUARANTINE).or(F::EARLY);
        let [initiator, responder] = &self.directions;
        let (initiator, responder) = (initiator.flags, responder.flags);
        let both_greeted = initiator.has(F::SYN) && responder.has(F::SYN);
        // What a handshake lacks comes first.
        self.state == State::Established
            && (self.flags.has(SlotFlags::HANDSHAKE) || !both_greeted)
            && !self.flags.has(SlotFlags::PENDING_SYN.or(SlotFlags::DOUBTFUL_RESET))
            && !initiator.or(responder).has(amiss)
            && !self.directions.iter().any(Direction::owes)
    }

    /// The side that sends packets of this orientation.
    #[inline(always)]
    pub(crate) const fn side(&self, orientation: Orientation) -> FlowSide {
        let against = matches!(orientation, Orientation::Reverse);
        // Without a branch, because a processor cannot predict the direction of packets.
        if against != self.flags.has(SlotFlags::REVERSE) {
            FlowSide::Responder
        } else {
            FlowSide::Initiator
        }
    }

    pub(crate) const fn initiator(&self) -> Orientation {
        if self.flags.has(SlotFlags::REVERSE) { Orientation::Reverse } else { Orientation::Forward }
    }

    /// Returns `true` if the connection was reset or closed, or one side has closed it, so that a
    /// segment may be of another one.
    #[inline]
    pub(crate) const fn may_have_closed(&self) -> bool {
        let [initiator, responder] = &self.directions;
        let closed = initiator.flags.or(responder.flags).has(DirectionFlags::FIN_REACHED);
        matches!(self.state, State::Closing | State::Reset) || closed
    }

    pub(crate) const fn is_tcp(&self) -> bool {
        !matches!(self.state, State::Free | State::Datagrams)
    }
}
