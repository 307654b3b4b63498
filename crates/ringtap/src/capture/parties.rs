//! The names of conversations in comments and in names of files.

use std::fmt;
use std::net::SocketAddr;

use flow::{Endpoint, FiveTupleKey, Flow, Orientation, protocol};

use crate::follow::files::name;

/// A conversation's protocol, its initiator and its responder.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parties {
    key: FiveTupleKey,
    initiator: Orientation,
}

impl Parties {
    pub(super) const fn of(flow: &Flow<'_, FiveTupleKey>) -> Self {
        Self { key: *flow.key, initiator: flow.initiator }
    }

    /// The initiator and the responder.
    fn ends(&self) -> [Endpoint; 2] {
        match self.initiator {
            Orientation::Forward => [self.key.a, self.key.b],
            Orientation::Reverse => [self.key.b, self.key.a],
        }
    }

    fn protocol(&self) -> String {
        match self.key.protocol {
            protocol::TCP => "tcp".to_owned(),
            protocol::UDP => "udp".to_owned(),
            other => format!("ip{other}"),
        }
    }

    /// A part of the name of a file.
    pub(super) fn file_name(&self) -> String {
        let [from, to] = self.ends().map(name);
        format!("{}-{from}-{to}", self.protocol())
    }
}

/// As in `tcp 192.0.2.1:40000 > 198.51.100.2:80 in VLAN 5`.
impl fmt::Display for Parties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [from, to] = self.ends().map(|end| SocketAddr::new(end.address, end.port));
        write!(f, "{} {from} > {to}", self.protocol())?;
        let scope = self.key.scope.to_string();
        if scope.is_empty() { Ok(()) } else { write!(f, " in {scope}") }
    }
}
