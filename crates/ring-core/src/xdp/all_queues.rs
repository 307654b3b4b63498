//! Sockets for all queues of an interface, or of two that are joined.

use ring_sys::interface;

use super::builder::{Direction, SocketBuilder};
use super::error::{Error, no_interface};
use super::program::find;
use super::sender::Sender;
use super::socket::Socket;
use crate::wait::Wait;

/// Opens a socket for each queue of an interface. They share one packet memory. If the interface
/// has fewer send queues than receive queues, the remaining sockets only receive.
pub(crate) fn open_all(builder: &SocketBuilder) -> Result<Vec<Socket>, Error> {
    let queues = Queues::of(&builder.interface)?;
    let count = match builder.direction {
        Direction::Send => queues.send,
        Direction::Both | Direction::Receive => queues.receive,
    };
    let mtu = interface::mtu(&builder.interface).ok();
    let umem = match &builder.umem {
        Some(umem) => umem.clone(),
        None => builder.memory.times(count).allocate_for(mtu)?,
    };
    // Each member gets an equal part of the memory, so that the last one does not find it
    // empty.
    let part = u32::try_from(umem.free_frames()).unwrap_or(u32::MAX) / count;
    let fill = builder.fill_target.unwrap_or(part.div_ceil(2));
    let builder = builder.clone().umem(&umem).fill_target(fill);
    (0..count)
        .map(|queue| {
            let member = builder.clone().queue(queue);
            // Without a send queue, the kernel would leave queued packets unsent.
            if queue < queues.send { member } else { member.direction(Direction::Receive) }.open()
        })
        .collect()
}

/// Opens a socket for each queue of two interfaces to be joined. They share one packet memory, are
/// in promiscuous mode ([`SocketBuilder::promiscuous`]) and wake up for each packet, because
/// other hosts wait for the packets.
pub(crate) fn open_both(
    left: &SocketBuilder,
    right: &SocketBuilder,
) -> Result<[Vec<Socket>; 2], Error> {
    if find(&left.interface)? == find(&right.interface)? {
        return Err(Error::SameInterface { interface: left.interface.clone() });
    }
    let all = Queues::of(&left.interface)?.receive + Queues::of(&right.interface)?.receive;
    let umem = match &left.umem {
        Some(umem) => umem.clone(),
        None => {
            let mtu = [left, right].map(|builder| interface::mtu(&builder.interface).ok());
            left.memory.times(all).allocate_for(mtu[0].max(mtu[1]))?
        }
    };
    let part = u32::try_from(umem.free_frames()).unwrap_or(u32::MAX) / all;
    let open = |builder: &SocketBuilder| -> Result<_, Error> {
        let fill = builder.fill_target.unwrap_or(part.div_ceil(2));
        let builder = builder.clone().direction(Direction::Both).promiscuous(true);
        open_all(&builder.umem(&umem).fill_target(fill).wait(Wait::Sleep))
    };
    Ok([open(left)?, open(right)?])
}

/// The number of an interface's queues, at least one of each kind.
struct Queues {
    receive: u32,
    send: u32,
}

impl Queues {
    fn of(name: &str) -> Result<Self, Error> {
        let found = interface::find(name).map_err(no_interface(name))?;
        let (receive, send) = found.queues;
        let receive = receive.max(1);
        Ok(Self { receive, send: if send == 0 { receive } else { send } })
    }
}

/// The socket that sends packets from a queue of the other interface, or the first one that can
/// send.
pub(crate) fn counterpart(sockets: &mut [Socket], queue: usize) -> Result<&mut Sender, Error> {
    let senders = sockets.iter().filter(|socket| socket.sender.is_some()).count();
    sockets[queue % senders.max(1)].sender()
}
