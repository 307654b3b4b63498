//! AF_XDP inside a tokio runtime, on real interfaces.

#[path = "live/hosts.rs"]
#[allow(dead_code, reason = "not every part is used here")]
mod hosts;
#[path = "live_xdp/setup.rs"]
#[allow(dead_code, reason = "not every part is used here")]
mod setup;

use std::future::Future;
use std::thread;
use std::time::Duration;

use live_harness::{Result, none_dropped};
use netns::Namespace;
use ring_core::{Error, IntoPacketSource as _, PacketBatch as _, xdp};
use tokio::time::timeout;

use hosts::{Sender, wire};
use setup::{SHORT, SOON, collect, frames, open};

live_harness::main!(
    packets_are_awaited,
    a_cancelled_wait_loses_nothing,
    frames_that_come_back_wake_the_task,
    an_interruption_ends_the_wait,
    an_interface_that_goes_away_is_an_error,
    outside_a_runtime_it_is_an_error,
    the_source_is_handed_over,
    opening_is_awaited,
);

fn runtime<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(work)
}

async fn take(socket: &mut xdp::AsyncSocket, count: usize) -> Result<Vec<Vec<u8>>> {
    let mut seen = Vec::new();
    while seen.len() < count {
        let Some(batch) = timeout(SOON, socket.next_batch()).await?? else { break };
        seen.extend(batch.packets().map(|packet| packet.data().to_vec()));
    }
    Ok(seen)
}

fn packets_are_awaited() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let _links = wire(&left, &right)?;
    let mut socket = xdp::AsyncSocket::from(open(&right, &xdp::Socket::builder("right0"))?);
    let sender = Sender::new(&left, "left0")?;
    let sent = frames(2000, 200);
    let sending = sent.clone();
    let thread = thread::spawn(move || -> Result {
        for part in sending.chunks(50) {
            thread::sleep(Duration::from_millis(1));
            sender.send(part)?;
        }
        Ok(())
    });
    let seen = runtime(take(&mut socket, sent.len()))?;
    thread.join().expect("the sender")?;
    none_dropped(socket.statistics()?.drops)?;
    assert!(seen == sent);
    Ok(())
}

fn a_cancelled_wait_loses_nothing() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let _links = wire(&left, &right)?;
    let mut socket = xdp::AsyncSocket::from(open(&right, &xdp::Socket::builder("right0"))?);
    let sender = Sender::new(&left, "left0")?;
    let sent = frames(300, 100);
    let sending = sent.clone();
    let thread = thread::spawn(move || -> Result {
        for frame in sending {
            thread::sleep(Duration::from_micros(300));
            sender.send(&[frame])?;
        }
        Ok(())
    });
    let seen = runtime(async {
        let mut seen = Vec::new();
        let mut cancelled = 0;
        while seen.len() < 300 && cancelled < 100_000 {
            match timeout(Duration::from_micros(100), socket.next_batch()).await {
                Ok(batch) => {
                    let batch = batch?.expect("nobody interrupts");
                    seen.extend(batch.packets().map(|packet| packet.data().to_vec()));
                }
                Err(_) => cancelled += 1,
            }
        }
        println!("{cancelled} waits were cancelled");
        Ok(seen)
    })?;
    thread.join().expect("the sender")?;
    none_dropped(socket.statistics()?.drops)?;
    assert!(seen == sent);
    Ok(())
}

fn frames_that_come_back_wake_the_task() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let _links = wire(&left, &right)?;
    let memory = xdp::UmemConfig::new().frames(8);
    let builder = xdp::Socket::builder("right0").ring_size(8).fill_target(8).memory(memory);
    let mut socket = xdp::AsyncSocket::from(open(&right, &builder)?);
    let sender = Sender::new(&left, "left0")?;
    let sent = frames(9, 100);
    runtime(async {
        sender.send(&sent[..8])?;
        let mut kept = Vec::new();
        while kept.len() < 8 {
            let batch = timeout(SOON, socket.next_batch()).await??.expect("packets");
            kept.extend(batch.into_frames());
        }
        assert!(timeout(SHORT, socket.next_batch()).await.is_err(), "no frame, no packet");
        let last = sent[8].clone();
        let giver = thread::spawn(move || -> Result {
            thread::sleep(SHORT);
            drop(kept);
            // After it wakes up, the task gives the kernel its frames.
            thread::sleep(SHORT);
            sender.send(&[last]).map(|()| drop(sender))
        });
        assert_eq!(take(&mut socket, 1).await?, sent[8..]);
        giver.join().expect("the giver")
    })
}

fn an_interruption_ends_the_wait() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let _links = wire(&left, &right)?;
    let mut socket = xdp::AsyncSocket::from(open(&right, &xdp::Socket::builder("right0"))?);
    let interrupter = socket.interrupter().expect("it waits");
    let other = thread::spawn(move || {
        thread::sleep(SHORT);
        interrupter.interrupt();
    });
    runtime(async {
        assert!(timeout(SOON, socket.next_batch()).await??.is_none());
        Ok(())
    })?;
    other.join().expect("the other");
    Ok(())
}

fn an_interface_that_goes_away_is_an_error() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let (_l, r) = wire(&left, &right)?;
    let mut socket = xdp::AsyncSocket::from(open(&right, &xdp::Socket::builder("right0"))?);
    let error = runtime(async {
        assert!(timeout(SHORT, socket.next_batch()).await.is_err());
        r.delete()?;
        match timeout(SOON, socket.next_batch()).await? {
            Ok(batch) => panic!("{batch:?}"),
            Err(error) => Ok(error),
        }
    })?;
    assert!(matches!(error, Error::InterfaceGone { .. }), "{error}");
    Ok(())
}

fn outside_a_runtime_it_is_an_error() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let _links = wire(&left, &right)?;
    let mut socket = xdp::AsyncSocket::from(open(&right, &xdp::Socket::builder("right0"))?);
    let mut waiting = Box::pin(socket.next_batch());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let polled = waiting.as_mut().poll(&mut context);
    assert!(matches!(polled, std::task::Poll::Ready(Err(Error::NoRuntime))));
    Ok(())
}

fn the_source_is_handed_over() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let _links = wire(&left, &right)?;
    let mut socket = xdp::AsyncSocket::from(open(&right, &xdp::Socket::builder("right0"))?);
    let sender = Sender::new(&left, "left0")?;
    let sent = frames(20, 100);
    sender.send(&sent[..10])?;
    assert!(runtime(take(&mut socket, 10))? == sent[..10]);
    let mut source = socket.into_packet_source()?;
    sender.send(&sent[10..])?;
    let seen = thread::spawn(move || collect(&mut source, 10)).join().expect("a thread")?;
    assert!(seen == sent[10..]);
    Ok(())
}

/// Checks that a socket that is opened on another thread is in the namespace of the task, and that
/// tasks run while a busy queue is waited for.
fn opening_is_awaited() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let _links = wire(&left, &right)?;
    let first = open(&right, &xdp::Socket::builder("right0"))?;
    let work = async {
        let mut opening = std::pin::pin!(xdp::AsyncSocket::builder("right0").open());
        let waited = timeout(Duration::from_millis(20), &mut opening).await;
        assert!(waited.is_err(), "the queue is taken, and the timer fires meanwhile");
        drop(first);
        Ok(opening.await?)
    };
    let mut socket = right.run(|| runtime(work))??;
    let sent = frames(10, 200);
    Sender::new(&left, "left0")?.send(&sent)?;
    let seen = runtime(take(&mut socket, sent.len()))?;
    assert!(seen.iter().eq(&sent));
    Ok(())
}
