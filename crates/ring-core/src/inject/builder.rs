//! Setting up an injector.

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
use crate::{Error, LinkType, link_type};

/// Longest frame that offloads take: what the fields of IP and of `struct virtio_net_hdr` can say.
const LONGEST: usize = u16::MAX as usize;

/// How an [`Injector`] is set up: plain configuration with defaults, and one fallible end, [`open`](Self::open).
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

/// How frames get to the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendPath {
    /// Many frames a system call, sendmmsg(2).
    #[default]
    Messages,
    /// A ring that is shared with the kernel, `PACKET_TX_RING` with `TPACKET_V2`. Unless it is asked for
    /// [zero copy](InjectorBuilder::zero_copy), the kernel is told by a virtio-net header to copy each frame in one piece,
    /// which makes this the faster path on virtual interfaces.
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

    /// How frames get to the kernel.
    pub fn path(mut self, path: SendPath) -> Self {
        self.path = path;
        self
    }

    /// How many frames there is room for; 256 unless said otherwise, 64 with offloads. 0 counts as 1; a ring may get a
    /// few more.
    pub fn slots(mut self, count: usize) -> Self {
        self.slots = Some(count.max(1));
        self
    }

    /// After how many frames they are handed to the kernel without a [`flush`](Injector::flush); 64 unless said
    /// otherwise, at most the number of slots. 0 counts as 1.
    pub fn batch(mut self, frames: usize) -> Self {
        self.batch = frames.max(1);
        self
    }

    /// Sends past the queueing discipline (`PACKET_QDISC_BYPASS` of packet(7)): faster, but out of turn, and nothing
    /// holds frames while the adapter is busy.
    pub fn qdisc_bypass(mut self, bypass: bool) -> Self {
        self.qdisc_bypass = bypass;
        self
    }

    /// Has the kernel skip frames of the ring that it refuses instead of stopping there (`PACKET_LOSS` of packet(7)). It
    /// does not say which: the statistics take the longest for those. Without this the injector takes them out itself.
    /// Means nothing for [`SendPath::Messages`].
    pub fn loss(mut self, loss: bool) -> Self {
        self.loss = loss;
        self
    }

    /// Lets the kernel send frames of the ring from where they lie, without a copy: for real adapters. On virtual
    /// interfaces (veth, loopback) the kernel copies them all the same before it gives the place back, at more cost. Means
    /// nothing for [`SendPath::Messages`].
    pub fn zero_copy(mut self, zero_copy: bool) -> Self {
        self.zero_copy = zero_copy;
        self
    }

    /// Allows [`Offload`](super::Offload)s (`PACKET_VNET_HDR` of packet(7)) and frames of up to 65,535 bytes with them.
    pub fn offloads(mut self, offloads: bool) -> Self {
        self.offloads = offloads;
        self
    }

    /// Has the kernel tell when it gave each frame to the driver (`SOF_TIMESTAMPING_TX_SOFTWARE` of
    /// `Documentation/networking/timestamping.rst`): see [`Injector::take_timestamp`]. Frames are then handed over one by
    /// one on [`SendPath::Messages`].
    pub fn timestamps(mut self, timestamps: bool) -> Self {
        self.timestamps = timestamps;
        self
    }

    /// Has the adapter tell when it sent each frame (`SOF_TIMESTAMPING_TX_HARDWARE`), by its own clock, which must have been
    /// switched on (`hwstamp_ctl`). Includes [`timestamps`](Self::timestamps).
    pub fn hardware_timestamps(mut self, timestamps: bool) -> Self {
        self.hardware_timestamps = timestamps;
        self.timestamps |= timestamps;
        self
    }

    /// The socket's send buffer in bytes (`SO_SNDBUF` of socket(7)), which bounds what the interface has not sent yet.
    pub fn send_buffer(mut self, bytes: u32) -> Self {
        self.send_buffer = Some(bytes);
        self
    }

    /// For how long the interface may refuse a frame with `ENOBUFS` before it is given up as rejected; a second unless said
    /// otherwise. A queue that is full and a driver that drops this very frame say the same, and only the first passes: so
    /// this should be longer than the interface needs for one frame.
    pub fn patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }

    /// Opens the injector.
    ///
    /// # Errors
    /// [`Error::Permission`] without `CAP_NET_RAW`; [`Error::NoInterface`]; [`Error::HardwareType`] for interfaces that
    /// are neither Ethernet nor IP without a header; [`Error::System`] for what else the kernel refuses.
    pub fn open(self) -> Result<Injector, Error> {
        let missing = |error| no_interface(&self.interface, error);
        let index = interface::index(&self.interface).map_err(missing)?;
        let hardware_type = interface::hardware_type(&self.interface).map_err(missing)?;
        let mtu = interface::mtu(&self.interface).map_err(missing)? as usize;
        let link_type = link_type::of_hardware(hardware_type);
        let header = match link_type {
            LinkType::ETHERNET => 14,
            LinkType::RAW => 0,
            _ => return Err(Error::HardwareType { name: self.interface, hardware_type }),
        };
        let limits =
            Limits { header, least: header.max(1), plain: mtu + header, offloads: self.offloads };
        let longest = limits.tagged().max(if self.offloads { LONGEST } else { 0 });

        let socket =
            PacketSocket::new().map_err(privileged("open a packet socket", Capability::NetRaw))?;
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
        let slots = self.slots.unwrap_or(if self.offloads { 64 } else { 256 });
        let path = match self.path {
            SendPath::Messages => {
                if self.offloads {
                    let set = socket.set_vnet_header(true);
                    set.map_err(system("put virtio-net headers before frames"))?;
                }
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
        // After the ring: what is bound without a protocol receives nothing.
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
