//! Settings of captures, injectors, bridges and AF_XDP sockets that are opened without blocking the
//! runtime.
//!
//! Opening allocates a ring and waits for the kernel (`synchronize_net`), and for AF_XDP also for
//! queues that are being closed: milliseconds to half a second, in which a runtime's thread would
//! run no other task. So it is done on a thread of its own.

use std::io;
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::error::system;
use crate::{
    AsyncBridge, AsyncCapture, AsyncInjector, BridgeBuilder, CaptureBuilder, CaptureFilter, Error,
    Fanout, InjectorBuilder, Outgoing, RingGeometry, RingProfile, SendPath, TimestampSource, xdp,
};

/// Calls a blocking function on a thread of its own. A thread made here is in the network namespace
/// of its creator, unlike those of a runtime's pool. If the future is dropped, the result is
/// dropped as well.
async fn on_a_thread<T: Send + 'static, E: Send + 'static>(
    open: impl FnOnce() -> Result<T, E> + Send + 'static,
    failed: impl FnOnce(io::Error) -> E,
) -> Result<T, E> {
    let (sender, receiver) = oneshot::channel();
    let opening = thread::Builder::new().name("ring-open".to_owned());
    let thread = opening.spawn(move || {
        // Nobody waits for the result if the future was dropped.
        let _ = sender.send(open());
    });
    let thread = match thread {
        Ok(thread) => thread,
        Err(error) => return Err(failed(error)),
    };
    match (receiver.await, thread) {
        (Ok(opened), _) => opened,
        (Err(_), thread) => match thread.join() {
            Err(panic) => resume_unwind(panic),
            Ok(()) => Err(failed(io::ErrorKind::Other.into())),
        },
    }
}

/// Defines an asynchronous builder with the setters of a blocking one.
macro_rules! builder {
    ($(#[$page:meta])* $name:ident of $inner:ty, $link:literal, {
        $($setter:ident($($argument:ident: $kind:ty),*);)*
    }) => {
        $(#[$page])*
        #[derive(Clone, Debug)]
        #[must_use = "nothing is opened before `open` is awaited"]
        pub struct $name {
            settings: $inner,
        }

        impl $name {
            $(
                #[doc = concat!("As [`", $link, "::", stringify!($setter), "`].")]
                pub fn $setter(self, $($argument: $kind),*) -> Self {
                    Self { settings: self.settings.$setter($($argument),*) }
                }
            )*
        }

        /// Takes the settings of the blocking form.
        impl From<$inner> for $name {
            fn from(settings: $inner) -> Self {
                Self { settings }
            }
        }
    };
}

builder! {
    /// Settings of an [`AsyncCapture`]. [`open`](Self::open) opens it.
    ///
    /// ```no_run
    /// use ring_core::{AsyncCapture, RingProfile};
    ///
    /// # async fn example() -> Result<(), ring_core::Error> {
    /// let builder = AsyncCapture::builder("eth0").filter("tcp port 80");
    /// let mut capture = builder.profile(RingProfile::Throughput).open().await?;
    /// # Ok(())
    /// # }
    /// ```
    AsyncCaptureBuilder of CaptureBuilder, "CaptureBuilder", {
        profile(profile: RingProfile);
        geometry(geometry: RingGeometry);
        memory(bytes: usize);
        block_timeout(timeout: Duration);
        coalesce(most: Duration);
        filter(filter: impl Into<CaptureFilter>);
        lock_filter(lock: bool);
        snaplen(bytes: u32);
        promiscuous(promiscuous: bool);
        outgoing(outgoing: Outgoing);
        fanout(fanout: Fanout);
        receive_hash(hash: bool);
        timestamps(source: TimestampSource);
        headroom(bytes: u32);
        lock_memory(lock: bool);
        receive_buffer(bytes: u32);
        busy_poll(time: Duration);
        prefer_busy_poll(prefer: bool);
        busy_poll_budget(packets: u16);
    }
}

impl AsyncCaptureBuilder {
    /// Opens the capture, on a thread of its own.
    ///
    /// Cancel-safe: if the future is dropped before it is ready, the capture is closed.
    ///
    /// # Errors
    /// As [`CaptureBuilder::open`]; [`Error::System`] if the thread cannot be started.
    pub async fn open(self) -> Result<AsyncCapture, Error> {
        let Self { settings } = self;
        let opened = on_a_thread(|| settings.open(), system("start a thread")).await;
        opened.map(AsyncCapture::from)
    }
}

builder! {
    /// Settings of an [`AsyncInjector`]. [`open`](Self::open) opens it.
    ///
    /// ```no_run
    /// use ring_core::{AsyncInjector, SendPath};
    ///
    /// # async fn example() -> Result<(), ring_core::Error> {
    /// let injector = AsyncInjector::builder("eth0").path(SendPath::Ring).open().await?;
    /// # Ok(())
    /// # }
    /// ```
    AsyncInjectorBuilder of InjectorBuilder, "InjectorBuilder", {
        path(path: SendPath);
        slots(count: usize);
        batch(frames: usize);
        qdisc_bypass(bypass: bool);
        loss(loss: bool);
        zero_copy(zero_copy: bool);
        offloads(offloads: bool);
        timestamps(timestamps: bool);
        hardware_timestamps(timestamps: bool);
        send_buffer(bytes: u32);
        patience(time: Duration);
    }
}

impl AsyncInjectorBuilder {
    /// Opens the injector, on a thread of its own.
    ///
    /// Cancel-safe: if the future is dropped before it is ready, the injector is closed.
    ///
    /// # Errors
    /// As [`InjectorBuilder::open`]; [`Error::System`] if the thread cannot be started.
    pub async fn open(self) -> Result<AsyncInjector, Error> {
        let Self { settings } = self;
        let opened = on_a_thread(|| settings.open(), system("start a thread")).await;
        opened.map(AsyncInjector::from)
    }
}

builder! {
    /// Settings of an [`AsyncBridge`]. [`open`](Self::open) opens it.
    ///
    /// ```no_run
    /// use ring_core::AsyncBridge;
    ///
    /// # async fn example() -> Result<(), ring_core::Error> {
    /// let bridge = AsyncBridge::builder("eth0", "eth1").filter("not stp").open().await?;
    /// # Ok(())
    /// # }
    /// ```
    AsyncBridgeBuilder of BridgeBuilder, "BridgeBuilder", {
        geometry(geometry: RingGeometry);
        filter(filter: impl Into<CaptureFilter>);
        send_path(path: SendPath);
        qdisc_bypass(bypass: bool);
        promiscuous(promiscuous: bool);
    }
}

impl AsyncBridgeBuilder {
    /// Opens the bridge, on a thread of its own.
    ///
    /// Cancel-safe: if the future is dropped before it is ready, the bridge is closed.
    ///
    /// # Errors
    /// As [`BridgeBuilder::open`]; [`Error::System`] if the thread cannot be started.
    pub async fn open(self) -> Result<AsyncBridge, Error> {
        let Self { settings } = self;
        let opened = on_a_thread(|| settings.open(), system("start a thread")).await;
        opened.map(AsyncBridge::from)
    }
}

builder! {
    /// Settings of an [`AsyncSocket`](xdp::AsyncSocket). [`open`](Self::open) opens it.
    ///
    /// ```no_run
    /// use ring_core::xdp;
    ///
    /// # async fn example() -> Result<(), ring_core::Error> {
    /// let socket = xdp::AsyncSocket::builder("eth0").queue(1).open().await?;
    /// # Ok(())
    /// # }
    /// ```
    AsyncSocketBuilder of xdp::SocketBuilder, "xdp::SocketBuilder", {
        queue(queue: u32);
        direction(direction: xdp::Direction);
        ring_size(entries: u32);
        fill_target(frames: u32);
        memory(config: xdp::UmemConfig);
        umem(umem: &xdp::Umem);
        zero_copy(zero_copy: xdp::ZeroCopy);
        multi_buffer(multi_buffer: xdp::MultiBuffer);
        need_wakeup(need_wakeup: bool);
        busy_poll(time: Duration, packets: u16);
        wait(wait: xdp::Wait);
        busy_retry(time: Duration);
        promiscuous(promiscuous: bool);
        attach(attach: xdp::Attach);
        steer(filter: impl Into<xdp::SteeringFilter>);
        replace_program(replace: bool);
        program(program: &xdp::Program);
        key(key: u32);
    }
}

impl AsyncSocketBuilder {
    /// Opens the socket, on a thread of its own. Packets arrive from now on.
    ///
    /// Cancel-safe: if the future is dropped before it is ready, the socket is closed.
    ///
    /// # Errors
    /// As [`xdp::SocketBuilder::open`]; [`xdp::Error::System`] if the thread cannot be started.
    pub async fn open(self) -> Result<xdp::AsyncSocket, xdp::Error> {
        let Self { settings } = self;
        let failed = |source| xdp::Error::System { operation: "start a thread", source };
        let opened = on_a_thread(move || settings.open(), failed).await;
        opened.map(xdp::AsyncSocket::from)
    }
}
