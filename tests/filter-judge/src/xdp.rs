//! Runs XDP programs in the kernel over generated packets: `BPF_PROG_LOAD` and `BPF_PROG_TEST_RUN`
//! of bpf(2).

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use packet_filter::EbpfInstruction;

const PROG_LOAD: libc::c_int = 5;
const PROG_TEST_RUN: libc::c_int = 10;
const TYPE_XDP: u32 = 6;

/// The first fields of `union bpf_attr` for `BPF_PROG_LOAD` (linux/bpf.h).
#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// The first fields of `union bpf_attr` for `BPF_PROG_TEST_RUN`.
#[repr(C)]
#[derive(Default)]
struct TestRun {
    program: u32,
    result: u32,
    size_in: u32,
    size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    context_size_in: u32,
    context_size_out: u32,
    context_in: u64,
    context_out: u64,
    flags: u32,
    cpu: u32,
    batch_size: u32,
    padding: u32,
}

/// The reason why a program was not loaded.
#[derive(Debug)]
pub struct LoadError {
    /// The error of the system call.
    pub error: io::Error,
    /// The verifier's log.
    pub log: String,
}

/// A loaded program.
pub struct XdpProgram(OwnedFd);

impl XdpProgram {
    /// Loads a program.
    ///
    /// # Errors
    ///
    /// If the process lacks the privilege, or the verifier rejects the program.
    pub fn load(instructions: &[EbpfInstruction]) -> Result<Self, LoadError> {
        let mut log = vec![0u8; 1 << 20];
        let attributes = Load {
            kind: TYPE_XDP,
            count: instructions.len() as u32,
            instructions: instructions.as_ptr().addr() as u64,
            license: c"GPL".as_ptr().addr() as u64,
            log_level: 1,
            log_size: log.len() as u32,
            log: log.as_mut_ptr().addr() as u64,
            ..Load::default()
        };
        // SAFETY: the attributes point to memory that lives through the call and has the lengths
        // given.
        let result = unsafe {
            libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const attributes, size_of::<Load>())
        };
        if result < 0 {
            let error = io::Error::last_os_error();
            let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
            return Err(LoadError {
                error,
                log: String::from_utf8_lossy(&log[..end]).into_owned(),
            });
        }
        // SAFETY: the kernel returned a new descriptor, which nothing else owns.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(result as i32) }))
    }

    /// Runs the program over a packet of at least 14 bytes. Returns the action.
    ///
    /// # Errors
    ///
    /// If the kernel cannot run the program over this packet.
    pub fn run(&self, packet: &[u8]) -> io::Result<u32> {
        let mut attributes = TestRun {
            program: self.0.as_raw_fd() as u32,
            size_in: packet.len() as u32,
            data_in: packet.as_ptr().addr() as u64,
            repeat: 1,
            ..TestRun::default()
        };
        // SAFETY: the attributes point to memory that lives through the call and has the lengths
        // given.
        let result = unsafe {
            libc::syscall(libc::SYS_bpf, PROG_TEST_RUN, &raw mut attributes, size_of::<TestRun>())
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(attributes.result) }
    }
}
