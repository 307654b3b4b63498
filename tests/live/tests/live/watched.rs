//! The command's messages about interfaces that change during a capture.

use std::{io::BufRead as _, net::UdpSocket, process::Command, thread, time::Duration};

use live::{PATIENCE, ringtap};
use live_harness::{Missing, Result};
use netns::{Link, Namespace};
use ring_core::xdp;

use crate::capture::Capturing;

/// Two hosts on a wire: `near0` with 10.8.0.1 and `far0` with 10.8.0.2.
fn wire<'a>(host: &'a Namespace, other: &'a Namespace) -> Result<(Link<'a>, Link<'a>)> {
    for host in [host, other] {
        host.set_sysctl("ipv6/conf/default/disable_ipv6", "1")?;
    }
    let (near, far) = host.veth_to(other, "near0", "far0")?;
    near.add_address("10.8.0.1/24".parse()?)?;
    far.add_address("10.8.0.2/24".parse()?)?;
    near.up()?;
    far.up()?;
    near.wait_until_running(PATIENCE)?;
    Ok((near, far))
}

fn next(capture: &mut Capturing) -> Result<String> {
    let mut line = String::new();
    capture.errors.read_line(&mut line)?;
    Ok(line)
}

pub(crate) fn an_interface_that_goes_down_is_named() -> Result {
    for (subcommand, silent) in [("capture", false), ("follow", false), ("capture", true)] {
        let (host, other) = (Namespace::new()?, Namespace::new()?);
        let (near, _far) = wire(&host, &other)?;
        let mut command = Command::new(ringtap()?);
        command.args([subcommand, "-i", "near0"]).args(silent.then_some("--wait"));
        let mut capture = Capturing::start(&host, command.stdout(std::process::Stdio::null()))?;
        for round in 0..2 {
            near.down()?;
            if !silent {
                let expected =
                    "ringtap: near0 went down; packets are captured once it is up again\n";
                assert_eq!(next(&mut capture)?, expected, "{subcommand} {round}");
            }
            near.up()?;
            near.wait_until_running(PATIENCE)?;
            if !silent {
                let expected = "ringtap: near0 is up; packets are captured\n";
                assert_eq!(next(&mut capture)?, expected, "{subcommand} {round}");
            }
        }
        let said = capture.end()?;
        assert!(!said.contains("near0"), "{said}");
    }
    Ok(())
}

/// Checks that longer packets than before are captured after the MTU is raised, and that the
/// command reports it.
pub(crate) fn a_raised_mtu_is_followed_by_the_command() -> Result {
    for subcommand in ["capture", "flows"] {
        let (host, other) = (Namespace::new()?, Namespace::new()?);
        let (near, far) = wire(&host, &other)?;
        let probe = xdp::Socket::builder("near0").attach(xdp::Attach::Native);
        match host.run(|| probe.open())? {
            Err(xdp::Error::Permission { operation, needs }) => {
                let missing = Missing::Privilege { what: operation, privilege: needs[0].name() };
                return Err(missing.into());
            }
            opened => drop(opened?),
        }
        let mut command = Command::new(ringtap()?);
        command.args([subcommand, "-i", "near0", "--backend", "xdp", "udp"]);
        let mut capture = Capturing::start(&host, command.stdout(std::process::Stdio::null()))?;
        near.set_mtu(9000)?;
        far.set_mtu(9000)?;
        let said = next(&mut capture)?;
        let expected = "ringtap: the MTU of near0 was raised from 1500 to 9000: ";
        assert!(said.starts_with(expected) && said.contains("opened again"), "{said}");
        let socket = other.run(|| UdpSocket::bind("10.8.0.2:0"))??;
        for _ in 0..10 {
            socket.send_to(&[7; 8000], "10.8.0.1:9")?;
        }
        thread::sleep(Duration::from_millis(200));
        let said = capture.end()?;
        assert!(said.contains("10 packets captured\n"), "{said}");
        assert!(said.contains("\n0 packets dropped by kernel\n"), "{said}");
    }
    Ok(())
}
