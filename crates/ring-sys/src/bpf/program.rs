//! BPF programs.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use super::instruction::Instruction;
use super::{abi, call, object_name, open};

/// A loaded program, closed on drop. The kernel keeps it while it is attached.
#[derive(Debug)]
pub struct Program {
    fd: OwnedFd,
}

/// The type of a program, `enum bpf_prog_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProgramKind {
    /// Socket filters and fanout.
    SocketFilter,
    /// XDP programs.
    Xdp {
        /// `true` if the program takes packets that span buffers, `BPF_F_XDP_HAS_FRAGS`.
        fragments: bool,
    },
}

/// The error of a program that could not be loaded.
#[derive(Debug)]
pub struct LoadError {
    /// The kernel's error.
    pub source: io::Error,
    /// The verifier's log, empty if the verifier did not run.
    pub log: String,
}

/// The result of running a program once over given bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestRun {
    /// The program's return value.
    pub verdict: u32,
    /// The packet after the program ran.
    pub data: Vec<u8>,
}

impl Program {
    /// Loads a program under the GPL, which some kernel helpers require.
    ///
    /// # Errors
    /// As bpf(2), with the verifier's log: `EPERM` without `CAP_BPF` and `CAP_NET_ADMIN`, `EINVAL`
    /// or `EACCES` if the verifier rejects the program.
    pub fn load(
        kind: ProgramKind,
        instructions: &[Instruction],
        name: &str,
    ) -> Result<Self, LoadError> {
        // The first attempt has no log: a log costs time, and a buffer too short for it is an error
        // of its own.
        let source = match attempt(kind, instructions, name, &mut []) {
            Ok(fd) => return Ok(Self { fd }),
            Err(error) => error,
        };
        let mut log = vec![0_u8; 1 << 16];
        loop {
            match attempt(kind, instructions, name, &mut log) {
                // The second attempt succeeded, so the cause of the first failure is gone.
                Ok(fd) => return Ok(Self { fd }),
                Err(error) if error.raw_os_error() == Some(libc::ENOSPC) && log.len() < 1 << 24 => {
                    log.resize(log.len() * 4, 0);
                }
                Err(_) => return Err(LoadError { source, log: super::text(&log) }),
            }
        }
    }

    /// Wraps a program that somebody else loaded. Its type is not checked here.
    #[must_use]
    pub fn from_descriptor(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Runs the program once over an Ethernet frame of at least 14 bytes, as if it had been
    /// received.
    ///
    /// # Errors
    /// As bpf(2): `EINVAL` for a frame that is too short, `EPERM` without the privilege.
    pub fn test_run(&self, frame: &[u8]) -> io::Result<TestRun> {
        // A program may add bytes at the front.
        let mut out = vec![0_u8; frame.len() + abi_headroom()];
        let mut attributes = abi::ProgramTestRun {
            prog_fd: self.fd.as_raw_fd() as u32,
            data_size_in: frame.len() as u32,
            data_size_out: out.len() as u32,
            data_in: frame.as_ptr() as u64,
            data_out: out.as_mut_ptr() as u64,
            repeat: 1,
            ..abi::ProgramTestRun::default()
        };
        // SAFETY: this is the command's structure. The pointers are valid for their lengths, and
        // the second one is writable.
        unsafe { call(abi::PROG_TEST_RUN, &mut attributes) }?;
        out.truncate(attributes.data_size_out as usize);
        Ok(TestRun { verdict: attributes.retval, data: out })
    }
}

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the kernel refuses the program")?;
        // The verifier logs every step; the reason for the rejection comes last.
        let lines: Vec<&str> = self.log.lines().filter(|line| !line.is_empty()).collect();
        let last = &lines[lines.len().saturating_sub(4)..];
        if last.is_empty() { Ok(()) } else { write!(f, "; the verifier: {}", last.join(" | ")) }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

const fn abi_headroom() -> usize {
    crate::xdp::abi::XDP_PACKET_HEADROOM as usize
}

fn attempt(
    kind: ProgramKind,
    instructions: &[Instruction],
    name: &str,
    log: &mut [u8],
) -> io::Result<OwnedFd> {
    let (prog_type, prog_flags, expected_attach_type) = match kind {
        ProgramKind::SocketFilter => (1, 0, 0),
        ProgramKind::Xdp { fragments } => {
            (6, if fragments { abi::PROGRAM_TAKES_FRAGMENTS } else { 0 }, abi::ATTACH_XDP)
        }
    };
    let mut attributes = abi::ProgramLoad {
        prog_type,
        insn_cnt: instructions.len() as u32,
        insns: instructions.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        prog_flags,
        prog_name: object_name(name),
        expected_attach_type,
        ..abi::ProgramLoad::default()
    };
    if !log.is_empty() {
        attributes.log_level = 1;
        attributes.log_size = log.len() as u32;
        attributes.log_buf = log.as_mut_ptr() as u64;
    }
    // SAFETY: this is the command's structure. The pointers lead to `insn_cnt` instructions, to a
    // text that ends in a null byte, and to a writable buffer of the length given.
    unsafe { open(abi::PROG_LOAD, &mut attributes) }
}

#[cfg(test)]
mod tests {
    use super::super::instruction::{LDX_W, MOV_K, Register};
    use super::*;

    fn verdict(value: i32) -> [Instruction; 2] {
        [Instruction::new(MOV_K, Register::R0, Register::R0, 0, value), Instruction::exit()]
    }

    /// Loading needs a privilege. Without it, `EPERM` is the only correct result.
    fn load(instructions: &[Instruction]) -> Option<Result<Program, LoadError>> {
        let loaded = Program::load(ProgramKind::Xdp { fragments: false }, instructions, "test");
        match &loaded {
            Err(error) if error.source.raw_os_error() == Some(libc::EPERM) => {
                eprintln!("skipped: programs may not be loaded here: {error}");
                None
            }
            _ => Some(loaded),
        }
    }

    #[test]
    fn a_program_is_loaded_and_run() {
        let Some(program) = load(&verdict(2)) else { return };
        let run = program.expect("a program").test_run(&[7; 60]).expect("it runs");
        assert_eq!(run, TestRun { verdict: 2, data: vec![7; 60] });
    }

    #[test]
    fn the_verifier_says_why_not() {
        let beyond =
            [Instruction::new(LDX_W, Register::R0, Register::R1, 4096, 0), Instruction::exit()];
        let Some(loaded) = load(&beyond) else { return };
        let error = loaded.expect_err("no such field");
        assert!(error.log.contains("invalid bpf_context access"), "{}", error.log);
        assert!(error.to_string().contains("invalid bpf_context access"), "{error}");
    }
}
