//! Any instructions are either rejected or run to their end over any packet. They translate to eBPF
//! or to an error that names the cause.

#![no_main]

use libfuzzer_sys::fuzz_target;
use packet_filter::{Ancillary, Instruction, Program, XdpFragment};

fuzz_target!(|input: (Vec<(u16, u8, u8, u32)>, &[u8], Option<u16>)| {
    let (instructions, packet, tag) = input;
    let instructions = instructions.into_iter().map(|(code, jt, jf, k)| Instruction { code: code & 0xff, jt, jf, k });
    let instructions = instructions.chain([Instruction::new(0x16, 0)]).collect();
    if let Ok(program) = Program::from_instructions(instructions) {
        program.run(packet, packet.len() as u32, &Ancillary::vlan(tag));
        let _ = program.to_string();
        let _ = XdpFragment::new(&program);
    }
});
