use std::collections::BTreeMap;
use std::env;
use std::sync::{Arc, Mutex};

use super::*;
use crate::{
    CaptureFile, FileFormat, LinkType, Next, PacketBatch as _, PacketMeta, PacketSource as _,
    Timeout, Unwritable,
};

/// A temporary directory.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("capture-file-{name}-{}", std::process::id()));
        fs::create_dir(&path).expect("a new folder");
        Self(path)
    }

    /// The packets of each file, as the seconds of their timestamps.
    fn files(&self) -> BTreeMap<String, Vec<u64>> {
        let entries = fs::read_dir(&self.0).expect("it is there");
        let read = |path: &Path| {
            let mut file = CaptureFile::open(path).expect("a capture");
            let mut seconds = Vec::new();
            while let Next::Batch(batch) = file.next_batch(Timeout::Never).expect("whole") {
                seconds.extend(batch.packets().map(|packet| packet.timestamp().seconds()));
            }
            assert_eq!(file.interfaces()[0].name.as_deref(), Some("eth0"), "{}", path.display());
            seconds
        };
        entries
            .map(|entry| entry.expect("readable"))
            .map(|entry| (entry.file_name().to_string_lossy().into_owned(), read(&entry.path())))
            .collect()
    }

    fn names(&self) -> Vec<String> {
        self.files().into_keys().collect()
    }

    fn writer(&self, name: &str, rotation: Rotation) -> RotatingWriter {
        let mut writer =
            CaptureWriter::builder().rotate(self.0.join(name), rotation).expect("made");
        let description = InterfaceDescription::new(LinkType::ETHERNET).name("eth0");
        writer.add_interface(0, description).expect("the first");
        writer
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("it was there");
    }
}

fn write(writer: &mut RotatingWriter, seconds: u64) -> Result<(), Error> {
    let time = Timestamp::from_parts(seconds, 0);
    writer.write(&Packet::with_meta(&[0; 100], PacketMeta::new(1, time, LinkType::ETHERNET)))
}

fn of(numbers: impl Iterator<Item = u64>) -> Vec<u64> {
    numbers.collect()
}

#[test]
fn by_size() {
    let folder = Folder::new("size");
    let finished = Arc::new(Mutex::new(Vec::new()));
    let mut writer = folder.writer("x.pcapng", Rotation::new().size(1000)).on_finish({
        let finished = Arc::clone(&finished);
        move |path| finished.lock().unwrap().push(path.to_owned())
    });
    for at in 0..30 {
        write(&mut writer, at).unwrap();
    }
    assert_eq!(writer.finish().unwrap().packets, 30);
    let files = folder.files();
    assert_eq!(
        files.keys().collect::<Vec<_>>(),
        ["x.pcapng", "x.pcapng1", "x.pcapng2", "x.pcapng3"]
    );
    assert_eq!(files.into_values().flatten().collect::<Vec<_>>(), of(0..30), "each once, in order");
    assert_eq!(finished.lock().unwrap().len(), 4);
    assert!(fs::metadata(folder.0.join("x.pcapng")).unwrap().len() < 1000 + 132);
}

#[test]
fn by_size_in_a_circle() {
    let folder = Folder::new("circle");
    let mut writer = folder.writer("x", Rotation::new().size(1).files(11));
    for at in 0..25 {
        write(&mut writer, at).unwrap();
    }
    writer.finish().unwrap();
    let files = folder.files();
    assert_eq!(files.len(), 11);
    assert_eq!((&files["x00"], &files["x02"], &files["x03"]), (&vec![22], &vec![24], &vec![14]));
    assert_eq!(files["x10"], [21]);

    // The smallest ring of files has one file.
    let folder = Folder::new("point");
    let mut writer = folder.writer("x", Rotation::new().size(1).files(1));
    for at in 0..3 {
        write(&mut writer, at).unwrap();
    }
    writer.finish().unwrap();
    assert_eq!(folder.files(), BTreeMap::from([("x".to_owned(), vec![2])]));
}

#[test]
fn by_time() {
    let folder = Folder::new("time");
    let rotation = Rotation::new().interval(Duration::from_secs(10));
    let mut writer = folder.writer("at-%s.pcapng", rotation.clone());
    assert_eq!(folder.names(), [""; 0], "nothing before its time is known");
    for at in [1005, 1014, 1015, 1012, 1060, 1004] {
        write(&mut writer, at).unwrap();
    }
    writer.finish().unwrap();
    let expected = BTreeMap::from([
        ("at-1005.pcapng".to_owned(), vec![1005, 1014]),
        ("at-1015.pcapng".to_owned(), vec![1015, 1012]),
        ("at-1055.pcapng".to_owned(), vec![1060, 1004]),
    ]);
    assert_eq!(folder.files(), expected, "a step back stays where it is");

    // A second capture with the same names overwrites nothing.
    let mut writer = folder.writer("at-%s.pcapng", rotation);
    write(&mut writer, 1005).unwrap();
    writer.finish().unwrap();
    assert_eq!(folder.files()["at-1005.pcapng"], [1005, 1014]);
    assert_eq!(folder.files()["at-1005.pcapng1"], [1005]);
}

#[test]
fn a_file_that_cannot_be_removed_stays_and_is_told_once() {
    let folder = Folder::new("stays");
    let rotation = Rotation::new().interval(Duration::from_secs(10)).files(2);
    let mut writer = folder.writer("%s", rotation);
    for at in [10, 20] {
        write(&mut writer, at).unwrap();
    }
    assert_eq!(folder.files()["20"], [0; 0], "a file already, without its packet");
    fs::remove_file(folder.0.join("10")).unwrap();
    fs::create_dir(folder.0.join("10")).unwrap();
    assert!(matches!(write(&mut writer, 30), Err(Error::System { .. })));
    for at in [31, 32, 40, 50] {
        write(&mut writer, at).unwrap();
    }
    writer.finish().unwrap();
    fs::remove_dir(folder.0.join("10")).expect("it was left alone");
    assert_eq!(folder.names(), ["40", "50"], "others are removed");
}

#[test]
fn names_that_come_again_get_a_count() {
    let folder = Folder::new("again");
    let mut writer = folder.writer("%Y", Rotation::new().interval(Duration::from_secs(1)).files(3));
    for at in 0..5 {
        write(&mut writer, 1_700_000_000 + at).unwrap();
    }
    writer.finish().unwrap();
    assert_eq!(folder.names(), ["20232", "20233", "20234"], "the oldest are gone");

    let folder = Folder::new("untimed");
    let mut writer = folder.writer("x", Rotation::new().interval(Duration::from_secs(1)));
    for at in 0..3 {
        write(&mut writer, at).unwrap();
    }
    writer.finish().unwrap();
    assert_eq!(folder.names(), ["x", "x1", "x2"]);
}

#[test]
fn a_file_that_cannot_be_made_loses_nothing() {
    let folder = Folder::new("lost");
    let mut writer = folder.writer("x", Rotation::new().size(1));
    fs::create_dir(folder.0.join("x1")).unwrap();
    write(&mut writer, 0).unwrap();
    for _ in 0..3 {
        assert!(matches!(write(&mut writer, 1), Err(Error::Open { .. })));
    }
    fs::remove_dir(folder.0.join("x1")).unwrap();
    write(&mut writer, 1).unwrap();
    writer.finish().unwrap();
    let files = folder.files();
    assert_eq!((&files["x"], &files["x1"]), (&vec![0], &vec![1]));
}

#[test]
fn a_capture_without_packets_leaves_a_file() {
    let folder = Folder::new("empty");
    let timed = folder.writer("%s", Rotation::new().interval(Duration::from_secs(1)));
    timed.finish().unwrap();
    let plain = folder.writer("x", Rotation::new());
    plain.finish().unwrap();
    let names = folder.names();
    assert_eq!((names.len(), &names[1][..]), (2, "x"));
    assert!(names[0].parse::<u64>().unwrap() > 1_700_000_000);
}

#[test]
fn each_file_has_the_statistics() {
    let folder = Folder::new("statistics");
    let mut writer = folder.writer("x", Rotation::new().size(1));
    let mut totals = Statistics::default();
    (totals.packets, totals.drops) = (9, 4);
    writer.set_statistics(0, &totals, Timestamp::default());
    for at in 0..2 {
        write(&mut writer, at).unwrap();
    }
    writer.finish().unwrap();
    for name in ["x", "x1"] {
        let mut file = CaptureFile::open(folder.0.join(name)).unwrap();
        while let Next::Batch(_) = file.next_batch(Timeout::Never).unwrap() {}
        assert_eq!(file.statistics().unwrap().drops, 4, "{name}");
    }
}

#[test]
fn pcap_rotates_too() {
    let folder = Folder::new("pcap");
    let builder = CaptureWriter::builder().format(FileFormat::PcapNanoseconds);
    let mut writer = builder.rotate(folder.0.join("x"), Rotation::new().size(1)).unwrap();
    for at in 0..2 {
        write(&mut writer, at).unwrap();
    }
    drop(writer);
    for name in ["x", "x1"] {
        let mut file = CaptureFile::open(folder.0.join(name)).unwrap();
        let Ok(Next::Batch(batch)) = file.next_batch(Timeout::Never) else { panic!("{name}") };
        assert_eq!(batch.len(), 1);
    }
}

#[test]
fn the_file_that_is_read_is_never_the_next() {
    let folder = Folder::new("rotate-input");
    let mut other = folder.writer("x", Rotation::new());
    write(&mut other, 7).expect("written");
    other.finish().expect("written");
    fs::rename(folder.0.join("x"), folder.0.join("cap1")).expect("renamed");
    let input = fs::metadata(folder.0.join("cap1")).expect("it is there");
    let builder = CaptureWriter::builder().input(&input);
    let rotation = Rotation::new().size(1);
    let mut writer = builder.rotate(folder.0.join("cap"), rotation).expect("made");
    let description = InterfaceDescription::new(LinkType::ETHERNET).name("eth0");
    writer.add_interface(0, description).expect("the first");
    write(&mut writer, 1).expect("written");
    let refused = write(&mut writer, 2).expect_err("cap1 is the input");
    assert!(matches!(refused, Error::Unwritable(Unwritable::Input { .. })), "{refused}");
    drop(writer);
    assert_eq!(folder.files()["cap1"], [7]);
}

#[test]
fn a_number_of_intervals_is_the_end() {
    for (name, expected) in
        [("x", ["x", "x1"]), ("at-%s", ["at-1000", "at-1010"]), ("%Y", ["1970", "19701"])]
    {
        let folder = Folder::new("intervals");
        let rotation = Rotation::new().interval(Duration::from_secs(10)).intervals(2);
        let mut writer = folder.writer(name, rotation);
        writer.begin(Timestamp::from_parts(1000, 0)).unwrap();
        assert_eq!(writer.interval_end(), Some(Timestamp::from_parts(1010, 0)));
        for at in [1003, 1009, 1011, 1019] {
            write(&mut writer, at).unwrap();
        }
        assert!(!writer.is_complete());
        for at in [1020, 1021] {
            let refused = write(&mut writer, at).expect_err("two intervals are over");
            assert!(matches!(refused, Error::Unwritable(Unwritable::Complete)), "{refused}");
            assert!(writer.is_complete());
        }
        assert_eq!(writer.finish().unwrap().packets, 4);
        let of_each = [vec![1003, 1009], vec![1011, 1019]];
        let expected = expected.map(str::to_owned).into_iter().zip(of_each).collect();
        assert_eq!(folder.files(), expected);
    }
}

#[test]
fn intervals_end_though_no_packet_comes() {
    let folder = Folder::new("silence");
    let rotation = Rotation::new().interval(Duration::from_secs(10)).intervals(3);
    let mut writer = folder.writer("x", rotation);
    writer.begin(Timestamp::from_parts(1000, 0)).unwrap();
    for now in [1009, 1010, 1019, 1021, 1029] {
        writer.advance(Timestamp::from_parts(now, 0)).unwrap();
    }
    write(&mut writer, 1025).unwrap();
    assert!(!writer.is_complete());
    writer.advance(Timestamp::from_parts(1030, 0)).unwrap();
    assert!(writer.is_complete());
    writer.finish().unwrap();
    let files = [("x", vec![]), ("x1", vec![]), ("x2", vec![1025])];
    assert_eq!(folder.files(), files.map(|(name, seconds)| (name.to_owned(), seconds)).into());
}

#[test]
fn by_size_within_intervals() {
    let folder = Folder::new("both");
    let rotation = Rotation::new().size(1).interval(Duration::from_secs(10)).digits(2);
    let mut writer = folder.writer("at-%s-", rotation);
    for at in [1000, 1001, 1002, 1010, 1011] {
        write(&mut writer, at).unwrap();
    }
    writer.finish().unwrap();
    let names = ["at-1000-00", "at-1000-01", "at-1000-02", "at-1010-00", "at-1010-01"];
    assert_eq!(folder.names(), names, "none is overwritten, and counts begin anew");
}
