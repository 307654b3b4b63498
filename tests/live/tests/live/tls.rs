//! openssl at both ends.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use live::{CLIENT, Ear, Folder, Follower, Random, Relay, SERVER, Wire};
use live_harness::{Result, program};

/// Transfers a file over TLS. The client connects through a relay on its own host, which records
/// the bytes of both sides.
pub(crate) fn openssl_with_openssl() -> Result {
    let openssl = program("openssl", "openssl")?;
    let (wire, folder) = (Wire::new()?, Folder::new()?);
    let made = Command::new(&openssl)
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=live", "-days", "2"])
        .args(["-keyout", "key.pem", "-out", "certificate.pem"])
        .current_dir(folder.path())
        .output()?;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Random::new(7).fill(&folder.join("page"), 2_000_000)?;

    let _server = wire.server.spawn(
        Command::new(&openssl)
            .args([
                "s_server",
                "-accept",
                "443",
                "-cert",
                "certificate.pem",
                "-key",
                "key.pem",
                "-WWW",
                "-quiet",
            ])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null()),
    )?;
    wire.wait_for_server(443)?;
    let ear = Ear::open(&wire.client, CLIENT)?;
    let follower = Follower::start(&wire.server, SERVER)?;
    let relay = Relay::start(&wire.client, "10.7.0.1:443".parse()?)?;
    let mut client = wire.client.spawn(
        Command::new(&openssl)
            .args([
                "s_client",
                "-connect",
                &relay.address().to_string(),
                "-quiet",
                "-ign_eof",
                "-nocommands",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null()),
    )?;
    let mut input = client.child().stdin.take().ok_or("no input")?;
    input.write_all(b"GET /page HTTP/1.0\r\n\r\n")?;
    drop(input);
    let output = client.output()?;
    assert!(output.status.success(), "{}", output.status);
    assert!(
        output.stdout.ends_with(&fs::read(folder.join("page"))?),
        "the client got what the server has"
    );

    let (requests, answers) = relay.finish()?;
    assert!(
        answers.len() > 2_000_000 && requests.len() > 300,
        "{} and {} bytes",
        answers.len(),
        requests.len()
    );
    for heard in [ear.finish(1)?.whole()?, follower.finish(2)?.whole()?] {
        heard.from(443)?.is_all_of(&answers[..])?;
        heard.to(443)?.is_all_of(&requests[..])?;
    }
    Ok(())
}
