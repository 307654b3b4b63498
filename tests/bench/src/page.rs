//! The page of results, `docs/BENCHMARKS.md`: a section for each group, with the machine and the
//! day of the measurement. Groups that were not measured this time keep their section.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use crate::report::{Report, Row};

const TITLE: &str = "# Benchmarks

This page is written by `cargo xtask bench [GROUP] --markdown docs/BENCHMARKS.md`; do not edit it. A row with a peer
measured both alternately within one run, and shows the medians, with the minimum and maximum of the runs. Compare
ratios, not times of different machines. `cargo xtask bench --check` fails if a bar (a target) is missed. If a peer could
not be built or run, its column gives the reason.
";

/// Starts a section.
const SECTION: &str = "\n## ";

/// Writes the sections of these groups into the page, in the order of `all`.
pub(crate) fn write(path: &Path, all: &[&str], measured: Vec<(&str, Vec<Row>)>) -> io::Result<()> {
    let before = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text?,
    };
    let machine = machine();
    let mut sections: Vec<_> = before.split(SECTION).skip(1).map(str::to_owned).collect();
    for (group, rows) in measured {
        let mut report = Report::default();
        report.extend(rows);
        let about = about(group);
        let section = format!("{group}\n\n{about}Measured on {machine}.\n\n{report}");
        match sections.iter_mut().find(|section| name(section) == group) {
            Some(old) => *old = section,
            None => sections.push(section),
        }
    }
    sections.sort_by_key(|section| all.iter().position(|group| *group == name(section)));
    let mut page = TITLE.to_owned();
    for section in sections {
        let _ = writeln!(page, "{SECTION}{}", section.trim_end());
    }
    fs::write(path, page)
}

fn name(section: &str) -> &str {
    section.lines().next().unwrap_or_default()
}

/// The method of measurement of a group, if its rows do not explain it.
fn about(group: &str) -> &'static str {
    match group {
        "ring" => {
            "Receiving through AF_PACKET from a veth pair in a namespace of its own: sender on one processor, receiver \
on another, a ring of 64 blocks of 4 MiB each (libpcap: a buffer of the same size). Processor time is the receiving \
process's, user and system. On veth the kernel's share of receiving runs on the sender's processor, so a receiver also \
costs the sender time. To measure it, a sender alternates between this pair and a second one without a receiver, 2048 \
frames each; the result of a run is the median of the differences between neighbours.\n\n"
        }
        "inject" => {
            "Sending through AF_PACKET into a veth, past the queueing discipline, 64 frames a call. Frames are counted \
at the other end. The rate of the C program shows how much the kernel accepts here.\n\n"
        }
        "xdp" => {
            "AF_XDP on a veth pair, native mode, copied by the kernel (veth has no zero-copy). The received packets \
were sent with sendmmsg from the other processor. A socket with default settings takes the packets of 200 µs at one \
wake-up; with `xdp::Wait::Sleep` each packet wakes it, as it does the peers.\n\n"
        }
        _ => "",
    }
}

/// Describes the machine.
fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("an unknown processor", |(_, model)| model.trim());
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let hypervisor = if cpu.contains(" hypervisor") { ", a virtual machine" } else { "" };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let rustc = says("rustc", &["--version"]);
    let day = says("date", &["-u", "+%Y-%m-%d %H:%M UTC"]);
    format!("{model}, {cores} cores{hypervisor}; Linux {}; {rustc}; {day}", kernel.trim())
}

fn says(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => format!("{program} unknown"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Spread;

    fn row(group: &'static str, case: &str) -> Row {
        let (case, subject) = (case.to_owned(), Spread::single(1.0));
        Row { group, case, unit: "ns", subject, peer: None, bar: None }
    }

    #[test]
    fn groups_keep_what_they_have_until_they_are_measured_again() {
        let path = std::env::temp_dir().join(format!("page-{}.md", std::process::id()));
        let all = ["first", "second"];
        write(&path, &all, vec![("second", vec![row("second", "old")])]).expect("a page");
        write(&path, &all, vec![("first", vec![row("first", "only")])]).expect("a page");
        write(&path, &all, vec![("second", vec![row("second", "new")])]).expect("a page");
        let page = fs::read_to_string(&path).expect("the page");
        fs::remove_file(&path).expect("the page");
        assert!(page.starts_with(TITLE) && !page.contains("| old |"), "{page}");
        let place = |text| page.find(text).expect(text);
        assert!(place("## first") < place("only") && place("only") < place("## second"), "{page}");
        assert!(place("## second") < place("new"), "{page}");
    }
}
