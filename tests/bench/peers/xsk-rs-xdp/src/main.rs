//! xsk-rs-xdp receive INTERFACE; send INTERFACE LENGTH COUNT RATE

use std::error::Error;
use std::io::Write as _;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use xsk_rs::config::{
    BindFlags, FrameSize, LibxdpFlags, QueueSize, SocketConfig, UmemConfig, XdpFlags,
};
use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, Socket, TxQueue, Umem};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const IDLE_MS: i32 = 150;
const NOBODY_MS: i32 = 5000;
const FRAMES: u32 = 4096;
const RING: u32 = 2048;
const BATCH: usize = 64;

struct Opened {
    umem: Umem,
    frames: Vec<FrameDesc>,
    tx: TxQueue,
    rx: RxQueue,
    fill: FillQueue,
    completion: CompQueue,
}

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["receive", interface] => receive(open(interface, LibxdpFlags::empty())?),
        ["send", interface, length, count, _] => {
            let opened = open(interface, LibxdpFlags::XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD)?;
            send(opened, length.parse()?, count.parse()?)
        }
        _ => Err("what?".into()),
    }
}

fn open(interface: &str, flags: LibxdpFlags) -> Outcome<Opened> {
    let memory = UmemConfig::builder()
        .frame_size(FrameSize::new(4096)?)
        .fill_queue_size(QueueSize::new(RING)?)
        .comp_queue_size(QueueSize::new(RING)?)
        .build()?;
    let socket = SocketConfig::builder()
        .rx_queue_size(QueueSize::new(RING)?)
        .tx_queue_size(QueueSize::new(RING)?)
        .libxdp_flags(flags)
        .xdp_flags(XdpFlags::XDP_FLAGS_DRV_MODE)
        .bind_flags(BindFlags::XDP_COPY | BindFlags::XDP_USE_NEED_WAKEUP)
        .build();
    let start = Instant::now();
    loop {
        let frames = NonZeroU32::new(FRAMES).ok_or("no frames")?;
        let (umem, frames) = Umem::new(memory, frames, false)?;
        // SAFETY: no other socket uses this memory.
        match unsafe { Socket::new(socket.clone(), &umem, &interface.parse()?, 0) } {
            Ok((tx, rx, rings)) => {
                let (fill, completion) = rings.ok_or("no rings")?;
                return Ok(Opened { umem, frames, tx, rx, fill, completion });
            }
            // The queue of a closed socket stays busy for some milliseconds.
            Err(error) if start.elapsed() > Duration::from_secs(2) => return Err(error.into()),
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

fn receive(opened: Opened) -> Outcome {
    let Opened { umem, frames, mut rx, mut fill, tx: _tx, completion: _completion } = opened;
    // SAFETY: these frames are nowhere else.
    unsafe { fill.produce(&frames[..RING as usize]) };
    let mut batch = frames[..BATCH].to_vec();
    let (mut packets, mut bytes, mut sum) = (0_u64, 0_u64, 0_u64);
    println!("ready");
    let before = cpu();
    loop {
        let patience = if packets > 0 { IDLE_MS } else { NOBODY_MS };
        // SAFETY: the descriptors are used with the memory that they belong to.
        let mut came = unsafe { rx.consume(&mut batch) };
        if came == 0 {
            // SAFETY: as above.
            came = unsafe { rx.poll_and_consume(&mut batch, patience)? };
            if came == 0 {
                break;
            }
        }
        for frame in &batch[..came] {
            // SAFETY: the frame was received and is not in the fill ring yet.
            let data = unsafe { umem.data(frame) };
            let data = data.contents();
            let kind = data.get(12..14).map_or(0, |kind| u16::from_ne_bytes([kind[0], kind[1]]));
            packets += 1;
            bytes += data.len() as u64;
            sum = sum.wrapping_add(u64::from(kind));
        }
        // SAFETY: these frames were received and are no longer used.
        unsafe { fill.produce(&batch[..came]) };
    }
    let cpu = cpu() - before;
    let counted = rx.fd().xdp_statistics()?;
    println!(
        r#"{{"packets":{packets},"bytes":{bytes},"sum":{sum},"cpu_ns":{},"drops":{}}}"#,
        cpu.as_nanos(),
        counted.rx_dropped() + counted.rx_ring_full()
    );
    Ok(())
}

fn send(opened: Opened, length: usize, count: u64) -> Outcome {
    let Opened { umem, mut frames, mut tx, mut completion, rx: _rx, fill: _fill } = opened;
    let mut frame = vec![0; length];
    frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 8, 0]);
    frame[14] = 0x45;
    frame[16..18].copy_from_slice(&u16::try_from(length - 14)?.to_be_bytes());
    let mut free = frames.split_off(0);
    let mut completed = free[..RING as usize].to_vec();
    println!("ready");
    let (before, start) = (cpu(), Instant::now());
    let (mut queued, mut done) = (0_u64, 0_u64);
    while done < count {
        let mut produced = 0;
        if queued < count && free.len() >= BATCH && queued - done + BATCH as u64 <= u64::from(RING)
        {
            let from = free.len() - BATCH;
            for descriptor in &mut free[from..] {
                // SAFETY: the frame is free.
                unsafe {
                    let mut data = umem.data_mut(descriptor);
                    let mut cursor = data.cursor();
                    cursor.zero_out();
                    cursor.set_pos(0);
                    cursor.write_all(&frame)?;
                }
            }
            // SAFETY: the frames are free.
            produced = unsafe { tx.produce(&free[from..]) };
            free.truncate(free.len() - produced);
            queued += produced as u64;
        }
        let _ = produced;
        tx.wakeup()?;
        // SAFETY: the descriptors are used with the memory that they belong to.
        let came = unsafe { completion.consume(&mut completed) };
        free.extend_from_slice(&completed[..came]);
        done += came as u64;
    }
    println!(
        r#"{{"sent":{done},"wall_ns":{},"cpu_ns":{}}}"#,
        start.elapsed().as_nanos(),
        (cpu() - before).as_nanos()
    );
    Ok(())
}

fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("rusage");
    let micros = |time: nix::sys::time::TimeVal| {
        Duration::new(time.tv_sec() as u64, time.tv_usec() as u32 * 1000)
    };
    micros(usage.user_time()) + micros(usage.system_time())
}
