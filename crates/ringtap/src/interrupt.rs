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
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let mut signals = Vec::new();
    for kind in kinds {
        signals.push(signal(kind)?);
    }
    poll_fn(|cx| match signals.iter_mut().any(|signal| signal.poll_recv(cx).is_ready()) {
        true => Poll::Ready(Ok(())),
        false => Poll::Pending,
    })
    .await
}

/// Ends the wait of a source that is read without a runtime at the first such signal.
pub(crate) fn interrupts(interrupter: Interrupter) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(Error::Runtime)?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            if runtime.block_on(requested()).is_ok() {
                interrupter.interrupt();
            }
        })
        .map_err(Error::Runtime)?;
    Ok(())
}
