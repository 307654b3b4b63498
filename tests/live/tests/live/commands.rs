//! The messages of a live command on standard error.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
};

use live::{PATIENCE, SERVER, Wire, ringtap};
use live_harness::Result;

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
