//! Real decoders on halves of conversations: HTTP by httparse, TLS by its records.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    process::{Command, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
};

use conversation::{Conversation, FlowStreamExt as _, Half};
use flow::FiveTuple;
use futures::StreamExt as _;
use live::{CLIENT, Folder, PATIENCE, Web, Wire};
use live_harness::{Result, none_dropped, program};
use ring_core::Capture;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Fetches a few files over one connection and decodes each request and response with httparse.
pub(crate) fn http_by_httparse() -> Result {
    let curl = program("curl", "curl")?;
    let (wire, folder) = (Wire::new()?, Folder::new()?);
    let web = Web::start(&wire)?;
    let lengths = [10_usize, 1_000_000, 1, 70_000];
    for (i, length) in lengths.iter().enumerate() {
        web.offer(&format!("file-{i}"), i as u64, *length)?;
    }
    let reader = read(&wire, |conversation| async {
        let (requests, responses) = conversation.split();
        tokio::try_join!(paths(requests), bodies(responses))
    })?;
    let mut command = Command::new(curl);
    command.args(["--silent", "--show-error", "--fail", "--noproxy", "*"]);
    for i in 0..lengths.len() {
        command.arg(format!("http://10.7.0.1/file-{i}"));
    }
    let got = folder.join("got");
    command.stdout(File::create(&got)?);
    assert!(wire.client.spawn(&mut command)?.wait()?.success(), "curl");
    let (paths, bodies) = reader.join().map_err(|_| "the reader panicked")??;
    assert_eq!(paths, ["/file-0", "/file-1", "/file-2", "/file-3"]);
    assert_eq!(bodies.iter().map(Vec::len).collect::<Vec<_>>(), lengths);
    let mut expected = Vec::new();
    File::open(got)?.read_to_end(&mut expected)?;
    assert!(bodies.concat() == expected, "the bodies are what curl wrote");
    Ok(())
}

/// Records an openssl session: records of known types follow each other without a byte between
/// them, to the end of both halves.
pub(crate) fn tls_by_its_records() -> Result {
    let openssl = program("openssl", "openssl")?;
    let (wire, folder) = (Wire::new()?, Folder::new()?);
    let made = Command::new(&openssl)
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=live", "-days", "2"])
        .args(["-keyout", "key.pem", "-out", "certificate.pem"])
        .current_dir(folder.path())
        .output()?;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    fs::write(folder.join("page"), vec![b'x'; 500_000])?;
    let _server = wire.server.spawn(
        Command::new(&openssl)
            .args(["s_server", "-accept", "443", "-cert", "certificate.pem", "-key", "key.pem"])
            .args(["-WWW", "-quiet"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null()),
    )?;
    wire.wait_for_server(443)?;
    let reader = read(&wire, |conversation| async {
        let (client, server) = conversation.split();
        tokio::try_join!(records(client), records(server))
    })?;
    let mut client = wire.client.spawn(
        Command::new(&openssl)
            .args(["s_client", "-connect", "10.7.0.1:443", "-quiet", "-ign_eof", "-nocommands"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    )?;
    let mut input = client.child().stdin.take().ok_or("no input")?;
    input.write_all(b"GET /page HTTP/1.0\r\n\r\n")?;
    drop(input);
    assert!(client.wait()?.success(), "openssl s_client");
    let (client, server) = reader.join().map_err(|_| "the reader panicked")??;
    // Handshake first. The encrypted rest has the type of application data (RFC 8446, section 5.1).
    assert_eq!((client[0].0, server[0].0), (22, 22));
    assert!(client.iter().any(|record| record.0 == 23));
    let data: usize = server.iter().filter(|record| record.0 == 23).map(|record| record.1).sum();
    assert!(data > 500_000, "{data} bytes of application data");
    Ok(())
}

/// Reads the first conversation on the client's link.
fn read<T, F>(
    wire: &Wire,
    work: impl FnOnce(Conversation) -> F + Send + 'static,
) -> Result<JoinHandle<Result<T>>>
where
    T: Send + 'static,
    F: Future<Output = Result<T>>,
{
    let (started, ready) = mpsc::channel();
    let guard = wire.client.enter()?;
    let reader = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut conversations =
                Capture::open(CLIENT)?.flow_conversations(FiveTuple::bidirectional());
            started.send(())?;
            let conversation = conversations.next().await.ok_or("no conversation")??;
            let read = tokio::time::timeout(2 * PATIENCE, work(conversation)).await;
            none_dropped(conversations.handle().statistics().source.drops)?;
            read?
        })
    });
    drop(guard);
    ready.recv().map_err(|_| "the reader did not start")?;
    Ok(reader)
}

/// The paths of all requests.
async fn paths(mut half: Half) -> Result<Vec<String>> {
    let (mut paths, mut buffer) = (Vec::new(), Vec::new());
    while let Some(length) = head(&mut half, &mut buffer, |bytes| {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        let status = request.parse(bytes)?;
        if status.is_complete() {
            paths.push(request.path.unwrap_or_default().to_owned());
        }
        Ok(status)
    })
    .await?
    {
        buffer.drain(..length);
    }
    Ok(paths)
}

/// The bodies of all responses.
async fn bodies(mut half: Half) -> Result<Vec<Vec<u8>>> {
    let (mut bodies, mut buffer, mut expected) = (Vec::new(), Vec::new(), 0);
    while let Some(length) = head(&mut half, &mut buffer, |bytes| {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut headers);
        let status = response.parse(bytes)?;
        if status.is_complete() {
            let length = response
                .headers
                .iter()
                .find(|header| header.name.eq_ignore_ascii_case("content-length"))
                .ok_or("no length")?;
            expected = std::str::from_utf8(length.value)?.parse()?;
        }
        Ok(status)
    })
    .await?
    {
        buffer.drain(..length);
        while buffer.len() < expected {
            if half.read_buf(&mut buffer).await? == 0 {
                return Err("the body was cut short".into());
            }
        }
        bodies.push(buffer.drain(..expected).collect());
    }
    Ok(bodies)
}

/// Reads until a head is complete. Returns its length, or `None` at the end of the stream.
async fn head(
    half: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
    mut parse: impl FnMut(&[u8]) -> Result<httparse::Status<usize>>,
) -> Result<Option<usize>> {
    loop {
        if let httparse::Status::Complete(length) = parse(buffer)? {
            return Ok(Some(length));
        }
        if half.read_buf(buffer).await? == 0 {
            return if buffer.is_empty() { Ok(None) } else { Err("a head was cut short".into()) };
        }
    }
}

/// Type and length of each record.
async fn records(mut half: Half) -> Result<Vec<(u8, usize)>> {
    let mut records = Vec::new();
    loop {
        let mut header = [0; 5];
        match half.read(&mut header[..1]).await? {
            0 => return Ok(records),
            _ => half.read_exact(&mut header[1..]).await?,
        };
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        if !(20..=23).contains(&header[0]) || header[1] != 3 || length > (1 << 14) + 256 {
            return Err(format!("no header of a record: {header:?}").into());
        }
        half.read_exact(&mut vec![0; length]).await?;
        records.push((header[0], length));
    }
}
