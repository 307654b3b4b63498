//! Several sockets: groups and forwarding, and sockets as sinks.

use std::net::UdpSocket;
use std::thread;
use std::time::Duration;

use live_harness::{Result, none_dropped};
use netns::{Namespace, Offload};
use ring_core::{
    Bridge, Capture, LinkType, MemorySource, Next, PacketBatch as _, PacketMeta, PacketSink,
    PacketSource as _, Side, Timeout, Timestamp, Verdict, VlanTag, xdp,
};

use crate::hosts::{Sender, frame, wire};
use crate::setup::{
    MODES, SHORT, SOON, assert_same, assert_silent, collect, frames, need_root, run,
};

pub(crate) fn a_group_takes_every_queue() -> Result {
    need_root()?;
    for mode in MODES {
        let (left, right) = (Namespace::new()?, Namespace::new()?);
        let _links = wire(&left, &right)?;
        for (host, name) in [(&left, "left0"), (&right, "right0")] {
            run(host, "ethtool", &["-L", name, "rx", "2", "tx", "2"])?;
        }
        let builder = xdp::Socket::builder("right0").attach(mode);
        let group = right.run(|| builder.group().open())??;
        assert_eq!(group.len(), 2);
        let umem = group.members()[0].umem();
        assert!(umem.is_same(&group.members()[1].umem()) && umem.frames() == 8192);
        let sender = Sender::new(&left, "left0")?;
        let sent = frames(3000, 200);
        let workers: Vec<_> =
            group.members().iter().map(|member| member.interrupter().expect("it waits")).collect();
        let members = group.into_members();
        let threads: Vec<_> = members
            .into_iter()
            .map(|mut member| {
                thread::spawn(move || -> Result<(Vec<Vec<u8>>, xdp::Socket)> {
                    let mut seen = Vec::new();
                    while let Next::Batch(batch) = member.next_batch(Timeout::Never)? {
                        seen.extend(batch.packets().map(|packet| packet.data().to_vec()));
                    }
                    Ok((seen, member))
                })
            })
            .collect();
        for part in sent.chunks(200) {
            sender.send(part)?;
            thread::sleep(Duration::from_millis(2));
        }
        thread::sleep(SHORT);
        workers.iter().for_each(|interrupter| interrupter.interrupt());
        let mut seen = Vec::new();
        let mut members = Vec::new();
        for thread in threads {
            let (part, member) = thread.join().expect("a worker")?;
            println!("{mode:?}: {} packets on queue {}", part.len(), member.queue());
            seen.extend(part);
            members.push(member);
        }
        for member in &mut members {
            none_dropped(member.statistics()?.drops)?;
        }
        assert_same(&seen, &sent);
    }
    Ok(())
}

/// Two hosts, and one between them that forwards through its links `one` and `two`.
pub(crate) struct Line<'a> {
    pub(crate) left: &'a Namespace,
    pub(crate) middle: &'a Namespace,
    pub(crate) right: &'a Namespace,
}

impl<'a> Line<'a> {
    pub(crate) fn up(&self, mtu: u32) -> Result<Vec<netns::Link<'a>>> {
        for host in [self.left, self.middle, self.right] {
            host.set_sysctl("ipv6/conf/default/disable_ipv6", "1")?;
        }
        let (l, one) = self.left.veth_to(self.middle, "left0", "one")?;
        let (r, two) = self.right.veth_to(self.middle, "right0", "two")?;
        l.add_address("10.9.0.1/24".parse()?)?;
        r.add_address("10.9.0.2/24".parse()?)?;
        let links = vec![l, one, r, two];
        for link in &links {
            link.set_mtu(mtu)?;
            link.up()?;
        }
        for link in &links {
            link.wait_until_running(SOON)?;
        }
        // The stack leaves checksums to the adapter, but a veth pair does not fill them in, so
        // forwarded packets would be invalid.
        for link in [&links[0], &links[2]] {
            link.set_offload(Offload::TransmitChecksum, false)?;
        }
        Ok(links)
    }
}

pub(crate) fn packets_are_forwarded_between_interfaces() -> Result {
    need_root()?;
    for (mode, mtu) in
        [(xdp::Attach::Native, 1500), (xdp::Attach::Generic, 1500), (xdp::Attach::Native, 9000)]
    {
        let (left, middle, right) = (Namespace::new()?, Namespace::new()?, Namespace::new()?);
        let line = Line { left: &left, middle: &middle, right: &right };
        let _links = line.up(mtu)?;
        let mut bridge = middle.run(|| {
            Bridge::xdp_builder(
                xdp::Socket::builder("one").attach(mode),
                xdp::Socket::builder("two").attach(mode),
            )
            .open()
        })??;
        let interrupter = bridge.interrupter();
        let worker = thread::spawn(move || {
            bridge.run(|transit| {
                // Packets to port 9 are dropped; port 8 becomes port 7, only from the left.
                match (transit.data().get(36..38), transit.from()) {
                    (Some([0, 9]), _) => Verdict::Drop,
                    (Some([0, 8]), Side::Left) => {
                        transit.rewrite()[37] = 7;
                        Verdict::Rewrite
                    }
                    _ => Verdict::Forward,
                }
            })
        });

        // Real hosts communicate through it: ARP, then datagrams in both directions.
        let (one, other) = (
            left.run(|| UdpSocket::bind("10.9.0.1:4000"))??,
            right.run(|| UdpSocket::bind("10.9.0.2:4000"))??,
        );
        for socket in [&one, &other] {
            socket.set_read_timeout(Some(SOON))?;
        }
        let mut buffer = [0; 9000];
        for n in 0..100_usize {
            let len = 10 + n * (mtu as usize - 50) / 100;
            let data = vec![n as u8; len];
            one.send_to(&data, "10.9.0.2:4000")?;
            assert_eq!(other.recv(&mut buffer)?, len);
            assert!(buffer[..len] == data);
            other.send_to(&data, "10.9.0.1:4000")?;
            assert_eq!(one.recv(&mut buffer)?, len);
            assert!(buffer[..len] == data);
        }

        // Raw frames, seen by a capture at the other end.
        let builder = Capture::builder("right0").block_timeout(Duration::from_millis(5));
        let mut peer = right.run(|| {
            builder
                .filter(
                    "udp dst port 7 or udp dst port 9"
                        .parse::<packet_filter::Filter>()
                        .expect("a filter"),
                )
                .open()
        })??;
        let sender = Sender::new(&left, "left0")?;
        let longest = mtu as usize + 14;
        sender.send(&[frame(8, longest), frame(9, 100), frame(7, 60)])?;
        let seen = collect(&mut peer, 2)?;
        assert_same(&seen, &[frame(7, longest), frame(7, 60)]);
        assert_silent(&mut peer)?;

        interrupter.interrupt();
        let totals = worker.join().expect("the worker")?;
        let (there, back) = (totals.to_right, totals.to_left);
        assert_eq!((there.dropped, there.refused, there.lost), (1, 0, 0), "{there:?}");
        assert_eq!((there.rewritten, there.sent), (1, there.forwarded), "{there:?}");
        assert_eq!((back.dropped, back.refused, back.lost), (0, 0, 0), "{back:?}");
        assert_eq!(back.sent, back.forwarded, "{back:?}");
        assert!(back.forwarded >= 100);
    }
    Ok(())
}

pub(crate) fn a_socket_is_a_sink() -> Result {
    need_root()?;
    let (left, right) = (Namespace::new()?, Namespace::new()?);
    let _links = wire(&left, &right)?;
    let builder = Capture::builder("left0").block_timeout(Duration::from_millis(5));
    let mut peer = left.run(|| builder.open())??;
    let memory = xdp::UmemConfig::new().frames(32);
    let builder = xdp::Socket::builder("right0").ring_size(16).memory(memory);
    let mut socket = right.run(|| builder.open())??;
    let mut source = MemorySource::new(LinkType::ETHERNET);
    let sent = frames(500, 300);
    sent.iter().for_each(|frame| source.push(Timestamp::from_nanos(1), frame));
    while let Next::Batch(batch) = source.next_batch(Timeout::Now)? {
        socket.send_batch(&batch)?;
    }
    PacketSink::flush(&mut socket)?;
    assert_same(&collect(&mut peer, sent.len())?, &sent);
    let totals = PacketSink::statistics(&socket);
    assert_eq!((totals.packets, totals.rejected), (500, 0));
    assert_eq!(totals.bytes, sent.iter().map(|frame| frame.len() as u64).sum());

    // A tag that was removed on receipt is on the wire again.
    let mut source = MemorySource::new(LinkType::ETHERNET);
    let mut meta = PacketMeta::new(1, Timestamp::default(), LinkType::ETHERNET);
    meta.vlan = Some(VlanTag { tpid: 0x8100, tci: 0x2005 });
    source.push_with(meta, &sent[0]);
    let Next::Batch(batch) = source.next_batch(Timeout::Now)? else { panic!("a packet") };
    socket.send_batch(&batch)?;
    PacketSink::flush(&mut socket)?;
    let Some(block) = peer.next_block(Timeout::After(SOON))? else { panic!("a packet") };
    let packet = block.packets().next().expect("one");
    assert_eq!(packet.vlan(), meta.vlan);
    assert_eq!(packet.data(), sent[0]);
    drop(block);

    let mut source = MemorySource::new(LinkType::RAW);
    source.push(Timestamp::default(), &[0x45; 20]);
    let Next::Batch(batch) = source.next_batch(Timeout::Now)? else { panic!("a packet") };
    assert!(socket.send_batch(&batch).is_err(), "another link type");
    Ok(())
}
