//! The history string of a TCP flow.

use crate::{FlowSide, TcpFlags};

/// An event in the history. Each side notes it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Letter {
    Syn,
    SynAck,
    Ack,
    Data,
    Fin,
    Reset,
    Retransmission,
    Gap,
}

const LETTERS: [u8; 8] = *b"SHADFRTG";

/// The letters of a flow, in order.
///
/// The number of letters is not stored here: each side's [`Seen`] has one bit for each letter. So a
/// letter is appended without reading those before it, which are rarely in the processor's cache.
///
/// There are 16 letters, but only 15 fit. The last is dropped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct History([u8; 15]);

/// The letters that a side has noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen(u8);

impl Seen {
    pub(crate) const NONE: Self = Self(0);

    #[inline(always)]
    pub(crate) const fn has(self, letter: Letter) -> bool {
        self.0 >> letter as u8 & 1 == 1
    }

    /// The TCP flags that the letters tell of. Data needs the ACK flag, but on a SYN.
    pub(crate) fn flags(self, acknowledges: bool) -> TcpFlags {
        let ack = |with| if with { TcpFlags::ACK } else { TcpFlags::default() };
        [
            (Letter::Syn, TcpFlags::SYN),
            (Letter::SynAck, TcpFlags::SYN | TcpFlags::ACK),
            (Letter::Ack, TcpFlags::ACK),
            (Letter::Data, ack(acknowledges)),
            (Letter::Fin, TcpFlags::FIN | ack(acknowledges)),
            (Letter::Reset, TcpFlags::RST),
        ]
        .into_iter()
        .filter(|(letter, _)| self.has(*letter))
        .fold(TcpFlags::default(), |all, (_, flags)| all | flags)
    }
}

impl History {
    pub(crate) const NONE: Self = Self([0; 15]);

    /// Appends a letter unless the side has noted it before. `peer` is the other side's.
    #[inline(always)]
    pub(crate) fn note(&mut self, seen: &mut Seen, peer: Seen, side: FlowSide, letter: Letter) {
        if !seen.has(letter) {
            if let Some(place) = self.0.get_mut(count(*seen, peer)) {
                *place = LETTERS[letter as usize] | (side as u8) << 5;
            }
            seen.0 |= 1 << letter as u8;
        }
    }

    /// The history as text.
    pub(crate) fn spell(&self, seen: Seen, peer: Seen) -> String {
        let letters = self.0.get(..count(seen, peer)).unwrap_or(&self.0);
        String::from_utf8(letters.to_vec()).unwrap_or_default()
    }
}

/// The number of letters that the sides have noted.
#[inline(always)]
const fn count(seen: Seen, peer: Seen) -> usize {
    ONES[seen.0 as usize] as usize + ONES[peer.0 as usize] as usize
}

/// The number of bits that are set in each byte. Not every processor has an instruction for it.
const ONES: [u8; 256] = {
    let mut ones = [0; 256];
    let mut byte = 1;
    while byte < ones.len() {
        ones[byte] = ones[byte / 2] + byte as u8 % 2;
        byte += 1;
    }
    ones
};

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Flow {
        history: History,
        seen: [Seen; 2],
    }

    impl Flow {
        fn note(&mut self, side: FlowSide, letter: Letter) {
            let peer = self.seen[side.opposite() as usize];
            self.history.note(&mut self.seen[side as usize], peer, side, letter);
        }

        fn spell(&self) -> String {
            self.history.spell(self.seen[0], self.seen[1])
        }
    }

    const NEW: Flow = Flow { history: History::NONE, seen: [Seen::NONE; 2] };

    #[test]
    fn each_letter_once_a_side_in_order() {
        let mut flow = NEW;
        assert_eq!(flow.spell(), "");
        for letter in [Letter::Syn, Letter::Ack, Letter::Data, Letter::Data] {
            flow.note(FlowSide::Initiator, letter);
        }
        flow.note(FlowSide::Responder, Letter::Data);
        flow.note(FlowSide::Initiator, Letter::Gap);
        assert_eq!(flow.spell(), "SADdG");
    }

    #[test]
    fn a_sixteenth_letter_is_left_out() {
        let mut flow = NEW;
        let all = [
            Letter::Syn,
            Letter::SynAck,
            Letter::Ack,
            Letter::Data,
            Letter::Fin,
            Letter::Reset,
            Letter::Retransmission,
            Letter::Gap,
        ];
        for letter in all {
            flow.note(FlowSide::Initiator, letter);
            flow.note(FlowSide::Responder, letter);
        }
        assert_eq!(flow.spell(), "SsHhAaDdFfRrTtG");
    }
}
