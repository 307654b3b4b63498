//! Sharing an interface's packets between several captures (`PACKET_FANOUT` of packet(7)).

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use ring_sys::packet::PacketSocket;
use ring_sys::packet::abi::{self, FanoutArgs};

use super::filter::RawFilter;
use crate::Error;
use crate::error::system;

/// Membership in a fanout group: each packet goes to one of its captures.
#[derive(Clone, Debug)]
pub struct Fanout {
    pub(crate) mode: FanoutMode,
    pub(crate) group: Option<u16>,
    pub(crate) flags: u16,
    pub(crate) most_members: u32,
}

/// The rule that selects the member for a packet (`PACKET_FANOUT` of packet(7)).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FanoutMode {
    /// By addresses and ports, the same for both directions of a flow (`PACKET_FANOUT_HASH`).
    Hash,
    /// Round-robin (`PACKET_FANOUT_LB`).
    LoadBalance,
    /// By the processor that the packet arrived on (`PACKET_FANOUT_CPU`).
    Cpu,
    /// The first member until it is full, then the next (`PACKET_FANOUT_ROLLOVER`).
    Rollover,
    /// Random (`PACKET_FANOUT_RND`).
    Random,
    /// By the adapter's receive queue (`PACKET_FANOUT_QM`).
    Queue,
    /// By the return value of a classic BPF program, modulo the number of members
    /// (`PACKET_FANOUT_CBPF`). The program sees packets from the network header on.
    Classic(RawFilter),
    /// By the return value of an eBPF program, modulo the number of members (`PACKET_FANOUT_EBPF`).
    /// The program sees packets from the network header on.
    Program(Arc<OwnedFd>),
}

impl Fanout {
    /// Membership in the group with this number, which the first member creates. Numbers are shared
    /// by the whole network namespace; with [`unique`](Self::unique) the kernel chooses one.
    #[must_use]
    pub fn group(number: u16, mode: FanoutMode) -> Self {
        Self { mode, group: Some(number), flags: 0, most_members: 0 }
    }

    /// Membership in a new group whose number the kernel chooses.
    #[must_use]
    pub fn unique(mode: FanoutMode) -> Self {
        Self { mode, group: None, flags: 0, most_members: 0 }
    }

    /// Lets a member without room pass packets on to the next (`PACKET_FANOUT_FLAG_ROLLOVER` of
    /// packet(7)).
    #[must_use]
    pub fn rollover(mut self) -> Self {
        self.flags |= abi::PACKET_FANOUT_FLAG_ROLLOVER;
        self
    }

    /// Makes the kernel reassemble IPv4 fragments first, so that one member gets all of them
    /// (`PACKET_FANOUT_FLAG_DEFRAG`).
    #[must_use]
    pub fn defragment(mut self) -> Self {
        self.flags |= abi::PACKET_FANOUT_FLAG_DEFRAG;
        self
    }

    /// Excludes packets that this host sends, for the whole group
    /// (`PACKET_FANOUT_FLAG_IGNORE_OUTGOING` of `linux/if_packet.h`).
    #[must_use]
    pub fn ignore_outgoing(mut self) -> Self {
        self.flags |= abi::PACKET_FANOUT_FLAG_IGNORE_OUTGOING;
        self
    }

    /// Joins the group and returns its number.
    pub(crate) fn join(&self, socket: &PacketSocket) -> Result<u16, Error> {
        let kind = match &self.mode {
            FanoutMode::Hash => abi::PACKET_FANOUT_HASH,
            FanoutMode::LoadBalance => abi::PACKET_FANOUT_LB,
            FanoutMode::Cpu => abi::PACKET_FANOUT_CPU,
            FanoutMode::Rollover => abi::PACKET_FANOUT_ROLLOVER,
            FanoutMode::Random => abi::PACKET_FANOUT_RND,
            FanoutMode::Queue => abi::PACKET_FANOUT_QM,
            FanoutMode::Classic(_) => abi::PACKET_FANOUT_CBPF,
            FanoutMode::Program(_) => abi::PACKET_FANOUT_EBPF,
        };
        // A number chosen here could be one that another program uses, and its members would then
        // get a part of these packets.
        let unique = if self.group.is_none() { abi::PACKET_FANOUT_FLAG_UNIQUEID } else { 0 };
        let arguments = FanoutArgs {
            id: self.group.unwrap_or(0),
            type_flags: kind | self.flags | unique,
            max_num_members: self.most_members,
        };
        socket.join_fanout(&arguments).map_err(system("join the fanout group"))?;
        // The program can only be set once the socket is a member. The capture drops all
        // packets until later, so none is distributed without the program.
        match &self.mode {
            FanoutMode::Classic(program) => socket.set_fanout_filter(program.instructions()),
            FanoutMode::Program(program) => socket.set_fanout_program(program.as_fd()),
            _ => Ok(()),
        }
        .map_err(system("set the fanout program"))?;
        // Asked for instead of returned from the arguments, as the kernel may have chosen the
        // number.
        Ok(socket.fanout().map_err(system("ask for the fanout group"))? as u16)
    }
}
