//! The messages of a live command on standard error.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::{TcpListener, TcpStream, UdpSocket},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use live::{Folder, PATIENCE, SERVER, Wire, ringtap};
use live_harness::Result;
use netns::Namespace;

use crate::capture::Capturing;

/// Number of the signal that Ctrl-C sends; see signal(7).
const INTERRUPT: i32 = 2;

/// Checks that a script can wait for the message that a command captures, and that the message
/// warns if no packet can arrive yet.
pub(crate) fn a_command_says_when_it_captures() -> Result {
    for subcommand in ["follow", "flows"] {
        let wire = Wire::new()?;
        let link = wire.server.link(SERVER)?;
        link.down()?;
        let mut command = Command::new(ringtap()?);
        command.args([subcommand, "-i", SERVER]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = wire.server.spawn(&mut command)?;
        let mut output = process.child().stdout.take().ok_or("no output")?;
        let mut errors = BufReader::new(process.child().stderr.take().ok_or("no errors")?).lines();
        let mut next = || errors.next().unwrap_or(Ok(String::new()));
        let expected = format!("ringtap: {SERVER} is down; packets are captured once it is up");
        assert_eq!(next()?, expected, "{subcommand}");
        assert_eq!(next()?, format!("ringtap: {SERVER}: listening; Ctrl-C ends"), "{subcommand}");

        link.up()?;
        link.wait_until_running(PATIENCE)?;
        let listener = wire.server.run(|| TcpListener::bind("10.7.0.1:7"))??;
        let client = wire.client.run(|| TcpStream::connect("10.7.0.1:7"))??;
        drop(listener.accept()?);
        drop(client);
        process.signal(INTERRUPT)?;
        let status = process.wait_for(PATIENCE)?;
        assert!(status.is_some_and(|status| status.success()), "{subcommand}: {status:?}");
        let mut shown = String::new();
        output.read_to_string(&mut shown)?;
        assert!(shown.contains(" > 10.7.0.1:7 "), "{subcommand}: {shown}");
        let rest: Vec<String> = errors.collect::<std::result::Result<_, _>>()?;
        assert!(rest.iter().any(|line| line.ends_with(" captured")), "{rest:?}");
        assert!(rest.iter().any(|line| line == "1 conversation") || subcommand == "flows");
    }
    Ok(())
}

/// Checks that with `-Z` all of the process belongs to the user by the time at which it captures,
/// and so do its files.
pub(crate) fn privileges_are_dropped_before_files_are_created() -> Result {
    const NOBODY: u32 = 65_534;
    let host = Namespace::new()?;
    let folder = Folder::new()?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777))?;
    let (file, program) = (folder.join("x.pcap"), folder.join("note.sh"));
    let text =
        "#!/bin/sh\ngrep -E '^(Uid|Gid|Groups|CapEff):' /proc/self/status > \"${1%/*}/status\"\n";
    fs::write(&program, text)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    let capture = |user: &str| -> Result<Command> {
        let mut command = Command::new(ringtap()?);
        command.args(["capture", "-i", "lo", "-Z", user, "-G", "1", "-W", "1000000"]);
        command.arg("-z").arg(&program).arg("-w").arg(&file).arg("udp port 9");
        Ok(command)
    };
    let refused = host.run(|| capture("no such user").map(|mut command| command.output()))???;
    let said = String::from_utf8(refused.stderr)?;
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("-Z no such user: there is no such user") && !file.exists(), "{said}");

    let mapped = fs::read_to_string("/proc/self/uid_map")?;
    if mapped.split_whitespace().last() == Some("1") {
        // In a user namespace of a single user there is nobody to change to.
        let refused = host.run(|| capture("nobody").map(|mut command| command.output()))???;
        let said = String::from_utf8(refused.stderr)?;
        assert!(!refused.status.success() && said.contains("-Z nobody: "), "{said}");
        assert!(!file.exists());
        return Ok(());
    }
    let socket = host.run(|| UdpSocket::bind("127.0.0.1:0"))??;
    let mut capture = Capturing::start(&host, &mut capture("nobody")?)?;
    let line = "listening on lo, link-type EN10MB (Ethernet), snapshot length 262144 bytes\n";
    assert!(capture.said.ends_with(line), "{}", capture.said);
    socket.send_to(b"a datagram", "127.0.0.1:9")?;
    // The command for a complete file has the privileges that are left.
    let (log, since) = (folder.join("status"), Instant::now());
    while fs::read_to_string(&log).unwrap_or_default().lines().count() < 4 {
        assert!(since.elapsed() < PATIENCE, "no command ran");
        thread::sleep(Duration::from_millis(100));
    }
    let status = fs::read_to_string(log)?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map(|line| line.split_whitespace().collect::<Vec<_>>()).unwrap_or_default()
    };
    assert_eq!(field("Uid:"), ["65534"; 4]);
    assert!(!field("Gid:").contains(&"0") && !field("Groups:").contains(&"0"), "{status}");
    assert_eq!(field("CapEff:"), ["0000000000000000"]);
    let said = capture.end()?;
    assert!(said.contains("1 packet captured\n"), "{said}");
    assert_eq!(fs::metadata(&file)?.uid(), NOBODY);
    Ok(())
}
