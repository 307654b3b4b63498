//! Interfaces whose packets start with an IP header, alone and among others.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use live_harness::{Missing, Result};
use netns::{Link, Namespace};
use packet_filter::Filter;
use ring_core::{
    Capture, Direction, Injector, LinkType, Next, Packet, PacketBatch as _, PacketMeta,
    PacketSink as _, PacketSource as _, SendPath, Timeout, Timestamp, xdp,
};

use crate::captures::{SHORT, open, talk_to_self};
use crate::hosts::{SOON, frame};

/// A tun device, `Documentation/networking/tuntap.rst`. Packets written to the file are received on
/// the interface, and packets sent on the interface are read from the file.
struct Tun<'n> {
    file: File,
    link: Link<'n>,
}

impl<'n> Tun<'n> {
    fn new(host: &'n Namespace) -> Result<Self> {
        const PATH: &str = "/dev/net/tun";
        let file = host.run(|| -> io::Result<File> {
            let file = File::options().read(true).write(true).open(PATH)?;
            // SAFETY: all zeroes are an interface request.
            let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
            for (place, letter) in request.ifr_name.iter_mut().zip(b"tun0") {
                *place = *letter as libc::c_char;
            }
            request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
            // SAFETY: this request takes and fills in this structure.
            if unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &mut request) } < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: no pointers are passed.
            unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
            Ok(file)
        })?;
        let file = match file {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let privilege = "the right to open /dev/net/tun";
                return Err(Missing::Privilege { what: "making a tun device", privilege }.into());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let remedy = "`modprobe tun`, in a kernel that has it";
                return Err(Missing::File { path: PATH.to_owned(), remedy }.into());
            }
            Err(error) => return Err(error.into()),
        };
        let link = host.link("tun0")?;
        link.add_address("10.8.0.1/24".parse()?)?;
        link.up()?;
        link.wait_until_running(SOON)?;
        Ok(Self { file, link })
    }

    /// Packets that were sent through the interface.
    fn sent(&mut self) -> Vec<Vec<u8>> {
        let (mut packets, mut buffer) = (Vec::new(), [0; 2000]);
        while let Ok(len) = self.file.read(&mut buffer) {
            packets.push(buffer[..len].to_vec());
        }
        packets
    }
}

fn host() -> Result<Namespace> {
    let host = Namespace::new()?;
    host.set_sysctl("ipv6/conf/default/disable_ipv6", "1")?;
    Ok(host)
}

/// The datagram of [`frame`] without its Ethernet header.
fn datagram(port: u16, len: usize) -> Vec<u8> {
    frame(port, len + 14).split_off(14)
}

/// An IPv6 packet without a payload.
fn six() -> Vec<u8> {
    let mut packet = vec![0; 40];
    packet[0] = 0x60;
    packet[6] = 59;
    packet
}

pub(crate) fn packets_of_a_tun_device_start_with_their_ip_header() -> Result {
    let host = host()?;
    let mut tun = Tun::new(&host)?;
    let mut capture = open(&host, Capture::builder("tun0"))?;
    let filter: Filter = "udp dst port 53 or ip6".parse()?;
    let mut filtered = open(&host, Capture::builder("tun0").filter(filter).snaplen(30))?;
    for packet in [datagram(52, 60), datagram(53, 61), six()] {
        tun.file.write_all(&packet)?;
    }
    let socket = host.run(|| UdpSocket::bind("10.8.0.1:0"))??;
    socket.send_to(b"outwards", "10.8.0.2:53")?;
    let outwards = tun.sent();
    assert!(outwards.len() == 1 && outwards[0].ends_with(b"outwards"));

    let expected = [datagram(52, 60), datagram(53, 61), six(), outwards[0].clone()];
    let mut seen = Vec::new();
    while let Some(packet) = capture.next_packet(SHORT)? {
        let meta = packet.meta();
        assert_eq!((meta.link_type, meta.network_offset), (LinkType::RAW, Some(0)));
        assert_eq!(meta.interface, tun.link.index());
        let outgoing = seen.len() == 3;
        assert_eq!(meta.direction == Direction::Outgoing, outgoing);
        seen.push(packet.data().to_vec());
    }
    assert_eq!(seen, expected);
    let mut seen = Vec::new();
    while let Some(packet) = filtered.next_packet(SHORT)? {
        assert_eq!(packet.wire_len() as usize, expected[seen.len() + 1].len());
        seen.push(packet.data().to_vec());
    }
    assert_eq!(seen, expected[1..].iter().map(|packet| &packet[..30]).collect::<Vec<_>>());
    Ok(())
}

/// A filter for an AF_XDP socket is compiled for the interface's headers, as for a packet socket.
pub(crate) fn an_xdp_filter_on_a_tun_device_is_one_for_raw_ip() -> Result {
    let host = host()?;
    let mut tun = Tun::new(&host)?;
    for (expression, expected) in [
        ("udp dst port 53", vec![datagram(53, 60)]),
        ("ip6", vec![six()]),
        ("ip", vec![datagram(52, 60), datagram(53, 60)]),
    ] {
        let opened = host.run(|| xdp::Socket::builder("tun0").steer(expression).open())?;
        let mut socket = match opened {
            Err(xdp::Error::Permission { operation, needs }) => {
                let privilege = needs[0].name();
                return Err(Missing::Privilege { what: operation, privilege }.into());
            }
            opened => opened?,
        };
        assert_eq!(socket.link_type(), Some(LinkType::RAW));
        for packet in [datagram(52, 60), datagram(53, 60), six()] {
            tun.file.write_all(&packet)?;
        }
        let mut seen = Vec::new();
        while let Next::Batch(batch) =
            socket.next_batch(Timeout::After(Duration::from_millis(200)))?
        {
            seen.extend(batch.packets().map(|packet| packet.data().to_vec()));
        }
        assert_eq!(seen, expected, "{expression}");
    }
    let refused = |expression: &str| -> Result<_> {
        Ok(host.run(|| xdp::Socket::builder("tun0").steer(expression).open())?)
    };
    let ethernet = refused("ether host 2:0:0:0:0:1")?;
    assert!(matches!(ethernet, Err(xdp::Error::Filter(_))), "there is no Ethernet header");
    let wrong = refused("udp prot 53")?;
    assert!(matches!(wrong, Err(xdp::Error::FilterSyntax(_))), "{wrong:?}");
    Ok(())
}

/// On `any` each packet has the link type and the network offset of its interface, and an
/// expression applies to both.
pub(crate) fn any_tells_packets_of_a_tun_device_from_ethernet() -> Result {
    let host = host()?;
    let mut tun = Tun::new(&host)?;
    let mut capture = open(&host, Capture::builder("any"))?;
    let mut filtered = open(&host, Capture::builder("any").filter("udp".parse::<Filter>()?))?;
    tun.file.write_all(&datagram(53, 60))?;
    tun.file.write_all(&six())?;
    talk_to_self(&host, &[b"to myself"])?;
    for (capture, count) in [(&mut capture, 3), (&mut filtered, 2)] {
        let mut seen = 0;
        while let Some(packet) = capture.next_packet(SHORT)? {
            let meta = packet.meta();
            if meta.interface == tun.link.index() {
                assert_eq!((meta.link_type, meta.network_offset), (LinkType::RAW, Some(0)));
            } else {
                assert_eq!((meta.link_type, meta.network_offset), (LinkType::ETHERNET, Some(14)));
                assert!(packet.data().ends_with(b"to myself"));
            }
            seen += 1;
        }
        assert_eq!(seen, count);
    }
    Ok(())
}

/// Counted at the other end: the packets that the device got to send.
pub(crate) fn raw_packets_are_injected_into_a_tun_device() -> Result {
    let host = host()?;
    let mut tun = Tun::new(&host)?;
    for path in [SendPath::Messages, SendPath::Ring] {
        let mut injector = host.run(|| Injector::builder("tun0").path(path).open())??;
        let packets = [datagram(1, 60), datagram(2, 1500), six()];
        let time = Timestamp::from_nanos(0);
        for packet in &packets {
            injector.send(&Packet::with_meta(packet, PacketMeta::new(1, time, LinkType::RAW)))?;
        }
        let ethernet = frame(3, 60);
        let wrong = PacketMeta::new(1, time, LinkType::ETHERNET);
        assert!(
            injector.send(&Packet::with_meta(&ethernet, wrong)).is_err(),
            "not the device's link type"
        );
        assert!(injector.send_frame(&datagram(4, 1501)).is_err(), "longer than the MTU");
        injector.flush()?;
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(tun.sent(), packets, "{path:?}");
    }
    Ok(())
}
