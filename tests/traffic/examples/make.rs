//! Writes a generated capture: `make mixed|bulk CONNECTIONS FILE`.

use std::fs::File;
use std::io::BufWriter;

use traffic::{Profile, Traffic};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [profile, connections, file] = &arguments[..] else {
        return Err("make mixed|bulk CONNECTIONS FILE".into());
    };
    let profile = match profile.as_str() {
        "mixed" => Profile::MIXED,
        "bulk" => Profile::BULK,
        other => return Err(format!("no profile is called {other}").into()),
    };
    let capture = Traffic::new(profile).connections(connections.parse()?).capture();
    capture.write_pcap(BufWriter::new(File::create(file)?))?;
    println!(
        "{} packets, {} bytes, {} of payload",
        capture.len(),
        capture.wire_bytes(),
        capture.payload_bytes()
    );
    Ok(())
}
