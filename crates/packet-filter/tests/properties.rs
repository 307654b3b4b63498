//! Properties of every tree and every text.

mod trees;

use packet_filter::{Ancillary, ExtensionHeaders, Filter, Instruction, LinkType, Options, Program};
use proptest::prelude::*;

proptest! {
    #[test]
    fn what_is_printed_parses_to_the_same_tree(expression in trees::expressions(), moving in trees::moving()) {
        let filter = Filter::from(moving) & Filter::from(expression);
        let text = filter.to_string();
        prop_assert_eq!(text.parse::<Filter>(), Ok(filter), "{}", text);
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in "(tcp|port|host|not|and|or|\\(|\\)|\\[|80|1\\.2|ip|:|-|%|len|=|&|\\\\| |vlan|::1|src|net|/){0,24}") {
        if let Ok(filter) = text.parse::<Filter>() {
            let again: Filter = filter.to_string().parse().expect("what was printed");
            prop_assert_eq!(again, filter);
        }
    }

    #[test]
    fn any_characters_are_parsed_or_refused(text in "\\PC{0,40}") {
        if let Err(error) = text.parse::<Filter>() {
            prop_assert!(error.column >= 1 && error.column <= text.chars().count() + 1);
        }
    }

    /// For packets that have all the bytes that the program reads, the optimiser changes no
    /// verdict.
    #[test]
    fn the_optimiser_changes_no_verdict(
        expression in trees::expressions(),
        moving in prop::option::of(trees::moving()),
        mut data in prop::collection::vec(any::<u8>(), 300..301),
        ether_type in prop::sample::select(vec![0x0800u16, 0x86dd, 0x0806, 0x8100, 60]),
        next in prop::sample::select(vec![6u8, 17, 1, 58, 44, 0, 51]),
        tag in prop::option::of(any::<u16>()),
    ) {
        data[12..14].copy_from_slice(&ether_type.to_be_bytes());
        data[14] = if ether_type == 0x0800 { 0x45 } else { 0x60 };
        data[20] = if ether_type == 0x0800 { 0 } else { next };
        data[21] = 0;
        data[23] = next;
        let mut filter = Filter::from(expression);
        if let Some(moving) = moving {
            filter = Filter::from(moving) & filter;
        }
        // The maximum length of a chain of headers.
        let data: Vec<u8> = data.into_iter().cycle().take(20_000).collect();
        let ancillary = Ancillary::vlan(tag);
        for options in [Options::file(), Options::socket()] {
            let options = options.netmask([255, 255, 255, 0].into());
            for options in [options, options.extension_headers(ExtensionHeaders::Followed)] {
                let Ok(plain) = filter.compile(LinkType::ETHERNET, &options.optimise(false)) else { continue };
                let optimised = filter.compile(LinkType::ETHERNET, &options).expect("the shorter program");
                prop_assert!(Program::from_instructions(optimised.instructions().to_vec()).is_ok());
                let (a, b) = (plain.run(&data, 20_000, &ancillary), optimised.run(&data, 20_000, &ancillary));
                // The optimiser may reorder a load far beyond the packet.
                let far = filter.to_string().contains('[');
                prop_assert!(a == b || far, "{filter}\n{plain}\n{optimised}");
            }
        }
    }

    #[test]
    fn any_instructions_are_refused_or_run_to_their_end(
        instructions in prop::collection::vec((0..0x100u16, 0..4u8, 0..4u8, prop_oneof![0..40u32, any::<u32>()]), 1..40),
        data in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut program: Vec<Instruction> =
            instructions.into_iter().map(|(code, jt, jf, k)| Instruction { code, jt, jf, k }).collect();
        program.push(Instruction::new(0x16, 0));
        if let Ok(program) = Program::from_instructions(program) {
            program.run(&data, 80, &Ancillary::vlan(Some(1)));
            assert!(!program.to_string().is_empty());
        }
    }
}
