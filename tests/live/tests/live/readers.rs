//! Readers of all kinds: one that never reads, tasks instead of threads, several merged captures,
//! and all readers dropped.

use std::{
    collections::HashMap,
    fs::File,
    io::Write as _,
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use conversation::{
    Chunk, Conversation, Conversations, FlowGroupExt as _, FlowStreamExt as _, Handle, Retention,
    Statistics,
};
use flow::{EndReason, FiveTuple};
use futures::StreamExt as _;
use live::{CLIENT, Folder, PATIENCE, SERVER, Stream, Web, Wire};
use live_harness::{Result, none_dropped, program};
use ring_core::{Capture, FanoutMode};

/// The port of the client whose conversation is not read.
const STALLED: u16 = 20_000;

/// The way in which engines run.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Thread,
    Task,
    Group,
}

/// Checks that a reader that never reads holds up no other. More bytes than its limit are pending
/// for it. Fifty others get every byte, and the kernel drops nothing.
pub(crate) fn one_that_never_reads_holds_up_nobody() -> Result {
    let statistics = transfers(Form::Thread, 51, true)?;
    assert!(statistics.dropped_bytes > 1_000_000, "{statistics:?}");
    Ok(())
}

pub(crate) fn engines_that_are_tasks() -> Result {
    let statistics = transfers(Form::Task, 30, false)?;
    assert_eq!(statistics.dropped_bytes, 0, "{statistics:?}");
    Ok(())
}

pub(crate) fn a_group_of_captures_is_one_stream() -> Result {
    let statistics = transfers(Form::Group, 30, false)?;
    assert_eq!(statistics.dropped_bytes, 0, "{statistics:?}");
    Ok(())
}

fn transfers(form: Form, count: u16, stalled: bool) -> Result<Statistics> {
    let curl = program("curl", "curl")?;
    let wire = Wire::new()?;
    let web = Web::start(&wire)?;
    let folder = Folder::new()?;
    for i in 0..count {
        let length = if stalled && i == 0 { 20_000_000 } else { 300_000 + 5_000 * usize::from(i) };
        web.offer(&i.to_string(), u64::from(i), length)?;
    }
    let (started, ready) = mpsc::channel();
    let guard = wire.server.enter()?;
    let listener = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let heard = listen(form, &started, count.into(), stalled);
            let heard = tokio::time::timeout(2 * PATIENCE, heard).await;
            heard.unwrap_or_else(|_| Err("the readers hang".into()))
        })
    });
    drop(guard);
    let Ok(handle) = ready.recv() else {
        listener.join().map_err(|_| "the listener panicked")??;
        return Err("the listener did not start".into());
    };
    let mut clients = Vec::new();
    for i in 0..count {
        let mut command = Command::new(&curl);
        command.args([
            "--silent",
            "--show-error",
            "--fail",
            "--include",
            "--raw",
            "--noproxy",
            "*",
        ]);
        command.args(["--limit-rate", "20M", "--local-port", &(STALLED + i).to_string()]);
        command.arg(format!("http://10.7.0.1/{i}"));
        let got = File::create(folder.join(i.to_string()))?;
        clients.push(wire.client.spawn(command.stdout(got).stdin(Stdio::null()))?);
    }
    for mut client in clients {
        assert!(client.wait()?.success(), "curl");
    }
    let heard = listener.join().map_err(|_| "the listener panicked")??;
    let statistics = handle.statistics();
    println!("{statistics:?}");
    none_dropped(statistics.source.drops)?;
    assert_eq!(heard.len(), usize::from(count - u16::from(stalled)));
    for (client, (stream, reason)) in heard {
        let got = folder.join((client.port() - STALLED).to_string());
        stream.is_all_of(File::open(got)?)?;
        assert_eq!(reason, EndReason::Fin, "{client}");
    }
    Ok(statistics)
}

type Heard = HashMap<SocketAddr, (Stream, EndReason)>;

async fn listen(
    form: Form,
    started: &mpsc::Sender<Handle>,
    count: usize,
    stalled: bool,
) -> Result<Heard> {
    let mut conversations = open(form)?;
    started.send(conversations.handle())?;
    let (mut readers, mut kept) = (Vec::new(), Vec::new());
    while readers.len() + kept.len() < count {
        let conversation = conversations.next().await.ok_or("the stream ended")??;
        if stalled && conversation.initiator().port == STALLED {
            kept.push(conversation);
        } else {
            readers.push(tokio::spawn(hear(conversation)));
        }
    }
    let mut heard = HashMap::new();
    for reader in readers {
        let (client, stream, reason) = reader.await??;
        heard.insert(client, (stream, reason));
    }
    // All members of a group stop, and the stream ends.
    conversations.handle().shutdown();
    if conversations.next().await.is_some() {
        return Err("one conversation more than there were".into());
    }
    Ok(heard)
}

fn open(form: Form) -> Result<Conversations> {
    let key = FiveTuple::bidirectional();
    Ok(match form {
        Form::Thread => {
            Capture::open(SERVER)?.flow_stream(key).conversation_limit(1 << 20).into_conversations()
        }
        Form::Task => {
            let (conversations, driver) =
                Capture::open(SERVER)?.flow_stream(key).into_driven_conversations();
            tokio::spawn(driver);
            conversations
        }
        Form::Group => {
            let group = Capture::builder(SERVER).group(3, FanoutMode::Hash).open()?;
            group.flow_stream(key).into_conversations()
        }
    })
}

async fn hear(mut conversation: Conversation) -> Result<(SocketAddr, Stream, EndReason)> {
    let mut said = Vec::new();
    let mut end = Err("no end".into());
    while let Some(chunk) = conversation.next_chunk().await {
        match chunk {
            Chunk::Initiator(data) => assert!(data.starts_with(b"GET /")),
            Chunk::Responder(data) => said.extend_from_slice(&data),
            Chunk::Gap { side, len, .. } => println!("{side:?}: {len} bytes not captured"),
            Chunk::Closed { reason, .. } => end = Ok(reason),
            _ => {}
        }
    }
    let initiator = conversation.initiator();
    let client = SocketAddr::new(initiator.address, initiator.port);
    end.and_then(|reason| Ok((client, Stream::of(&said[..], &[])?, reason)))
}

/// Checks that a shutdown keeps packets in a block that the kernel has not handed over yet.
pub(crate) fn a_shutdown_keeps_what_the_kernel_still_holds() -> Result {
    const SAID: usize = 10_000;
    let wire = Wire::new()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut early = 0;
    for (port, timeout) in (7100..).zip([None, Some(200), Some(600), None, Some(200), Some(600)]) {
        let builder = Capture::builder(CLIENT);
        let builder = match timeout.map(Duration::from_millis) {
            Some(timeout) => builder.block_timeout(timeout),
            None => builder,
        };
        let capture = wire.client.run(|| builder.open())??;
        let mut conversations = capture.flow_conversations(FiveTuple::bidirectional());
        let handle = conversations.handle();
        let address = SocketAddr::from(([10, 7, 0, 1], port));
        let listener = wire.server.run(|| TcpListener::bind(address))??;
        let mut client = wire.client.run(|| TcpStream::connect(address))??;
        let _server = listener.accept()?;
        client.write_all(&[7; SAID])?;
        early += u32::from(handle.statistics().packets == 0);
        let started = Instant::now();
        handle.shutdown();
        let said = runtime.block_on(async {
            let mut said = 0;
            while let Some(conversation) = conversations.next().await {
                let mut conversation = conversation?;
                while let Some(chunk) = conversation.next_chunk().await {
                    match chunk {
                        Chunk::Initiator(data) => said += data.len(),
                        Chunk::Closed { reason, .. } => assert_eq!(reason, EndReason::CaptureEnded),
                        chunk => return Err(format!("{chunk:?}").into()),
                    }
                }
            }
            handle.finished().await;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(said)
        })?;
        println!("block timeout {timeout:?}: {said} bytes, {:?} to the end", started.elapsed());
        assert_eq!(said, SAID, "block timeout {timeout:?}: {:?}", handle.statistics());
    }
    assert!(early > 0, "each shutdown came too late for this");
    Ok(())
}

/// Checks that blocks held by conversations return to the ring, in any order of drops.
pub(crate) fn what_is_dropped_gives_its_blocks_back() -> Result {
    let wire = Wire::new()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for point in 0..5 {
        let capture = wire.client.run(|| Capture::open(CLIENT))?;
        let mut conversations = capture?
            .flow_stream(FiveTuple::bidirectional())
            .retention(Retention::Borrow)
            .into_conversations();
        let handle = conversations.handle();
        let port = 7000 + point;
        let address = SocketAddr::from(([10, 7, 0, 1], port));
        let listener = wire.server.run(|| TcpListener::bind(address))??;
        let mut client = wire.client.run(|| TcpStream::connect(address))??;
        let _server = listener.accept()?;
        client.write_all(&[7; 60_000])?;
        let on_loan = runtime.block_on(async {
            let mut conversation = conversations.next().await.ok_or("no conversation")??;
            let Some(Chunk::Initiator(data)) = conversation.next_chunk().await else {
                return Err("no data".into());
            };
            let on_loan = wait_for(&handle, |statistics| statistics.source.blocks_on_loan > 0);
            match point {
                0 => drop((data, conversation, conversations)),
                1 => drop((conversations, conversation, data)),
                2 => {
                    let (initiator, responder) = conversation.split();
                    drop((initiator, data, responder, conversations));
                }
                3 => {
                    handle.shutdown();
                    drop((conversations, data));
                    while conversation.next_chunk().await.is_some() {}
                }
                _ => {
                    drop((data, conversation));
                    return Ok::<_, Box<dyn std::error::Error + Send + Sync>>((
                        on_loan,
                        Some(conversations),
                    ));
                }
            }
            Ok((on_loan, None))
        })?;
        let (on_loan, kept) = on_loan;
        assert!(on_loan, "{point}: nothing was borrowed");
        // The client sends more, because the engine notices only when it processes a packet.
        let _ = client.write_all(b"more");
        if kept.is_some() {
            let back = wait_for(&handle, |statistics| statistics.source.blocks_on_loan == 0);
            assert!(back, "{point}: {:?}", handle.statistics());
        }
        assert!(wait_for(&handle, |statistics| statistics.queued_bytes == 0), "{point}");
    }
    Ok(())
}

fn wait_for(handle: &Handle, holds: impl Fn(&Statistics) -> bool) -> bool {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if holds(&handle.statistics()) {
            return true;
        }
        thread::sleep(Duration::from_millis(20));
    }
    false
}
