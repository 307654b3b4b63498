//! AF_XDP sockets behind a program written in C and loaded by aya. See the README of this example.

use std::error::Error;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use aya::maps::{Array, Map};
use aya::programs::{Xdp, XdpMode as AyaMode};
use ring_core::{Next, PacketBatch as _, PacketSource as _, Timeout, xdp};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/redirect.o"));

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (interface, hand_over) = match &arguments[..] {
        [interface] => (interface, false),
        [interface, option] if option == "--hand-over" => (interface, true),
        _ => return Err("usage: ring-core-with-aya INTERFACE [--hand-over]".into()),
    };
    let mut object = aya::Ebpf::load(OBJECT)?;
    let sockets: OwnedFd = match object.map("sockets") {
        Some(Map::XskMap(map)) => map.fd().as_fd().try_clone_to_owned()?,
        _ => return Err("the object has no map of sockets".into()),
    };
    let redirect: &mut Xdp = object.program_mut("redirect").ok_or("no program")?.try_into()?;
    redirect.load()?;
    let program = if hand_over {
        let descriptor = redirect.fd()?.as_fd().try_clone_to_owned()?;
        xdp::Program::attach(interface, descriptor, sockets, xdp::Attach::Auto)?
    } else {
        redirect.attach(interface, AyaMode::default())?;
        xdp::Program::of_map(sockets)?
    };

    let mut socket = xdp::Socket::builder(interface).program(&program).open()?;
    println!("open: {:?}", socket.outcome());
    let mut left = 10_usize;
    while left > 0 {
        let Next::Batch(batch) = socket.next_batch(Timeout::After(Duration::from_secs(5)))? else {
            break;
        };
        for packet in batch.packets().take(left) {
            println!("{} {} bytes", packet.timestamp(), packet.data().len());
            left -= 1;
        }
    }
    let seen: Array<_, u64> = Array::try_from(object.map("seen").ok_or("no counter")?)?;
    println!("{} packets received, {} seen by the program", 10 - left, seen.get(&0, 0)?);
    Ok(())
}
