//! The program that redirects packets to sockets, and its attachment to an interface.

use std::fmt;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use ring_sys::bpf::abi::{XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE};
use ring_sys::bpf::{self, LoadError, Map, MapKind, ProgramKind, XdpLink};
use ring_sys::capability::Capability;
use ring_sys::errno;
use ring_sys::interface;
use ring_sys::xdp::attachment;

use super::assembly;
use super::error::{DriverFeature, Error, KernelVersion, ProgramDifference, explain, no_interface};
use super::steering::Steering;

/// The hook at which a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// In the driver, before the kernel allocates a buffer for the packet.
    Native,
    /// In the kernel's stack, for drivers without XDP support. Slower, and after the kernel has
    /// coalesced segments.
    Generic,
}

/// The mode in which to attach the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Attach {
    /// Native if the driver supports it, otherwise generic; [`Program::mode`] shows the result.
    #[default]
    Auto,
    /// Native only; fails if the driver does not support it.
    Native,
    /// Generic.
    Generic,
}

/// A program on an interface that redirects packets to the AF_XDP sockets of its queues. Cheap to
/// clone. It is detached when the last clone and the last socket are dropped, at the latest when
/// the process ends.
///
/// Sockets attach a program automatically and share it with the process's other sockets on the same
/// interface. Use this type only for programs of your own: [`of_map`](Self::of_map),
/// [`attach`](Self::attach).
#[derive(Clone, Debug)]
pub struct Program {
    attached: Arc<Attached>,
}

#[derive(Debug)]
struct Attached {
    /// `None` for a program that was attached elsewhere.
    link: Option<XdpLink>,
    sockets: Map,
    mode: Option<Mode>,
    native_refused: Option<io::Error>,
    steering: Option<Steering>,
}

/// A socket's requirements for its program.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) attach: Attach,
    pub(crate) replace: bool,
    pub(crate) steering: Option<Steering>,
}

/// A socket's entry in the map. Removed on drop.
#[derive(Debug)]
pub(crate) struct Entry {
    program: Program,
    key: u32,
    is_set: AtomicBool,
}

const NEEDS: &[Capability] = &[Capability::NetAdmin, Capability::Bpf];
const LINKS: (&str, KernelVersion) = ("attaching XDP programs by a link", KernelVersion::new(5, 9));
/// Minimum number of entries of a map, since interfaces may get more queues while it is in use.
const LEAST_ENTRIES: u32 = 256;
/// Maximum time to wait for a program of this process that is being detached.
const GOING: Duration = Duration::from_millis(200);

/// An interface in a network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    namespace: (u64, u64),
    interface: u32,
}

impl Place {
    /// An interface in the network namespace of this thread.
    pub(crate) fn here(interface: u32) -> Result<Self, Error> {
        // Interface indexes are unique only within a network namespace, and each thread may be in
        // another one.
        let metadata = std::fs::metadata("/proc/thread-self/ns/net").map_err(|source| {
            Error::System { operation: "look up the network namespace", source }
        })?;
        Ok(Self { namespace: (metadata.dev(), metadata.ino()), interface })
    }

    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self { namespace: (0, 0), interface: 0 }
    }
}

/// The attached programs of this process.
static PROGRAMS: Mutex<Vec<(Place, Weak<Attached>)>> = Mutex::new(Vec::new());

impl Program {
    /// Uses the map of a program that is attached already. Sockets are stored under the numbers of
    /// their queues. The map must be an XSKMAP.
    ///
    /// # Errors
    /// [`Error::NotASocketMap`] for another kind of map.
    pub fn of_map(sockets: OwnedFd) -> Result<Self, Error> {
        Self::foreign(sockets, None, None)
    }

    /// Attaches a program loaded by other means, such as aya or libbpf, with its map of sockets, an
    /// XSKMAP.
    ///
    /// # Errors
    /// As opening a socket.
    pub fn attach(
        interface: &str,
        program: OwnedFd,
        sockets: OwnedFd,
        attach: Attach,
    ) -> Result<Self, Error> {
        let index = find(interface)?;
        let program = bpf::Program::from_descriptor(program);
        let (link, mode, refused) = attach_program(interface, index, &program, attach, false)?;
        let mut made = Self::foreign(sockets, Some(link), Some(mode))?;
        if let Some(attached) = Arc::get_mut(&mut made.attached) {
            attached.native_refused = refused;
        }
        Ok(made)
    }

    /// The mode in which the program runs. `None` if it was attached elsewhere.
    #[must_use]
    pub fn mode(&self) -> Option<Mode> {
        self.attached.mode
    }

    /// The reason why native mode was not used, if it was tried.
    #[must_use]
    pub fn native_refused(&self) -> Option<&io::Error> {
        self.attached.native_refused.as_ref()
    }

    /// The map of sockets, by queue number.
    #[must_use]
    pub fn sockets(&self) -> BorrowedFd<'_> {
        self.attached.sockets.as_fd()
    }

    /// Returns this process's program on an interface, and attaches one if necessary.
    pub(crate) fn shared(name: &str, index: u32, wanted: &Wanted) -> Result<Self, Error> {
        let place = Place::here(index)?;
        // Held until the program is attached, so that two sockets opened at once do not both try to
        // attach one; an interface takes only one.
        let mut programs = PROGRAMS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(attached) = programs
            .iter()
            .filter(|(at, _)| *at == place)
            .find_map(|(_, program)| program.upgrade())
        {
            let program = Self { attached };
            program.check_same(name, wanted)?;
            return Ok(program);
        }
        let queues = interface::find(name).map_or(1, |found| found.queues.0);
        let sockets = Map::new(MapKind::XskMap, 4, queues.max(LEAST_ENTRIES), "ringtap_sockets")
            .map_err(|source| explain("make a map of sockets", NEEDS, None, source))?;
        let steering = wanted.steering.as_ref().map_or(&[][..], |steering| &steering.code);
        let program = load(&assembly::redirect(sockets.as_fd(), steering))?;
        let (link, mode, native_refused) =
            attach_program(name, index, &program, wanted.attach, wanted.replace)?;
        let attached = Arc::new(Attached {
            link: Some(link),
            sockets,
            mode: Some(mode),
            native_refused,
            steering: wanted.steering.clone(),
        });
        // Entries of deleted interfaces and closed programs would add up.
        programs.retain(|(_, program)| program.strong_count() > 0);
        programs.push((place, Arc::downgrade(&attached)));
        Ok(Self { attached })
    }

    /// Stores a socket under a key. Never replaces another socket: `EEXIST`.
    pub(crate) fn enter(&self, key: u32, socket: BorrowedFd<'_>) -> io::Result<Entry> {
        self.attached.sockets.add_descriptor(key, socket)?;
        Ok(Entry { program: self.clone(), key, is_set: AtomicBool::new(true) })
    }

    fn check_same(&self, name: &str, wanted: &Wanted) -> Result<(), Error> {
        let differs =
            |difference| Err(Error::ProgramDiffers { interface: name.to_owned(), difference });
        if self.attached.steering != wanted.steering {
            return differs(ProgramDifference::Filter);
        }
        match (wanted.attach, self.attached.mode) {
            (Attach::Native, Some(Mode::Generic)) | (Attach::Generic, Some(Mode::Native)) => {
                differs(ProgramDifference::Mode)
            }
            _ => Ok(()),
        }
    }

    fn foreign(sockets: OwnedFd, link: Option<XdpLink>, mode: Option<Mode>) -> Result<Self, Error> {
        let sockets = Map::from_descriptor(sockets);
        let kind = sockets
            .kind()
            .map_err(|source| Error::System { operation: "look up the map", source })?;
        if kind != Some(MapKind::XskMap) {
            return Err(Error::NotASocketMap);
        }
        let attached = Attached { link, sockets, mode, native_refused: None, steering: None };
        Ok(Self { attached: Arc::new(attached) })
    }
}

impl Entry {
    /// The program that the map belongs to.
    pub(crate) fn program(&self) -> &Program {
        &self.program
    }

    /// Removes the entry, so that nothing more is redirected to the socket.
    pub(crate) fn remove(&self) {
        // Once only: the key may have been given to another socket since.
        if self.is_set.swap(false, Ordering::Relaxed) {
            // Errors are ignored: if the map or the entry is gone already, the result is the same.
            let _ = self.program.attached.sockets.delete(self.key);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.remove();
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if let Some(link) = self.link.take() {
            // Closing the link does the same, but with a delay on some kernels.
            let _ = link.detach();
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Generic => "generic",
        })
    }
}

impl Mode {
    const fn flags(self) -> u32 {
        match self {
            Self::Native => XDP_FLAGS_DRV_MODE,
            Self::Generic => XDP_FLAGS_SKB_MODE,
        }
    }
}

pub(crate) fn find(name: &str) -> Result<u32, Error> {
    interface::index(name).map_err(no_interface(name))
}

pub(super) fn load(code: &[bpf::Instruction]) -> Result<bpf::Program, Error> {
    let load =
        |fragments| bpf::Program::load(ProgramKind::Xdp { fragments }, code, "ringtap_redirect");
    // Support for multi-buffer packets costs nothing, but kernels before 5.18 do not know the flag.
    load(true).or_else(|_| load(false)).map_err(|error| {
        let LoadError { source, log } = error;
        match source.raw_os_error() {
            Some(errno::EPERM) => explain("load the XDP program", NEEDS, None, source),
            _ => Error::Program(LoadError { source, log }),
        }
    })
}

type Attachment = (XdpLink, Mode, Option<io::Error>);

fn attach_program(
    name: &str,
    index: u32,
    program: &bpf::Program,
    attach: Attach,
    replace: bool,
) -> Result<Attachment, Error> {
    let generic = |refused| {
        attach_in(name, index, program, Mode::Generic, replace)
            .map(|link| (link, Mode::Generic, refused))
    };
    if attach == Attach::Generic {
        return generic(None);
    }
    match attach_in(name, index, program, Mode::Native, replace) {
        Ok(link) => Ok((link, Mode::Native, None)),
        Err(Error::System { source, .. })
            if attach == Attach::Auto
                && matches!(
                    source.raw_os_error(),
                    Some(
                        errno::EOPNOTSUPP
                            | errno::EINVAL
                            | errno::ERANGE
                            // Too few queues: a virtual link has fewer receive queues than its
                            // peer has send queues (veth_xdp_set of drivers/net/veth.c), or an
                            // adapter has too few.
                            | errno::ENOSPC
                            | errno::ENOMEM
                    )
                ) =>
        {
            generic(Some(source))
        }
        Err(Error::System { source, operation }) => Err(match source.raw_os_error() {
            Some(errno::EOPNOTSUPP) => Error::NoDriverSupport {
                interface: name.to_owned(),
                driver: interface::find(name).ok().and_then(|found| found.driver),
                feature: DriverFeature::NativeMode,
            },
            Some(errno::ENOSPC) => Error::NoDriverSupport {
                interface: name.to_owned(),
                driver: interface::find(name).ok().and_then(|found| found.driver),
                feature: DriverFeature::NativeQueues,
            },
            Some(errno::ERANGE | errno::EINVAL)
                if interface::mtu(name).is_ok_and(|mtu| mtu > 3000) =>
            {
                let mtu = interface::mtu(name).unwrap_or(0);
                Error::MtuTooLarge { interface: name.to_owned(), mtu }
            }
            _ => Error::System { source, operation },
        }),
        Err(error) => Err(error),
    }
}

fn attach_in(
    name: &str,
    index: u32,
    program: &bpf::Program,
    mode: Mode,
    replace: bool,
) -> Result<XdpLink, Error> {
    let operation = "attach the XDP program";
    let started = Instant::now();
    let mut replaced = false;
    loop {
        // By a link instead of `IFLA_XDP`: the kernel detaches the program when the process ends in
        // any way, and nobody else can replace it meanwhile.
        let source = match XdpLink::create(program, index, mode.flags()) {
            Ok(link) => return Ok(link),
            Err(error) => error,
        };
        if !matches!(source.raw_os_error(), Some(errno::EBUSY | errno::EEXIST)) {
            // These errors depend on the driver, so the caller examines them.
            return Err(match source.raw_os_error() {
                Some(errno::EOPNOTSUPP | errno::ERANGE) => Error::System { operation, source },
                _ => explain(operation, NEEDS, Some(LINKS), source),
            });
        }
        match present(index) {
            // Once only. A program that appears again belongs to somebody who is using the
            // interface, and two processes must not detach each other's for ever.
            Some((mode, id)) if replace && !replaced => {
                remove(index, mode, id)?;
                replaced = true;
            }
            present
                if started.elapsed() >= GOING || present.is_some_and(|(_, id)| !is_ours(id)) =>
            {
                let Some((mode, id)) = present else {
                    return Err(Error::System { operation, source });
                };
                let interface = name.to_owned();
                return Err(Error::ProgramPresent { interface, mode, id, name: program_name(id) });
            }
            // Either a program of this process is being detached, or one is gone already.
            _ => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// The attached program and its mode.
fn present(index: u32) -> Option<(Mode, u32)> {
    let attached = attachment::attached(index).ok()?;
    let native = attached.native.map(|id| (Mode::Native, id));
    native.or(attached.generic.map(|id| (Mode::Generic, id)))
}

fn program_name(id: u32) -> String {
    let information = bpf::Program::by_id(id).and_then(|program| program.information());
    information.map_or(String::new(), |information| information.name)
}

/// `true` if a program may be one of this process that is being detached. It is recognised by its
/// name, which other processes use as well. Their programs stay, so waiting for one ends soon.
fn is_ours(id: u32) -> bool {
    program_name(id).starts_with("ringtap")
}

/// Detaches a program from an interface, with or without a link.
fn remove(index: u32, mode: Mode, id: u32) -> Result<(), Error> {
    let failed = |source| {
        explain(
            "remove the XDP program",
            &[Capability::NetAdmin, Capability::SysAdmin],
            None,
            source,
        )
    };
    for link in bpf::xdp_links().map_err(failed)? {
        if link.information().is_ok_and(|information| information.program == id) {
            return link.detach().map_err(failed);
        }
    }
    attachment::detach(index, mode.flags()).map_err(failed)
}
