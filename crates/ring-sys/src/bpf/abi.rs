//! The parts of `union bpf_attr` (`linux/bpf.h`), one structure per command, and related constants.

/// `BPF_MAP_CREATE`
pub const MAP_CREATE: i32 = 0;
/// `BPF_MAP_UPDATE_ELEM`
pub const MAP_UPDATE_ELEM: i32 = 2;
/// `BPF_NOEXIST`, for [`MAP_UPDATE_ELEM`]: fails if the key has a value.
pub const NO_EXIST: u64 = 1;
/// `BPF_MAP_DELETE_ELEM`
pub const MAP_DELETE_ELEM: i32 = 3;
/// `BPF_PROG_LOAD`
pub const PROG_LOAD: i32 = 5;
/// `BPF_PROG_TEST_RUN`
pub const PROG_TEST_RUN: i32 = 10;
/// `BPF_PROG_GET_FD_BY_ID`
pub const PROG_GET_FD_BY_ID: i32 = 13;
/// `BPF_OBJ_GET_INFO_BY_FD`
pub const OBJ_GET_INFO_BY_FD: i32 = 15;
/// `BPF_LINK_CREATE`
pub const LINK_CREATE: i32 = 28;
/// `BPF_LINK_UPDATE`
pub const LINK_UPDATE: i32 = 29;
/// `BPF_LINK_GET_FD_BY_ID`
pub const LINK_GET_FD_BY_ID: i32 = 30;
/// `BPF_LINK_GET_NEXT_ID`
pub const LINK_GET_NEXT_ID: i32 = 31;
/// `BPF_LINK_DETACH`
pub const LINK_DETACH: i32 = 34;

/// `BPF_XDP`, the attach type.
pub const ATTACH_XDP: u32 = 37;
/// `BPF_LINK_TYPE_XDP`
pub const LINK_TYPE_XDP: u32 = 6;
/// `BPF_F_XDP_HAS_FRAGS`: the program takes packets that span buffers.
pub const PROGRAM_TAKES_FRAGMENTS: u32 = 1 << 5;

/// Generic mode, `XDP_FLAGS_SKB_MODE` of `linux/if_link.h`.
pub const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
/// Native mode, `XDP_FLAGS_DRV_MODE`.
pub const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;

/// Return value of an XDP program: drop the packet.
pub const XDP_DROP: u32 = 1;
/// Return value of an XDP program: pass the packet to the kernel's network stack.
pub const XDP_PASS: u32 = 2;
/// Return value of an XDP program: the packet was redirected.
pub const XDP_REDIRECT: u32 = 4;

#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct MapCreate {
    pub(super) map_type: u32,
    pub(super) key_size: u32,
    pub(super) value_size: u32,
    pub(super) max_entries: u32,
    pub(super) map_flags: u32,
    pub(super) inner_map_fd: u32,
    pub(super) numa_node: u32,
    pub(super) map_name: [u8; 16],
}

#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct MapElement {
    pub(super) map_fd: u32,
    pub(super) padding: u32,
    pub(super) key: u64,
    pub(super) value: u64,
    pub(super) flags: u64,
}

#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct ProgramLoad {
    pub(super) prog_type: u32,
    pub(super) insn_cnt: u32,
    pub(super) insns: u64,
    pub(super) license: u64,
    pub(super) log_level: u32,
    pub(super) log_size: u32,
    pub(super) log_buf: u64,
    pub(super) kern_version: u32,
    pub(super) prog_flags: u32,
    pub(super) prog_name: [u8; 16],
    pub(super) prog_ifindex: u32,
    pub(super) expected_attach_type: u32,
}

#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct ProgramTestRun {
    pub(super) prog_fd: u32,
    pub(super) retval: u32,
    pub(super) data_size_in: u32,
    pub(super) data_size_out: u32,
    pub(super) data_in: u64,
    pub(super) data_out: u64,
    pub(super) repeat: u32,
    pub(super) duration: u32,
    pub(super) ctx_size_in: u32,
    pub(super) ctx_size_out: u32,
    pub(super) ctx_in: u64,
    pub(super) ctx_out: u64,
}

#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct LinkCreate {
    pub(super) prog_fd: u32,
    pub(super) target_ifindex: u32,
    pub(super) attach_type: u32,
    pub(super) flags: u32,
}

#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct LinkUpdate {
    pub(super) link_fd: u32,
    pub(super) new_prog_fd: u32,
    pub(super) flags: u32,
    pub(super) old_prog_fd: u32,
}

#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct Identifier {
    pub(super) id: u32,
    pub(super) next_id: u32,
    pub(super) open_flags: u32,
}

#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct ObjectInfo {
    pub(super) bpf_fd: u32,
    pub(super) info_len: u32,
    pub(super) info: u64,
}

/// `struct bpf_prog_info`, up to the name.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ProgramInfo {
    pub(super) kind: u32,
    pub(super) id: u32,
    pub(super) tag: [u8; 8],
    pub(super) jited_prog_len: u32,
    pub(super) xlated_prog_len: u32,
    pub(super) jited_prog_insns: u64,
    pub(super) xlated_prog_insns: u64,
    pub(super) load_time: u64,
    pub(super) created_by_uid: u32,
    pub(super) nr_map_ids: u32,
    pub(super) map_ids: u64,
    pub(super) name: [u8; 16],
}

/// `struct bpf_link_info`, with its union at the maximum length.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LinkInfo {
    pub(super) kind: u32,
    pub(super) id: u32,
    pub(super) prog_id: u32,
    pub(super) padding: u32,
    pub(super) xdp_ifindex: u32,
    pub(super) rest: [u32; 27],
}

const _: () = {
    assert!(size_of::<MapCreate>() == 44);
    assert!(size_of::<MapElement>() == 32);
    assert!(size_of::<ProgramLoad>() == 72);
    assert!(std::mem::offset_of!(ProgramLoad, prog_name) == 48);
    assert!(size_of::<ProgramTestRun>() == 64);
    assert!(size_of::<LinkCreate>() == 16);
    assert!(size_of::<LinkUpdate>() == 16);
    assert!(size_of::<Identifier>() == 12);
    assert!(size_of::<ObjectInfo>() == 16);
    assert!(size_of::<ProgramInfo>() == 80);
    assert!(std::mem::offset_of!(ProgramInfo, name) == 64);
    assert!(size_of::<LinkInfo>() == 128);
    assert!(std::mem::offset_of!(LinkInfo, xdp_ifindex) == 16);
};
