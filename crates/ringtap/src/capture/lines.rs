//! The options for what is printed of a packet, with tcpdump's letters.

use clap::ArgAction;

use super::line::{Bytes, Look, Printer, Stamps};
use crate::text::clock::Clock;

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Arguments {
    /// Print no times; twice: seconds since 1970; three times: the time since the line before; four
    /// times: date and time; five times: the time since the first line.
    #[arg(short = 't', action = ArgAction::Count)]
    stamps: u8,
    /// Print the link-layer header.
    #[arg(short = 'e', long)]
    link_header: bool,
    /// Print less: no TCP flags and numbers.
    #[arg(short, long)]
    quiet: bool,
    /// Print more: time to live and length of the IP packet.
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
    /// Print the number of each packet.
    #[arg(short = '#', long)]
    number: bool,
    /// Print the bytes from the network layer on as text, each line behind a tab.
    #[arg(short = 'A', long, conflicts_with_all = ["hex", "hex_and_text"])]
    ascii: bool,
    /// Print the bytes from the network layer on in hexadecimal; twice: from the link layer on.
    #[arg(short = 'x', action = ArgAction::Count, conflicts_with = "hex_and_text")]
    hex: u8,
    /// The same in hexadecimal and as text.
    #[arg(short = 'X', action = ArgAction::Count)]
    hex_and_text: u8,
    /// TCP's numbers are always printed as they are: this is taken, and does nothing.
    #[arg(short = 'S', long, hide = true)]
    absolute_tcp_sequence_numbers: bool,
    /// Checksums are not looked at: this is taken, and does nothing.
    #[arg(short = 'K', long, hide = true)]
    dont_verify_checksums: bool,
}

impl Arguments {
    pub(crate) fn printer(&self, clock: Clock, nanoseconds: bool) -> Printer {
        let bytes = match (self.ascii, self.hex, self.hex_and_text) {
            (true, ..) => Bytes::Text,
            (_, 1.., _) => Bytes::Hex { text: false },
            (.., 1..) => Bytes::Hex { text: true },
            _ => Bytes::None,
        };
        let stamps = match self.stamps {
            0 => Stamps::Time,
            1 => Stamps::None,
            2 => Stamps::Seconds,
            3 => Stamps::SinceLast,
            4 => Stamps::Date,
            _ => Stamps::SinceFirst,
        };
        let look = Look {
            stamps,
            decimals: if nanoseconds { 9 } else { 6 },
            number: self.number,
            link_header: self.link_header,
            quiet: self.quiet,
            verbose: self.verbose > 0,
            bytes,
            with_link_layer: self.hex.max(self.hex_and_text) > 1,
        };
        Printer::new(clock, look)
    }
}
