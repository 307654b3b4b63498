//! Conversations that bypass the kernel's stack: AF_XDP between curl and nginx, and at the port of
//! a mirror.

use std::{
    fs,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use conversation::FlowGroupExt as _;
use flow::FiveTuple;
use live::{Direction, Ear, Folder, Follower, Heard, Web, Wire, ringtap};
use live_harness::{Missing, Result, program};
use netns::Namespace;
use ring_core::{
    Injector, Next, PacketBatch as _, PacketSink as _, PacketSource as _, Side, Timeout, xdp,
};

use crate::http::Curl;

const LARGE: usize = 20 << 20;

/// A socket with enough buffers for everything that TCP has in flight.
fn socket(link: &str, mode: xdp::Attach) -> xdp::SocketBuilder {
    let memory = xdp::UmemConfig::new().frames(1 << 14);
    xdp::Socket::builder(link).attach(mode).ring_size(1 << 12).memory(memory)
}

/// Opens something on a host. Without the privilege, the test cannot run and is skipped.
fn open<T: Send>(
    host: &Namespace,
    open: impl FnOnce() -> std::result::Result<T, xdp::Error> + Send,
) -> Result<T> {
    match host.run(open)? {
        Err(xdp::Error::Permission { operation, needs }) => {
            Err(Missing::Privilege { what: operation, privilege: needs[0].name() }.into())
        }
        opened => Ok(opened?),
    }
}

fn tap(middle: &Namespace, mode: xdp::Attach) -> Result<xdp::Tap> {
    open(middle, || socket("left", mode).tap(socket("right", mode)).open())
}

/// Fetches a small and a large file over one connection. Everything sent must be captured, unless
/// drops were reported.
fn fetch(wire: &Wire, web: &Web, heard: impl FnOnce() -> Result<Heard>) -> Result<u64> {
    let folder = Folder::new()?;
    let fetched =
        Curl::start(&wire.client, "10.7.0.1", &["small", "large"], folder.join("got"))?.finish()?;
    let large = fs::read(web.path("large"))?;
    assert!(fs::read(fetched.got())?.ends_with(&large), "curl got what nginx has");
    let heard = heard()?;
    if heard.drops == 0 {
        fetched.is_all_that(&heard)?;
    } else {
        fetched.is_what(&heard)?;
    }
    Ok(heard.drops)
}

fn offer(wire: &Wire) -> Result<Web> {
    let web = Web::start(wire)?;
    web.offer("small", 21, 612)?;
    web.offer("large", 22, LARGE)?;
    Ok(web)
}

fn is_whole(counters: &xdp::TapCounters) {
    for side in [Side::Left, Side::Right] {
        let counted = counters.forwarded(side);
        println!("{side:?}: {counted:?}");
        assert!(counted.forwarded > 100 && counted.refused == 0, "{counted:?}");
    }
}

pub(crate) fn a_tap_hears_both_directions() -> Result {
    for mode in [xdp::Attach::Native, xdp::Attach::Generic] {
        let middle = Namespace::new()?;
        let wire = Wire::through(&middle)?;
        let tap = tap(&middle, mode)?;
        let counters = tap.counters();
        let ear = Ear::at(&middle, move || Ok(tap))?;
        let web = offer(&wire)?;
        let drops = fetch(&wire, &web, || {
            let mut heard = ear.finish(1)?;
            // A packet that is dropped before the tap never reaches the other end, so TCP
            // retransmits it and nothing is missing.
            println!("{mode:?}: {} packets dropped", std::mem::take(&mut heard.drops));
            assert_eq!(heard.ends.len(), 1, "{heard:?}");
            assert_eq!(heard.ends[0].1, flow::EndReason::Fin);
            Ok(heard)
        })?;
        assert_eq!(drops, 0);
        is_whole(&counters);
    }
    Ok(())
}

pub(crate) fn the_command_taps() -> Result {
    let middle = Namespace::new()?;
    drop(tap_here(&middle)?);
    let wire = Wire::through(&middle)?;
    let follower = Follower::start_xdp(&middle, "left", Some("right"))?;
    let web = offer(&wire)?;
    fetch(&wire, &web, || {
        let heard = follower.finish(2)?;
        println!("{} packets dropped", heard.drops);
        Ok(Heard { drops: 0, ..heard })
    })?;
    Ok(())
}

/// Opens a socket, or skips the test if that is not allowed here.
fn tap_here(host: &Namespace) -> Result<xdp::Socket> {
    open(host, || socket("lo", xdp::Attach::Generic).open())
}

/// A switch with a mirror: it forwards frames between `left` and `right`, and sends a copy of each
/// to `mirror`.
struct Mirror {
    stop: Arc<AtomicBool>,
    copies: Arc<AtomicU64>,
    thread: JoinHandle<Result>,
}

impl Mirror {
    fn start(middle: &Namespace) -> Result<Self> {
        let mut tap = tap(middle, xdp::Attach::Native)?;
        let mut mirror = middle.run(|| Injector::open("mirror"))??;
        let (stop, copies) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counted) = (stop.clone(), copies.clone());
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if let Next::Batch(batch) =
                    tap.next_batch(Timeout::After(Duration::from_millis(20)))?
                {
                    mirror.send_batch(&batch)?;
                    mirror.flush()?;
                    counted.fetch_add(batch.packets().count() as u64, Ordering::Relaxed);
                }
            }
            Ok(())
        });
        Ok(Self { stop, copies, thread })
    }

    fn finish(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|_| Err("the mirror panicked".into()))?;
        Ok(self.copies.load(Ordering::Relaxed))
    }
}

/// A host at the port of a mirror. Its link is `sensor`.
fn behind_a_mirror(listen: impl FnOnce(&Namespace) -> Result<Listener>) -> Result {
    let (middle, sensor) = (Namespace::new()?, Namespace::new()?);
    let wire = Wire::through(&middle)?;
    let (port, link) = middle.veth_to(&sensor, "mirror", "sensor")?;
    for link in [&port, &link] {
        link.up()?;
    }
    link.wait_until_running(live::PATIENCE)?;
    let heard = listen(&sensor)?;
    let mirror = Mirror::start(&middle)?;
    let web = offer(&wire)?;
    let drops = fetch(&wire, &web, || {
        let mut heard = heard()?;
        // A mirror has no back-pressure: frames that exceed its port's queue are lost before the
        // sensor.
        heard.drops += dropped(&middle, "mirror")?;
        Ok(heard)
    })?;
    println!("{} packets mirrored, {drops} dropped", mirror.finish()?);
    Ok(())
}

/// The number of packets that a link dropped on transmit; see the columns of /proc/net/dev.
fn dropped(host: &Namespace, link: &str) -> Result<u64> {
    let links = host.run(|| fs::read_to_string("/proc/thread-self/net/dev"))??;
    let line = links.lines().find_map(|line| line.trim().strip_prefix(link)?.strip_prefix(':'));
    let count = line.and_then(|line| line.split_whitespace().nth(11)).ok_or("no such link")?;
    Ok(count.parse()?)
}

/// Ends a listener and returns what it captured.
type Listener = Box<dyn FnOnce() -> Result<Heard>>;

pub(crate) fn a_sensor_behind_a_mirror() -> Result {
    behind_a_mirror(|sensor| {
        let socket = open(sensor, || socket("sensor", xdp::Attach::Native).open())?;
        let ear = Ear::at(sensor, move || Ok(xdp::AsyncSocket::from(socket)))?;
        Ok(Box::new(move || ear.finish(1)))
    })?;
    behind_a_mirror(|sensor| {
        let group = open(sensor, || socket("sensor", xdp::Attach::Generic).group().open())?;
        let ear = Ear::at(sensor, move || Ok(group))?;
        Ok(Box::new(move || ear.finish(1)))
    })
}

pub(crate) fn the_command_behind_a_mirror() -> Result {
    drop(tap_here(&Namespace::new()?)?);
    behind_a_mirror(|sensor| {
        let follower = Follower::start_xdp(sensor, "sensor", None)?;
        Ok(Box::new(move || follower.finish(2)))
    })
}

/// Checks that two queues of the sensor's link, each with its own engine, form one stream of
/// conversations.
pub(crate) fn queues_behind_a_mirror_are_one_stream() -> Result {
    const COUNT: usize = 16;
    let ethtool = program("ethtool", "ethtool")?;
    for mode in [xdp::Attach::Native, xdp::Attach::Generic] {
        let (middle, sensor) = (Namespace::new()?, Namespace::new()?);
        let wire = Wire::through(&middle)?;
        let (port, link) = middle.veth_to(&sensor, "mirror", "sensor")?;
        for link in [&port, &link] {
            let mut command = Command::new(&ethtool);
            command.args(["-L", link.name(), "rx", "2", "tx", "2"]);
            assert!(link.namespace().spawn(&mut command)?.wait()?.success(), "ethtool -L");
            link.up()?;
        }
        link.wait_until_running(live::PATIENCE)?;
        let group = open(&sensor, || socket("sensor", mode).group().open())?;
        assert_eq!(group.len(), 2);
        let ear =
            Ear::of(&sensor, move || Ok(group.flow_conversations(FiveTuple::bidirectional())))?;
        let handle = ear.handle();
        let mirror = Mirror::start(&middle)?;
        let web = Web::start(&wire)?;
        let folder = Folder::new()?;
        let mut clients = Vec::new();
        for i in 0..COUNT {
            // Each file has a different length.
            web.offer(&i.to_string(), i as u64, 200_000 + 1000 * i)?;
        }
        for i in 0..COUNT {
            let (name, got) = (i.to_string(), folder.join(i.to_string()));
            clients.push(Curl::start(&wire.client, "10.7.0.1", &[&name], got)?);
        }
        let fetched = clients.into_iter().map(Curl::finish).collect::<Result<Vec<_>>>()?;
        let heard = ear.finish(COUNT)?;
        let drops = heard.drops + dropped(&middle, "mirror")?;
        let members = handle.member_statistics();
        println!(
            "{mode:?}: {} packets mirrored, {drops} dropped, {:?} conversations a queue",
            mirror.finish()?,
            members.iter().map(|member| member.conversations).collect::<Vec<_>>(),
        );
        // In generic mode, veth does not report queues: every packet is on the first.
        let spread = members.iter().all(|member| member.conversations > 0);
        assert!(members.len() == 2 && (spread || matches!(mode, xdp::Attach::Generic)));
        // veth selects queues by a symmetric hash, so both directions arrive on the same queue.
        assert_eq!((heard.ends.len(), heard.directions.len()), (COUNT, 2 * COUNT), "{heard:?}");
        for fetched in fetched {
            let length = fs::metadata(fetched.got())?.len();
            let client = |heard: &Heard| {
                let ours = |direction: &&Direction| {
                    let stream = &direction.stream;
                    let missed: u64 = stream.gaps.iter().map(|gap| gap.1).sum();
                    direction.from.port() == 80 && stream.length + missed == length
                };
                heard.directions.iter().find(ours).map(|direction| direction.to)
            };
            let client = client(&heard).ok_or("a conversation is missing")?;
            let mut directions = heard.directions.clone();
            directions.retain(|direction| direction.from == client || direction.to == client);
            let one = Heard { directions, drops, ..Heard::default() };
            if drops == 0 { fetched.is_all_that(&one)? } else { fetched.is_what(&one)? }
        }
    }
    Ok(())
}

/// Runs a command that must fail. Returns its exit status and output.
fn refused(host: &Namespace, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let mut command = Command::new(ringtap()?);
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = host.spawn(&mut command)?.output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{arguments:?} went well: {text}");
    Ok((output.status.code(), text))
}

pub(crate) fn the_command_says_what_is_lacking() -> Result {
    let host = Namespace::new()?;
    let holder = tap_here(&host)?;
    let xdp = ["capture", "-i", "lo", "--backend", "xdp"];
    let (code, text) = refused(&host, &xdp)?;
    assert!(code == Some(1) && text.contains("has an XDP program already (generic"), "{text}");
    drop(holder);
    let cases: [(&[&str], i32, &str); 6] = [
        (&["flows", "-i", "nothing0", "--backend", "xdp"], 1, "no interface \"nothing0\""),
        (&["follow", "-i", "lo", "--backend", "xdp", "--forward", "none0"], 1, "none0"),
        (&["follow", "-i", "lo", "--backend", "xdp", "--forward", "lo"], 1, "lo"),
        (&["capture", "-i", "lo", "--forward", "lo"], 2, "--forward needs --backend xdp"),
        (&["capture", "-i", "lo", "--backend", "xdp", "-s", "60"], 2, "packets come whole"),
        (&["flows", "-r", "file", "--backend", "xdp"], 2, "--interface"),
    ];
    for (arguments, expected, says) in cases {
        let (code, text) = refused(&host, arguments)?;
        assert!(code == Some(expected) && text.contains(says), "{arguments:?}: {code:?} {text}");
    }
    let mut command = Command::new(program("setpriv", "util-linux")?);
    command.args(["--bounding-set", "-net_admin,-bpf,-sys_admin"]).arg(ringtap()?).args(xdp);
    let output = host.spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?.output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("setcap cap_net_admin,cap_bpf+ep"), "{text}");
    Ok(())
}
