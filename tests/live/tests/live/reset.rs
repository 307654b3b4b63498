//! Clients that reset their connections.

use std::{
    fs::File,
    process::{Command, Stdio},
};

use flow::EndReason;
use live::{CLIENT, Ear, Folder, Follower, Random, SERVER, Web, Wire};
use live_harness::{Result, program};

/// Closes immediately with a RST, without lingering.
const RESET: &str =
    "s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); s.close()";

/// Sends a file, waits for the server's confirmation that it is complete, then resets.
pub(crate) fn a_client_resets_after_its_last_byte() -> Result {
    let python = program("python3", "python3")?;
    let (wire, folder) = (Wire::new()?, Folder::new()?);
    Random::new(8).fill(&folder.join("sent"), 300_000)?;
    let server = "
import socket
l = socket.create_server(('10.7.0.1', 7))
l2 = socket.create_server(('127.0.0.1', 7))
s, _ = l.accept()
left = 300000
while left: left -= len(s.recv(left))
s.sendall(b'all')
try: print('unexpected', s.recv(1))
except ConnectionResetError: print('reset')
";
    let client = format!(
        "
import socket, struct
s = socket.create_connection(('10.7.0.1', 7))
s.sendall(open('sent', 'rb').read())
while s.recv(3) != b'all': pass
{RESET}
"
    );
    let server =
        wire.server.spawn(Command::new(&python).args(["-c", server]).stdout(Stdio::piped()))?;
    wire.wait_for_server(7)?;
    let ear = Ear::open(&wire.server, SERVER)?;
    let follower = Follower::start(&wire.client, CLIENT)?;
    let mut client = wire
        .client
        .spawn(Command::new(&python).args(["-c", &client]).current_dir(folder.path()))?;
    assert!(client.wait()?.success());
    assert_eq!(server.output()?.stdout, b"reset\n", "the server saw it");

    let (ear, follower) = (ear.finish(1)?.whole()?, follower.finish(2)?.whole()?);
    assert_eq!(ear.ends.iter().map(|(_, reason)| *reason).collect::<Vec<_>>(), [EndReason::Rst]);
    for heard in [ear, follower] {
        heard.to(7)?.is_all_of(File::open(folder.join("sent"))?)?;
        heard.from(7)?.is_all_of(&b"all"[..])?;
    }
    Ok(())
}

/// Fetches a large file from nginx and resets after 100,000 bytes. The kernels determine how many
/// bytes the server has sent by then, but they must be the beginning of the file.
pub(crate) fn a_client_resets_in_the_middle() -> Result {
    let python = program("python3", "python3")?;
    let wire = Wire::new()?;
    let web = Web::start(&wire)?;
    web.offer("large", 9, 50 << 20)?;
    let client = format!(
        "
import socket, struct, sys
s = socket.create_connection(('10.7.0.1', 80))
s.sendall(b'GET /large HTTP/1.0\\r\\n\\r\\n')
left = 100000
while left:
    got = s.recv(left)
    sys.stdout.buffer.write(got)
    left -= len(got)
{RESET}
"
    );
    let ear = Ear::open(&wire.server, SERVER)?;
    let client = wire
        .client
        .spawn(Command::new(&python).args(["-c", &client]).stdout(Stdio::piped()))?
        .output()?;
    assert!(client.status.success());
    let heard = ear.finish(1)?.whole()?;
    assert_eq!(heard.ends.iter().map(|(_, reason)| *reason).collect::<Vec<_>>(), [EndReason::Rst]);
    heard.to(80)?.is_all_of(&b"GET /large HTTP/1.0\r\n\r\n"[..])?;

    let head =
        client.stdout.windows(4).position(|window| window == b"\r\n\r\n").ok_or("no head")? + 4;
    let mut whole = client.stdout[..head].to_vec();
    whole.extend(std::fs::read(web.path("large"))?);
    assert_eq!(client.stdout, whole[..client.stdout.len()], "the client got the beginning");
    let stream = heard.from(80)?;
    let sent = usize::try_from(stream.length)?;
    assert!(sent >= client.stdout.len() && sent < whole.len(), "{stream:?}");
    stream.is_all_of(&whole[..sent])
}
