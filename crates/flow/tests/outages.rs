//! Captures of one connection that miss stretches of it.

use flow_testkit::outages::Case;

/// The seeds, of which `OUTAGES` and `OUTAGES_FIRST` choose the number and the first.
fn seeds() -> std::ops::Range<u64> {
    let number = |name, default| {
        std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(default)
    };
    let first = number("OUTAGES_FIRST", 0);
    first..first + number("OUTAGES", 150)
}

/// Further seeds of which one was wrong once.
const FOUND: [u64; 10] = [264, 1579, 1754, 1883, 2349, 2966, 3335, 11_139, 12_178, 17_338];

#[test]
fn every_captured_byte_is_in_its_place() {
    let mut wrong = Vec::new();
    for seed in seeds().chain(FOUND) {
        if let Err(reason) = (Case { seed }).check() {
            wrong.push(format!("{seed}: {reason}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Prints cases, and writes them to the folder that `OUTAGES_FOLDER` names.
#[test]
#[ignore = "for a person who looks at a case"]
fn shows() {
    for seed in seeds() {
        let case = Case { seed };
        println!("{}", case.describe());
        let Ok(folder) = std::env::var("OUTAGES_FOLDER") else { continue };
        let mut file = Vec::from([0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        file.extend([0, 0, 4, 0, 101, 0, 0, 0]);
        for (time, frame) in case.frames() {
            let time = time.as_nanos();
            let len = frame.len() as u64;
            for word in [time / 1_000_000_000, time % 1_000_000_000, len, len] {
                file.extend((word as u32).to_le_bytes());
            }
            file.extend(frame);
        }
        std::fs::write(format!("{folder}/{seed}.pcap"), file).unwrap();
    }
}
