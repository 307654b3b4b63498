//! Errors if something is not available.

use std::env;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use live_harness::Result;
use netns::Namespace;
use ring_core::xdp;

use crate::hosts::wire;
use crate::setup::{need_root, open, opened};

/// The environment variable with the role of a process started for a test.
const ROLE: &str = "RINGTAP_XDP_TEST_ROLE";

/// Runs this test again in a process that lacks something. The outcome there is the result.
fn again(host: &Namespace, role: &str, tool: &'static str, arguments: &[&str]) -> Result {
    let program = live_harness::program(tool, "util-linux")?;
    let mut command = Command::new(program);
    command.args(arguments).arg(env::current_exe()?).env(ROLE, role).stdout(Stdio::piped());
    let output = host.spawn(&mut command)?.output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{role}: {text}").into()) }
}

pub(crate) fn a_missing_capability_is_named() -> Result {
    let sending = xdp::Socket::builder("lo").direction(xdp::Direction::Send);
    let receiving = xdp::Socket::builder("lo").attach(xdp::Attach::Generic);
    let (builder, named) = match env::var(ROLE).as_deref() {
        Ok("socket") => (sending, "cap_net_raw"),
        Ok(_) => (receiving, "cap_net_admin,cap_bpf"),
        Err(_) => {
            need_root()?;
            let host = Namespace::new()?;
            again(&host, "socket", "setpriv", &["--bounding-set", "-net_raw"])?;
            let dropped = ["--bounding-set", "-net_admin,-bpf,-sys_admin"];
            return again(&host, "program", "setpriv", &dropped);
        }
    };
    let error = builder.open().expect_err("a capability is missing");
    assert!(matches!(error, xdp::Error::Permission { .. }), "{error:?}");
    assert!(error.to_string().contains(named), "{error}");
    Ok(())
}

pub(crate) fn locked_memory_is_named() -> Result {
    if env::var_os(ROLE).is_none() {
        need_root()?;
        let arguments = ["--memlock=1048576:1048576", "setpriv", "--bounding-set", "-ipc_lock"];
        return again(&Namespace::new()?, "limited", "prlimit", &arguments);
    }
    let builder = xdp::Socket::builder("lo").direction(xdp::Direction::Send).ring_size(64);
    let error = builder.clone().open().expect_err("16 MiB");
    let xdp::Error::LockedMemory { needed, limit } = error else { panic!("{error}") };
    assert_eq!((needed, limit), (16 << 20, Some(1 << 20)));
    assert!(error.to_string().contains("ulimit -l"), "{error}");
    // A memory that fits is not refused.
    builder.memory(xdp::UmemConfig::new().frames(64)).open()?;
    Ok(())
}

pub(crate) fn what_the_driver_cannot_do_is_named() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let _links = wire(&left, &right)?;
    let builder = xdp::Socket::builder("lo");
    let socket = open(&right, &builder)?;
    assert_eq!(socket.outcome().mode, Some(xdp::Mode::Generic));
    let program = socket.program().expect("it receives");
    assert!(program.native_refused().is_some(), "why not native is told");
    drop(socket);
    let error = opened(&right, &builder.attach(xdp::Attach::Native))?.expect_err("lo has no XDP");
    assert!(matches!(error, xdp::Error::NoDriverSupport { .. }), "{error:?}");
    let required = xdp::Socket::builder("right0").zero_copy(xdp::ZeroCopy::Required);
    let error = opened(&right, &required)?.expect_err("veth copies");
    let xdp::Error::NoDriverSupport { driver, feature, .. } = &error else { panic!("{error:?}") };
    assert_eq!(driver.as_deref(), Some("veth"));
    assert_eq!(*feature, xdp::DriverFeature::ZeroCopy, "{error}");
    // Nothing is left behind after that failure: the same queue opens immediately.
    let socket = open(&right, &xdp::Socket::builder("right0"))?;
    assert!(!socket.outcome().zero_copy);
    Ok(())
}

pub(crate) fn wrong_names_and_numbers_are_typed() -> Result {
    need_root()?;
    let host = Namespace::new()?;
    let error = |builder| -> Result<xdp::Error> {
        Ok(opened(&host, &builder)?.expect_err("nothing of this can be opened"))
    };
    let lo = xdp::Socket::builder("lo");
    for name in ["nothing0", "", "a-name-that-is-much-too-long", "x\0y"] {
        let error = error(xdp::Socket::builder(name))?;
        assert!(matches!(error, xdp::Error::NoInterface { .. }), "{error:?}");
    }
    let queue = error(lo.clone().queue(7))?;
    assert!(matches!(queue, xdp::Error::NoSuchQueue { queue: 7, .. }), "{queue:?}");
    for entries in [0, 3, 1 << 21, u32::MAX] {
        let error = error(lo.clone().ring_size(entries))?;
        assert!(matches!(error, xdp::Error::Geometry { .. }), "{error:?}");
    }
    for config in [xdp::UmemConfig::new().frames(0), xdp::UmemConfig::new().frame_size(1000)] {
        let error = error(lo.clone().memory(config))?;
        assert!(matches!(error, xdp::Error::Geometry { .. }), "{error:?}");
    }
    let none = error(lo.fill_target(0))?;
    assert!(matches!(none, xdp::Error::TooFewFrames { .. }), "{none:?}");
    Ok(())
}

pub(crate) fn a_busy_queue_is_named() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let _links = wire(&left, &right)?;
    let time = Duration::from_millis(60);
    let builder = xdp::Socket::builder("right0").busy_retry(time);
    let socket = open(&right, &builder)?;
    let started = Instant::now();
    let error = opened(&right, &builder)?.expect_err("it is taken");
    assert!(matches!(error, xdp::Error::QueueBusy { queue: 0, .. }), "{error:?}");
    assert!(started.elapsed() >= time);
    drop(socket);
    // The last frames were returned although opening failed half-way.
    open(&right, &builder.busy_retry(Duration::from_secs(2)))?;
    Ok(())
}
