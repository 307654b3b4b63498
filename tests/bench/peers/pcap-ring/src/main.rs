//! pcap-ring INTERFACE

use std::error::Error;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use pcap::{Capture, Precision};

const IDLE: Duration = Duration::from_millis(150);
const NOBODY: Duration = Duration::from_secs(5);

fn main() -> Result<(), Box<dyn Error>> {
    let interface = std::env::args().nth(1).ok_or("which interface?")?;
    let mut capture = Capture::from_device(interface.as_str())?
        .buffer_size(256 << 20)
        .snaplen(65_536)
        .timeout(60)
        .precision(Precision::Nano)
        .open()?
        .setnonblock()?;
    let (mut packets, mut bytes, mut sum) = (0_u64, 0_u64, 0_u64);
    println!("ready");
    // The clock starts after the first packets.
    let (mut before, mut warm) = (cpu(), 0);
    let mut last = Instant::now();
    loop {
        let came = packets;
        // Does not wait in libpcap, because its timeout may never expire without packets. poll(2)
        // waits instead.
        capture.for_each_ready(|data, time, len| {
            let kind = data.get(12..14).map_or(0, |kind| u16::from_ne_bytes([kind[0], kind[1]]));
            packets += 1;
            bytes += u64::from(len);
            sum = sum.wrapping_add(time).wrapping_add(u64::from(kind));
        })?;
        if packets > came {
            last = Instant::now();
            if warm == 0 {
                (before, warm) = (cpu(), packets);
            }
        }
        let patience = if packets > 0 { IDLE } else { NOBODY };
        let left = patience.saturating_sub(last.elapsed());
        if left.is_zero() {
            break;
        }
        capture.wait(left)?;
    }
    let cpu = cpu() - before;
    let drops = capture.stats()?.dropped;
    println!(
        r#"{{"packets":{packets},"warm":{warm},"bytes":{bytes},"sum":{sum},"cpu_ns":{},"drops":{drops}}}"#,
        cpu.as_nanos()
    );
    Ok(())
}

/// The operations that the loop needs of a capture.
trait Ready {
    fn for_each_ready(&mut self, each: impl FnMut(&[u8], u64, u32)) -> Result<(), pcap::Error>;
    fn wait(&self, time: Duration) -> nix::Result<()>;
}

impl Ready for Capture<pcap::Active> {
    fn for_each_ready(&mut self, mut each: impl FnMut(&[u8], u64, u32)) -> Result<(), pcap::Error> {
        self.dispatch(None, |packet| {
            let header = packet.header;
            // With nanosecond precision requested, this field contains nanoseconds.
            let time = header.ts.tv_sec as u64 * 1_000_000_000 + header.ts.tv_usec as u64;
            each(packet.data, time, header.caplen);
        })?;
        Ok(())
    }

    fn wait(&self, time: Duration) -> nix::Result<()> {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        use std::os::fd::{AsRawFd as _, BorrowedFd};
        // SAFETY: the descriptor is the capture's, which is borrowed.
        let descriptor = unsafe { BorrowedFd::borrow_raw(self.as_raw_fd()) };
        let timeout = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
        poll(&mut [PollFd::new(descriptor, PollFlags::POLLIN)], timeout).map(drop)
    }
}

fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("rusage");
    let micros = |time: nix::sys::time::TimeVal| {
        Duration::new(time.tv_sec() as u64, time.tv_usec() as u32 * 1000)
    };
    micros(usage.user_time()) + micros(usage.system_time())
}
