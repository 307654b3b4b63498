//! Records for a collector, over the network or into a file, as IPFIX.

use std::fs::{File, Metadata};
use std::io::{self, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::fs::MetadataExt as _;
use std::str::FromStr;
use std::time::Duration;

use conversation::Statistics;
use flow::Timestamp;
use record::Flow;
use record::ipfix::{self, Exporter, Metering, Transport};

use super::form::now;
use crate::Error;
use crate::input::Input;

/// The options for IPFIX.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub(super) struct Arguments {
    /// Send flows as IPFIX to udp://HOST:PORT or tcp://HOST:PORT, or write them to file:PATH.
    #[arg(long, value_name = "WHERE")]
    ipfix: Option<Destination>,
    /// With --ipfix: one record for both directions of a flow (RFC 5103), instead of one each.
    #[arg(long, requires = "ipfix")]
    biflow: bool,
}

/// The place that messages are sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Destination {
    Udp(String),
    Tcp(String),
    File(String),
}

impl FromStr for Destination {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        type Form = fn(String) -> Destination;
        let forms: [(&str, Form); 3] =
            [("udp://", Self::Udp), ("tcp://", Self::Tcp), ("file:", Self::File)];
        let found = forms.iter().find_map(|(prefix, form)| {
            let rest = text.strip_prefix(prefix)?;
            // A file:///path is one of a URL.
            let rest = rest.strip_prefix("//").filter(|_| *prefix == "file:").unwrap_or(rest);
            Some((prefix, form(rest.to_owned()), rest.is_empty()))
        });
        match found {
            Some((&"file:", _, true)) => Err("file: needs a path, such as file:flows.ipfix"),
            Some((&"file:", destination, _)) => Ok(destination),
            Some((_, Self::Udp(rest) | Self::Tcp(rest), _))
                if !rest.rsplit_once(':').is_some_and(|(host, port)| {
                    !host.is_empty() && port.parse::<u16>().is_ok()
                }) =>
            {
                Err("a host and a port are needed, such as udp://192.0.2.1:4739")
            }
            Some((_, destination, _)) => Ok(destination),
            None => Err("write udp://HOST:PORT, tcp://HOST:PORT or file:PATH"),
        }
    }
}

/// The longest time that a TCP collector may take nothing.
const PATIENCE: Duration = Duration::from_secs(10);
/// The interval at which counters of the exporter are sent.
const STATISTICS: Duration = Duration::from_secs(60);

/// An open destination.
enum Channel {
    Udp(UdpSocket),
    Tcp(TcpStream),
    File(File),
}

/// A collector that flows are sent to.
pub(super) struct Collector {
    name: String,
    channel: Channel,
    exporter: Exporter,
    messages: Vec<u8>,
    /// The first error of a stream, after which nothing more is sent.
    error: Option<io::Error>,
    /// Datagrams that could not be sent, and the last reason.
    unsent: u64,
    reason: Option<io::Error>,
    metering: Metering,
    reported: Timestamp,
}

impl Arguments {
    /// Opens the destination, if there is one. It must not be the file that is read.
    pub(super) fn open(&self, input: &Input) -> Result<Option<Collector>, Error> {
        let Some(destination) = &self.ipfix else { return Ok(None) };
        let (name, channel) = match destination {
            Destination::Udp(address) => (format!("udp://{address}"), udp(address)),
            Destination::Tcp(address) => (format!("tcp://{address}"), tcp(address)),
            Destination::File(path) => (path.clone(), file(path, input)),
        };
        let channel = match channel {
            Ok(channel) => channel,
            Err(source) => return Err(Error::Collector { name, source }),
        };
        let transport = match channel {
            Channel::Udp(_) => Transport::Datagrams,
            Channel::Tcp(_) | Channel::File(_) => Transport::Stream,
        };
        Ok(Some(Collector {
            name,
            channel,
            exporter: Exporter::builder(transport).biflow(self.biflow).build(),
            messages: Vec::new(),
            error: None,
            unsent: 0,
            reason: None,
            metering: Metering::default(),
            reported: now(),
        }))
    }
}

/// Creates a file, or empties one that is not the input, under whatever name.
fn file(path: &str, input: &Input) -> io::Result<Channel> {
    let file = File::options().create(true).write(true).truncate(false).open(path)?;
    let metadata = file.metadata()?;
    let identity = |file: &Metadata| (file.dev(), file.ino());
    if input.file().is_some_and(|read| identity(&read) == identity(&metadata)) {
        let what = "this is the file that is read, and would be lost; write to another file";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
    }
    if metadata.is_file() {
        file.set_len(0)?;
    }
    Ok(Channel::File(file))
}

fn udp(address: &str) -> io::Result<Channel> {
    use std::net::ToSocketAddrs as _;

    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in address.to_socket_addrs()? {
        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        match UdpSocket::bind(any).and_then(|socket| socket.connect(address).map(|()| socket)) {
            Ok(socket) => return Ok(Channel::Udp(socket)),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn tcp(address: &str) -> io::Result<Channel> {
    let stream = TcpStream::connect(address)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(Channel::Tcp(stream))
}

impl Collector {
    /// Encodes a flow, and sends the messages that are full.
    pub(super) fn export(&mut self, flow: &Flow<'_>) {
        if !self.has_failed() {
            self.exporter.encode(flow, now(), &mut self.messages);
            self.send();
        }
    }

    /// Sends what was encoded.
    pub(super) fn flush(&mut self) {
        if self.has_failed() {
            return;
        }
        let now = now();
        if now.saturating_duration_since(self.reported) >= STATISTICS {
            self.reported = now;
            self.exporter.encode_statistics(&self.metering, now, &mut self.messages);
        }
        self.exporter.flush(now, &mut self.messages);
        self.send();
    }

    /// `true` if nothing more can be sent.
    pub(super) fn has_failed(&self) -> bool {
        self.error.is_some()
    }

    /// Sends the rest, and the counters.
    pub(super) fn finish(mut self, statistics: &Statistics) -> Result<(), Error> {
        if !self.has_failed() {
            self.metering.dropped_packets = statistics.source.drops;
            self.metering.ignored_packets = statistics.table.not_followed.total();
            self.exporter.encode_statistics(&self.metering, now(), &mut self.messages);
            self.exporter.flush(now(), &mut self.messages);
            self.send();
        }
        let Self { name, error, unsent, reason, .. } = self;
        if let Some(source) = error {
            return Err(Error::Collector { name, source });
        }
        match reason {
            Some(source) => Err(Error::Unsent { name, messages: unsent, source }),
            None => Ok(()),
        }
    }

    fn send(&mut self) {
        let sent = match &mut self.channel {
            Channel::Udp(socket) => {
                for message in ipfix::messages(&self.messages) {
                    // A collector that is away refuses one datagram and may take the next.
                    if let Err(error) = socket.send(message) {
                        self.unsent += 1;
                        self.reason = Some(error);
                    }
                }
                Ok(())
            }
            Channel::Tcp(stream) => stream.write_all(&self.messages),
            Channel::File(file) => file.write_all(&self.messages),
        };
        self.messages.clear();
        self.error = sent.err();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_name_transport_and_place() {
        let parse = |text: &str| text.parse::<Destination>();
        assert_eq!(parse("udp://h:4739"), Ok(Destination::Udp("h:4739".into())));
        assert_eq!(parse("tcp://[::1]:4739"), Ok(Destination::Tcp("[::1]:4739".into())));
        assert_eq!(parse("file:a/b"), Ok(Destination::File("a/b".into())));
        assert_eq!(parse("file:///a"), Ok(Destination::File("/a".into())));
        for wrong in ["", "h:1", "udp://h", "udp://:1", "tcp://h:99999", "file:", "file://"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
