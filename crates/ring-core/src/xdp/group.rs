//! All queues of an interface.

use ring_sys::interface;

use super::builder::XdpSocketBuilder;
use super::error::XdpError;
use super::program::find;
use super::socket::XdpSocket;
use super::umem::{Umem, UmemConfig};
use crate::{Error, Statistics};

/// A socket for each queue of an interface, so that nothing that the interface receives is missed. They share one
/// program and one packet memory: a frame that came on one queue can be sent on any.
///
/// Which packets come on which queue is up to the interface; where it spreads them symmetrically (`ethtool -X`), both
/// directions of a flow come to the same member. Each member is a source of its own, for a thread of its own.
#[derive(Debug)]
pub struct XdpGroup {
    members: Vec<XdpSocket>,
}

impl XdpGroup {
    /// Opens a socket for each queue. What the builder says of the queue is not looked at, and what it says of the
    /// memory is what each queue has: the group's is that many times as large, unless the builder was given one.
    ///
    /// # Errors
    /// As [`XdpSocketBuilder::open`], of the first queue that cannot be opened.
    pub fn open(builder: &XdpSocketBuilder) -> Result<Self, XdpError> {
        find(&builder.interface)?;
        let found = interface::find(&builder.interface).map_err(|source| {
            XdpError::NoSuchInterface { interface: builder.interface.clone(), source }
        })?;
        let queues = found.queues.0.max(1);
        let umem = match &builder.umem {
            Some(umem) => umem.clone(),
            None => shared(&builder.memory, queues, found.mtu)?,
        };
        // Each gets the same part of what there is: the last must not find the pool empty.
        let part = u32::try_from(umem.free_frames()).unwrap_or(u32::MAX) / queues;
        let fill = builder.fill_target.unwrap_or(part.div_ceil(2));
        let builder = builder.clone().umem(&umem).fill_target(fill);
        let members = (0..queues)
            .map(|queue| builder.clone().queue(queue).open())
            .collect::<Result<_, _>>()?;
        Ok(Self { members })
    }

    /// The members, in the order of their queues.
    #[must_use]
    pub fn members(&mut self) -> &mut [XdpSocket] {
        &mut self.members
    }

    /// The members, each for a thread of its own.
    #[must_use]
    pub fn into_members(self) -> Vec<XdpSocket> {
        self.members
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none, which is never.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The sum of the members' totals; frames on loan are those of the memory that they share.
    ///
    /// # Errors
    /// When the kernel refuses to tell.
    pub fn statistics(&self) -> Result<Statistics, Error> {
        let mut sum = Statistics::default();
        for member in &self.members {
            let part = member.statistics()?;
            sum.packets += part.packets;
            sum.drops += part.drops;
            sum.freezes += part.freezes;
            sum.malformed += part.malformed;
            sum.ring_exhausted += part.ring_exhausted;
            sum.blocks_on_loan = part.blocks_on_loan;
        }
        Ok(sum)
    }
}

fn shared(config: &UmemConfig, queues: u32, mtu: u32) -> Result<Umem, XdpError> {
    config.times(queues).allocate_for(Some(mtu))
}
