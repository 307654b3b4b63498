//! Prints the program of an expression as `tcpdump -d` does:
//! `listing [--file] [--follow] [--plain] [--link-type NAME] EXPRESSION…`

use std::error::Error;

use packet_filter::{ExtensionHeaders, Filter, LinkType, Options};

fn main() -> Result<(), Box<dyn Error>> {
    let mut options = Options::socket();
    let mut link_type = LinkType::ETHERNET;
    let mut words = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--file" => options = Options::file(),
            "--follow" => options = options.extension_headers(ExtensionHeaders::Followed),
            "--plain" => options = options.optimise(false),
            "--link-type" => {
                link_type = arguments.next().unwrap_or_default().parse()?;
            }
            _ => words.push(argument),
        }
    }
    let filter: Filter = words.join(" ").parse()?;
    eprintln!("{filter}");
    println!("{}", filter.compile(link_type, &options)?);
    Ok(())
}
