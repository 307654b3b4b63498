//! Settings of an injector.

use std::time::Duration;

use ring_sys::capability::Capability;
use ring_sys::interface;
use ring_sys::packet::PacketSocket;

use super::messages::Messages;
use super::path::Path;
use super::ring::{Headers, Ring};
use super::timestamp::Timestamps;
use super::{Injector, Limits};
use crate::error::{no_interface, privileged, system};
use crate::{Error, LinkType, hardware};

/// Maximum length of a frame with offloads, by the fields of IP and of `struct virtio_net_hdr`.
const LONGEST: usize = u16::MAX as usize;

/// Settings of an [`Injector`]. [`open`](Self::open) opens it.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `open`"]
pub struct InjectorBuilder {
    interface: String,
    path: SendPath,
    slots: Option<usize>,
    batch: usize,
    qdisc_bypass: bool,
    loss: bool,
    zero_copy: bool,
    offloads: bool,
    timestamps: bool,
    hardware_timestamps: bool,
    send_buffer: Option<u32>,
    patience: Duration,
}

/// The way in which frames are passed to the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendPath {
    /// Many frames per system call, sendmmsg(2).
    #[default]
    Messages,
    /// A ring shared with the kernel, `PACKET_TX_RING` with `TPACKET_V2`. Unless [zero
    /// copy](InjectorBuilder::zero_copy) is requested, a virtio-net header makes the kernel copy
    /// each frame in one piece, so this is the faster path on virtual interfaces.
    Ring,
}

impl InjectorBuilder {
    pub(crate) fn new(interface: &str) -> Self {
        Self {
            interface: interface.to_owned(),
            path: SendPath::default(),
            slots: None,
            batch: 64,
            qdisc_bypass: false,
            loss: false,
            zero_copy: false,
            offloads: false,
            timestamps: false,
            hardware_timestamps: false,
            send_buffer: None,
            patience: Duration::from_secs(1),
        }
    }

    /// Sets the way in which frames are passed to the kernel. Default: [`SendPath::Messages`].
    pub fn path(mut self, path: SendPath) -> Self {
        self.path = path;
        self
    }

    /// Sets the number of slots for frames (default: 256, or 64 with offloads). 0 counts as 1. A
    /// ring may get a few more.
    pub fn slots(mut self, count: usize) -> Self {
        self.slots = Some(count.max(1));
        self
    }

    /// Sets the number of frames after which they are handed to the kernel without a
    /// [`flush`](Injector::flush) (default: 64). The maximum is the number of slots. 0 counts as 1.
    pub fn batch(mut self, frames: usize) -> Self {
        self.batch = frames.max(1);
        self
    }

    /// Bypasses the queueing discipline (`PACKET_QDISC_BYPASS` of packet(7)). This is faster, but
    /// frames overtake queued ones, and no queue holds them while the adapter is busy. Default:
    /// off.
    pub fn qdisc_bypass(mut self, bypass: bool) -> Self {
        self.qdisc_bypass = bypass;
        self
    }

    /// Makes the kernel skip frames of the ring that it refuses, instead of stopping there
    /// (`PACKET_LOSS` of packet(7)). It does not report which ones; the statistics assume the
    /// longest. Without this option, the injector removes refused frames itself. Has no effect on
    /// [`SendPath::Messages`]. Default: off.
    pub fn loss(mut self, loss: bool) -> Self {
        self.loss = loss;
        self
    }

    /// Lets the kernel send frames of the ring in place, without a copy. Use it with real adapters.
    /// On virtual interfaces (veth, loopback) the kernel copies frames anyway, at a higher cost.
    /// Has no effect on [`SendPath::Messages`]. Default: off.
    pub fn zero_copy(mut self, zero_copy: bool) -> Self {
        self.zero_copy = zero_copy;
        self
    }

    /// Enables [`Offload`](super::Offload)s (`PACKET_VNET_HDR` of packet(7)), with frames of up to
    /// 65,535 bytes. Default: off; commits of offloads then return [`Error::NoOffloads`].
    pub fn offloads(mut self, offloads: bool) -> Self {
        self.offloads = offloads;
        self
    }

    /// Enables timestamps of when the kernel passed each frame to the driver
    /// (`SOF_TIMESTAMPING_TX_SOFTWARE` of `Documentation/networking/timestamping.rst`); see
    /// [`Injector::take_timestamp`]. Frames are then sent one by one through
    /// [`SendPath::Messages`]. Default: off.
    pub fn timestamps(mut self, timestamps: bool) -> Self {
        self.timestamps = timestamps;
        self
    }

    /// Enables timestamps of when the adapter sent each frame, by the adapter's clock
    /// (`SOF_TIMESTAMPING_TX_HARDWARE`). They must be enabled on the adapter (`hwstamp_ctl`).
    /// Includes [`timestamps`](Self::timestamps). Default: off.
    pub fn hardware_timestamps(mut self, timestamps: bool) -> Self {
        self.hardware_timestamps = timestamps;
        self.timestamps |= timestamps;
        self
    }

    /// Sets the size of the socket's send buffer in bytes (`SO_SNDBUF` of socket(7)), which limits
    /// the data that the interface has not sent yet. Default: the system's
    /// (`net.core.wmem_default`).
    pub fn send_buffer(mut self, bytes: u32) -> Self {
        self.send_buffer = Some(bytes);
        self
    }

    /// Sets how long the interface may refuse a frame with `ENOBUFS` before the frame is given up
    /// as rejected (default: one second). The error has two possible causes, a full queue and a
    /// driver that drops this very frame, and only the first is temporary. So this should exceed
    /// the time that the interface needs for one frame.
    pub fn patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }

    /// Opens the injector.
    ///
    /// # Errors
    /// [`Error::Permission`] without `CAP_NET_RAW`; [`Error::NoInterface`]; [`Error::HardwareType`]
    /// for interfaces that are neither Ethernet nor raw IP; [`Error::System`] for anything else
    /// that the kernel refuses.
    pub fn open(self) -> Result<Injector, Error> {
        let missing = |error| no_interface(&self.interface, error);
        let index = interface::index(&self.interface).map_err(missing)?;
        let hardware_type = interface::hardware_type(&self.interface).map_err(missing)?;
        let mtu = interface::mtu(&self.interface).map_err(missing)? as usize;
        let link_type = hardware::of_hardware(hardware_type);
        let header = match link_type {
            LinkType::ETHERNET => 14,
            LinkType::RAW => 0,
            _ => return Err(Error::HardwareType { interface: self.interface, hardware_type }),
        };
        let limits =
            Limits { header, least: header.max(1), plain: mtu + header, offloads: self.offloads };
        let longest = limits.tagged().max(if self.offloads { LONGEST } else { 0 });

        let socket = PacketSocket::new()
            .map_err(privileged("open a packet socket", &[Capability::NetRaw]))?;
        if self.qdisc_bypass {
            socket.set_qdisc_bypass(true).map_err(system("send past the queueing discipline"))?;
        }
        if let Some(bytes) = self.send_buffer {
            let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
            socket.set_send_buffer(bytes).map_err(system("set the send buffer"))?;
        }
        if self.timestamps {
            let set = socket.set_send_timestamps(self.hardware_timestamps);
            set.map_err(system("ask for send time stamps"))?;
        }
        // A slot of an injector with offloads has 64 KiB, so there are fewer of them.
        let slots = self.slots.unwrap_or(if self.offloads { 64 } else { 256 });
        let path = match self.path {
            SendPath::Messages => {
                if self.offloads {
                    let set = socket.set_vnet_header(true);
                    set.map_err(system("put virtio-net headers before frames"))?;
                }
                // sendmmsg(2) reports no error of a later frame, although the kernel has counted
                // that frame for the numbers of time stamps. With one frame a call none is missed.
                let at_once = if self.timestamps { 1 } else { slots };
                let messages = Messages::new(slots, longest, self.offloads, at_once);
                Path::Messages(messages.map_err(system("make room for frames"))?)
            }
            SendPath::Ring => {
                let headers = match (self.zero_copy, self.offloads) {
                    (false, _) => Headers::CopyAll,
                    (true, true) => Headers::Present,
                    (true, false) => Headers::None,
                };
                let ring = Ring::new(&socket, slots, longest, headers, self.loss);
                Path::Ring(ring.map_err(system("make the send ring"))?)
            }
        };
        // Bound after the ring exists, without a protocol, so that nothing is received.
        socket.bind(index, 0).map_err(system("bind to the interface"))?;
        Ok(Injector {
            socket,
            path,
            interface: self.interface,
            link_type,
            limits,
            batch: self.batch.min(slots),
            statistics: crate::SinkStatistics::default(),
            rejection: None,
            handed: 0,
            patience: self.patience,
            refused: None,
            timestamps: self.timestamps.then(Timestamps::default),
        })
    }
}
