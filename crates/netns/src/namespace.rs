//! Network namespaces, each of which is one test host.

use std::{
    fs::{self, File},
    io,
    net::IpAddr,
    os::fd::{AsFd, BorrowedFd},
    panic,
    path::Path,
    process::Command,
    sync::{Mutex, PoisonError},
    thread,
};

use nix::sched::{CloneFlags, setns, unshare};

use ring_sys::netlink::{Family, Request, Socket};

use crate::{
    abi,
    address::{InterfaceAddress, octets},
    entered::{Entered, OF_THIS_THREAD, refused},
    error::{Error, Result},
    process::Process,
};

/// A network namespace. It starts as a host with a loopback interface that is up, and nothing else.
///
/// It has no name in the file system. Once it is dropped and nothing uses it any more, the kernel
/// removes it and its links.
///
/// # Examples
///
/// ```no_run
/// use netns::Namespace;
///
/// let host = Namespace::new()?;
/// let listener = host.run(|| std::net::TcpListener::bind("127.0.0.1:80"))?;
/// # Ok::<(), netns::Error>(())
/// ```
#[derive(Debug)]
pub struct Namespace {
    descriptor: File,
    /// Opened inside the namespace, so that any thread can change links.
    route: Mutex<Socket>,
}

impl Namespace {
    /// Creates a namespace.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] if this process lacks the privilege: see
    /// [`enter_user_namespace`](crate::enter_user_namespace).
    pub fn new() -> Result<Self> {
        let namespace = on_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).map_err(refused)?;
            Self::current()
        })??;
        namespace.link("lo")?.up()?;
        Ok(namespace)
    }

    /// The namespace of the calling thread.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if `/proc` is not mounted or no netlink socket can be opened.
    pub fn current() -> Result<Self> {
        let descriptor = File::open(OF_THIS_THREAD)
            .map_err(|source| Error::system("open", OF_THIS_THREAD, source))?;
        let route = Socket::open(Family::Route)
            .map_err(|source| Error::system("open a socket of", "rtnetlink", source))?;
        Ok(Self { descriptor, route: Mutex::new(route) })
    }

    /// Runs `work` on a thread inside this namespace and waits for it. A panic in `work` is resumed
    /// in the caller.
    ///
    /// Sockets that `work` opens stay in this namespace, whichever thread uses them afterwards.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] or [`Error::System`] if the thread cannot be started or cannot enter.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        on_thread(|| {
            setns(&self.descriptor, CloneFlags::CLONE_NEWNET).map_err(refused)?;
            Ok(work())
        })?
    }

    /// Moves this thread into the namespace until the guard is dropped. Threads and processes that
    /// it starts in the meantime stay inside for good.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] if this process lacks the privilege.
    pub fn enter(&self) -> Result<Entered<'_>> {
        Entered::new(self.as_fd())
    }

    /// Starts a program inside the namespace. Dropping the [`Process`] kills it.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if the program does not exist or cannot be started.
    pub fn spawn(&self, command: &mut Command) -> Result<Process> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = self.run(|| command.spawn())?;
        child
            .map(|child| Process::new(program.clone(), child))
            .map_err(|source| Error::system("start", program, source))
    }

    /// Adds a route to `network` through `gateway`, which must be of the same family.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if the route exists or the gateway is unreachable.
    pub fn add_route(&self, network: InterfaceAddress, gateway: IpAddr) -> Result<()> {
        // struct rtmsg
        let header = [
            network.family(),
            network.prefix(),
            0,
            0,
            abi::RT_TABLE_MAIN,
            abi::RTPROT_STATIC,
            abi::RT_SCOPE_UNIVERSE,
            abi::RTN_UNICAST,
            0,
            0,
            0,
            0,
        ];
        let request = Request::new(abi::RTM_NEWROUTE, abi::NLM_F_CREATE | abi::NLM_F_EXCL, &header)
            .attribute(abi::RTA_DST, &network.octets())
            .attribute(abi::RTA_GATEWAY, &octets(gateway));
        self.ask(request).map_err(|source| {
            Error::system("add the route to", format!("{network} via {gateway}"), source)
        })?;
        Ok(())
    }

    /// Enables or disables forwarding of IPv4 and IPv6 packets.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if `/proc/sys` cannot be written.
    pub fn set_forwarding(&self, on: bool) -> Result<()> {
        let value = if on { "1" } else { "0" };
        self.set_sysctl("ipv4/ip_forward", value)?;
        self.set_sysctl("ipv6/conf/all/forwarding", value)
    }

    /// Writes a sysctl of this namespace. `name` is its path below `/proc/sys/net`, such as
    /// `ipv4/tcp_sack`.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if the sysctl does not exist or cannot be written.
    pub fn set_sysctl(&self, name: &str, value: &str) -> Result<()> {
        let path = Path::new("/proc/sys/net").join(name);
        self.run(|| fs::write(&path, value))?
            .map_err(|source| Error::system("write", path.display(), source))
    }

    /// Reads a sysctl of this namespace. `name` is as in [`set_sysctl`](Self::set_sysctl).
    ///
    /// # Errors
    ///
    /// [`Error::System`] if the sysctl does not exist.
    pub fn sysctl(&self, name: &str) -> Result<String> {
        let path = Path::new("/proc/sys/net").join(name);
        let text = self.run(|| fs::read_to_string(&path))?;
        text.map(|text| text.trim_end().to_owned())
            .map_err(|source| Error::system("read", path.display(), source))
    }

    /// Sends a request to this namespace's rtnetlink.
    pub(crate) fn ask(&self, request: Request) -> io::Result<Vec<Vec<u8>>> {
        // A panic while the lock was held leaves at worst an unread answer, which the next request
        // skips.
        self.route.lock().unwrap_or_else(PoisonError::into_inner).ask(request)
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Runs `work` on a new thread, so that a change of namespace ends with the thread.
fn on_thread<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T> {
    thread::scope(|scope| {
        let worker = thread::Builder::new()
            .name("netns".into())
            .spawn_scoped(scope, work)
            .map_err(|source| Error::system("start", "a thread", source))?;
        Ok(worker.join().unwrap_or_else(|payload| panic::resume_unwind(payload)))
    })
}
