//! The memory that this process may take, which decides about the defaults of limits.
//!
//! A program that runs out of memory is ended: by the kernel, or by itself when an allocation
//! fails. A flood of SYNs makes as many flows as there may be, so in a container of 300 MB they may
//! not take 256 MiB.

use std::fs;
use std::path::{Path, PathBuf};

use super::Size;

/// The limit where memory is plenty.
const MEMORY: usize = 256 << 20;
/// The memory that a command takes besides: the program, a ring of 32 MiB, stacks, and the room
/// that allocators set aside for each thread.
const FIXED: usize = 96 << 20;
/// The same in addresses, most of which have no memory.
const FIXED_ADDRESSES: usize = 320 << 20;
/// The directory at which control groups are mounted.
const GROUPS: &str = "sys/fs/cgroup";
/// Ancestors of the process that are looked at.
const ANCESTORS: usize = 16;

/// The default for flows and waiting bytes.
pub(super) fn memory() -> Size {
    default(room())
}

/// Flows may exceed the limit by a quarter.
fn default(room: usize) -> Size {
    Size((room / 5 * 4).clamp(1 << 20, MEMORY) >> 20 << 20)
}

/// Bytes for flows and for what waits.
fn room() -> usize {
    let addresses = fs::read_to_string("/proc/self/limits").ok().and_then(|text| addresses(&text));
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = roots().into_iter().flat_map(|root| {
        groups.lines().filter_map(move |line| group(line, &root.join(GROUPS))).collect::<Vec<_>>()
    });
    let group = limits.min();
    let memory = [machine, group].into_iter().flatten().min().unwrap_or(usize::MAX);
    let addresses = addresses.unwrap_or(usize::MAX);
    memory.saturating_sub(FIXED).min(addresses.saturating_sub(FIXED_ADDRESSES))
}

/// The resident memory of this process.
pub(super) fn resident() -> Option<usize> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = text.split(' ').nth(1)?.parse().ok()?;
    pages.checked_mul(
        nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok()??.try_into().ok()?,
    )
}

/// Roots under which the control groups may be seen: `ip netns exec` mounts a `/sys` of its own,
/// without them, so those of the process's ancestors are looked at, too.
fn roots() -> Vec<PathBuf> {
    let parent = |stat: &str| stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok();
    let mut roots = vec![PathBuf::from("/")];
    let mut next = Some(std::os::unix::process::parent_id());
    while let Some(pid) = next.filter(|pid| *pid > 0 && roots.len() <= ANCESTORS) {
        roots.push(format!("/proc/{pid}/root").into());
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
        next = stat.ok().and_then(|stat| parent(&stat));
    }
    roots
}

/// `RLIMIT_AS` of `/proc/self/limits`; `None` without a limit.
fn addresses(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The memory that is available without swapping, from `/proc/meminfo`.
fn available(meminfo: &str) -> Option<usize> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<usize>().ok()?.checked_mul(1024)
}

/// The smallest limit of a control group and those around it: cgroups(7), of either version.
fn group(line: &str, root: &Path) -> Option<usize> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
    let (root, file) = match controllers {
        "" => (root.to_owned(), "memory.max"),
        _ if controllers.split(',').any(|one| one == "memory") => {
            (root.join("memory"), "memory.limit_in_bytes")
        }
        _ => return None,
    };
    // Within a container the path may be that of the host, and the container's own group is the
    // root.
    let folder: PathBuf = root.join(path);
    let around = folder.ancestors().take_while(|folder| folder.starts_with(&root));
    let limit =
        |folder: &Path| fs::read_to_string(folder.join(file)).ok()?.trim().parse::<usize>().ok();
    around.filter_map(limit).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_fits_into_the_room_that_there_is() {
        assert_eq!(default(usize::MAX), Size(MEMORY));
        for room in [0, 1 << 20, 50 << 20, 200 << 20, 400 << 20, 2 << 30] {
            let Size(memory) = default(room);
            assert!(memory >= 1 << 20);
            assert!(memory + memory / 4 <= room.max(2 << 20), "{room}: {memory}");
        }
    }

    #[test]
    fn limits_of_the_process_and_the_machine_are_read() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max address space         300000000            unlimited            bytes\n";
        assert_eq!(addresses(limits), Some(300_000_000));
        assert_eq!(
            addresses("Max address space         unlimited            unlimited   bytes"),
            None
        );
        assert_eq!(available("MemTotal: 5 kB\nMemAvailable:    2000 kB\n"), Some(2_048_000));
        assert_eq!(available(""), None);
    }

    #[test]
    fn the_smallest_limit_of_the_control_groups_holds() -> std::io::Result<()> {
        let root = std::env::temp_dir().join(format!("ringtap-groups-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(path, text)
        };
        write("a/memory.max", "700\n")?;
        write("a/b/memory.max", "max\n")?;
        write("memory/memory.limit_in_bytes", "9223372036854771712\n")?;
        write("memory/x/memory.limit_in_bytes", "500\n")?;
        assert_eq!(group("0::/a/b", &root), Some(700));
        assert_eq!(group("0::/", &root), None);
        assert_eq!(group("4:memory:/x", &root), Some(500));
        assert_eq!(group("4:memory:/of/the/host", &root), Some(9_223_372_036_854_771_712));
        assert_eq!((group("3:cpu:/x", &root), group("nonsense", &root)), (None, None));
        fs::remove_dir_all(root)
    }
}
