//! libpcap, opened at run time, so that the workspace also builds on machines without it.

use std::ffi::{CStr, CString, c_char, c_int, c_uchar, c_uint, c_void};
use std::path::Path;
use std::ptr::NonNull;

use packet_filter::Instruction;

use crate::corpus::Packet;

/// `struct bpf_program` of pcap/bpf.h.
#[repr(C)]
struct BpfProgram {
    len: c_uint,
    instructions: *mut Instruction,
}

/// `struct pcap_pkthdr` of pcap/pcap.h.
#[repr(C)]
#[derive(Clone, Copy)]
struct Header {
    time: libc::timeval,
    captured: u32,
    length: u32,
}

type Handle = *mut c_void;

/// The functions in use.
pub struct Libpcap {
    open_dead: unsafe extern "C" fn(c_int, c_int) -> Handle,
    open_live: unsafe extern "C" fn(*const c_char, c_int, c_int, c_int, *mut c_char) -> Handle,
    open_offline: unsafe extern "C" fn(*const c_char, *mut c_char) -> Handle,
    next: unsafe extern "C" fn(Handle, *mut *mut Header, *mut *const c_uchar) -> c_int,
    link_type: unsafe extern "C" fn(Handle) -> c_int,
    compile: unsafe extern "C" fn(Handle, *mut BpfProgram, *const c_char, c_int, c_uint) -> c_int,
    free_code: unsafe extern "C" fn(*mut BpfProgram),
    error: unsafe extern "C" fn(Handle) -> *const c_char,
    close: unsafe extern "C" fn(Handle),
    filter: unsafe extern "C" fn(*const Instruction, *const c_uchar, c_uint, c_uint) -> c_uint,
    offline_filter: unsafe extern "C" fn(*const BpfProgram, *const Header, *const c_uchar) -> c_int,
}

/// A program that libpcap compiled.
pub struct Compiled<'a> {
    library: &'a Libpcap,
    program: BpfProgram,
}

macro_rules! symbol {
    ($library:expr, $name:literal) => {{
        // SAFETY: the library stays open for ever, and the name ends with a zero byte.
        let address = unsafe { libc::dlsym($library.as_ptr(), $name.as_ptr()) };
        let address = NonNull::new(address)?.as_ptr();
        // SAFETY: the field's type is the function's declaration in pcap/pcap.h or pcap/bpf.h.
        unsafe { std::mem::transmute::<*mut c_void, _>(address) }
    }};
}

impl Libpcap {
    /// Opens the library. `None` if the machine has none.
    #[expect(clippy::missing_transmute_annotations, reason = "the field names the function's type")]
    pub fn open() -> Option<Self> {
        // SAFETY: the name is a C string; loading libpcap runs no code of ours.
        let library = unsafe { libc::dlopen(c"libpcap.so.0.8".as_ptr(), libc::RTLD_NOW) };
        let library = NonNull::new(library).or_else(|| {
            // SAFETY: as above, by the name that other distributions use.
            NonNull::new(unsafe { libc::dlopen(c"libpcap.so.1".as_ptr(), libc::RTLD_NOW) })
        })?;
        Some(Self {
            open_dead: symbol!(library, c"pcap_open_dead"),
            open_live: symbol!(library, c"pcap_open_live"),
            open_offline: symbol!(library, c"pcap_open_offline"),
            next: symbol!(library, c"pcap_next_ex"),
            link_type: symbol!(library, c"pcap_datalink"),
            compile: symbol!(library, c"pcap_compile"),
            free_code: symbol!(library, c"pcap_freecode"),
            error: symbol!(library, c"pcap_geterr"),
            close: symbol!(library, c"pcap_close"),
            filter: symbol!(library, c"bpf_filter"),
            offline_filter: symbol!(library, c"pcap_offline_filter"),
        })
    }

    /// Compiles for packets of a link type, in libpcap's numbering, with the optimiser on.
    ///
    /// # Errors
    ///
    /// libpcap's message.
    pub fn compile(&self, link_type: i32, expression: &str) -> Result<Compiled<'_>, String> {
        self.compile_dead(link_type, expression, true)
    }

    /// Compiles with the optimiser off.
    ///
    /// # Errors
    ///
    /// libpcap's message.
    pub fn compile_plainly(
        &self,
        link_type: i32,
        expression: &str,
    ) -> Result<Compiled<'_>, String> {
        self.compile_dead(link_type, expression, false)
    }

    fn compile_dead(
        &self,
        link_type: i32,
        expression: &str,
        optimise: bool,
    ) -> Result<Compiled<'_>, String> {
        // SAFETY: the function takes any numbers.
        let handle = unsafe { (self.open_dead)(link_type, 262_144) };
        let compiled = self.compile_on(handle, expression, optimise);
        // SAFETY: the handle is open and not used again.
        unsafe { (self.close)(handle) };
        compiled
    }

    /// Compiles for a live capture on an interface, for which the kernel removes VLAN tags from the
    /// frames.
    ///
    /// # Errors
    ///
    /// libpcap's message.
    pub fn compile_live(&self, interface: &str, expression: &str) -> Result<Compiled<'_>, String> {
        let name = CString::new(interface).map_err(|error| error.to_string())?;
        let mut message = [0 as c_char; 256];
        // SAFETY: the name is a C string, the message has PCAP_ERRBUF_SIZE bytes.
        let handle =
            unsafe { (self.open_live)(name.as_ptr(), 262_144, 0, 100, message.as_mut_ptr()) };
        if handle.is_null() {
            // SAFETY: libpcap wrote a C string there.
            return Err(unsafe { CStr::from_ptr(message.as_ptr()) }.to_string_lossy().into_owned());
        }
        let compiled = self.compile_on(handle, expression, true);
        // SAFETY: the handle is open and not used again.
        unsafe { (self.close)(handle) };
        compiled
    }

    fn compile_on(
        &self,
        handle: Handle,
        expression: &str,
        optimise: bool,
    ) -> Result<Compiled<'_>, String> {
        const NETMASK: c_uint = 0xffff_ff00;
        let text = CString::new(expression).map_err(|error| error.to_string())?;
        let mut program = BpfProgram { len: 0, instructions: std::ptr::null_mut() };
        // SAFETY: the handle is open, the text a C string, and the program ours to be filled.
        let status = unsafe {
            (self.compile)(handle, &raw mut program, text.as_ptr(), c_int::from(optimise), NETMASK)
        };
        if status == 0 {
            return Ok(Compiled { library: self, program });
        }
        // SAFETY: the handle is open.
        let message = unsafe { (self.error)(handle) };
        // SAFETY: libpcap returns a C string that lives as long as the handle.
        Err(unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned())
    }

    /// Reads the packets of a capture file, up to the first error. Returns the link type in
    /// libpcap's numbering.
    pub(crate) fn read(&self, path: &Path, packets: &mut Vec<Packet>) -> Option<i32> {
        let path = CString::new(path.as_os_str().as_encoded_bytes()).ok()?;
        let mut message = [0 as c_char; 256];
        // SAFETY: the path is a C string, the message has PCAP_ERRBUF_SIZE bytes.
        let handle = unsafe { (self.open_offline)(path.as_ptr(), message.as_mut_ptr()) };
        if handle.is_null() {
            return None;
        }
        // SAFETY: the handle is open.
        let link_type = unsafe { (self.link_type)(handle) };
        let mut header = std::ptr::null_mut();
        let mut data = std::ptr::null();
        // SAFETY: the handle is open, the pointers are ours to be filled.
        while unsafe { (self.next)(handle, &raw mut header, &raw mut data) } == 1 {
            // SAFETY: libpcap returned 1: the header is valid until the next call.
            let header: Header = unsafe { *header };
            // SAFETY: libpcap returned 1: the data has the length in the header, until the next
            // call.
            let data = unsafe { std::slice::from_raw_parts(data, header.captured as usize) };
            packets.push(Packet { data: data.to_vec(), wire_len: header.length });
        }
        // SAFETY: the handle is open and not used again.
        unsafe { (self.close)(handle) };
        Some(link_type)
    }
}

impl Compiled<'_> {
    /// The instructions.
    pub fn instructions(&self) -> &[Instruction] {
        // SAFETY: libpcap allocated `len` instructions of this layout; they live until `drop`.
        unsafe { std::slice::from_raw_parts(self.program.instructions, self.program.len as usize) }
    }

    /// The result of libpcap's interpreter for a packet.
    pub fn run(&self, packet: &Packet) -> u32 {
        let (data, len) = (packet.data.as_ptr(), packet.data.len() as c_uint);
        // SAFETY: the program is libpcap's own; the data has `len` bytes.
        unsafe { (self.library.filter)(self.program.instructions, data, packet.wire_len, len) }
    }

    /// The result of `pcap_offline_filter`, which takes the lengths from a packet header.
    pub fn run_offline(&self, packet: &Packet) -> bool {
        let time = libc::timeval { tv_sec: 0, tv_usec: 0 };
        let header = Header { time, captured: packet.data.len() as u32, length: packet.wire_len };
        // SAFETY: the program is libpcap's own; the data has the length in the header.
        unsafe {
            (self.library.offline_filter)(
                &raw const self.program,
                &raw const header,
                packet.data.as_ptr(),
            ) != 0
        }
    }
}

impl Drop for Compiled<'_> {
    fn drop(&mut self) {
        // SAFETY: the program is libpcap's own and not used again.
        unsafe { (self.library.free_code)(&raw mut self.program) };
    }
}
