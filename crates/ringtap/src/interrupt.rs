//! The wish to end: the signals that end tcpdump.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::thread;

use ring_core::Interrupter;
use tokio::signal::unix::{SignalKind, signal};

use crate::Error;

/// Resolves at the first SIGINT, SIGTERM or SIGHUP.
pub(crate) async fn requested() -> io::Result<()> {
    signals()?.await;
    Ok(())
}

/// Ends the wait of a source that is read without a runtime at the first such signal after this.
pub(crate) fn interrupts(interrupter: Interrupter) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(Error::Runtime)?;
    let signals = {
        let _guard = runtime.enter();
        signals().map_err(Error::Runtime)?
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(signals);
            interrupter.interrupt();
        })
        .map_err(Error::Runtime)?;
    Ok(())
}

/// From now on such signals do not end the process.
fn signals() -> io::Result<impl Future<Output = ()> + Send> {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let mut signals = Vec::new();
    for kind in kinds {
        signals.push(signal(kind)?);
    }
    Ok(poll_fn(move |cx| match signals.iter_mut().any(|signal| signal.poll_recv(cx).is_ready()) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    }))
}
