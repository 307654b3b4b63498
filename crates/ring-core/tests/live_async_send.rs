//! Sending and bridging inside a tokio runtime, judged at the peer.

#[path = "live/counting.rs"]
mod counting;
#[path = "live/hosts.rs"]
mod hosts;

use std::cell::Cell;
use std::future::poll_fn;
use std::net::UdpSocket;
use std::pin::pin;
use std::process::Command;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use live_harness::{Missing, Result, none_dropped, program};
use netns::Namespace;
use ring_core::{
    AsyncBridge, AsyncInjector, AsyncInjectorBuilder, Bridge, Capture, Error, Injector,
    InjectorBuilder, LinkType, Packet, PacketMeta, RingGeometry, SendPath, Timeout, Timestamp,
    Verdict, xdp,
};

use counting::allocations;
use hosts::{Sender, frame, wire};

live_harness::main!(
    every_frame_arrives,
    a_slow_interface_lets_other_tasks_run,
    a_fast_interface_lets_other_tasks_run,
    what_is_cancelled_is_not_sent,
    outside_a_runtime_it_is_an_error,
    nothing_is_allocated_per_frame,
    packets_cross_an_awaited_bridge,
    packets_cross_an_awaited_bridge_over_xdp,
);

const PATHS: [SendPath; 2] = [SendPath::Messages, SendPath::Ring];
const QUIET: Timeout = Timeout::After(Duration::from_millis(300));
const LARGE: RingGeometry =
    RingGeometry { block_size: 1 << 20, blocks: 32, timeout: Duration::from_millis(100) };

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn open(
    host: &Namespace,
    set_up: impl Fn(InjectorBuilder) -> InjectorBuilder + Sync,
) -> Result<AsyncInjector> {
    let open = || -> Result<_> {
        let builder = AsyncInjectorBuilder::from(set_up(Injector::builder("left0")));
        Ok(runtime()?.block_on(builder.open())?)
    };
    host.run(open)?
}

fn peer(host: &Namespace) -> Result<Capture> {
    Ok(host.run(|| Capture::builder("right0").geometry(LARGE).open())??)
}

/// Collects frames until none arrive for a while.
fn arrived(capture: &mut Capture) -> Result<Vec<Vec<u8>>> {
    let mut seen = Vec::new();
    while let Some(block) = capture.next_block(QUIET)? {
        seen.extend(block.packets().map(|packet| packet.data().to_vec()));
    }
    none_dropped(capture.statistics()?.drops)?;
    Ok(seen)
}

fn limit_rate(host: &Namespace, rate: &str) -> Result {
    // A delayed frame is sent on the processor whose timer releases it. With only one processor, no
    // other frame can overtake it before it reaches the peer.
    ring_sys::processor::pin(ring_sys::processor::allowed()?[0])?;
    let mut tc = Command::new(program("tc", "iproute2")?);
    tc.args(["qdisc", "replace", "dev", "left0", "root", "tbf", "rate", rate]);
    tc.args(["burst", "5kb", "limit", "8kb"]);
    let output = host.run(|| tc.output())??;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn every_frame_arrives() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    for path in PATHS {
        let mut injector = open(&left, |builder| builder.path(path).slots(20))?;
        let mut capture = peer(&right)?;
        let frames: Vec<_> =
            (0..3000).map(|number| frame(number, 60 + usize::from(number) % 1400)).collect();
        runtime()?.block_on(async {
            for (at, frame) in frames.iter().enumerate() {
                match at % 3 {
                    0 => injector.send_frame(frame).await?,
                    1 => {
                        let mut slot = injector.reserve(frame.len()).await?;
                        slot.copy_from_slice(frame);
                        slot.commit()?;
                    }
                    _ => {
                        let meta = PacketMeta::new(1, Timestamp::default(), LinkType::ETHERNET);
                        injector.send(&Packet::with_meta(frame, meta)).await?;
                    }
                }
            }
            injector.flush().await
        })?;
        assert_eq!((injector.pending(), injector.statistics().packets), (0, 3000));
        assert!(arrived(&mut capture)? == frames, "{path:?}: each once, in order");
    }
    Ok(())
}

/// Counts how often another task runs while the work is awaited.
fn turns<T>(work: impl AsyncFnOnce() -> T) -> Result<(T, u64)> {
    let turns = Rc::new(Cell::new(0));
    let local = tokio::task::LocalSet::new();
    let done = runtime()?.block_on(local.run_until(async {
        let counted = Rc::clone(&turns);
        let other = tokio::task::spawn_local(async move {
            loop {
                counted.set(counted.get() + 1);
                tokio::task::yield_now().await;
            }
        });
        let done = work().await;
        other.abort();
        done
    }));
    Ok((done, turns.get()))
}

fn a_slow_interface_lets_other_tasks_run() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    limit_rate(&left, "40mbit")?;
    for path in PATHS {
        let mut injector = open(&left, |builder| builder.path(path).slots(32))?;
        let mut capture = peer(&right)?;
        let frames: Vec<_> = (0..1000).map(|number| frame(number, 1000)).collect();
        let started = Instant::now();
        let (sent, turns) = turns(async || {
            for frame in &frames {
                injector.send_frame(frame).await?;
            }
            injector.flush().await
        })?;
        sent?;
        assert!(started.elapsed() > Duration::from_millis(120), "{path:?}: nothing held it back");
        assert!(turns > 1000, "{path:?}: {turns} turns");
        assert!(arrived(&mut capture)? == frames, "{path:?}");
    }
    Ok(())
}

fn a_fast_interface_lets_other_tasks_run() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    for path in PATHS {
        let mut injector = open(&left, |builder| builder.path(path))?;
        let frame = frame(1, 60);
        let (sent, turns) = turns(async || -> Result<(), Error> {
            for _ in 0..20_000 {
                injector.send_frame(&frame).await?;
            }
            injector.flush().await
        })?;
        sent?;
        // The budget of a task is 128.
        assert!(turns >= 20_000 / 128, "{path:?}: {turns} turns");
    }
    Ok(())
}

/// Polls a future once and drops it.
async fn once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

fn what_is_cancelled_is_not_sent() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    // So slow that frames wait even on a busy machine, where the pauses below take longer.
    limit_rate(&left, "4mbit")?;
    for path in PATHS {
        let mut injector = open(&left, |builder| builder.path(path).slots(16))?;
        let mut capture = peer(&right)?;
        let (mut expected, mut cancelled) = (Vec::new(), 0);
        runtime()?.block_on(async {
            for number in 0..600 {
                let frame = frame(number, 1000);
                match once(injector.send_frame(&frame)).await {
                    Some(sent) => {
                        sent?;
                        expected.push(frame);
                    }
                    None => cancelled += 1,
                }
                let _ = once(injector.flush()).await;
                if number % 20 == 0 {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
            injector.flush().await
        })?;
        assert!(cancelled > 10 && expected.len() > 10, "{path:?}: {cancelled} cancelled");
        assert!(arrived(&mut capture)? == expected, "{path:?}");
    }
    Ok(())
}

fn outside_a_runtime_it_is_an_error() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    limit_rate(&left, "40mbit")?;
    for path in PATHS {
        let mut injector = open(&left, |builder| builder.path(path).slots(16))?;
        let frame = frame(1, 1000);
        let refused = (0..1000).find_map(|_| {
            let sending = pin!(injector.send_frame(&frame));
            match sending.poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(sent) => sent.err(),
                Poll::Pending => panic!("{path:?}: nobody would wake it"),
            }
        });
        assert!(matches!(refused, Some(Error::NoRuntime)), "{path:?}: {refused:?}");
    }
    Ok(())
}

fn nothing_is_allocated_per_frame() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    wire(&left, &right)?;
    limit_rate(&left, "40mbit")?;
    for path in PATHS {
        let mut injector = open(&left, |builder| builder.path(path).slots(16))?;
        let frame = frame(1, 1000);
        let allocated = runtime()?.block_on(async {
            let mut before = 0;
            for number in 0..600 {
                // The first frames must wait as well, so that the reactor and the timer are set up.
                if number == 100 {
                    before = allocations();
                }
                injector.send_frame(&frame).await?;
            }
            injector.flush().await?;
            Ok::<_, Error>(allocations() - before)
        })?;
        assert_eq!(allocated, 0, "{path:?}");

        let mut injector = injector.into_injector();
        let before = allocations();
        for _ in 0..300 {
            injector.send_frame(&frame)?;
        }
        injector.flush()?;
        assert_eq!(allocations() - before, 0, "{path:?}, not awaited");
    }
    Ok(())
}

fn packets_cross_an_awaited_bridge() -> Result {
    cross(|| Bridge::open("left0", "right0"))
}

fn packets_cross_an_awaited_bridge_over_xdp() -> Result {
    cross(|| {
        let [left, right] = ["left0", "right0"].map(xdp::Socket::builder);
        Bridge::xdp_builder(left, right).open()
    })
}

fn cross(open: impl FnOnce() -> std::result::Result<Bridge, Error> + Send) -> Result {
    let (client, bridge, server) = (Namespace::new()?, Namespace::new()?, Namespace::new()?);
    for host in [&client, &bridge, &server] {
        host.set_sysctl("ipv6/conf/default/disable_ipv6", "1")?;
    }
    let (c, l) = client.veth_to(&bridge, "eth0", "left0")?;
    let (s, r) = server.veth_to(&bridge, "eth0", "right0")?;
    c.add_address("10.9.0.1/24".parse()?)?;
    s.add_address("10.9.0.2/24".parse()?)?;
    let links = [c, l, s, r];
    links.iter().try_for_each(netns::Link::up)?;
    links.iter().try_for_each(|link| link.wait_until_running(hosts::SOON))?;

    let opened = match bridge.run(open)? {
        Err(Error::Permission { operation, needs }) => {
            return Err(Missing::Privilege { what: operation, privilege: needs[0].name() }.into());
        }
        opened => opened?,
    };
    let mut awaited = AsyncBridge::from(opened);
    let interrupter = awaited.interrupter();
    let answering = server.run(|| UdpSocket::bind("10.9.0.2:7"))??;
    let asking = client.run(|| UdpSocket::bind("10.9.0.1:0"))??;
    for socket in [&answering, &asking] {
        socket.set_read_timeout(Some(hosts::SOON))?;
    }
    let talking = thread::spawn(move || -> std::io::Result<()> {
        let mut buffer = [0; 2000];
        for number in 0..200_u8 {
            asking.send_to(&[number; 1000], "10.9.0.2:7")?;
            let (len, from) = answering.recv_from(&mut buffer)?;
            answering.send_to(&buffer[..len], from)?;
            let len = asking.recv(&mut buffer)?;
            assert_eq!(buffer[..len], [number; 1000]);
        }
        Ok(())
    });
    let watching = thread::spawn(move || {
        let result = talking.join();
        interrupter.interrupt();
        result
    });
    let (statistics, turns) = turns(async || {
        // A cancelled call leaves everything in its place.
        for _ in 0..20 {
            let some = awaited.forward(|_| Verdict::Forward);
            let _ = tokio::time::timeout(Duration::from_millis(1), some).await;
        }
        awaited.run(|_| Verdict::Forward).await
    })?;
    let statistics = statistics?;
    watching.join().expect("no panic").expect("no panic")?;
    assert!(statistics.to_right.sent >= 200 && statistics.to_left.sent >= 200, "{statistics:?}");
    // Each round counts against the task's budget of 128, so 200 packets, of which only one is in
    // flight at a time, cannot be forwarded in one turn, however busy the machine is.
    assert!(turns > 1, "{turns} turns");

    // Frames that arrive while nobody awaits stay in the ring.
    Sender::new(&client, "eth0")?.send(&[frame(9, 100)])?;
    let mut bridge = awaited.into_bridge();
    let mut seen = 0;
    bridge.forward(Timeout::After(hosts::SOON), |_| {
        seen += 1;
        Verdict::Drop
    })?;
    assert_eq!(seen, 1);
    Ok(())
}
