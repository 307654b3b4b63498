//! Prints programs in the format of `tcpdump -d`.

use std::fmt;

use super::code::{self, ABS, ALU, B, H, IND, JMP, LD, LDX, LEN, MEM, MISC, MSH, RET, ST, STX, X};
use super::{Instruction, Program};

/// Prints one instruction per line: its index, name, operand and jump targets.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, instruction) in self.instructions().iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            let name = name(instruction);
            let operand = operand(instruction, at);
            let conditional =
                code::class(instruction.code) == JMP && instruction.code & 0xf0 != code::JA;
            if conditional {
                let (yes, no) =
                    (at + 1 + usize::from(instruction.jt), at + 1 + usize::from(instruction.jf));
                write!(f, "({at:03}) {name:<8} {operand:<16} jt {yes}\tjf {no}")?;
            } else {
                write!(f, "({at:03}) {name:<8} {operand}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Program\n{self}")
    }
}

fn name(instruction: &Instruction) -> &'static str {
    let code = instruction.code;
    match code::class(code) {
        LD => match code & 0x18 {
            H => "ldh",
            B => "ldb",
            _ => "ld",
        },
        LDX if code & 0x18 == B => "ldxb",
        LDX => "ldx",
        ST => "st",
        STX => "stx",
        ALU => match code & 0xf0 {
            code::ADD => "add",
            code::SUB => "sub",
            code::MUL => "mul",
            code::DIV => "div",
            code::OR => "or",
            code::AND => "and",
            code::LSH => "lsh",
            code::RSH => "rsh",
            code::MOD => "mod",
            code::XOR => "xor",
            _ => "neg",
        },
        JMP => match code & 0xf0 {
            code::JEQ => "jeq",
            code::JGT => "jgt",
            code::JGE => "jge",
            code::JSET => "jset",
            _ => "ja",
        },
        RET => "ret",
        MISC if code & 0xf8 == code::TAX => "tax",
        _ => "txa",
    }
}

fn operand(instruction: &Instruction, at: usize) -> String {
    let Instruction { code, k, .. } = *instruction;
    match code::class(code) {
        LD | LDX => match code & 0xe0 {
            ABS => {
                ancillary(k).map_or_else(|| format!("[{}]", k as i32), |name| format!("[{name}]"))
            }
            IND => format!("[x + {k}]"),
            MEM => format!("M[{k}]"),
            LEN => "#pktlen".to_owned(),
            MSH => format!("4*([{k}]&0xf)"),
            _ => format!("#{k:#x}"),
        },
        ST | STX => format!("M[{k}]"),
        ALU if code & 0xf0 == code::NEG => String::new(),
        ALU | JMP if code & X != 0 => "x".to_owned(),
        ALU if matches!(code & 0xf0, code::AND | code::OR | code::XOR) => format!("#{k:#x}"),
        ALU => format!("#{k}"),
        JMP if code & 0xf0 == code::JA => (at + 1 + k as usize).to_string(),
        JMP => format!("#{k:#x}"),
        RET if code & 0x18 == code::A => String::new(),
        RET => format!("#{k}"),
        _ => String::new(),
    }
}

fn ancillary(k: u32) -> Option<&'static str> {
    Some(match k.checked_sub(code::ANCILLARY)? {
        0 => "proto",
        4 => "type",
        8 => "ifidx",
        12 => "nla",
        16 => "nlan",
        20 => "mark",
        24 => "queue",
        28 => "hatype",
        32 => "rxhash",
        36 => "cpu",
        44 => "vlan_tci",
        48 => "vlanp",
        52 => "poff",
        56 => "random",
        60 => "vlan_tpid",
        _ => return None,
    })
}
