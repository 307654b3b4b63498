//! Messages of real programs: curl's requests and openssl's handshakes, parsed by flowscope.

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use conversation::{FlowStreamExt as _, Handle, MessageEvent};
use flow::{FiveTuple, FlowSide};
use flowscope::http::{HttpMessage, HttpParser};
use flowscope::tls::{TlsMessage, TlsParser};
use flowscope::{SessionParser, SessionParserFactory};
use futures::StreamExt as _;
use live::{CLIENT, Folder, PATIENCE, SERVER, Web, Wire};
use live_harness::{Result, none_dropped, program};
use netns::Namespace;
use ring_core::Capture;

use crate::http::Curl;

/// Parses the requests and responses of two files on one connection.
pub(crate) fn http_messages_of_curl_and_nginx() -> Result {
    let wire = Wire::new()?;
    let web = Web::start(&wire)?;
    web.offer("first", 1, 612)?;
    web.offer("second", 2, 100_000)?;
    let listener = Listener::start(&wire.server, SERVER, HttpParser::default(), |message| {
        Some(match message {
            HttpMessage::Request(request) => String::from_utf8_lossy(&request.path).into_owned(),
            HttpMessage::Response(response) => {
                format!("{} {}", response.status, response.body.len())
            }
            _ => return None,
        })
    })?;
    let folder = Folder::new()?;
    Curl::start(&wire.client, "10.7.0.1", &["first", "second"], folder.join("got"))?.finish()?;
    let heard = listener.finish(4)?;
    let expected = [
        (FlowSide::Initiator, "/first"),
        (FlowSide::Responder, "200 612"),
        (FlowSide::Initiator, "/second"),
        (FlowSide::Responder, "200 100000"),
    ];
    assert_eq!(heard, expected.map(|(side, text)| (side, text.to_owned())));
    Ok(())
}

/// Parses both hellos of a handshake.
pub(crate) fn a_tls_handshake_of_openssl() -> Result {
    let openssl = program("openssl", "openssl")?;
    let (wire, folder) = (Wire::new()?, Folder::new()?);
    let made = Command::new(&openssl)
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=live", "-days", "2"])
        .args(["-keyout", "key.pem", "-out", "certificate.pem"])
        .current_dir(folder.path())
        .output()?;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let _server = wire.server.spawn(
        Command::new(&openssl)
            .args(["s_server", "-accept", "443", "-cert", "certificate.pem", "-key", "key.pem"])
            .args(["-www", "-quiet"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null()),
    )?;
    wire.wait_for_server(443)?;
    let listener = Listener::start(&wire.client, CLIENT, TlsParser::default(), |message| {
        Some(match message {
            TlsMessage::ClientHello(hello) => format!("hello to {:?}", hello.sni),
            TlsMessage::ServerHello(_) => "hello".to_owned(),
            _ => return None,
        })
    })?;
    let client = wire.client.spawn(
        Command::new(&openssl)
            .args(["s_client", "-connect", "10.7.0.1:443", "-servername", "live.example"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null()),
    )?;
    let output = client.output()?;
    assert!(output.status.success(), "{}", output.status);
    let heard = listener.finish(2)?;
    let expected = [
        (FlowSide::Initiator, "hello to Some(\"live.example\")".to_owned()),
        (FlowSide::Responder, "hello".to_owned()),
    ];
    assert_eq!(heard, expected);
    Ok(())
}

type Heard = Arc<Mutex<Vec<(FlowSide, String)>>>;

/// Listens for messages on a link.
struct Listener {
    handle: Handle,
    heard: Heard,
    thread: JoinHandle<Result>,
}

impl Listener {
    /// Starts to listen. `tell` returns the part of a message to record.
    fn start<F>(
        host: &Namespace,
        link: &str,
        parsers: F,
        tell: impl Fn(<F::Parser as SessionParser>::Message) -> Option<String> + Send + 'static,
    ) -> Result<Self>
    where
        F: SessionParserFactory<flow::FiveTupleKey> + Clone,
    {
        let capture = host.run(|| Capture::open(link))??;
        let (started, ready) = mpsc::channel();
        let heard = Heard::default();
        let to = Arc::clone(&heard);
        let mut messages = capture.flow_stream(FiveTuple::bidirectional()).session_stream(parsers);
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                // The engine starts with the first poll.
                assert!(futures::poll!(messages.next()).is_pending());
                started.send(messages.handle())?;
                while let Some(event) = messages.next().await {
                    if let MessageEvent::Message { side, message, .. } = event?
                        && let Some(text) = tell(message)
                    {
                        to.lock().unwrap_or_else(PoisonError::into_inner).push((side, text));
                    }
                }
                Ok(())
            })
        });
        let handle = ready.recv().map_err(|_| "the listener did not start")?;
        Ok(Self { handle, heard, thread })
    }

    /// Waits for this number of messages, then stops.
    fn finish(self, messages: usize) -> Result<Vec<(FlowSide, String)>> {
        let started = Instant::now();
        let heard = || self.heard.lock().unwrap_or_else(PoisonError::into_inner).len();
        while heard() < messages && started.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(5));
        }
        self.handle.shutdown();
        self.thread.join().unwrap_or_else(|_| Err("the listener panicked".into()))?;
        none_dropped(self.handle.statistics().source.drops)?;
        Ok(self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}
