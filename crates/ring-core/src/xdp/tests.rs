//! Sockets with a simulated kernel, which may write arbitrary content.

mod bridge;
mod hostile;
mod keep;
mod model;
mod receive;
mod send;
mod share;

use std::sync::Arc;

use ring_sys::xdp::abi::{XDP_PKT_CONTD, XdpDesc};

use super::completions::Completions;
use super::cursor::RingSide;
use super::endpoint::Endpoint;
use super::fill::Fill;
use super::memory::Holder;
use super::mtu::Mtu;
use super::program::Place;
use super::queue::{QueuePlace, QueueRings};
use super::ring::Ring;
use super::ring::fake::{self, KernelRing};
use super::*;
use crate::interruption::Interruption;
use crate::{LinkType, Next, PacketBatch as _, PacketSource as _, Timeout};

/// The kernel's side of a socket.
struct Kernel {
    rx: KernelRing<XdpDesc>,
    fill: KernelRing<u64>,
    tx: KernelRing<XdpDesc>,
    completion: KernelRing<u64>,
}

const SIZE: u32 = 8;

fn socket(umem: &Umem, start: u32) -> (Socket, Kernel) {
    socket_with(umem, SIZE, start)
}

/// A socket whose rings have `size` entries.
fn socket_with(umem: &Umem, size: u32, start: u32) -> (Socket, Kernel) {
    let (fill, fill_kernel) = fake::ring(RingSide::Producer, size, start);
    let (completion, completion_kernel) = fake::ring(RingSide::Consumer, size, start);
    let number = umem.shared.number().expect("a number");
    let place = QueuePlace { interface: Place::none(), queue: number.into() };
    let completions = Completions::new(completion, Holder::Send(number));
    let both = (Fill::new(fill), completions);
    let rings = Arc::new(QueueRings::new(umem.shared.clone(), number, place, both, None, true));
    umem.shared.add(&rings);
    let (socket, rx, tx) = socket_on(&rings, umem, size, start);
    (socket, Kernel { rx, fill: fill_kernel, tx, completion: completion_kernel })
}

/// A socket on a queue whose rings exist already, and the kernel's side of its own rings.
fn socket_on(
    rings: &Arc<QueueRings>,
    umem: &Umem,
    size: u32,
    start: u32,
) -> (Socket, KernelRing<XdpDesc>, KernelRing<XdpDesc>) {
    let (rx, rx_kernel): (Ring<XdpDesc>, _) = fake::ring(RingSide::Consumer, size, start);
    let (tx, tx_kernel) = fake::ring(RingSide::Producer, size, start);
    let endpoint = Arc::new(Endpoint {
        entry: None,
        socket: None,
        umem: umem.shared.clone(),
        ordinal: rings.ordinal(),
        rings: rings.clone(),
        interface: "test".into(),
        index: 7,
        queue: 0,
        link_type: LinkType::ETHERNET,
        mtu: Mtu::new(9000, 18, None),
        zero_copy: false,
        multi_buffer: true,
        busy_poll: false,
        _promiscuous: None,
    });
    assert!(rings.receiver_came());
    let waiter = umem.shared.memory.returns.join().expect("an event");
    let interruption = Interruption::new().expect("an event");
    let (share, wait) = (rings.fill.want(size), Wait::Sleep);
    let receiver = Receiver::new(rx, share, wait, endpoint.clone(), waiter, interruption);
    let sender = Sender::new(tx, endpoint);
    (Socket { receiver: Some(receiver), sender: Some(sender) }, rx_kernel, tx_kernel)
}

fn umem(frames: u32) -> Umem {
    UmemConfig::new().frames(frames).frame_size(2048).allocate().expect("memory")
}

impl Kernel {
    /// Receives a packet as the kernel does, into a frame of the fill ring.
    fn receive(&self, umem: &Umem, data: &[u8], options: u32) -> Option<u64> {
        let frame = self.fill.pop()?;
        let memory = &umem.shared.memory;
        let addr = if memory.layout().unaligned { frame | (256 << 48) } else { frame + 256 };
        let at = frame as usize + 256;
        let place = memory.mapping().pointer(at, data.len(), 1).expect("within");
        // SAFETY: the place is within the mapping, and the frame belongs to the kernel, which is
        // this test.
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), place.as_ptr(), data.len()) };
        self.rx.push(XdpDesc { addr, len: data.len() as u32, options });
        Some(addr)
    }

    /// Sends all queued packets.
    fn send(&self) -> Vec<XdpDesc> {
        let sent: Vec<XdpDesc> = std::iter::from_fn(|| self.tx.pop()).collect();
        sent.iter().for_each(|descriptor| self.completion.push(descriptor.addr));
        sent
    }
}

fn packets(socket: &mut Socket) -> Vec<Vec<u8>> {
    match socket.next_batch(Timeout::Now).expect("no error") {
        Next::Batch(batch) => batch.packets().map(|packet| packet.data().to_vec()).collect(),
        _ => Vec::new(),
    }
}

fn malformed(socket: &mut Socket) -> u64 {
    socket.statistics().expect("counts").malformed
}

/// Checks that all frames of a memory come back once nobody has any.
fn assert_complete(umem: &Umem) {
    assert_eq!(umem.held_frames(), 0);
    assert_eq!(umem.free_frames(), umem.frames() as usize);
}
