use std::io::{self, Cursor, Write};
use std::sync::{Arc, Mutex};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::{
    CaptureFile, Direction, FileFormat, LinkType, Next, PacketBatch as _, PacketMeta,
    PacketSource as _, Timeout, Unwritable, VlanTag,
};

/// A writer into shared memory that fails once on request.
#[derive(Clone, Default)]
struct Shared {
    bytes: Arc<Mutex<Vec<u8>>>,
    /// Bytes that are accepted before the one error.
    room: Arc<Mutex<Option<usize>>>,
}

impl Write for Shared {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let mut room = self.room.lock().unwrap();
        let taken = match *room {
            Some(0) => {
                *room = None;
                return Err(io::ErrorKind::StorageFull.into());
            }
            Some(left) => {
                let taken = buffer.len().min(left);
                *room = Some(left - taken);
                taken
            }
            None => buffer.len(),
        };
        self.bytes.lock().unwrap().extend(&buffer[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn file(&self) -> CaptureFile {
        let bytes = self.bytes.lock().unwrap().clone();
        CaptureFile::from_reader(Cursor::new(bytes)).expect("a header")
    }

    /// Reads all packets and checks that the file is not damaged.
    fn packets(&self) -> Vec<(PacketMeta, Vec<u8>)> {
        let mut file = self.file();
        let mut packets = Vec::new();
        while let Next::Batch(batch) = file.next_batch(Timeout::Never).expect("not damaged") {
            packets.extend(batch.packets().map(|packet| (*packet.meta(), packet.data().to_vec())));
        }
        packets
    }
}

fn meta(nanos: u64) -> PacketMeta {
    PacketMeta::new(1, Timestamp::from_nanos(nanos), LinkType::ETHERNET)
}

fn unwritable(error: Error) -> Unwritable {
    match error {
        Error::Unwritable(unwritable) => unwritable,
        other => panic!("another error: {other}"),
    }
}

/// A packet of one of three interfaces, its comment, and the number of packets lost before it.
fn any_packet() -> impl Strategy<Value = (PacketMeta, Vec<u8>, Option<String>, Option<u64>)> {
    let direction = prop_oneof![
        Just(Direction::Unknown),
        Just(Direction::Host),
        Just(Direction::Broadcast),
        Just(Direction::Multicast),
        Just(Direction::OtherHost),
        Just(Direction::Outgoing),
    ];
    let link_type = prop_oneof![Just(LinkType::ETHERNET), Just(LinkType::RAW)];
    (
        (any::<u64>(), 0..3_u32, link_type, direction, 0..100_u32, prop_oneof![Just(0), 1..9_u8]),
        vec(any::<u8>(), 0..200),
        option::of(".{0,40}"),
        option::of(1..u64::MAX),
    )
        .prop_map(
            |((time, interface, link_type, direction, more, fcs_len), data, comment, dropped)| {
                let mut meta = PacketMeta::new(0, Timestamp::from_nanos(time), link_type);
                meta.interface = interface;
                meta.direction = direction;
                meta.wire_len = data.len() as u32 + more;
                meta.losing = dropped.is_some();
                meta.fcs_len = fcs_len;
                (meta, data, comment, dropped)
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(
        packets in vec(any_packet(), 0..60),
        buffer in 0..2000_usize,
        flushes in vec(any::<bool>(), 60),
        room in option::of(0..4000_usize),
    ) {
        let shared = Shared { room: Arc::new(Mutex::new(room)), ..Shared::default() };
        let builder = CaptureWriter::builder().buffer(buffer).application("a test");
        let mut writer = builder.to_writer(shared.clone()).expect("the buffer is empty");
        // The file numbers interfaces in the order in which they are described.
        for source in 0..3 {
            for link_type in [LinkType::ETHERNET, LinkType::RAW] {
                let description = InterfaceDescription::new(link_type).name(format!("if{source}"));
                if writer.add_interface(source, description.clone()).is_err() {
                    writer.add_interface(source, description).expect("there is one error");
                }
            }
        }
        let mut expected = Vec::new();
        for (at, (meta, data, comment, dropped)) in packets.iter().enumerate() {
            let annotation = Annotation { comment: comment.as_deref(), dropped: *dropped };
            let packet = Packet::with_meta(data, *meta);
            if writer.write_annotated(&packet, &annotation).is_err() {
                writer.write_annotated(&packet, &annotation).expect("there is one error");
            }
            let mut meta = *packet.meta();
            meta.number = at as u64 + 1;
            meta.interface = meta.interface * 2 + u32::from(meta.link_type == LinkType::RAW);
            expected.push((meta, data.clone()));
            if flushes[at] {
                if writer.flush().is_err() {
                    writer.flush().expect("there is one error");
                }
                // As if the process had crashed here.
                prop_assert_eq!(&shared.packets(), &expected);
            }
        }
        prop_assert_eq!(writer.statistics().packets, packets.len() as u64);
        if let Err(Error::System { .. }) = writer.end() {
            writer.end().expect("there is one error");
        }
        prop_assert_eq!(writer.position(), shared.bytes.lock().unwrap().len() as u64);
        drop(writer);
        prop_assert_eq!(shared.packets(), expected);
    }

    #[test]
    fn pcap_keeps_what_it_has_a_place_for(
        packets in vec(any_packet(), 1..40),
        nanoseconds in any::<bool>(),
    ) {
        let shared = Shared::default();
        let format =
            if nanoseconds { FileFormat::PcapNanoseconds } else { FileFormat::PcapMicroseconds };
        let builder = CaptureWriter::builder().format(format).buffer(500);
        let mut writer = builder.to_writer(shared.clone()).expect("no header yet");
        let mut expected: Vec<(PacketMeta, Vec<u8>)> = Vec::new();
        let fcs_len = packets[0].0.fcs_len.next_multiple_of(2);
        for (mut meta, data, ..) in packets {
            meta.fcs_len = fcs_len;
            let result = writer.write(&Packet::with_meta(&data, meta));
            let time = meta.timestamp;
            if time.seconds() > u64::from(u32::MAX) {
                prop_assert_eq!(unwritable(result.unwrap_err()), Unwritable::Time(time));
                continue;
            }
            if let Some((first, _)) = expected.first()
                && first.link_type != meta.link_type
            {
                let mixed = Unwritable::LinkType { file: first.link_type, packet: meta.link_type };
                prop_assert_eq!(unwritable(result.unwrap_err()), mixed);
                continue;
            }
            result.expect("this one fits");
            let unit = if nanoseconds { 1 } else { 1_000 };
            let stored = Timestamp::from_nanos(time.as_nanos() / unit * unit);
            let mut plain = PacketMeta::new(expected.len() as u64 + 1, stored, meta.link_type);
            plain.wire_len = meta.wire_len;
            plain.fcs_len = fcs_len;
            expected.push((plain, data));
        }
        writer.finish().expect("the disk is not full");
        prop_assert_eq!(shared.packets(), expected);
        prop_assert_eq!(shared.file().format(), format);
    }
}

#[test]
fn without_a_flush_whole_records_are_there() {
    let shared = Shared::default();
    let mut writer =
        CaptureWriter::builder().buffer(1000).to_writer(shared.clone()).expect("writable");
    for at in 0..300_u64 {
        writer.write(&Packet::with_meta(&vec![1; at as usize % 70], meta(at))).expect("writable");
    }
    let before = shared.packets().len();
    assert!((250..300).contains(&before), "{before}");
    drop(writer);
    assert_eq!(shared.packets().len(), 300);
}

#[test]
fn long_packets_are_cut_where_the_interface_says() {
    let shared = Shared::default();
    let mut writer = CaptureWriter::builder().to_writer(shared.clone()).expect("writable");
    writer.add_interface(0, InterfaceDescription::new(LinkType::ETHERNET).snaplen(64)).unwrap();
    let mut tagged = meta(1);
    tagged.vlan = Some(VlanTag { tpid: 0x8100, tci: 5 });
    writer.write(&Packet::with_meta(&[7; 62], tagged)).unwrap();
    let mut far = meta(2);
    far.interface = 1;
    writer.write(&Packet::with_meta(&vec![8; 300_000], far)).unwrap();
    let statistics = writer.finish().unwrap();
    assert_eq!((statistics.packets, statistics.truncated, statistics.bytes), (2, 2, 64 + 262_144));
    let packets = shared.packets();
    assert_eq!((packets[0].1.len(), packets[0].0.wire_len), (64, 66));
    assert_eq!(packets[0].1[12..16], [0x81, 0, 0, 5]);
    assert_eq!((packets[1].1.len(), packets[1].0.wire_len), (262_144, 300_000));
}

#[test]
fn statistics_are_totals() {
    let shared = Shared::default();
    let mut writer = CaptureWriter::builder().to_writer(shared.clone()).expect("writable");
    writer.add_interface(4, InterfaceDescription::new(LinkType::RAW).name("tun0")).unwrap();
    let totals = |packets, drops| {
        let mut totals = Statistics::default();
        (totals.packets, totals.drops) = (packets, drops);
        totals
    };
    writer.set_statistics(4, &totals(10, 2), Timestamp::from_nanos(5));
    writer.write_statistics().unwrap();
    writer.write_statistics().unwrap();
    writer.flush().unwrap();
    let mid = shared.bytes.lock().unwrap().len();
    writer.set_statistics(4, &totals(30, 7), Timestamp::from_nanos(6));
    writer.set_statistics(9, &totals(1, 1), Timestamp::from_nanos(6));
    writer.finish().unwrap();
    let mut file = shared.file();
    assert!(matches!(file.next_batch(Timeout::Never), Ok(Next::End)));
    assert_eq!(file.statistics().unwrap().drops, 7);
    assert_eq!(file.interfaces()[0].name.as_deref(), Some("tun0"));
    let bytes = shared.bytes.lock().unwrap();
    assert_eq!(bytes.len() - mid, 76, "one block each time");
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_of_it_is_written() {
    let long = "x".repeat(65_536);
    let limit = 65_535;
    let builder = || CaptureWriter::builder().buffer(0);
    let error = builder().comment(&long).to_writer(Shared::default()).unwrap_err();
    assert_eq!(unwritable(error), Unwritable::TextLength { length: 65_536, limit });
    let error =
        builder().format(FileFormat::PcapModified).to_writer(Shared::default()).unwrap_err();
    assert_eq!(unwritable(error), Unwritable::ModifiedPcap);

    let shared = Shared::default();
    let mut writer = builder().to_writer(shared.clone()).unwrap();
    let filter = InterfaceDescription::new(LinkType::RAW).filter(&long[1..]);
    let error = writer.add_interface(0, filter).unwrap_err();
    assert_eq!(unwritable(error), Unwritable::TextLength { length: 65_536, limit });
    let packet = Packet::with_meta(b"data", meta(1));
    let error = writer.write_annotated(&packet, &Annotation::new().comment(&long)).unwrap_err();
    assert_eq!(unwritable(error), Unwritable::TextLength { length: 65_536, limit });
    writer.write_annotated(&packet, &Annotation::new().comment(&long[1..])).unwrap();
    writer.finish().unwrap();
    assert_eq!(shared.packets().len(), 1);
    assert_eq!(shared.file().interfaces().len(), 0, "described where first needed");

    let mut writer = builder().to_writer(io::sink()).unwrap();
    let mut other = meta(0);
    for interface in 0..65_536 {
        other.interface = interface;
        writer.write(&Packet::with_meta(b"", other)).unwrap();
    }
    other.interface = 65_536;
    let error = writer.write(&Packet::with_meta(b"", other)).unwrap_err();
    assert_eq!(unwritable(error), Unwritable::TooManyInterfaces { limit: 65_536 });
}

#[test]
fn files_without_packets_are_files() {
    for format in [FileFormat::PcapNg, FileFormat::PcapMicroseconds, FileFormat::PcapNanoseconds] {
        let shared = Shared::default();
        CaptureWriter::builder()
            .format(format)
            .to_writer(shared.clone())
            .and_then(CaptureWriter::finish)
            .expect("writable");
        assert_eq!(shared.packets(), []);
        assert_eq!(shared.file().format(), format);
    }
}

#[test]
fn a_file_is_one_before_its_first_packet() {
    for format in [FileFormat::PcapNg, FileFormat::PcapNanoseconds] {
        let shared = Shared::default();
        let builder = CaptureWriter::builder().format(format);
        let mut writer = builder.to_writer(shared.clone()).unwrap();
        let description = InterfaceDescription::new(LinkType::ETHERNET).name("eth0");
        writer.add_interface(3, description).unwrap();
        // As if the process had crashed here.
        assert_eq!(shared.packets(), []);
        assert_eq!(shared.file().format(), format);
        writer.finish().unwrap();
    }
}

#[test]
fn nothing_lies_in_the_buffer_for_more_than_a_second() {
    let shared = Shared::default();
    let mut writer = CaptureWriter::builder().to_writer(shared.clone()).expect("written");
    let packet = |seconds: u64| Packet::with_meta(&[7; 60], meta(seconds * 1_000_000_000));
    let written = || shared.bytes.lock().unwrap().len() as u64;
    assert_eq!(writer.flush_due(), None, "the header is handed over");
    writer.write(&packet(1)).expect("written");
    let due = writer.flush_due().expect("a packet is buffered");
    assert!(due <= Duration::from_secs(1), "{due:?}");
    assert!(written() < writer.position());
    std::thread::sleep(due + Duration::from_millis(20));
    assert_eq!(writer.flush_due(), Some(Duration::ZERO));
    let first = writer.position();
    writer.write(&packet(2)).expect("written");
    assert_eq!(written(), first, "the packet before is handed over");
    writer.flush().expect("written");
    assert_eq!((writer.flush_due(), written()), (None, writer.position()));
}

#[test]
fn statistics_of_many_interfaces_cost_no_search() {
    let mut writer = CaptureWriter::builder().to_writer(io::sink()).expect("written");
    for source in 0..1 << 16 {
        let description = InterfaceDescription::new(LinkType::ETHERNET);
        writer.add_interface(source, description).expect("not too many");
    }
    let started = std::time::Instant::now();
    for round in 0..4 {
        for source in 0..1 << 16 {
            writer.set_statistics(source, &Statistics::default(), Timestamp::from_nanos(round));
        }
    }
    // A linear search for each packet would look at 8.6 billion interfaces.
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[test]
fn packets_of_every_link_type_fit_into_a_cooked_file() {
    let mut ethernet = vec![1; 12];
    ethernet.extend([0x08, 0x00, 0x45, 7, 7]);
    let mut lengths = vec![2; 12];
    lengths.extend([0, 3, 0xaa, 0xaa, 3]);
    let packets = [
        (LinkType::ETHERNET, &ethernet[..], Direction::Outgoing),
        (LinkType::RAW, &[0x60, 1, 2], Direction::Host),
        (LinkType::ETHERNET, &lengths, Direction::Multicast),
        (LinkType::ETHERNET, &[9; 5], Direction::Unknown),
        (LinkType::UNKNOWN, &[8; 3], Direction::OtherHost),
    ];
    let of = |protocol: [u8; 2], hardware: [u8; 2], kind, address: &[u8], payload: &[u8]| {
        let mut bytes = [&protocol[..], &[0, 0, 0, 0, 0, 7], &hardware].concat();
        bytes.extend([kind, address.len() as u8]);
        bytes.extend(address);
        bytes.resize(20, 0);
        bytes.extend(payload);
        bytes
    };
    let expected = [
        of([8, 0], [0, 1], 4, &[1; 6], &[0x45, 7, 7]),
        of([0x86, 0xdd], [0xff, 0xfe], 0, &[], &[0x60, 1, 2]),
        of([0, 4], [0, 1], 2, &[2; 6], &[0xaa, 0xaa, 3]),
        of([0, 0], [0, 1], 0, &[], &[9; 5]),
        of([0, 0], [0xff, 0xff], 3, &[], &[8; 3]),
    ];
    for format in [FileFormat::PcapMicroseconds, FileFormat::PcapNg] {
        let shared = Shared::default();
        let builder = CaptureWriter::builder().format(format).cooked(true);
        let mut writer = builder.to_writer(shared.clone()).expect("written");
        for (link_type, data, direction) in packets {
            let mut meta = PacketMeta::new(1, Timestamp::from_nanos(1000), link_type);
            (meta.interface, meta.direction, meta.wire_len) = (7, direction, 100);
            writer.write(&Packet::with_meta(data, meta)).expect("whatever its link type");
        }
        writer.finish().expect("written");
        let mut file = shared.file();
        let Next::Batch(batch) = file.next_batch(Timeout::Never).expect("whole") else { panic!() };
        for ((packet, expected), (_, data, _)) in batch.packets().zip(&expected).zip(packets) {
            assert_eq!((packet.link_type(), packet.data()), (LinkType::LINUX_SLL2, &expected[..]));
            let skipped = data.len() + 20 - expected.len();
            assert_eq!(packet.wire_len() as usize, 100 - skipped + 20);
        }
        assert_eq!(batch.len(), 5);
    }
}
