//! The XDP program that redirects packets to sockets, in assembly.
//!
//! ```text
//! if the steering filter does not match: return XDP_PASS
//! return bpf_redirect_map(sockets, ctx->rx_queue_index, XDP_PASS)
//! ```
//!
//! The last argument of the helper is its return value if no socket is stored under the queue's
//! number (Linux 5.3). So packets of queues without a socket, and those that the filter rejects, go
//! to the kernel's stack.

use std::os::fd::BorrowedFd;

use ring_sys::bpf::Instruction;
use ring_sys::bpf::abi::XDP_PASS;
use ring_sys::bpf::instruction::{HELPER_REDIRECT_MAP, JEQ_K, LDX_W, MOV_K, MOV_X, Register};

use Register::{R0, R1, R2, R3, R6};

/// Offset of the receive queue's number in `struct xdp_md` (`linux/bpf.h`).
const RX_QUEUE_INDEX: i16 = 16;

/// Assembles the program for a map of sockets. `steering` is code that gets the context in register
/// 1, and continues after its end with a non-zero value in register 0 for packets to redirect. It
/// may use every register but 6.
pub(crate) fn redirect(sockets: BorrowedFd<'_>, steering: &[Instruction]) -> Vec<Instruction> {
    let mut code = Vec::with_capacity(steering.len() + 10);
    let context = if steering.is_empty() {
        R1
    } else {
        // Register 6 survives calls of helpers, register 1 does not (calling convention of BPF).
        code.push(Instruction::new(MOV_X, R6, R1, 0, 0));
        code.extend_from_slice(steering);
        // Skips the six instructions up to the first exit; loading a map's address takes two.
        code.push(Instruction::new(JEQ_K, R0, R0, 6, 0));
        R6
    };
    code.push(Instruction::new(LDX_W, R2, context, RX_QUEUE_INDEX, 0));
    code.extend(Instruction::load_map(R1, sockets));
    code.push(Instruction::new(MOV_K, R3, R0, 0, XDP_PASS as i32));
    code.push(Instruction::call(HELPER_REDIRECT_MAP));
    code.push(Instruction::exit());
    if !steering.is_empty() {
        code.push(Instruction::new(MOV_K, R0, R0, 0, XDP_PASS as i32));
        code.push(Instruction::exit());
    }
    code
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::os::fd::AsFd as _;

    use ring_sys::bpf::instruction::{JA, LDX_W};
    use ring_sys::bpf::{Map, MapKind, Program, ProgramKind};

    use super::super::error::Error;
    use super::*;

    /// Loading needs privileges. Without them the test is skipped, with a message.
    fn loaded(steering: &[Instruction]) -> Option<Program> {
        let map = match Map::new(MapKind::XskMap, 4, 4, "test") {
            Ok(map) => map,
            Err(error) => {
                let required = std::env::var_os("RINGTAP_REQUIRE_LIVE").is_some_and(|v| v == "1");
                assert!(!required, "RINGTAP_REQUIRE_LIVE=1, but no map can be made: {error}");
                eprintln!("skipped: no map can be made here: {error}");
                return None;
            }
        };
        let code = redirect(map.as_fd(), steering);
        let kind = ProgramKind::Xdp { fragments: true };
        Some(Program::load(kind, &code, "test").expect("the verifier takes it"))
    }

    #[test]
    fn packets_of_queues_without_a_socket_pass() {
        let Some(program) = loaded(&[]) else { return };
        assert_eq!(program.test_run(&[0; 64]).expect("it runs").verdict, XDP_PASS);
    }

    #[test]
    fn steering_code_falls_through_to_either_end() {
        // The decision depends on the first word of the frame, not on the length, so that the
        // verifier checks both branches.
        let steering = [
            Instruction::new(LDX_W, R2, R1, 0, 0),
            Instruction::new(LDX_W, R3, R1, 4, 0),
            Instruction::new(MOV_K, R0, R0, 0, 0),
            Instruction::new(MOV_X, Register::R4, R2, 0, 0),
            Instruction::new(ring_sys::bpf::instruction::ADD_K, Register::R4, R0, 0, 14),
            Instruction::new(ring_sys::bpf::instruction::JGT_X, Register::R4, R3, 1, 0),
            Instruction::new(LDX_W, R0, R2, 0, 0),
            Instruction::new(JA, R0, R0, 0, 0),
        ];
        let Some(program) = loaded(&steering) else { return };
        for frame in [[0; 64], [1; 64]] {
            assert_eq!(program.test_run(&frame).expect("it runs").verdict, XDP_PASS);
        }
    }

    #[test]
    fn what_the_verifier_says_is_in_the_error() {
        if loaded(&[]).is_none() {
            return;
        }
        // Reads from a packet whose length was not checked.
        let code = [
            Instruction::new(LDX_W, R0, R1, 0, 0),
            Instruction::new(LDX_W, R0, R0, 0, 0),
            Instruction::exit(),
        ];
        let error = super::super::program::load(&code).expect_err("refused");
        assert!(matches!(&error, Error::Program(refused) if !refused.log.is_empty()));
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        assert!(cause.is_some_and(|cause| cause.contains("invalid access to packet")), "{error:?}");
    }
}
