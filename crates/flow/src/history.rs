//! The history string of a TCP flow.

use crate::FlowSide;

/// An event that the history tells, once a side.
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

/// Whether a side has brought a letter before.
#[inline(always)]
pub(crate) const fn noted(seen: u8, letter: Letter) -> bool {
    seen >> letter as u8 & 1 == 1
}

/// Appends a letter, unless the side has brought it before: `seen` has one bit a letter. The four lowest bits of
/// `history` count its letters, the others hold four bits each: there is room for all but one of the sixteen.
#[inline(always)]
pub(crate) fn note(history: &mut u64, seen: &mut u8, side: FlowSide, letter: Letter) {
    let bit = 1 << letter as u8;
    if *seen & bit == 0 {
        *seen |= bit;
        let count = *history & 15;
        if count < 15 {
            let code = letter as u64 | u64::from(side == FlowSide::Responder) << 3;
            *history = (*history | code << (4 + 4 * count)) + 1;
        }
    }
}

/// The history in letters.
pub(crate) fn spell(history: u64) -> String {
    (0..history & 15)
        .map(|at| {
            let code = history >> (4 + 4 * at);
            let letter = LETTERS[code as usize & 7];
            char::from(if code & 8 == 0 { letter } else { letter.to_ascii_lowercase() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_letter_once_a_side_in_order() {
        let (mut history, mut initiator, mut responder) = (0, 0, 0);
        for letter in [Letter::Syn, Letter::Ack, Letter::Data, Letter::Data] {
            note(&mut history, &mut initiator, FlowSide::Initiator, letter);
        }
        note(&mut history, &mut responder, FlowSide::Responder, Letter::Data);
        note(&mut history, &mut initiator, FlowSide::Initiator, Letter::Gap);
        assert_eq!(spell(history), "SADdG");
    }

    #[test]
    fn a_sixteenth_letter_is_left_out() {
        let (mut history, mut initiator, mut responder) = (0, 0, 0);
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
            note(&mut history, &mut initiator, FlowSide::Initiator, letter);
            note(&mut history, &mut responder, FlowSide::Responder, letter);
        }
        assert_eq!(spell(history), "SsHhAaDdFfRrTtG");
    }
}
