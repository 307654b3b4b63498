//! The loop in the quick start.

use std::{
    cell::RefCell,
    collections::HashMap,
    fs::File,
    net::SocketAddr,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
};

use conversation::{Chunk, FlowStreamExt as _};
use flow::{EndReason, FiveTuple};
use futures::StreamExt;
use live::{Folder, PATIENCE, SERVER, Stream, Web, Wire};
use live_harness::{Result, none_dropped, program};
use ring_core::AsyncCapture;

/// Reads a hundred concurrent clients in one task, one conversation after another.
pub(crate) fn a_hundred_transfers_at_once() -> Result {
    transfers(100, "1G", |i| 100_000 + 5_000 * usize::from(i))
}

/// Makes more bytes wait for the reader, which is still at the first conversation, than the ring
/// holds. The clients are slow enough that the kernel need not drop packets.
pub(crate) fn large_transfers_at_once() -> Result {
    transfers(3, "8M", |_| 40_000_000)
}

fn transfers(count: u16, rate: &str, length: impl Fn(u16) -> usize) -> Result {
    let curl = program("curl", "curl")?;
    let wire = Wire::new()?;
    let web = Web::start(&wire)?;
    let folder = Folder::new()?;
    for i in 0..count {
        web.offer(&i.to_string(), u64::from(i), length(i))?;
    }
    let (started, ready) = mpsc::channel();
    let guard = wire.server.enter()?;
    let listener = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let listened = tokio::time::timeout(2 * PATIENCE, listen(&started, count.into())).await;
            listened.unwrap_or_else(|_| Err("the loop hangs".into()))
        })
    });
    drop(guard);
    if ready.recv().is_err() {
        listener.join().map_err(|_| "the listener panicked")??;
        return Err("the listener did not start".into());
    }
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
        command.args(["--limit-rate", rate]);
        command.args(["--local-port", &(20_000 + i).to_string(), &format!("http://10.7.0.1/{i}")]);
        clients.push(wire.client.spawn(
            command.stdout(File::create(folder.join(i.to_string()))?).stdin(Stdio::null()),
        )?);
    }
    for mut client in clients {
        assert!(client.wait()?.success(), "curl");
    }
    let heard = listener.join().map_err(|_| "the listener panicked")??;
    assert_eq!(heard.len(), usize::from(count));
    for i in 0..count {
        let client = SocketAddr::from(([10, 7, 0, 2], 20_000 + i));
        let (stream, reason) =
            heard.get(&client).ok_or_else(|| format!("{client} was not heard"))?;
        stream.is_all_of(File::open(folder.join(i.to_string()))?)?;
        assert_eq!(*reason, EndReason::Fin, "{client}");
    }
    Ok(())
}

/// The bytes that each client received, and the end of its conversation.
type Heard = HashMap<SocketAddr, (Stream, EndReason)>;

async fn listen(started: &mpsc::Sender<()>, count: usize) -> Result<Heard> {
    let mut heard = HashMap::new();
    let said = RefCell::new(Vec::new());
    let print = |data: &[u8]| said.borrow_mut().extend_from_slice(data);

    let mut conversations =
        AsyncCapture::open(SERVER)?.flow_stream(FiveTuple::bidirectional()).into_conversations();
    started.send(())?;
    while let Some(conversation) = conversations.next().await {
        let mut conversation = conversation?;
        println!("{} <-> {}", conversation.key().a, conversation.key().b);
        while let Some(chunk) = conversation.next_chunk().await {
            match chunk {
                Chunk::Initiator(data) => assert!(data.starts_with(b"GET /")),
                Chunk::Responder(data) => print(&data),
                Chunk::Gap { side, len, .. } => println!("{side:?}: {len} bytes not captured"),
                Chunk::Closed { reason, .. } => {
                    println!("ended: {reason:?}");
                    let initiator = conversation.initiator();
                    let client = SocketAddr::new(initiator.address, initiator.port);
                    heard.insert(client, (Stream::of(&said.take()[..], &[])?, reason));
                }
                _ => {}
            }
        }
        if heard.len() == count {
            break;
        }
    }
    none_dropped(conversations.handle().statistics().source.drops)?;
    Ok(heard)
}
