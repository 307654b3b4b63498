//! Settings of a bridge.

use std::os::fd::AsFd as _;
use std::time::Duration;

use ring_sys::event::Poller;

use super::lane::Lane;
use super::{Bridge, Lanes};
use crate::error::system;
use crate::interruption::Interruption;
use crate::{
    Capture, CaptureFilter, Error, Injector, Outgoing, PacketSource as _, RingGeometry,
    RingProfile, SendPath, Side,
};

/// Maximum time that a frame which the other side does not accept delays those behind it.
const PATIENCE: Duration = Duration::from_millis(100);

/// Settings of a [`Bridge`] over AF_PACKET. [`open`](Self::open) opens it.
#[derive(Clone, Debug)]
#[must_use = "nothing is forwarded before `open`"]
pub struct BridgeBuilder {
    left: String,
    right: String,
    geometry: RingGeometry,
    filter: CaptureFilter,
    path: SendPath,
    qdisc_bypass: bool,
    promiscuous: bool,
}

impl BridgeBuilder {
    pub(crate) fn new(left: &str, right: &str) -> Self {
        Self {
            left: left.to_owned(),
            right: right.to_owned(),
            geometry: RingProfile::LowLatency.geometry(),
            filter: CaptureFilter::everything(),
            path: SendPath::default(),
            qdisc_bypass: false,
            promiscuous: true,
        }
    }

    /// Sets the shape of the receive rings (default: [`RingProfile::LowLatency`]). A packet is
    /// forwarded once the kernel hands over its block, at the latest after the ring's timeout.
    pub fn geometry(mut self, geometry: RingGeometry) -> Self {
        self.geometry = geometry;
        self
    }

    /// Selects the packets to forward, in the kernel (default: all). Accepts the same as
    /// [`CaptureBuilder::filter`](crate::CaptureBuilder::filter).
    pub fn filter(mut self, filter: impl Into<CaptureFilter>) -> Self {
        self.filter = filter.into();
        self
    }

    /// Sets the way in which packets are passed to the kernel. Default: [`SendPath::Messages`].
    pub fn send_path(mut self, path: SendPath) -> Self {
        self.path = path;
        self
    }

    /// Bypasses the queueing discipline (`PACKET_QDISC_BYPASS` of packet(7)). Default: off.
    pub fn qdisc_bypass(mut self, bypass: bool) -> Self {
        self.qdisc_bypass = bypass;
        self
    }

    /// Enables promiscuous mode (default: on). A bridge needs it to receive packets addressed to
    /// other hosts.
    pub fn promiscuous(mut self, promiscuous: bool) -> Self {
        self.promiscuous = promiscuous;
        self
    }

    /// Opens the bridge.
    ///
    /// # Errors
    /// [`Error::SameInterface`]; [`Error::SinkLinkType`] if the interfaces have different
    /// link-layer headers; the errors of [`CaptureBuilder::open`](crate::CaptureBuilder::open) and
    /// [`InjectorBuilder::open`](crate::InjectorBuilder::open).
    pub fn open(self) -> Result<Bridge, Error> {
        let (left_in, right_in) = (self.capture(&self.left)?, self.capture(&self.right)?);
        let (left_out, right_out) = (self.injector(&self.left)?, self.injector(&self.right)?);
        if left_in.interface_index() == right_in.interface_index() {
            return Err(Error::SameInterface { interface: self.left });
        }
        for (capture, injector) in [(&left_in, &right_out), (&right_in, &left_out)] {
            match capture.link_type() {
                Some(link_type) if link_type != injector.link_type() => {
                    return Err(Error::SinkLinkType {
                        interface: injector.interface().to_owned(),
                        packet: link_type,
                        expected: injector.link_type(),
                    });
                }
                _ => {}
            }
        }
        let interruption = Interruption::new().map_err(system("make an event"))?;
        let poller = Poller::new().map_err(system("make a poller"))?;
        for descriptor in [left_in.waiter(), right_in.waiter(), interruption.as_fd()] {
            poller.add_edge(descriptor, 0).map_err(system("watch a descriptor"))?;
        }
        let to_right = Lane::new(Side::Left, left_in, right_out);
        let to_left = Lane::new(Side::Right, right_in, left_out);
        let lanes = Lanes::Packet(Box::new([to_right, to_left]));
        Ok(Bridge { lanes, poller, interruption, stalled: false })
    }

    fn capture(&self, interface: &str) -> Result<Capture, Error> {
        // The bridge's own packets are outgoing on the interface, so excluding them prevents a
        // loop.
        Capture::builder(interface)
            .geometry(self.geometry)
            .filter(self.filter.clone())
            .outgoing(Outgoing::Never)
            .promiscuous(self.promiscuous)
            .open()
    }

    fn injector(&self, interface: &str) -> Result<Injector, Error> {
        Injector::builder(interface)
            .path(self.path)
            .qdisc_bypass(self.qdisc_bypass)
            .offloads(true)
            .patience(PATIENCE)
            .open()
    }
}
