//! The packet socket of a capture, and cleanup when it is dropped.

use std::io;

use packet_filter::Program;
use ring_sys::errno::ENETDOWN;
use ring_sys::filter::{Instruction, RET_K};
use ring_sys::packet::PacketSocket;
use ring_sys::packet::abi::{PACKET_MR_PROMISC, PacketMreq, TpacketStatsV3};

use super::filter::{self, CaptureFilter, Prepared};
use crate::error::system;
use crate::{Error, LinkType};

/// An Ethernet protocol that no packet has: reserved by RFC 1701 and never sent.
const NO_PROTOCOL: u16 = 0xffff;

#[derive(Debug)]
pub(crate) struct CaptureSocket {
    pub(crate) socket: PacketSocket,
    pub(crate) interface: String,
    /// The interface's index, 0 for all interfaces.
    pub(crate) index: u32,
    /// Maximum number of bytes kept of a packet.
    pub(crate) snaplen: u32,
    pub(crate) link_type: Option<LinkType>,
    /// `true` if the filter must drop outgoing copies on loopback interfaces, because the socket
    /// captures from all interfaces.
    pub(crate) once_on_loopback: bool,
    pub(crate) promiscuous: bool,
    pub(crate) locked: bool,
}

impl CaptureSocket {
    /// Drops all packets until another filter is set.
    pub(crate) fn drop_all(&self) -> io::Result<()> {
        self.socket.attach_filter(&[Instruction::statement(RET_K, 0)])
    }

    /// Checks the filter without attaching it.
    pub(crate) fn check_filter(&self, filter: &CaptureFilter) -> Result<(), Error> {
        self.prepare(filter).map(drop)
    }

    /// Attaches the filter and replaces the current one. For a classic program, returns the program
    /// to apply to packets that are in the ring already.
    pub(crate) fn set_filter(&self, filter: &CaptureFilter) -> Result<Option<Program>, Error> {
        let refused = |source| Error::Filter { source };
        match self.prepare(filter)? {
            Prepared::Nothing => match self.socket.detach_filter() {
                // SO_DETACH_FILTER fails without a filter, which is the state that was asked for.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => result.map_err(refused)?,
            },
            Prepared::Classic(program) => {
                let interpretable = filter::interpretable(&program)?;
                self.socket.attach_filter(&program).map_err(refused)?;
                return Ok(Some(interpretable));
            }
            Prepared::Descriptor(descriptor) => {
                self.socket.attach_program(descriptor).map_err(refused)?;
            }
        }
        Ok(None)
    }

    /// The part of the filter that must run in this process. An eBPF program is attached unchanged,
    /// so outgoing copies on loopback interfaces are dropped afterwards.
    pub(crate) fn rest_of(&self, filter: &CaptureFilter) -> Result<Option<Program>, Error> {
        let left = filter.is_descriptor() && self.once_on_loopback;
        left.then(filter::once_on_loopback).transpose()
    }

    pub(crate) fn join_promiscuous(&mut self) -> Result<(), Error> {
        let request = self.promiscuous_request();
        self.socket.add_membership(&request).map_err(system("switch promiscuous mode on"))?;
        self.promiscuous = true;
        Ok(())
    }

    pub(crate) fn take_statistics(&self) -> Result<TpacketStatsV3, Error> {
        self.socket.take_statistics().map_err(system("read the packet statistics"))
    }

    /// Returns `true` if the interface went down, or an error if it was deleted.
    pub(crate) fn is_down(&self) -> Result<bool, Error> {
        let error = self.socket.take_error();
        // ENETDOWN is reported both when an interface goes down and when it is deleted. Only a
        // deleted one leaves the socket bound to -1 (`packet_notifier` of af_packet.c).
        if self.socket.bound_interface().map_err(system("ask for the interface"))? < 0 {
            return Err(Error::InterfaceGone { interface: self.interface.clone() });
        }
        match error {
            Ok(()) => Ok(false),
            Err(error) if error.raw_os_error() == Some(ENETDOWN) => Ok(true),
            Err(source) => Err(Error::System { operation: "capture", source }),
        }
    }

    /// Stops the socket from collecting packets, since it may stay open for a while.
    pub(crate) fn silence(&self) {
        if self.drop_all().is_err() {
            // If the filter is locked, binding to a protocol without packets has the same effect.
            // In a fanout group the kernel refuses that; the ring then fills up and stays full.
            let _ = self.socket.bind(self.index, NO_PROTOCOL);
        }
        if self.promiscuous {
            let _ = self.socket.drop_membership(&self.promiscuous_request());
        }
    }

    fn prepare<'f>(&self, filter: &'f CaptureFilter) -> Result<Prepared<'f>, Error> {
        if self.locked {
            return Err(Error::FilterLocked);
        }
        filter.prepare(self.link_type, self.snaplen, self.once_on_loopback)
    }

    fn promiscuous_request(&self) -> PacketMreq {
        PacketMreq {
            mr_ifindex: self.index as i32,
            mr_type: PACKET_MR_PROMISC,
            ..PacketMreq::default()
        }
    }
}
