//! The expression of the command line: which packets a command takes.

use std::io::Read as _;
use std::net::Ipv4Addr;
use std::path::Path;

use clap::ValueEnum;
use packet_filter::{CompileError, Filter, LinkType, Options, Program, Target};
use ring_core::CaptureFilter;
use ring_sys::interface;

use crate::Error;
use crate::report;

/// The size of the largest packet without BIG TCP.
const MAX_IP_PACKET: u32 = 65_536;

/// Options that all commands with an expression share.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Selection {
    /// Find ports and protocols behind IPv6 extension headers.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = ExtensionHeaders::Auto)]
    extension_headers: ExtensionHeaders,
    /// The network mask for `ip broadcast` [default: that of the interface]
    #[arg(long, value_name = "MASK")]
    netmask: Option<Ipv4Addr>,
    /// Read the expression from this file.
    #[arg(short = 'F', long, value_name = "FILE", conflicts_with = "expression", value_parser = read)]
    filter_file: Option<String>,
    /// Packets to take, as an expression of pcap-filter(7) [default: all packets]
    #[arg(value_name = "EXPRESSION")]
    expression: Vec<String>,
}

/// The text of a file, without the comments that tcpdump's may have.
fn read(path: &str) -> Result<String, String> {
    let limit = packet_filter::MAX_EXPRESSION_LEN as u64 + 1;
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(limit).read_to_string(&mut text).map_err(|error| error.to_string())?;
    Ok(text.trim().to_owned())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ExtensionHeaders {
    /// In `follow` and `flows`, which show conversations whole; in `capture` if the interface has
    /// BIG TCP, whose packets have an extension header each.
    Auto,
    /// As tcpdump: the transport header follows the fixed header.
    Ignore,
    /// Always.
    Follow,
}

/// The form in which a command shows the packets that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shows {
    /// The packets, as tcpdump does.
    Packets,
    /// The conversations to which the packets belong.
    Conversations,
}

/// An expression and how it is compiled.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    pub(crate) filter: Filter,
    pub(crate) options: Options,
}

impl Selection {
    /// The expression as one text, as tcpdump joins its arguments.
    pub(crate) fn text(&self) -> String {
        self.filter_file.clone().unwrap_or_else(|| self.expression.join(" "))
    }

    /// The file that was named where an expression is expected.
    pub(crate) fn file(&self) -> Option<&str> {
        let [only] = &self.expression[..] else { return None };
        Path::new(only).is_file().then_some(only)
    }

    /// The condition for packets of an interface, or of a file without one.
    pub(crate) fn condition(
        &self,
        shows: Shows,
        interface: Option<&str>,
    ) -> Result<Condition, Error> {
        let expression = self.text();
        let filter = if expression.trim().is_empty() {
            Filter::everything()
        } else {
            expression.parse().map_err(|source| Error::Expression { expression, source })?
        };
        let mut options = Options::default();
        options.netmask = self.netmask(interface);
        let needs_mask = filter.compile(LinkType::RAW, &options.target(Target::File));
        if needs_mask == Err(CompileError::NetmaskUnknown) {
            return Err(Error::Netmask);
        }
        let mut condition = Condition { filter, options };
        if self.follows_extension_headers(shows, interface) {
            condition.follow_extension_headers();
        }
        Ok(condition)
    }

    fn netmask(&self, interface: Option<&str>) -> Option<Ipv4Addr> {
        self.netmask.or_else(|| interface::netmask(interface?).ok()?)
    }

    fn follows_extension_headers(&self, shows: Shows, interface: Option<&str>) -> bool {
        match (self.extension_headers, shows) {
            (ExtensionHeaders::Follow, _) | (ExtensionHeaders::Auto, Shows::Conversations) => true,
            (ExtensionHeaders::Ignore, _) => false,
            (ExtensionHeaders::Auto, Shows::Packets) => interface.is_some_and(has_big_tcp),
        }
    }
}

/// `true` if the kernel makes packets of more than 64 KiB on an interface, or for `any` on one of
/// them.
fn has_big_tcp(name: &str) -> bool {
    let is_big = |index| interface::largest_segment(index).is_ok_and(|size| size > MAX_IP_PACKET);
    if name == "any" {
        return interface::list().is_ok_and(|all| all.iter().any(|one| is_big(one.index)));
    }
    interface::index(name).is_ok_and(is_big)
}

impl Condition {
    /// Looks for transport headers behind extension headers, unless a socket does not take a
    /// program of that length.
    fn follow_extension_headers(&mut self) {
        let options = self.options.extension_headers(packet_filter::ExtensionHeaders::Followed);
        match self.filter.compile(LinkType::ETHERNET, &options) {
            Err(CompileError::TooLong { .. }) => report::say(format_args!(
                "the expression is too long to look behind IPv6 extension headers: packets that have any may be missing"
            )),
            _ => self.options = options,
        }
    }

    /// The condition and another filter, unless a socket does not take a program of that length.
    pub(crate) fn and(&self, other: Option<&Filter>) -> Self {
        let Some(other) = other else { return self.clone() };
        let both = Self { filter: self.filter.clone() & other.clone(), options: self.options };
        let options = both.options.target(Target::Socket);
        let compiles = |link_type| both.filter.compile(link_type, &options).is_ok();
        let fits = [LinkType::ETHERNET, LinkType::RAW, LinkType::LINUX_SLL2].map(compiles);
        if fits == [true; 3] { both } else { self.clone() }
    }

    /// The condition for a socket.
    pub(crate) fn capture_filter(&self) -> CaptureFilter {
        CaptureFilter::expression(self.filter.clone(), self.options)
    }

    /// The program for a link type.
    pub(crate) fn program(
        &self,
        link_type: LinkType,
        target: Target,
    ) -> Result<Program, CompileError> {
        self.filter.compile(link_type, &self.options.target(target))
    }

    /// Refuses an expression that no packet can pass, as tcpdump does. Without a link type (`any`,
    /// a file whose interfaces are described later) that has to be so for all of the usual ones.
    pub(crate) fn check(&self, link_type: Option<LinkType>, target: Target) -> Result<(), Error> {
        let known = link_type.filter(|link_type| packet_filter::is_supported(*link_type));
        let usual = [LinkType::ETHERNET, LinkType::RAW, LinkType::LINUX_SLL2];
        let link_types = known.map_or(&usual[..], |_| known.as_slice());
        let options = self.options.target(target);
        let mut verdicts = link_types
            .iter()
            .filter_map(|&link_type| self.filter.rejects_all(link_type, &options).ok())
            .peekable();
        if verdicts.peek().is_some() && verdicts.all(|rejects_all| rejects_all) {
            return Err(Error::NeverMatches);
        }
        Ok(())
    }

    /// Says what a filter in the kernel, which has no memory, does not see.
    pub(crate) fn say_what_is_not_seen(&self) {
        if self.filter.misses_fragments() {
            report::say(format_args!(
                "IP fragments without ports are left out (see Fragments in the README)"
            ));
        }
    }
}
