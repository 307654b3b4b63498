use std::io::{self, Cursor, Read};

use packet::ChecksumStatus;

use super::*;
use crate::{Direction, ForeignFormat, Packet, PacketBatch as _, PacketMeta, Timestamp};

/// A minimal pcapng writer, for files that the real one never produces.
#[derive(Default)]
struct Blocks {
    bytes: Vec<u8>,
    big_endian: bool,
}

impl Blocks {
    fn u16(&self, value: u16) -> [u8; 2] {
        if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn u32(&self, value: u32) -> [u8; 4] {
        if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn u64(&self, value: u64) -> [u8; 8] {
        if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn block(&mut self, block_type: u32, body: &[&[u8]]) -> &mut Self {
        let mut body = body.concat();
        body.resize(body.len().next_multiple_of(4), 0);
        let length = body.len() as u32 + 12;
        let frame = [self.u32(block_type), self.u32(length)].concat();
        self.bytes.extend(frame);
        self.bytes.extend(body);
        self.bytes.extend(self.u32(length));
        self
    }

    fn section(&mut self) -> &mut Self {
        let version = [self.u16(1), self.u16(0)].concat();
        self.block(0x0a0d_0d0a, &[&self.u32(0x1a2b_3c4d), &version, &[0xff; 8]])
    }

    fn option(&self, code: u16, value: &[u8]) -> Vec<u8> {
        let mut option = [self.u16(code), self.u16(value.len() as u16)].concat();
        option.extend(value);
        option.resize(option.len().next_multiple_of(4), 0);
        option
    }

    fn interface(&mut self, link_type: u16, snaplen: u32, options: &[Vec<u8>]) -> &mut Self {
        let fixed = [self.u16(link_type), self.u16(0)].concat();
        self.block(1, &[&fixed, &self.u32(snaplen), &options.concat()])
    }

    fn packet(
        &mut self,
        interface: u32,
        ticks: u64,
        wire: u32,
        data: &[u8],
        options: &[Vec<u8>],
    ) -> &mut Self {
        let mut padded = data.to_vec();
        padded.resize(data.len().next_multiple_of(4), 0);
        let fixed = [interface, (ticks >> 32) as u32, ticks as u32, data.len() as u32, wire]
            .map(|v| self.u32(v));
        self.block(6, &[&fixed.concat(), &padded, &options.concat()])
    }
}

fn pcap(magic: u32, big_endian: bool, version: [u16; 2], link_type: u32) -> Vec<u8> {
    let blocks = Blocks { big_endian, ..Blocks::default() };
    [
        &blocks.u32(magic)[..],
        &blocks.u16(version[0]),
        &blocks.u16(version[1]),
        &[0; 12],
        &blocks.u32(link_type),
    ]
    .concat()
}

fn pcap_record(file: &mut Vec<u8>, big_endian: bool, fields: [u32; 4], extra: usize, data: &[u8]) {
    let blocks = Blocks { big_endian, ..Blocks::default() };
    file.extend(fields.map(|field| blocks.u32(field)).concat());
    file.resize(file.len() + extra, 0xee);
    file.extend(data);
}

/// Reads a whole file: its packets with their bytes, and the error that ended it.
fn read(file: impl Into<Vec<u8>>) -> (Vec<(PacketMeta, Vec<u8>)>, Option<Error>) {
    read_from(Cursor::new(file.into()))
}

fn read_from(reader: impl Read + Send + 'static) -> (Vec<(PacketMeta, Vec<u8>)>, Option<Error>) {
    let mut packets = Vec::new();
    let mut source = match CaptureFile::from_reader(reader) {
        Ok(source) => source,
        Err(error) => return (packets, Some(error)),
    };
    loop {
        match source.next_batch(Timeout::Never) {
            Ok(Next::Batch(batch)) => {
                assert!((1..=BATCH).contains(&batch.len()));
                packets.extend(
                    batch
                        .packets()
                        .map(|packet: Packet<'_>| (*packet.meta(), packet.data().to_vec())),
                );
            }
            Ok(_) => return (packets, None),
            Err(error) => {
                assert!(
                    matches!(source.next_batch(Timeout::Never), Ok(Next::End)),
                    "an error comes once"
                );
                assert_eq!(source.statistics().expect("always").malformed, 1);
                return (packets, Some(error));
            }
        }
    }
}

fn damage(error: Option<Error>) -> (u64, u64, Damage) {
    match error {
        Some(Error::Damaged { record, offset, damage }) => (record, offset, damage),
        other => panic!("not damaged: {other:?}"),
    }
}

#[test]
fn every_flavour_of_pcap() {
    for big_endian in [false, true] {
        for (magic, extra, nanos) in
            [(0xa1b2_c3d4, 0, 5_000), (0xa1b2_3c4d, 0, 5), (0xa1b2_cd34, 8, 5_000)]
        {
            let mut file = pcap(magic, big_endian, [2, 4], 0x1400_0001);
            pcap_record(&mut file, big_endian, [3, 5, 4, 90], extra, b"abcd");
            pcap_record(&mut file, big_endian, [4, 6, 0, 0], extra, b"");
            let (packets, error) = read(file);
            assert!(error.is_none(), "{error:?}");
            let (meta, data) = &packets[0];
            assert_eq!((&data[..], meta.wire_len, meta.number), (&b"abcd"[..], 90, 1));
            assert_eq!(meta.timestamp, Timestamp::from_nanos(3_000_000_000 + nanos));
            assert_eq!(
                meta.link_type,
                LinkType::ETHERNET,
                "the length of the check sequence is no link type"
            );
            assert_eq!((packets[1].1.len(), packets[1].0.number), (0, 2));
        }
    }
}

#[test]
fn records_of_the_modified_form_may_have_the_usual_magic_number() {
    for big_endian in [false, true] {
        for (extra, second) in [(8, 9), (0, 9), (0, 1 << 24)] {
            let mut file = pcap(0xa1b2_c3d4, big_endian, [2, 4], 1);
            pcap_record(&mut file, big_endian, [7_000, 5, 4, 90], extra, b"abcd");
            pcap_record(&mut file, big_endian, [7_001, 6, second, second], extra, b"efghijklm");
            let (packets, error) = read(file);
            assert_eq!((&packets[0].1[..], packets[0].0.wire_len), (&b"abcd"[..], 90));
            if second == 9 {
                assert!(error.is_none(), "{error:?}");
                assert_eq!((&packets[1].1[..], packets.len()), (&b"efghijklm"[..], 2));
            } else {
                // A false length alone makes nothing of the modified form.
                let expected = Damage::PacketLength { length: second, limit: 262_144 };
                assert_eq!(damage(error), (2, 44, expected));
            }
        }
    }
}

#[test]
fn lengths_of_old_versions_are_the_other_way_round() {
    for (version, fields) in
        [([2, 2], [0, 0, 60, 4]), ([2, 3], [0, 0, 60, 4]), ([2, 3], [0, 0, 4, 60])]
    {
        let mut file = pcap(0xa1b2_c3d4, false, version, 1);
        pcap_record(&mut file, false, fields, 0, b"abcd");
        let (packets, error) = read(file);
        assert!(error.is_none(), "{error:?}");
        assert_eq!((packets[0].0.wire_len, &packets[0].1[..]), (60, &b"abcd"[..]));
    }
    let (_, error) = read(pcap(0xa1b2_c3d4, false, [3, 0], 1));
    assert_eq!(damage(error), (0, 0, Damage::Version { major: 3, minor: 0 }));
}

#[test]
fn what_comes_before_the_damage_is_delivered() {
    let mut file = pcap(0xa1b2_c3d4, false, [2, 4], 1);
    for _ in 0..BATCH + 3 {
        pcap_record(&mut file, false, [1, 1, 4, 4], 0, b"good");
    }
    let (end, next) = (file.len() as u64, BATCH as u64 + 4);
    let mut cut = file.clone();
    pcap_record(&mut cut, false, [1, 1, 40, 40], 0, b"cut short");
    let (packets, error) = read(cut);
    assert_eq!(packets.len(), BATCH + 3);
    assert_eq!(damage(error), (next, end, Damage::CutShort { present: 25, needed: 56 }));

    let mut long = file.clone();
    pcap_record(&mut long, false, [1, 1, 0x4000_0000, 40], 0, b"");
    let (packets, error) = read(long);
    assert_eq!(packets.len(), BATCH + 3);
    assert_eq!(
        damage(error),
        (next, end, Damage::PacketLength { length: 0x4000_0000, limit: 256 << 10 })
    );
}

/// pcap has the length in the file header, in 16-bit words. pcapng has it with the interface, in
/// bytes or (as the draft says) in bits, and with each packet.
#[test]
fn check_sequences_are_no_data() {
    let frame = b"frame-and-check";
    let mut words = pcap(0xa1b2_c3d4, false, [2, 4], 0x2400_0001);
    pcap_record(&mut words, false, [1, 1, 15, 15], 0, frame);
    let mut without_flag = pcap(0xa1b2_c3d4, false, [2, 4], 0x2000_0001);
    pcap_record(&mut without_flag, false, [1, 1, 15, 15], 0, frame);
    let pcapng = |interface: Option<u8>, flags: Option<u32>| {
        let mut file = Blocks::default();
        file.section();
        let options = interface.map(|len| file.option(13, &[len]));
        file.interface(1, 0, options.as_slice());
        let options = flags.map(|flags| file.option(2, &file.u32(flags)));
        file.packet(0, 1, 15, frame, options.as_slice());
        file.bytes
    };
    for (file, len) in [
        (words, 4),
        (without_flag, 0),
        (pcapng(None, None), 0),
        (pcapng(Some(4), None), 4),
        (pcapng(Some(32), None), 4),
        (pcapng(Some(4), Some(1)), 4),
        (pcapng(Some(4), Some(2 << 5)), 2),
        (pcapng(None, Some(4 << 5)), 4),
    ] {
        let (packets, error) = read(file);
        assert!(error.is_none(), "{error:?}");
        let (meta, data) = &packets[0];
        assert_eq!((meta.fcs_len, &data[..]), (len, &frame[..]));
        let rest = &frame[..15 - usize::from(len)];
        let packet = Packet::with_meta(data, *meta).without_fcs();
        assert_eq!((packet.data(), packet.wire_len()), (rest, rest.len() as u32));
    }
    // A truncated frame may lack its check sequence, in part or altogether.
    let mut meta = PacketMeta::new(1, Timestamp::default(), LinkType::ETHERNET);
    (meta.wire_len, meta.fcs_len) = (15, 4);
    for captured in 0..=frame.len() {
        let packet = Packet::with_meta(&frame[..captured], meta).without_fcs();
        let (data, wire_len) = (packet.data(), packet.wire_len());
        assert_eq!((data, wire_len), (&frame[..captured.min(11)], 11));
    }
    meta.wire_len = 0;
    assert_eq!(Packet::with_meta(b"ab", meta).without_fcs().wire_len(), 0);
}

#[test]
fn pcapng_with_two_sections_of_different_byte_order() {
    let mut file = Blocks::default();
    file.section();
    file.interface(1, 0, &[file.option(2, b"eth0"), file.option(9, &[9])]);
    file.interface(
        101,
        0,
        &[file.option(9, &[0x80 | 10]), file.option(14, &file.u64(100)), file.option(0, b"")],
    );
    file.block(0x1234, &[b"unknown blocks are skipped"]);
    file.packet(
        0,
        7,
        0,
        b"nanoseconds",
        &[file.option(2, &file.u32(2)), file.option(4, &file.u64(3))],
    );
    file.packet(1, 1536, 99, b"binary", &[]);
    file.block(
        5,
        &[&file.u32(1), &[0; 8], &file.option(5, &file.u64(40)), &file.option(7, &file.u64(2))],
    );
    file.block(0xbad, &[&[0; 8]]);
    let old = |file: &Blocks, interface| {
        let halves = [interface, 7].map(|v| file.u16(v)).concat();
        [halves, [0, 3_000_000, 3, 4].map(|v| file.u32(v)).concat()].concat()
    };
    file.block(2, &[&old(&file, 1), b"old"]);
    file.big_endian = true;
    file.section();
    file.interface(113, 3, &[file.option(14, &file.u64(-1_i64 as u64))]);
    file.packet(0, 2_000_000, 0, b"micro", &[]);
    file.block(3, &[&file.u32(9), b"simple"]);
    file.block(2, &[&old(&file, 0), b"old"]);

    let mut source = CaptureFile::from_reader(Cursor::new(file.bytes.clone())).expect("a header");
    while let Ok(Next::Batch(_)) = source.next_batch(Timeout::Never) {}
    let Statistics { packets, drops, truncated, losing, malformed, .. } =
        source.statistics().expect("always");
    assert_eq!((packets, drops, truncated, losing, malformed), (6, 42, 4, 1, 0));
    assert_eq!(source.frames(), 7);
    assert_eq!(source.position(), file.bytes.len() as u64);
    assert_eq!(source.interfaces().len(), 3);
    assert_eq!(source.interfaces()[0].name.as_deref(), Some("eth0"));
    assert_eq!(source.link_type(), None);

    let (packets, error) = read(file.bytes);
    assert!(error.is_none(), "{error:?}");
    let told: Vec<_> = packets
        .iter()
        .map(|(m, data)| {
            (m.number, m.interface, m.link_type.0, m.timestamp.as_nanos(), m.wire_len, &data[..])
        })
        .collect();
    assert_eq!(
        told,
        [
            (1, 0, 1, 7, 11, &b"nanoseconds"[..]),
            (2, 1, 101, 101_500_000_000, 99, b"binary"),
            (4, 1, 101, 3_029_687_500_000, 4, b"old"),
            (5, 2, 113, 1_000_000_000, 5, b"micro"),
            (6, 2, 113, 0, 9, b"sim"),
            (7, 2, 113, 2_000_000_000, 4, b"old"),
        ]
    );
    assert_eq!((packets[0].0.direction, packets[0].0.losing), (Direction::Outgoing, true));
    assert_eq!(
        (packets[1].0.direction, packets[1].0.checksum),
        (Direction::Unknown, ChecksumStatus::Unknown)
    );
}

#[test]
fn time_stamps_of_every_resolution() {
    let second = 1_000_000_000;
    for (resolution, offset, ticks, nanos) in [
        (0, 0, 3, 3 * second),
        (9, 2, 5, 2 * second + 5),
        (6, 0, u64::MAX, u64::MAX),
        (9, 1, u64::MAX, u64::MAX),
        (9, -9, 1, 0),
        (12, 0, 1_999, 1),
        (12, 0, u64::MAX, u64::MAX / 1_000),
        (0x80, -1, 4, 3 * second),
        (0x80 | 20, 0, 3 << 19, 3 * second / 2),
        (0x80 | 1, 0, u64::MAX, u64::MAX),
        (127, 0, u64::MAX, 0),
    ] {
        let mut file = Blocks::default();
        file.section();
        let offset = file.u64(i64::from(offset) as u64);
        file.interface(1, 0, &[file.option(14, &offset), file.option(9, &[resolution])]);
        file.packet(0, ticks, 0, b"data", &[]);
        let (packets, error) = read(file.bytes);
        assert!(error.is_none(), "{error:?}");
        assert_eq!(packets[0].0.timestamp.as_nanos(), nanos, "{ticks} of {resolution:#x}");
    }
}

#[test]
fn hostile_blocks() {
    let start = || {
        let mut file = Blocks::default();
        file.section().interface(1, 0, &[]).packet(0, 1, 4, b"good", &[]);
        file
    };
    let at = start().bytes.len() as u64;
    type Append<'a> = &'a dyn Fn(&mut Blocks);
    let cases: [(Append<'_>, Damage); 6] = [
        (&|f| _ = f.packet(7, 1, 4, b"lost", &[]), Damage::UnknownInterface { index: 7, known: 1 }),
        (
            &|f| f.bytes.extend([6, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0, 0]),
            Damage::BlockLength { block_type: 6, length: 8, least: 32, limit: 144 << 20 },
        ),
        (
            &|f| f.bytes.extend([9, 0, 0, 0, 0, 0, 0, 0xf0, 0, 0, 0, 0]),
            Damage::BlockLength { block_type: 9, length: 0xf000_0000, least: 12, limit: 16 << 20 },
        ),
        (
            &|f| {
                f.packet(0, 1, 4, b"end?", &[]);
                *f.bytes.last_mut().expect("a block") = 1;
            },
            Damage::BlockEnd { first: 36, last: 0x0100_0024 },
        ),
        (
            &|f| _ = f.block(6, &[&[0; 12], &[200, 0, 0, 0], &[0; 8]]),
            Damage::PacketInBlock { length: 200, room: 4 },
        ),
        (
            &|f| f.bytes.extend([0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 1, 2, 3, 4]),
            Damage::ByteOrder(0x0403_0201),
        ),
    ];
    for (append, expected) in cases {
        let mut file = start();
        append(&mut file);
        let (packets, error) = read(file.bytes);
        assert_eq!(packets.len(), 1);
        let text = error.as_ref().map(ToString::to_string).unwrap_or_default();
        assert!(text.starts_with(&format!("record 4 at byte {at}: a ")), "{text}");
        assert_eq!(damage(error), (4, at, expected));
    }
}

#[test]
fn no_change_of_a_byte_makes_it_panic_or_loop() {
    let mut file = Blocks::default();
    file.section();
    file.interface(1, 64, &[file.option(2, b"eth0"), file.option(9, &[6])]);
    file.packet(0, 1, 4, b"some", &[file.option(2, &[1, 0, 0, 0])])
        .block(3, &[&[4, 0, 0, 0], b"more"]);
    file.block(5, &[&[0; 12], &file.option(5, &[9; 8])]);
    let mut old = pcap(0xa1b2_c3d4, false, [2, 4], 1);
    pcap_record(&mut old, false, [1, 1, 4, 4], 0, b"data");
    for whole in [file.bytes, old] {
        for at in 0..whole.len() {
            for value in [0, 1, 4, 0x0a, 0x7f, 0x80, 0xff, whole[at] ^ 1] {
                let mut changed = whole.clone();
                changed[at] = value;
                let (packets, _) = read(changed);
                assert!(packets.len() <= whole.len());
            }
            let (packets, _) = read(&whole[..at]);
            assert!(packets.len() <= 2);
        }
    }
}

#[test]
fn a_reader_of_single_bytes_gives_the_same() {
    struct Trickle(Cursor<Vec<u8>>, bool);
    impl Read for Trickle {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                Err(io::ErrorKind::Interrupted.into())
            } else {
                self.0.read(&mut buffer[..1])
            }
        }
    }
    let mut file = pcap(0xa1b2_3c4d, true, [2, 4], 1);
    for at in 0..50_u32 {
        pcap_record(&mut file, true, [at, at, 200, 200], 0, &[at as u8; 200]);
    }
    let (expected, _) = read(file.clone());
    let (packets, error) = read_from(Trickle(Cursor::new(file), false));
    assert!(error.is_none());
    assert_eq!(packets, expected);
}

#[test]
fn kept_memory_is_not_written_again() {
    let mut file = pcap(0xa1b2_3c4d, false, [2, 4], 1);
    for at in 0..20_000_u32 {
        pcap_record(&mut file, false, [0, at, 300, 300], 0, &[at as u8; 300]);
    }
    let mut source = CaptureFile::from_reader(Cursor::new(file)).expect("a header");
    let mut kept = Vec::new();
    while let Next::Batch(batch) = source.next_batch(Timeout::Never).expect("whole") {
        let memory = batch.retain().expect("files can be kept");
        kept.extend(
            batch
                .packets()
                .step_by(97)
                .map(|p| (p.timestamp().as_nanos(), memory.slice_ref(p.data()))),
        );
    }
    assert!(kept.len() > 200);
    for (nanos, data) in kept {
        assert_eq!(data, vec![nanos as u8; 300]);
    }
}

#[test]
fn packets_of_the_greatest_length() {
    let mut file = pcap(0xa1b2_c3d4, false, [2, 4], 1);
    let data = vec![7; 256 << 10];
    for _ in 0..9 {
        pcap_record(&mut file, false, [0, 0, 256 << 10, 256 << 10], 0, &data);
    }
    let (packets, error) = read(file);
    assert!(error.is_none());
    assert_eq!(packets.len(), 9);
    assert!(packets.iter().all(|(_, bytes)| *bytes == data));
}

#[test]
fn other_formats_are_refused_by_name() {
    for (start, format) in [
        (&b"\x1f\x8b\x08\0\0\0\0\0"[..], ForeignFormat::Gzip),
        (b"snoop\0\0\0\0\0\0\x02", ForeignFormat::Snoop),
        (b"btsnoop\0\0\0\0\x01", ForeignFormat::BtSnoop),
        (b"\x54\x52\0\x64\0\0\0\0", ForeignFormat::Nettl),
    ] {
        match read(start).1 {
            Some(Error::ForeignFormat { format: found }) => assert_eq!(found, format),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(read(*b"GET / HTTP/1.1").1, Some(Error::UnknownFormat { .. })));
    assert_eq!(damage(read(*b"").1), (0, 0, Damage::CutShort { present: 0, needed: 24 }));
    assert_eq!(
        damage(read(*b"\xd4\xc3\xb2\xa1\x02\0").1),
        (0, 0, Damage::CutShort { present: 6, needed: 24 })
    );
    assert!(matches!(CaptureFile::open("/nonexistent/x.pcap"), Err(Error::Open { .. })));
}

#[test]
fn a_pipe_is_waited_for_and_the_wait_can_end() {
    use std::io::Write as _;
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    let (reader, mut writer) = io::pipe().expect("a pipe");
    let mut file = pcap(0xa1b2_c3d4, false, [2, 4], 1);
    pcap_record(&mut file, false, [1, 1, 4, 4], 0, b"one.");
    writer.write_all(&file).expect("room");
    let mut source = CaptureFile::from_file(File::from(OwnedFd::from(reader))).expect("a header");
    let Ok(Next::Batch(batch)) = source.next_batch(Timeout::Never) else {
        panic!("what is there comes at once")
    };
    assert_eq!(batch.len(), 1);
    let short = Timeout::After(Duration::from_millis(5));
    assert!(matches!(source.next_batch(Timeout::Now), Ok(Next::TimedOut)));
    assert!(matches!(source.next_batch(short), Ok(Next::TimedOut)));
    let interrupter = source.interrupter().expect("a pipe has one");
    let other = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        interrupter.interrupt();
    });
    assert!(matches!(source.next_batch(Timeout::Never), Ok(Next::Interrupted)));
    other.join().expect("the other thread");

    let mut record = Vec::new();
    pcap_record(&mut record, false, [2, 2, 4, 4], 0, b"two.");
    writer.write_all(&record[..10]).expect("room");
    assert!(matches!(source.next_batch(short), Ok(Next::TimedOut)), "half a header");
    writer.write_all(&record[10..]).expect("room");
    let Ok(Next::Batch(batch)) = source.next_batch(Timeout::Never) else {
        panic!("the other half")
    };
    assert_eq!(batch.packets().map(|packet| packet.data().to_vec()).collect::<Vec<_>>(), [b"two."]);
    drop(writer);
    assert!(matches!(source.next_batch(Timeout::Never), Ok(Next::End)));
}

#[test]
fn a_file_is_not_waited_for() {
    let path = std::env::temp_dir().join(format!("capture-file-{}.pcap", std::process::id()));
    let mut bytes = pcap(0xa1b2_c3d4, false, [2, 4], 1);
    pcap_record(&mut bytes, false, [1, 1, 4, 4], 0, b"file");
    std::fs::write(&path, &bytes).expect("written");
    let mut source = CaptureFile::open(&path).expect("opened");
    // If the file is truncated while it is read, reading just ends.
    std::fs::write(&path, b"").expect("truncated");
    assert!(source.interrupter().is_none() && source.readiness().is_none());
    assert!(matches!(source.next_batch(Timeout::Never), Ok(Next::Batch(_))));
    assert!(matches!(source.next_batch(Timeout::Never), Ok(Next::End)));
    std::fs::remove_file(path).expect("removed");
    assert!(matches!(CaptureFile::open("/dev/null"), Err(Error::Damaged { .. })));
}
