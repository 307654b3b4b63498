//! Packet memory, for one socket or shared.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use ring_sys::capability::Capability;
use ring_sys::errno;
use ring_sys::mmap::Mapping;
use ring_sys::xdp::abi::{XDP_UMEM_TX_SW_CSUM, XDP_UMEM_UNALIGNED_CHUNK_FLAG, XskTxMetadata};
use ring_sys::xdp::{self, UmemRequest};

use super::error::{Error, GeometryProblem, KernelVersion, explain};
use super::memory::{Layout, Lease, MOST_QUEUES, Memory};
use super::queue::QueueRings;

/// Memory that packets are received into and sent from, divided into frames of equal size. Cheap to
/// clone.
///
/// A socket allocates its own memory unless it is given one. Sockets that share a memory, on
/// several queues or interfaces, pass frames to each other without a copy.
#[derive(Clone, Debug)]
pub struct Umem {
    pub(crate) shared: Arc<Shared>,
}

/// Settings of a [`Umem`].
///
/// ```
/// use ring_core::xdp;
///
/// let config = xdp::UmemConfig::new().frames(1024).frame_size(2048);
/// let umem = config.huge_pages(xdp::HugePages::Preferred).allocate()?;
/// assert_eq!(umem.frames(), 1024);
/// # Ok::<(), ring_core::xdp::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UmemConfig {
    frames: u32,
    frame_size: Option<u32>,
    headroom: u32,
    unaligned: bool,
    huge_pages: HugePages,
    metadata: bool,
    software_checksum: bool,
}

/// The use of huge pages of 2 MiB for packet memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HugePages {
    /// Ordinary pages only.
    #[default]
    No,
    /// Huge pages if available; [`Umem::has_huge_pages`] shows the result.
    Preferred,
    /// Fails if no huge pages are available.
    Required,
}

/// The state shared by the clones of a [`Umem`], its sockets and its frames.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) memory: Memory,
    /// Flags of the kernel, `XDP_UMEM_*`.
    flags: u32,
    huge: bool,
    /// The setting of the first bound socket, which applies to all sockets that share its memory.
    multi_buffer: AtomicBool,
    next_queue: AtomicU16,
    /// Held while a socket is opened.
    opening: Mutex<()>,
    /// The queues whose sockets use the memory.
    queues: Mutex<Vec<Weak<QueueRings>>>,
}

impl Default for UmemConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl UmemConfig {
    /// Defaults: 4,096 frames that fit the interface's MTU, ordinary pages, no metadata.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            frames: 4096,
            frame_size: None,
            headroom: 0,
            unaligned: false,
            huge_pages: HugePages::No,
            metadata: false,
            software_checksum: false,
        }
    }

    /// Sets the number of frames, from 1 to 16,777,216 (default: 4,096). A group has as many for
    /// each queue. Other numbers are [`Error::Geometry`] on [allocation](Self::allocate).
    #[must_use]
    pub const fn frames(mut self, frames: u32) -> Self {
        self.frames = frames;
        self
    }

    /// Sets the frame size in bytes: 2,048 or 4,096 (up to the page size), or any multiple of 64
    /// between them if frames are [unaligned](Self::unaligned). For receiving, the kernel reserves
    /// 256 of these bytes. Default: as the MTU of the socket's interface requires; 4,096 for memory
    /// made by [`allocate`](Self::allocate). Other sizes are [`Error::Geometry`].
    #[must_use]
    pub const fn frame_size(mut self, bytes: u32) -> Self {
        self.frame_size = Some(bytes);
        self
    }

    /// Sets the number of bytes to leave free before each received packet, for another header.
    /// Default: 0. It must leave 320 bytes of the frame ([`Error::Geometry`]).
    #[must_use]
    pub const fn headroom(mut self, bytes: u32) -> Self {
        self.headroom = bytes;
        self
    }

    /// Allows frames to cross page boundaries and so to have any size
    /// (`XDP_UMEM_UNALIGNED_CHUNK_FLAG`). A packet of 2,500 bytes then takes 2,816 bytes of memory
    /// instead of 4,096. Packets are always copied, since the pages of such a frame may not be
    /// contiguous for a device. Default: off. With
    /// [`ZeroCopy::Required`](super::ZeroCopy::Required), opening a socket returns
    /// [`Error::UnalignedZeroCopy`].
    #[must_use]
    pub const fn unaligned(mut self, unaligned: bool) -> Self {
        self.unaligned = unaligned;
        self
    }

    /// Sets the use of pages of 2 MiB, which cause fewer TLB misses with much memory. Default:
    /// ordinary pages.
    #[must_use]
    pub const fn huge_pages(mut self, pages: HugePages) -> Self {
        self.huge_pages = pages;
        self
    }

    /// Reserves room for metadata before each packet to be sent, so that checksums and send
    /// timestamps can be requested (Linux 6.8). Default: off; sending with a request then returns
    /// [`Error::NoMetadata`].
    #[must_use]
    pub const fn metadata(mut self, room: bool) -> Self {
        self.metadata = room;
        self
    }

    /// Lets the kernel compute requested checksums in copy mode, for tests and for drivers without
    /// support (`XDP_UMEM_TX_SW_CSUM`). Implies [`metadata`](Self::metadata). Default: off.
    #[must_use]
    pub const fn software_checksum(mut self, software: bool) -> Self {
        self.software_checksum = software;
        self.metadata |= software;
        self
    }

    /// Allocates the memory. It is registered with the kernel when the first socket uses it.
    ///
    /// # Errors
    /// [`Error::Geometry`], [`Error::HugePages`], [`Error::System`] if there is not enough
    /// memory.
    pub fn allocate(&self) -> Result<Umem, Error> {
        self.allocate_for(None)
    }

    /// The same settings with `count` times as many frames.
    pub(crate) fn times(&self, count: u32) -> Self {
        Self { frames: self.frames.saturating_mul(count), ..self.clone() }
    }

    /// Allocates memory for an interface of this MTU, if given.
    pub(crate) fn allocate_for(&self, mtu: Option<u32>) -> Result<Umem, Error> {
        /// Ethernet header and two VLAN tags.
        const LINK_HEADER: u32 = 14 + 4 + 4;
        let metadata = if self.metadata { size_of::<XskTxMetadata>() as u32 } else { 0 };
        let mut layout = Layout {
            frame_size: 2048,
            unaligned: self.unaligned,
            frames: self.frames,
            headroom: self.headroom,
            metadata,
        };
        layout.frame_size = self.frame_size.unwrap_or_else(|| {
            // 256 is `XDP_PACKET_HEADROOM`, which the kernel leaves free before each received
            // packet for programs that add headers.
            let room = layout.frame_size.saturating_sub(self.headroom.saturating_add(256));
            if mtu.is_some_and(|mtu| mtu.saturating_add(LINK_HEADER) <= room) { 2048 } else { 4096 }
        });
        let size = layout.frame_size;
        if self.unaligned {
            // The kernel takes any size from 2,048 bytes to a page (`xdp_umem_reg`). Multiples
            // of a cache line keep two frames from sharing one, which different processors
            // would write.
            let fits = (2048..=4096).contains(&size) && size.is_multiple_of(64);
            check(GeometryProblem::UnalignedFrameSize, size, fits)?;
        } else {
            // The kernel finds the frame of an aligned address with a mask, so only powers of
            // two are possible, and at most a page.
            check(GeometryProblem::FrameSize, size, matches!(size, 2048 | 4096))?;
        }
        check(GeometryProblem::Frames, layout.frames, (1..=1 << 24).contains(&layout.frames))?;
        let fits = layout.headroom <= layout.frame_size - 256 - 64;
        check(GeometryProblem::Headroom, layout.headroom, fits)?;
        let len = layout.frame_size as usize * layout.frames as usize;
        let (mapping, huge) = self.map(len)?;
        let mut flags = if self.software_checksum { XDP_UMEM_TX_SW_CSUM } else { 0 };
        flags |= if self.unaligned { XDP_UMEM_UNALIGNED_CHUNK_FLAG } else { 0 };
        Ok(Umem {
            shared: Arc::new(Shared {
                memory: Memory::new(mapping, layout),
                flags,
                huge,
                multi_buffer: AtomicBool::new(false),
                next_queue: AtomicU16::new(0),
                opening: Mutex::new(()),
                queues: Mutex::new(Vec::new()),
            }),
        })
    }

    fn map(&self, len: usize) -> Result<(Mapping, bool), Error> {
        if self.huge_pages != HugePages::No {
            match Mapping::anonymous_huge(len) {
                Ok(mapping) => return Ok((mapping, true)),
                Err(source) if self.huge_pages == HugePages::Required => {
                    return Err(Error::HugePages { needed: len as u64, source });
                }
                Err(_) => {}
            }
        }
        let mapping = Mapping::anonymous(len)
            .map_err(|source| Error::System { operation: "allocate packet memory", source })?;
        Ok((mapping, false))
    }
}

impl Umem {
    /// The number of frames.
    #[must_use]
    pub fn frames(&self) -> u32 {
        self.shared.memory.layout().frames
    }

    /// The frame size in bytes.
    #[must_use]
    pub fn frame_size(&self) -> u32 {
        self.shared.memory.layout().frame_size
    }

    /// The number of frames that neither a user nor the kernel has now.
    #[must_use]
    pub fn free_frames(&self) -> usize {
        self.shared.memory.pooled()
    }

    /// The number of frames that users hold now, as [`Frame`](super::Frame) or as `Bytes`.
    #[must_use]
    pub fn held_frames(&self) -> usize {
        self.shared.memory.held.load(Ordering::Relaxed)
    }

    /// `true` if the memory consists of huge pages.
    #[must_use]
    pub fn has_huge_pages(&self) -> bool {
        self.shared.huge
    }

    /// `true` if both are the same memory.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Shared {
    /// Allocates a number for a queue that will use the memory.
    pub(crate) fn number(&self) -> Result<u16, Error> {
        // Numbers are never used a second time: a frame that a device may still write after its
        // queue was closed keeps its holder's number, and a new queue must not claim that frame.
        let next = |number| (number < MOST_QUEUES).then_some(number + 1);
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        self.next_queue
            .fetch_update(set, fetch, next)
            .map_err(|limit| Error::TooManySockets { limit })
    }

    /// Must be held while a socket is opened, so that concurrent openings wait for each other.
    pub(crate) fn opening(&self) -> MutexGuard<'_, ()> {
        self.opening.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The queues that use the memory now. If none are left, it is registered again with the next
    /// socket.
    pub(crate) fn queues(&self) -> Vec<Arc<QueueRings>> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        // A weak reference: sockets keep the queue alive, and the memory must not keep a queue open
        // that no socket uses.
        queues.retain(|queue| queue.strong_count() > 0);
        queues.iter().filter_map(Weak::upgrade).collect()
    }

    /// Adds a queue that uses the memory.
    pub(crate) fn add(&self, queue: &Arc<QueueRings>) {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(queue));
    }

    /// `true` if packets may span frames, as the first socket requested it.
    pub(crate) fn is_multi_buffer(&self) -> bool {
        self.multi_buffer.load(Ordering::Relaxed)
    }

    pub(crate) fn set_multi_buffer(&self, multi_buffer: bool) {
        self.multi_buffer.store(multi_buffer, Ordering::Relaxed);
    }

    /// Takes sent frames from the completion rings of all queues. A socket without frames must not
    /// depend on another socket's next call.
    pub(crate) fn reap_all(&self, mut to: impl FnMut(Lease)) {
        for queue in self.queues() {
            // A broken ring is reported to its own sockets.
            let _ = queue.completions.reap(&self.memory, &mut to);
        }
    }

    /// The number of frames that the kernel has to send, or has sent and that were not taken back
    /// yet.
    pub(crate) fn in_flight(&self) -> u32 {
        let queues = self.queues();
        queues.iter().map(|queue| queue.completions.in_flight()).fold(0, u32::saturating_add)
    }

    /// Registers the memory with a socket.
    pub(crate) fn register(&self, socket: &xdp::Socket) -> Result<(), Error> {
        let layout = self.memory.layout();
        let request = UmemRequest {
            chunk_size: layout.frame_size,
            headroom: layout.headroom,
            flags: self.flags,
            tx_metadata_len: layout.metadata,
        };
        let registered = socket.register_umem(self.memory.mapping(), self.memory.len(), request);
        registered.map_err(|source| match source.raw_os_error() {
            // `xdp_umem_account_pages` returns ENOBUFS above RLIMIT_MEMLOCK, which without a word
            // on the limit would look like a full queue.
            Some(errno::ENOBUFS | errno::ENOMEM) => {
                Error::LockedMemory { needed: self.memory.len() as u64, limit: locked_limit() }
            }
            _ => {
                let since = (layout.metadata != 0)
                    .then_some(("metadata of packets to be sent", KernelVersion::new(6, 8)));
                explain("register packet memory", &[Capability::NetRaw], since, source)
            }
        })
    }
}

/// The error of an invalid number.
pub(crate) fn check(problem: GeometryProblem, value: u32, fits: bool) -> Result<(), Error> {
    if fits { Ok(()) } else { Err(Error::Geometry { value: value.into(), problem }) }
}

/// `RLIMIT_MEMLOCK` in bytes.
fn locked_limit() -> Option<u64> {
    let limits: io::Result<String> = std::fs::read_to_string("/proc/self/limits");
    let limits = limits.ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_geometry_that_is_none_is_refused() {
        for config in [
            UmemConfig::new().frame_size(1024),
            UmemConfig::new().frame_size(3008),
            UmemConfig::new().frame_size(3000).unaligned(true),
            UmemConfig::new().frame_size(1984).unaligned(true),
            UmemConfig::new().frame_size(4160).unaligned(true),
            UmemConfig::new().frame_size(2048).headroom(1800).unaligned(true),
            UmemConfig::new().frame_size(0),
            UmemConfig::new().frames(0),
            UmemConfig::new().frames(u32::MAX),
            UmemConfig::new().headroom(4000),
            UmemConfig::new().headroom(u32::MAX - 100),
        ] {
            assert!(matches!(config.allocate(), Err(Error::Geometry { .. })), "{config:?}");
        }
    }

    #[test]
    fn frames_fit_the_mtu() {
        let size = |mtu, headroom| {
            let config = UmemConfig::new().frames(1).headroom(headroom);
            config.allocate_for(mtu).expect("memory").frame_size()
        };
        assert_eq!(size(Some(1500), 0), 2048);
        assert_eq!(size(Some(1500), 512), 4096);
        assert_eq!(size(Some(9000), 0), 4096);
        assert_eq!(size(None, 0), 4096);
        let odd = UmemConfig::new().frames(7).frame_size(2816).unaligned(true);
        assert_eq!(odd.allocate().expect("memory").frame_size(), 2816);
    }
}
