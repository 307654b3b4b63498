//! Two hosts on a wire, and frames between them.

use std::io;
use std::time::Duration;

use live_harness::Result;
use netns::{Link, Namespace};
use ring_sys::packet::{PacketSocket, SendBatch};

pub(crate) const SOON: Duration = Duration::from_secs(5);

/// A wire from `left` to `right` without any traffic but the test's.
pub(crate) fn wire<'a>(left: &'a Namespace, right: &'a Namespace) -> Result<(Link<'a>, Link<'a>)> {
    for host in [left, right] {
        host.set_sysctl("ipv6/conf/default/disable_ipv6", "1")?;
    }
    let (l, r) = left.veth_to(right, "left0", "right0")?;
    for (link, last) in [(&l, 1), (&r, 2)] {
        link.add_address(format!("10.9.0.{last}/24").parse()?)?;
        link.up()?;
    }
    l.wait_until_running(SOON)?;
    r.wait_until_running(SOON)?;
    Ok((l, r))
}

/// A UDP datagram in an Ethernet frame of `len` bytes, without checksums, to an unused address.
pub(crate) fn frame(port: u16, len: usize) -> Vec<u8> {
    let mut frame = vec![0; len.max(42)];
    frame[..12].copy_from_slice(&[2, 0, 0, 0, 0, 0x99, 2, 0, 0, 0, 0, 1]);
    frame[12..14].copy_from_slice(&[8, 0]);
    frame[14] = 0x45;
    let ip_len = frame.len() as u16 - 14;
    frame[16..18].copy_from_slice(&ip_len.to_be_bytes());
    frame[22..24].copy_from_slice(&[64, 17]);
    frame[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    frame[34..36].copy_from_slice(&1000_u16.to_be_bytes());
    frame[36..38].copy_from_slice(&port.to_be_bytes());
    frame[38..40].copy_from_slice(&(ip_len - 20).to_be_bytes());
    frame
}

/// Sends raw frames, all of them.
pub(crate) struct Sender(PacketSocket);

impl Sender {
    pub(crate) fn new(host: &Namespace, interface: &str) -> Result<Self> {
        let socket = host.run(|| -> io::Result<_> {
            let socket = PacketSocket::new()?;
            socket.bind(ring_sys::interface::index(interface)?, 0)?;
            Ok(socket)
        })??;
        Ok(Self(socket))
    }

    pub(crate) fn send(&self, frames: &[Vec<u8>]) -> Result {
        for frames in frames.chunks(256) {
            let mut batch = SendBatch::new();
            for frame in frames {
                batch.push(frame.len()).copy_from_slice(frame);
            }
            while !batch.is_empty() {
                match self.0.send_packets(&mut batch) {
                    Ok(sent) => batch.remove_first(sent),
                    Err(error) if error.raw_os_error() == Some(ring_sys::errno::ENOBUFS) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }
}
