//! Errors that end the command before it is done.

use std::fmt;
use std::io;
use std::iter;
use std::path::PathBuf;

use capture_file::{Damage, ForeignFormat, Unwritable};

use crate::cause::{Cause, CauseRef};
use crate::text::escape::Escaped;

/// An error that is reported to the user.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The source could not be opened or read.
    #[error("{}", Named { name, source: source.into() })]
    Source {
        /// The interface or file.
        name: String,
        /// The cause.
        source: Cause,
    },
    /// The file could not be opened, which names itself.
    #[error("{}", Named { name: "", source: _0.into() })]
    Open(Cause),
    /// The capture file could not be written.
    #[error("{}", Named { name, source: source.into() })]
    Save {
        /// The file.
        name: String,
        /// The cause.
        source: Cause,
    },
    /// A signal came before there was anything to read or to write to.
    #[error("ended by a signal before anything was read")]
    Interrupted,
    /// Packets cannot be written with this link-layer header.
    #[error("-y {asked}: packets of {name} {}", match own {
        Some(own) => format!("are {own}; LINUX_SLL2 is possible as well"),
        None => "have several link types; LINUX_SLL2 is possible".to_owned(),
    })]
    LinkType {
        /// The interface or file.
        name: String,
        /// The header that was named with `-y`.
        asked: String,
        /// The link type of its packets, if they have the same.
        own: Option<String>,
    },
    /// An interface of which nothing is known.
    #[error("{name}: {source}")]
    Interface {
        /// The interface.
        name: String,
        /// The cause.
        source: io::Error,
    },
    /// No program is compiled for a link type that contains another one.
    #[error(
        "a header of {link_type} names the link type of what follows, and each packet is tested by the program of that: \
         name it with -y, such as -y EN10MB"
    )]
    Nested {
        /// The name of the link type.
        link_type: String,
    },
    /// A file has several link types, and there is a program for each.
    #[error("{name} has packets of {names}, and a program for each: choose one with -y")]
    SeveralLinkTypes {
        /// The file.
        name: String,
        /// The link types.
        names: String,
    },
    /// The user could not be changed.
    #[error("-Z {name}: {source}")]
    User {
        /// The user that was named.
        name: String,
        /// The cause.
        source: io::Error,
    },
    /// Signals could not be taken over.
    #[error("signals cannot be handled: {0}")]
    Signals(#[source] io::Error),
    /// The process may open too few files.
    #[error("too few open files are allowed: raise the limit (`ulimit -n 64`)")]
    Descriptors,
    /// The filter expression is not one.
    #[error("{source}\n  {}", Escaped(expression))]
    Expression {
        /// The expression.
        expression: String,
        /// The fault in it, and its position.
        source: packet_filter::ParseError,
    },
    /// No packet can pass the filter expression.
    #[error("the expression rejects all packets: its conditions contradict each other")]
    NeverMatches,
    /// `ip broadcast` without a network mask.
    #[error(
        "`ip broadcast` needs a network mask, and there is no interface with an IPv4 address to take it from: give it \
         with --netmask, such as --netmask 255.255.255.0"
    )]
    Netmask,
    /// The filter expression cannot be compiled.
    #[error("filter: {0}")]
    Compile(#[from] packet_filter::CompileError),
    /// Packets could not be followed to the end.
    #[error("{}", Stopped { name, source })]
    Follow {
        /// The interface or file.
        name: String,
        /// The cause.
        source: conversation::Error,
    },
    /// The demonstration's network could not be made.
    #[error("{}", Chain(.0))]
    Network(#[from] netns::Error),
    /// The demonstration's server or clients failed.
    #[error("the demonstration's traffic failed: {0}")]
    Demo(#[source] io::Error),
    /// The demonstration did not show what it should.
    #[error("the conversations differ from what the clients sent and received")]
    DemoDiffers,
    /// The interfaces could not be listed.
    #[error("interfaces: {0}")]
    Interfaces(#[source] io::Error),
    /// The output could not be written.
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
    /// A file that conversations are written into could not be made or written.
    #[error("{}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A capture file is named where a folder is meant.
    #[error("--write-dir writes the bytes of each stream into a folder, and {} is none; \
             to write packets: ringtap capture -w {}", path.display(), path.display())]
    NoFolder {
        /// The capture file that was named.
        path: PathBuf,
    },
    /// The folder has files of an earlier run.
    #[error("{} has files of an earlier run; name another folder, or remove them with --overwrite", path.display())]
    OldFiles {
        /// The folder.
        path: PathBuf,
    },
    /// Files of streams are incomplete.
    #[error("{} incomplete, as reported above", match files {
        1 => "1 file in the folder of --write-dir is".to_owned(),
        _ => format!("{files} files in the folder of --write-dir are"),
    })]
    GivenUp {
        /// The number of incomplete files.
        files: u64,
    },
    /// Flows could not be sent to a collector, or written for one.
    #[error("{name}: {source}")]
    Collector {
        /// The collector or file.
        name: String,
        /// The cause.
        source: io::Error,
    },
    /// A collector did not take all messages.
    #[error("{name}: {} not sent: {source}", match messages {
        1 => "1 message was".to_owned(),
        _ => format!("{messages} messages were"),
    })]
    Unsent {
        /// The collector.
        name: String,
        /// The number of messages.
        messages: u64,
        /// The cause for the last of them.
        source: io::Error,
    },
    /// The runtime could not be started.
    #[error("the asynchronous runtime could not be started: {0}")]
    Runtime(#[source] io::Error),
}

impl Error {
    /// `true` if the command line is wrong.
    pub(crate) fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Expression { .. }
                | Self::NeverMatches
                | Self::Netmask
                | Self::Compile(_)
                | Self::NoFolder { .. }
                | Self::LinkType { .. }
                | Self::Nested { .. }
                | Self::SeveralLinkTypes { .. }
                | Self::Source {
                    source: Cause::Ring(
                        ring_core::Error::Compile { .. } | ring_core::Error::FilterLinkType { .. }
                    ),
                    ..
                }
        )
    }

    /// `true` if the reader of what is written went away: it has enough.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        let error = match self {
            Self::Output(error) => error,
            Self::Save {
                source: Cause::File(capture_file::Error::System { source, .. }), ..
            } => source,
            _ => return false,
        };
        error.kind() == io::ErrorKind::BrokenPipe
    }
}

/// An error of a library with its causes: `what failed: why: why that`.
struct Chain<'a, E>(&'a E);

impl<E: std::error::Error + 'static> fmt::Display for Chain<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        iter::successors(self.0.source(), |error| error.source())
            .try_for_each(|cause| write!(f, ": {cause}"))
    }
}

/// An error of an interface or a file, which is named once.
struct Named<'a> {
    name: &'a str,
    source: CauseRef<'a>,
}

/// The error that ended the following of packets.
struct Stopped<'a> {
    name: &'a str,
    source: &'a conversation::Error,
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source {
            CauseRef::Ring(source) => self.of_ring(source, f),
            CauseRef::File(source) => self.of_file(source, f),
        }
    }
}

impl Named<'_> {
    fn of_ring(&self, source: &ring_core::Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use ring_core::Error;
        match source {
            // These name it themselves.
            Error::NoInterface { .. }
            | Error::InterfaceGone { .. }
            | Error::SameInterface { .. }
            | Error::HardwareType { .. } => write!(f, "{}", Chain(source)),
            _ => write!(f, "{}: {}", self.name, Chain(source)),
        }
    }

    fn of_file(&self, source: &capture_file::Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use capture_file::Error;
        let name = self.name;
        match source {
            // These name it themselves.
            Error::Unwritable(Unwritable::Input { .. } | Unwritable::FileName { .. }) => {
                write!(f, "{source}")
            }
            Error::Open { path, source } => write!(f, "{}: {source}", path.display()),
            Error::Damaged { record: 0, damage: Damage::CutShort { present: 0, .. }, .. } => {
                write!(f, "{name}: the file is empty")
            }
            Error::UnknownFormat { magic } if is_text(magic) => {
                write!(f, "{name}: looks like text, not like a capture (pcap or pcapng)")
            }
            Error::ForeignFormat { format } => {
                write!(f, "{name}: {source}")?;
                match format {
                    ForeignFormat::Gzip
                    | ForeignFormat::Zstd
                    | ForeignFormat::Lz4
                    | ForeignFormat::Bzip2
                    | ForeignFormat::Xz => f.write_str(", and read its output with --read -"),
                    _ => Ok(()),
                }
            }
            _ => write!(f, "{name}: {}", Chain(source)),
        }
    }
}

impl fmt::Display for Stopped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, source } = self;
        let cause = match source {
            conversation::Error::Source(source) => CauseRef::of(&**source),
            _ => None,
        };
        match cause {
            Some(source) => write!(f, "{}", Named { name, source }),
            None => write!(f, "{name}: {}", Chain(*source)),
        }
    }
}

/// `true` for the beginning of a text; behind a short one's end there are zeros.
fn is_text(magic: &[u8]) -> bool {
    let end = magic.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    end > 0
        && magic[..end]
            .iter()
            .all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n' | 0x80..))
}
