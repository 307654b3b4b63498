//! Packets that are sent in the frames in which they arrived.

use super::error::{Error, unless_down};
use super::frame::Frame;
use super::sender::{RejectReason, SendRejected, Sender};
use crate::LinkType;
use crate::checksum::Segment;

/// The result of sending a packet's frames.
pub(crate) enum Passed {
    /// The frames are queued.
    On,
    /// There is no room now; the caller still has the frames.
    Full,
    /// The frames cannot be sent and were released.
    Refused,
}

/// `true` if the interface accepts a packet's frames unchanged. A verdict may have made the packet
/// empty.
pub(crate) fn can_pass(sender: &Sender, frames: &[Frame]) -> bool {
    let len: usize = frames.iter().map(Frame::len).sum();
    let start = frames.first().map_or(&[][..], Frame::data);
    sender.can_send(len, frames.len())
        && len <= sender.endpoint.longest_like(start)
        && !frames.iter().any(Frame::is_empty)
}

/// Sends all frames of a packet, or none.
pub(crate) fn pass_on(sender: &mut Sender, frames: &mut Vec<Frame>) -> Result<Passed, Error> {
    if !can_pass(sender, frames) {
        frames.clear();
        return Ok(Passed::Refused);
    }
    let pieces = frames.len() as u32;
    // All pieces or none: the kernel would send the first pieces as a packet that never ends, and
    // join the next packet to it.
    let mut room = sender.tx_room(pieces)?;
    if room < pieces {
        unless_down(sender.flush())?;
        room = sender.tx_room(pieces)?;
    }
    if room < pieces {
        return Ok(Passed::Full);
    }
    // Everything else was checked before, so only a broken ring can make this fail.
    for frame in frames.drain(..) {
        if let Err(SendRejected { reason: RejectReason::Refused(error), .. }) = sender.send(frame) {
            return Err(error);
        }
    }
    Ok(Passed::On)
}

/// Fills in a checksum that a virtual link left to an adapter, recognised by the sum of the
/// pseudo-header in its place. AF_XDP sends frames as they are, and no adapter completes them.
pub(crate) fn complete_checksum(frames: &mut [Frame], link_type: LinkType, joined: &mut Vec<u8>) {
    let data = match &*frames {
        [whole] => whole.data(),
        pieces => {
            joined.clear();
            pieces.iter().for_each(|piece| joined.extend_from_slice(piece.data()));
            joined
        }
    };
    let segment = Segment::of(data, link_type).filter(|segment| segment.is_unfinished(data));
    if let Some(segment) = segment {
        let sum = segment.sum(data);
        put_in_place(frames, segment.field().start, sum);
    }
}

/// Writes two bytes at an offset of a packet, which may be spread over several frames.
pub(crate) fn put_in_place(frames: &mut [Frame], mut at: usize, bytes: [u8; 2]) {
    for byte in bytes {
        let mut place = at;
        for frame in &mut *frames {
            if let Some(found) = frame.data_mut().get_mut(place) {
                *found = byte;
                break;
            }
            place -= frame.len();
        }
        at += 1;
    }
}
