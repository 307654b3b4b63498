//! Errors are for those who type commands: they name options, never items of the libraries beneath.

mod folder;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use folder::Folder;
use traffic::{Profile, Traffic};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The source files below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) -> Result {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

/// The texts in quotation marks of a piece of source.
fn texts(source: &str) -> impl Iterator<Item = &str> {
    source.split('"').skip(1).step_by(2)
}

/// The text if it names an item, such as `Kind::Name` or `call(true)`. Addresses have two colons as
/// well, behind hexadecimal digits alone.
fn item(text: &str) -> Option<&str> {
    let is_path = |(at, _): (usize, &str)| {
        let word = text[..at].rsplit(|letter: char| !letter.is_alphanumeric()).next();
        word.is_some_and(|word| word.chars().any(|letter| !letter.is_ascii_hexdigit()))
    };
    let names =
        text.match_indices("::").any(is_path) || text.contains("(true)") || text.contains("()`");
    names.then_some(text)
}

#[test]
fn items_are_told_from_addresses() {
    assert!(item("2001:db8::1/64 is not possible: use fe80::1 or ::").is_none());
    assert!(item("use `Kind::Name`").is_some() && item("built with `offloads(true)`").is_some());
}

/// The error texts of the crates beneath reach the command's users as they are.
#[test]
fn no_error_text_of_the_libraries_names_an_item() -> Result {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no parent")?;
    let mut files = Vec::new();
    for name in
        ["conversation", "flow", "netns", "packet-filter", "ring-core", "ring-sys", "ringtap"]
    {
        sources(&crates.join(name).join("src"), &mut files)?;
    }
    let mut seen = 0;
    for file in files {
        let source = fs::read_to_string(&file)?;
        let attributes =
            source.split("#[error(").skip(1).filter_map(|rest| rest.split(")]").next());
        let hints = source.split("hint: ").skip(1).filter_map(|rest| rest.lines().next());
        for text in attributes.chain(hints).flat_map(texts) {
            assert_eq!(item(text), None, "{}", file.display());
            seen += 1;
        }
    }
    assert!(seen > 100, "only {seen} texts were found");
    Ok(())
}

/// A text without its cause lets a program print the chain of both: `what: why`.
#[test]
fn no_error_text_of_the_libraries_repeats_its_cause() -> Result {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no parent")?;
    let (mut files, mut seen) = (Vec::new(), 0);
    for name in ["conversation", "flow", "netns", "packet-filter", "ring-core", "ring-sys"] {
        sources(&crates.join(name).join("src"), &mut files)?;
    }
    for file in files {
        let source = fs::read_to_string(&file)?;
        for variant in source.split("#[error(").skip(1) {
            let (text, rest) = variant.split_once(")]").unwrap_or((variant, ""));
            assert!(!text.contains("source"), "{}: {text}", file.display());
            // The variant itself, up to the end of its line.
            let line = rest.trim_start().lines().next().unwrap_or_default();
            if line.contains("#[source]") || line.contains("#[from]") {
                assert!(!text.contains("{0"), "{}: {text}", file.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 3, "only {seen} causes were found");
    Ok(())
}

/// The command prints each cause, and none twice.
#[test]
fn an_error_is_one_line_with_its_cause() -> Result {
    let folder = Folder::new("causes")?;
    for (line, said) in [
        ("capture -r missing", "missing: No such file or directory (os error 2)"),
        ("flows -r .", ".: read the capture file: Is a directory (os error 21)"),
        ("follow -r missing/file", "missing/file: No such file or directory (os error 2)"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
        let output = command.args(line.split(' ')).current_dir(&folder.0).output()?;
        assert_eq!(String::from_utf8(output.stderr)?, format!("ringtap: {said}\n"), "{line}");
    }
    Ok(())
}

/// Errors that need no interface and no privileges.
#[test]
fn no_error_of_a_command_names_an_item() -> Result {
    let folder = Folder::new("errors")?;
    let file = folder.0.join("some.pcap");
    Traffic::new(Profile::MIXED).connections(2).capture().write_pcap(File::create(&file)?)?;
    let (text, cut) = (folder.0.join("text"), folder.0.join("cut.pcap"));
    fs::write(&text, "no capture")?;
    fs::write(&cut, &fs::read(&file)?[..1000])?;
    fs::write(folder.0.join("gzip"), [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0])?;
    let lines = [
        "capture",
        "capture -r missing",
        "capture -r text",
        "capture -r gzip",
        "capture -r cut.pcap",
        "capture -r .",
        "capture -r some.pcap -w some.pcap",
        "capture -r some.pcap -w missing/out.pcap",
        "capture -r some.pcap -y PPP -w out.pcap",
        "capture -r some.pcap -W 3",
        "capture -r some.pcap -c 0",
        "capture -r some.pcap ip broadcast",
        "capture -r some.pcap icmp and tcp",
        "capture -r some.pcap inbound",
        "capture -r some.pcap host nobody",
        "capture -r some.pcap tcp[70000:9]",
        "capture -r some.pcap --backend xdp",
        "capture -d vlan 70000",
        "capture -i missing",
        "capture -i missing --backend xdp",
        "capture -i lo -B 4294967295",
        "capture -i lo --backend xdp --forward lo",
        "capture -i lo --backend xdp --forward missing",
        "capture -i lo --backend xdp -B 4",
        "capture -i lo --forward lo",
        "follow -r some.pcap --write-dir text",
        "follow -r some.pcap -w out.pcap",
        "follow -r some.pcap -o nothing",
        "follow -r missing",
        "follow -i missing",
        "flows -r missing",
        "flows -r text",
        "flows -i missing --backend xdp",
    ];
    for line in lines {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringtap"));
        let output = command.args(line.split(' ')).current_dir(&folder.0).output()?;
        let errors = String::from_utf8(output.stderr)?;
        assert!(!output.status.success(), "{line}: {errors}");
        assert!(!errors.is_empty(), "{line}");
        assert_eq!(item(&errors), None, "{line}");
        // What Debug would print of an error's value.
        for left in ["Error {", "source: ", "Os {", "Some(", "kind: "] {
            assert!(!errors.contains(left), "{line}: {errors}");
        }
    }
    Ok(())
}
