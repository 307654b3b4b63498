//! The program: attached, shared, with a filter, and never replacing that of another process.

use std::env;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use live_harness::{Result, none_dropped};
use netns::{Link, Namespace};
use ring_core::{Next, PacketBatch as _, PacketSource as _, Timeout, xdp};
use ring_sys::bpf::abi::{XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE, XDP_PASS};
use ring_sys::bpf::instruction::{HELPER_REDIRECT_MAP, LDX_W, MOV_K, Register};
use ring_sys::bpf::{Instruction, Map, MapKind, Program, ProgramKind, XdpLink};
use ring_sys::xdp::attachment::{self, Attached};

use crate::hosts::{Sender, frame, wire};
use crate::setup::{
    MODES, SHORT, SOON, assert_same, assert_silent, collect, frames, need_root, open, opened, run,
};

fn attached(link: &Link<'_>) -> Result<Attached> {
    let index = link.index();
    Ok(link.namespace().run(|| attachment::attached(index))??)
}

/// A program of this name that lets all packets pass.
fn pass(name: &str) -> Result<Program> {
    let code = [
        Instruction::new(MOV_K, Register::R0, Register::R0, 0, XDP_PASS as i32),
        Instruction::exit(),
    ];
    Ok(Program::load(ProgramKind::Xdp { fragments: true }, &code, name)?)
}

pub(crate) fn the_program_goes_with_the_last_socket() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let (_l, r) = wire(&left, &right)?;
    for (mode, native) in [(xdp::Attach::Native, true), (xdp::Attach::Generic, false)] {
        let socket = open(&right, &xdp::Socket::builder("right0").attach(mode))?;
        let now = attached(&r)?;
        assert_eq!((now.native.is_some(), now.generic.is_some()), (native, !native));
        let (receiver, sender) = socket.split();
        drop(receiver);
        assert_eq!(attached(&r)?, now, "the sending half is still there");
        drop(sender);
        assert_eq!(attached(&r)?, Attached::default());
    }
    Ok(())
}

/// The environment variable with the role of a process started for a test.
const ROLE: &str = "RINGTAP_XDP_TEST_ROLE";

pub(crate) fn the_program_goes_with_the_process() -> Result {
    if env::var_os(ROLE).is_some() {
        let _socket = xdp::Socket::open("right0", 0)?;
        println!("open");
        thread::sleep(Duration::from_secs(60));
        return Err("nobody killed this".into());
    }
    need_root()?;
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let (_l, r) = wire(&left, &right)?;
    let mut command = Command::new(env::current_exe()?);
    let mut process = right.spawn(command.env(ROLE, "hold").stdout(Stdio::piped()))?;
    let mut line = [0; 4];
    process.child().stdout.as_mut().expect("piped").read_exact(&mut line)?;
    assert_eq!(&line, b"open");
    assert!(attached(&r)?.native.is_some());
    process.signal(9)?;
    process.wait()?;
    let started = Instant::now();
    while attached(&r)? != Attached::default() {
        assert!(started.elapsed() < SOON, "the program outlives its process");
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

pub(crate) fn somebody_elses_program_stays() -> Result {
    need_root()?;
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let (_l, r) = wire(&left, &right)?;
    let index = r.index();
    let foreign = pass("somebody")?;
    let id = foreign.information()?.id;
    for (flags, mode) in
        [(XDP_FLAGS_DRV_MODE, xdp::Mode::Native), (XDP_FLAGS_SKB_MODE, xdp::Mode::Generic)]
    {
        for by_link in [true, false] {
            let link = if by_link {
                Some(right.run(|| XdpLink::create(&foreign, index, flags))??)
            } else {
                right.run(|| attachment::attach(index, foreign.as_fd(), flags))??;
                None
            };
            let before = attached(&r)?;
            for attach in [xdp::Attach::Auto, xdp::Attach::Native, xdp::Attach::Generic] {
                let builder = xdp::Socket::builder("right0").attach(attach);
                let error = opened(&right, &builder)?.expect_err("it is taken");
                let xdp::Error::ProgramPresent { id: found, mode: in_mode, name, .. } = &error
                else {
                    panic!("{attach:?}: {error}")
                };
                assert_eq!((*found, *in_mode, &name[..]), (id, mode, "somebody"));
                assert_eq!(attached(&r)?, before);
            }
            match link {
                Some(link) => drop(link),
                None => right.run(|| attachment::detach(index, flags))??,
            }
            assert_eq!(attached(&r)?, Attached::default());
        }
    }
    Ok(())
}

pub(crate) fn somebody_elses_program_goes_on_request() -> Result {
    need_root()?;
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let (_l, r) = wire(&left, &right)?;
    let index = r.index();
    let foreign = pass("somebody")?;
    let id = foreign.information()?.id;
    let builder = xdp::Socket::builder("right0").replace_program(true);
    for flags in [XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE] {
        let link = right.run(|| XdpLink::create(&foreign, index, flags))??;
        let socket = open(&right, &builder)?;
        assert!(attached(&r)?.native.is_some_and(|native| native != id));
        drop((socket, link));
        right.run(|| attachment::attach(index, foreign.as_fd(), flags))??;
        let socket = open(&right, &builder)?;
        assert!(attached(&r)?.native.is_some_and(|native| native != id));
        drop(socket);
        assert_eq!(attached(&r)?, Attached::default(), "it does not come back by itself");
    }
    Ok(())
}

/// A virtual link has no native mode if it has fewer receive queues than its peer has send queues,
/// such as a pair with several queues at only one end.
pub(crate) fn too_few_queues_for_native_mode() -> Result {
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let _links = wire(&left, &right)?;
    run(&right, "ethtool", &["-L", "right0", "rx", "1", "tx", "1"])?;
    run(&left, "ethtool", &["-L", "left0", "rx", "2", "tx", "2"])?;
    let mut socket = open(&right, &xdp::Socket::builder("right0"))?;
    assert_eq!(socket.outcome().mode, Some(xdp::Mode::Generic));
    let refused = socket.program().and_then(xdp::Program::native_refused).ok_or("refused")?;
    assert_eq!(refused.kind(), std::io::ErrorKind::StorageFull, "{refused}");
    let sent = frames(20, 100);
    Sender::new(&left, "left0")?.send(&sent)?;
    assert_same(&collect(&mut socket, 20)?, &sent);
    drop(socket);
    let native = xdp::Socket::builder("right0").attach(xdp::Attach::Native);
    let error = opened(&right, &native)?.expect_err("too few queues");
    assert!(matches!(error, xdp::Error::NoDriverSupport { .. }), "{error}");
    assert!(error.to_string().contains("so few receive queues"), "{error}");
    Ok(())
}

pub(crate) fn sockets_of_all_queues_share_a_program() -> Result {
    for mode in MODES {
        let (left, right) = (Namespace::new()?, Namespace::new()?);
        let (_l, r) = wire(&left, &right)?;
        for (host, name) in [(&left, "left0"), (&right, "right0")] {
            run(host, "ethtool", &["-L", name, "rx", "2", "tx", "2"])?;
        }
        let umem: xdp::Umem = xdp::UmemConfig::new().frames(4096).allocate()?;
        let builder = xdp::Socket::builder("right0").attach(mode).fill_target(1024).umem(&umem);
        let mut sockets = Vec::new();
        for queue in 0..2 {
            sockets.push(open(&right, &builder.clone().queue(queue))?);
        }
        let error = opened(&right, &builder.clone().queue(2))?.expect_err("two queues");
        assert!(matches!(error, xdp::Error::NoSuchQueue { queue: 2, queues: 2, .. }), "{error}");
        let ids = [attached(&r)?.native, attached(&r)?.generic];
        assert_eq!(ids.iter().flatten().count(), 1, "one program");
        let sender = Sender::new(&left, "left0")?;
        let sent = frames(1000, 100);
        sender.send(&sent)?;
        let (mut seen, started) = (Vec::new(), Instant::now());
        // In turn: which queue they come on is up to the kernel, and none need come on one of them.
        while seen.len() < sent.len() && started.elapsed() < SOON {
            for socket in &mut sockets {
                if let Next::Batch(batch) = socket.next_batch(Timeout::After(SHORT / 10))? {
                    seen.extend(batch.packets().map(|packet| packet.data().to_vec()));
                }
            }
        }
        for socket in &sockets {
            let counted = socket.statistics()?;
            println!("{mode:?}, queue {}: {counted:?}", socket.queue());
            none_dropped(counted.drops)?;
        }
        assert_same(&seen, &sent);
        // A frame received by one socket is sent by the other.
        let mut taken = Vec::new();
        sender.send(&sent[..10])?;
        for socket in &mut sockets {
            while let Next::Batch(batch) = socket.next_batch(Timeout::After(SHORT))? {
                taken.extend(batch.into_frames().map(|(frame, _)| frame));
            }
        }
        assert_eq!(taken.len(), 10);
        for frame in taken {
            sockets[1].send(frame)?;
        }
        assert!(sockets[1].sender()?.drain(Timeout::After(SOON))?);
        assert_eq!(sockets[1].sender()?.sender_statistics()?.completed, 10);
        // When one socket is dropped, the other stays, and so does the program. In the end all
        // memory is returned.
        sockets.remove(0);
        assert_eq!([attached(&r)?.native, attached(&r)?.generic], ids);
        sockets.clear();
        assert_eq!(attached(&r)?, Attached::default());
        assert_eq!(umem.free_frames(), 4096);
    }
    Ok(())
}

pub(crate) fn a_program_of_another_filter_is_refused() -> Result {
    need_root()?;
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let _links = wire(&left, &right)?;
    run(&right, "ethtool", &["-L", "right0", "rx", "2", "tx", "2"])?;
    let builder = xdp::Socket::builder("right0").attach(xdp::Attach::Native);
    let steered = builder.clone().steer("udp port 53");
    let first = open(&right, &steered)?;
    let second = builder.queue(1);
    let error = opened(&right, &second)?.expect_err("another filter");
    assert!(
        matches!(
            error,
            xdp::Error::ProgramDiffers { difference: xdp::ProgramDifference::Filter, .. }
        ),
        "{error}"
    );
    let generic = steered.clone().queue(1).attach(xdp::Attach::Generic);
    let error = opened(&right, &generic)?.expect_err("another mode");
    assert!(
        matches!(
            error,
            xdp::Error::ProgramDiffers { difference: xdp::ProgramDifference::Mode, .. }
        ),
        "{error}"
    );
    let same = open(&right, &steered.queue(1).attach(xdp::Attach::Auto))?;
    drop((first, same));
    open(&right, &second)?;
    Ok(())
}

/// A program from elsewhere. It redirects only packets to port 7, in Ethernet and IPv4 without
/// options.
fn foreign_program(map: &Map) -> Result<Program> {
    use Register::{R0, R1, R2, R3, R4, R6};
    const ADD_K: u8 = 0x07;
    const JGT_X: u8 = 0x2d;
    const JNE_K: u8 = 0x55;
    const LDX_H: u8 = 0x69;
    const MOV_X: u8 = 0xbf;
    let port = i32::from(7_u16.to_be());
    let mut code = vec![
        Instruction::new(MOV_X, R6, R1, 0, 0),
        Instruction::new(LDX_W, R2, R1, 0, 0),
        Instruction::new(LDX_W, R3, R1, 4, 0),
        Instruction::new(MOV_X, R4, R2, 0, 0),
        Instruction::new(ADD_K, R4, R0, 0, 38),
        Instruction::new(JGT_X, R4, R3, 8, 0),
        Instruction::new(LDX_H, R4, R2, 36, 0),
        Instruction::new(JNE_K, R4, R0, 6, port),
        Instruction::new(LDX_W, R2, R6, 16, 0),
    ];
    code.extend(Instruction::load_map(R1, map.as_fd()));
    code.extend([
        Instruction::new(MOV_K, R3, R0, 0, 0),
        Instruction::call(HELPER_REDIRECT_MAP),
        Instruction::exit(),
        Instruction::new(MOV_K, R0, R0, 0, XDP_PASS as i32),
        Instruction::exit(),
    ]);
    Ok(Program::load(ProgramKind::Xdp { fragments: false }, &code, "foreign")?)
}

pub(crate) fn a_foreign_program_and_map_are_used() -> Result {
    need_root()?;
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let (_l, r) = wire(&left, &right)?;
    let index = r.index();
    let sender = Sender::new(&left, "left0")?;
    let sent = vec![frame(7, 100), frame(8, 100), frame(7, 60)];
    let expected = [sent[0].clone(), sent[2].clone()];
    let descriptor =
        |fd: std::os::fd::BorrowedFd<'_>| -> Result<OwnedFd> { Ok(fd.try_clone_to_owned()?) };

    // Attached by other means; this process only fills the map.
    let map = Map::new(MapKind::XskMap, 4, 1, "foreign")?;
    let program = foreign_program(&map)?;
    let link = right.run(|| XdpLink::create(&program, index, XDP_FLAGS_DRV_MODE))??;
    let given = xdp::Program::of_map(descriptor(map.as_fd())?)?;
    let mut socket = open(&right, &xdp::Socket::builder("right0").program(&given))?;
    assert_eq!(socket.outcome().mode, None);
    sender.send(&sent)?;
    assert_eq!(collect(&mut socket, 2)?, expected);
    assert_silent(&mut socket)?;
    drop((socket, given));
    assert!(attached(&r)?.native.is_some(), "it is not ours to take off");
    drop(link);

    // Attached by this process, and detached with the socket.
    let given = right.run(|| -> Result<xdp::Program> {
        let (program, map) = (descriptor(program.as_fd())?, descriptor(map.as_fd())?);
        Ok(xdp::Program::attach("right0", program, map, xdp::Attach::Auto)?)
    })??;
    let mut socket = open(&right, &xdp::Socket::builder("right0").program(&given))?;
    assert_eq!(socket.outcome().mode, Some(xdp::Mode::Native));
    sender.send(&sent)?;
    assert_eq!(collect(&mut socket, 2)?, expected);
    drop((socket, given));
    assert_eq!(attached(&r)?, Attached::default());

    let array = Map::new(MapKind::Array, 4, 1, "array")?;
    assert!(xdp::Program::of_map(descriptor(array.as_fd())?).is_err(), "no map of sockets");
    Ok(())
}

pub(crate) fn steered_packets_come_and_others_go_on() -> Result {
    for mode in MODES {
        let (left, right) = (Namespace::new()?, Namespace::new()?);
        let _links = wire(&left, &right)?;
        let filter = "udp dst port 5001 and src net 10.9.0.0/16";
        let builder = xdp::Socket::builder("right0").attach(mode).steer(filter);
        let mut socket = open(&right, &builder)?;
        let listen = |port: u16| -> Result<UdpSocket> {
            let socket = right.run(|| UdpSocket::bind(("10.9.0.2", port)))??;
            socket.set_read_timeout(Some(SHORT))?;
            Ok(socket)
        };
        let (steered, other) = (listen(5001)?, listen(5002)?);
        let speaker = left.run(|| UdpSocket::bind("10.9.0.1:4000"))??;
        let mut buffer = [0; 100];
        for n in 0..20_u8 {
            speaker.send_to(&[n; 20], "10.9.0.2:5001")?;
            speaker.send_to(&[n; 30], "10.9.0.2:5002")?;
            assert_eq!(other.recv(&mut buffer)?, 30);
            assert_eq!(buffer[..30], [n; 30]);
        }
        let seen = collect(&mut socket, 20)?;
        assert_eq!(seen.len(), 20);
        for (packet, n) in seen.iter().zip(0..) {
            assert_eq!(packet[42..62], [n; 20]);
        }
        assert_silent(&mut socket)?;
        assert!(steered.recv(&mut buffer).is_err(), "steered packets do not reach the stack");
        drop(socket);
        speaker.send_to(b"afterwards", "10.9.0.2:5001")?;
        assert_eq!(steered.recv(&mut buffer)?, 10, "the stack has them again");
    }
    Ok(())
}

/// Serves the same bytes over HTTP, one request per connection.
fn serve(listener: TcpListener, body: Vec<u8>, times: usize) -> std::io::Result<()> {
    for _ in 0..times {
        let mut stream = listener.accept()?.0;
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            request.push(byte[0]);
        }
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        )?;
        stream.write_all(&body)?;
    }
    Ok(())
}

pub(crate) fn a_steered_port_leaves_http_alone() -> Result {
    for mode in MODES {
        let (left, right) = (Namespace::new()?, Namespace::new()?);
        let _links = wire(&left, &right)?;
        let builder = xdp::Socket::builder("right0").attach(mode).steer("udp port 5001");
        let mut socket = open(&right, &builder)?;
        let body: Vec<u8> = (0..8_000_000_u32).map(|n| (n % 251) as u8).collect();
        let listener = right.run(|| TcpListener::bind("10.9.0.2:80"))??;
        let served = body.clone();
        let server = thread::spawn(move || serve(listener, served, 1));
        let curl = live_harness::program("curl", "curl")?;
        let mut command = Command::new(curl);
        command.args(["-sS", "--max-time", "60", "http://10.9.0.2/"]).stdout(Stdio::piped());
        let client = left.spawn(&mut command)?;
        let fetched = thread::scope(|scope| -> Result<_> {
            let fetched = scope.spawn(|| client.output());
            // The steered port is busy during the transfer.
            let sender = Sender::new(&left, "left0")?;
            let mut sent = 0;
            let mut seen = 0;
            while !fetched.is_finished() || sent < 500 {
                sender.send(&frames_to(5001, 10))?;
                sent += 10;
                while seen < sent {
                    match socket.next_batch(Timeout::After(SOON))? {
                        Next::Batch(batch) => {
                            for packet in batch.packets() {
                                assert_eq!(packet.data()[36..38], 5001_u16.to_be_bytes());
                                seen += 1;
                            }
                        }
                        other => panic!("{seen} of {sent} packets: {other:?}"),
                    }
                }
            }
            println!("{mode:?}: {seen} steered packets during the transfer");
            assert_eq!(seen, sent);
            Ok(fetched.join().expect("curl's thread")?)
        })?;
        server.join().expect("the server")?;
        assert!(fetched.status.success());
        assert!(fetched.stdout == body, "{} bytes", fetched.stdout.len());
        assert_eq!(socket.statistics()?.drops, 0);
    }
    Ok(())
}

fn frames_to(port: u16, count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|n| frame(port, 60 + n)).collect()
}
