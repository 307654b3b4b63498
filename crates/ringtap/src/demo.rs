//! `ringtap demo`: the main job, shown without privileges or set-up.

mod http;

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use conversation::{Chunk, Conversation, Conversations, FlowStreamExt as _};
use flow::{EndReason, FiveTuple, FlowSide};
use futures_util::StreamExt as _;
use netns::{Namespace, Privilege};
use ring_core::Capture;
use sha2::{Digest as _, Sha256};

use crate::Error;
use crate::names;
use crate::text::escape::Escaped;

/// The number of clients, each with a connection of its own.
const CLIENTS: usize = 6;
/// The time for which the demonstration waits for the end of a conversation before it reports that
/// it did not come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Show what ringtap does, on a network of its own: no privileges, no set-up.
///
/// Makes two hosts out of network namespaces, lets clients fetch from an HTTP/1.1 server on one of
/// them, captures on the wire between them, prints the conversations as they happen, and compares
/// every byte with what the clients sent and received.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// The bytes that one client sent and received.
#[derive(Debug)]
struct Truth {
    sent: Digest,
    received: Digest,
}

/// The number of bytes, and their SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Digest {
    len: u64,
    sha256: [u8; 32],
}

pub(crate) fn run(_: &Arguments) -> Result<(), Error> {
    if netns::enter_user_namespace()? == Privilege::UserNamespace {
        println!(
            "You are an ordinary user, so this runs in a user namespace with a network of its own."
        );
    }
    let (server, client) = (Namespace::new()?, Namespace::new()?);
    wire(&server, &client)?;
    println!(
        "Two hosts on one wire: the server is 10.77.0.1 and fd77::1, the clients are 10.77.0.2 and fd77::2."
    );

    let capture = server
        .run(|| Capture::builder("demo0").open())?
        .map_err(|source| Error::Source { name: "demo0".to_owned(), source: source.into() })?;
    let conversations = capture.flow_conversations(FiveTuple::bidirectional());
    let handle = conversations.handle();

    let stop = Arc::new(AtomicBool::new(false));
    let servers = ["10.77.0.1", "fd77::1"]
        .map(|host| serve(&server, host.parse().unwrap_or(IpAddr::from([0, 0, 0, 0])), &stop));
    let clients = thread::Builder::new().name("clients".to_owned());
    let truths = thread::scope(|scope| {
        let fetching = clients.spawn_scoped(scope, || fetch(&client)).map_err(Error::Demo)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::Runtime)?;
        let heard = runtime.block_on(listen(conversations))?;
        let truths = fetching.join().unwrap_or_else(|_| Err(io::Error::other("a client panicked")));
        Ok::<_, Error>((heard, truths.map_err(Error::Demo)?))
    });
    stop.store(true, Ordering::Release);
    handle.shutdown();
    for server in servers {
        server?;
    }
    let (heard, truths) = truths?;
    judge(&heard, &truths, &handle.statistics())
}

/// A veth pair between the two hosts, with addresses of both families.
fn wire(server: &Namespace, client: &Namespace) -> Result<(), Error> {
    let (left, right) = server.veth_to(client, "demo0", "demo1")?;
    for (link, host) in [(&left, 1), (&right, 2)] {
        for address in [format!("10.77.0.{host}/24"), format!("fd77::{host}/64")] {
            let address = address.parse().map_err(|error| Error::Demo(io::Error::other(error)))?;
            link.add_address(address)?;
        }
        link.up()?;
    }
    left.wait_until_running(PATIENCE)?;
    Ok(())
}

/// Starts the server on one address; its thread ends with the process or with `stop`.
fn serve(namespace: &Namespace, host: IpAddr, stop: &Arc<AtomicBool>) -> Result<(), Error> {
    let listener =
        namespace.run(|| TcpListener::bind(SocketAddr::new(host, 80)))?.map_err(Error::Demo)?;
    let stop = Arc::clone(stop);
    thread::Builder::new()
        .name("server".to_owned())
        .spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::Acquire) {
                    break;
                }
                // A client that goes away early is no matter to the server.
                thread::spawn(move || http::serve(stream));
            }
        })
        .map_err(Error::Demo)?;
    Ok(())
}

/// Runs all clients at once; what each sent and received, with its address, which a later one may
/// use again.
fn fetch(namespace: &Namespace) -> io::Result<Vec<(SocketAddr, Truth)>> {
    let connect = |i: usize| {
        let host: IpAddr =
            if i % 3 == 2 { [0xfd77, 0, 0, 0, 0, 0, 0, 1].into() } else { [10, 77, 0, 1].into() };
        namespace.run(|| std::net::TcpStream::connect_timeout(&SocketAddr::new(host, 80), PATIENCE))
    };
    let fetch = |i: usize| {
        let stream = connect(i).map_err(io::Error::other)??;
        let address = stream.local_addr()?;
        let paths = ["/hello", "/page", "/large", "/chunked"];
        let mine: Vec<_> = paths.iter().cycle().skip(i).take(1 + i % 3).copied().collect();
        http::fetch(stream, &mine).map(|truth| (address, truth))
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..CLIENTS).map(|i| scope.spawn(move || fetch(i))).collect();
        threads
            .into_iter()
            .map(|thread| {
                thread.join().unwrap_or_else(|_| Err(io::Error::other("a client panicked")))
            })
            .collect()
    })
}

/// A conversation as it was captured.
#[derive(Debug)]
struct Heard {
    client: SocketAddr,
    sent: Digest,
    received: Digest,
    gaps: u64,
    reason: Option<EndReason>,
}

/// Reads one conversation after another, as they come.
async fn listen(mut conversations: Conversations) -> Result<Vec<Heard>, Error> {
    let mut all = Vec::new();
    while all.len() < CLIENTS {
        let Ok(Some(next)) = tokio::time::timeout(PATIENCE, conversations.next()).await else {
            break;
        };
        let mut conversation =
            next.map_err(|source| Error::Follow { name: "demo0".to_owned(), source })?;
        all.push(hear(&mut conversation).await);
    }
    Ok(all)
}

async fn hear(conversation: &mut Conversation) -> Heard {
    let (client, server) = (conversation.initiator(), conversation.responder());
    println!("\n{client} <-> {server}");
    let mut hashes = [Sha256::new(), Sha256::new()];
    let (mut lengths, mut gaps, mut reason) = ([0, 0], 0, None);
    let mut turn = Turn::default();
    let mut hear = |side: usize, data: &[u8]| {
        hashes[side].update(data);
        lengths[side] += data.len() as u64;
        turn.hear(side, data);
    };
    while let Ok(Some(chunk)) = tokio::time::timeout(PATIENCE, conversation.next_chunk()).await {
        match chunk {
            Chunk::Initiator(data) => hear(0, &data),
            Chunk::Responder(data) => hear(1, &data),
            Chunk::Gap { side, len, .. } => {
                gaps += len;
                let who = if side == FlowSide::Initiator { "client" } else { "server" };
                println!("  ! {len:>7} bytes of the {who} are missing");
            }
            Chunk::Closed { reason: why, .. } => reason = Some(why),
            _ => {}
        }
    }
    turn.print();
    println!("  end: {}", reason.map_or("not seen", names::end_in_words));
    let [sent, received] = hashes.map(|hash| hash.finalize().into());
    Heard {
        client: SocketAddr::new(client.address, client.port),
        sent: Digest { len: lengths[0], sha256: sent },
        received: Digest { len: lengths[1], sha256: received },
        gaps,
        reason,
    }
}

/// The bytes of one side before the other answers: a line of the display.
#[derive(Debug, Default)]
struct Turn {
    side: usize,
    len: usize,
    first_line: Option<String>,
}

impl Turn {
    fn hear(&mut self, side: usize, data: &[u8]) {
        let first_line = first_line(data);
        if side != self.side || first_line.is_some() {
            self.print();
            *self = Self { side, len: 0, first_line: first_line.map(str::to_owned) };
        }
        self.len += data.len();
    }

    fn print(&self) {
        if self.len > 0 {
            let arrow = [">", "<"][self.side];
            println!(
                "  {arrow} {:>7} bytes  {}",
                self.len,
                Escaped(self.first_line.as_deref().unwrap_or_default())
            );
        }
    }
}

/// The start of an HTTP message, if these bytes are one.
fn first_line(data: &[u8]) -> Option<&str> {
    let line = data.split(|byte| *byte == b'\r').next()?;
    let text = std::str::from_utf8(line).ok()?;
    (text.starts_with("HTTP/1.1 ") || text.ends_with(" HTTP/1.1")).then_some(text)
}

/// Compares what was heard with what the clients know.
fn judge(
    heard: &[Heard],
    truths: &[(SocketAddr, Truth)],
    statistics: &conversation::Statistics,
) -> Result<(), Error> {
    let mut left: Vec<_> = truths.iter().collect();
    let exact = heard
        .iter()
        .filter(|heard| heard.gaps == 0 && heard.reason == Some(EndReason::Fin))
        .filter(|heard| {
            let told = left.iter().position(|(client, truth)| {
                *client == heard.client
                    && truth.sent == heard.sent
                    && truth.received == heard.received
            });
            told.map(|at| left.swap_remove(at)).is_some()
        })
        .count();
    let bytes: u64 = heard.iter().map(|heard| heard.sent.len + heard.received.len).sum();
    println!(
        "\n{exact} of {} conversations are byte for byte what the clients sent and received: {bytes} bytes in {} packets; the kernel dropped {}.",
        truths.len(),
        statistics.packets,
        statistics.source.drops,
    );
    if exact == truths.len() && exact == CLIENTS { Ok(()) } else { Err(Error::DemoDiffers) }
}
