//! Opening captures and collecting their packets.

use std::net::UdpSocket;
use std::time::Duration;

use live_harness::{Result, none_dropped};
use netns::Namespace;
use ring_core::{
    Capture, CaptureBuilder, Direction, Instruction, RawFilter, RingGeometry, Timeout,
};

pub(crate) const SHORT: Timeout = Timeout::After(Duration::from_millis(300));

/// A packet's bytes and direction.
pub(crate) type Seen = (Vec<u8>, Direction);

pub(crate) const FEW: RingGeometry =
    RingGeometry { block_size: 1 << 16, blocks: 4, timeout: Duration::from_millis(2) };

pub(crate) fn open(host: &Namespace, builder: CaptureBuilder) -> Result<Capture> {
    Ok(host.run(|| builder.block_timeout(Duration::from_millis(5)).open())??)
}

/// Collects packets until none arrive for a while, and checks that the kernel has dropped none.
pub(crate) fn drain(capture: &mut Capture) -> Result<Vec<Seen>> {
    let mut seen = Vec::new();
    while let Some(block) = capture.next_block(SHORT)? {
        seen.extend(
            block.packets().map(|packet| (packet.data().to_vec(), packet.meta().direction)),
        );
    }
    none_dropped(capture.statistics()?.drops)?;
    Ok(seen)
}

pub(crate) fn count_with(seen: &[Seen], needle: &[u8]) -> usize {
    seen.iter()
        .filter(|(data, _)| data.windows(needle.len()).any(|window| window == needle))
        .count()
}

/// Accepts UDP datagrams to one port, in Ethernet and IPv4 without options.
pub(crate) fn to_port(port: u16) -> RawFilter {
    let program = vec![
        Instruction::statement(0x28, 36),
        Instruction::jump(0x15, u32::from(port), 0, 1),
        Instruction::statement(0x06, u32::MAX),
        Instruction::statement(0x06, 0),
    ];
    RawFilter::new(program).expect("a short program")
}

pub(crate) fn expression(text: &str) -> packet_filter::Filter {
    text.parse().expect("a filter expression")
}

pub(crate) fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid and writable.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Sends datagrams to the host itself, through the loopback interface.
pub(crate) fn talk_to_self(host: &Namespace, datagrams: &[&[u8]]) -> Result {
    let (to, from) = host.run(|| -> std::io::Result<_> {
        Ok((UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?))
    })??;
    for datagram in datagrams {
        from.send_to(datagram, to.local_addr()?)?;
    }
    Ok(())
}
