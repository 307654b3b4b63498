//! The fields of a flow's key.

use std::net::IpAddr;

use flow::{FiveTupleKey, IpPairKey, MacPairKey, Scope, protocol};

/// A key of flows whose fields an expression can test.
pub trait KeyFields {
    /// The addresses of `a` and `b`. `None` if the key has none.
    fn addresses(&self) -> Option<[IpAddr; 2]>;

    /// The ports of `a` and `b`. `None` if the key has none, or the protocol has no ports.
    fn ports(&self) -> Option<[u16; 2]> {
        None
    }

    /// The VLANs and tunnels.
    fn scope(&self) -> Scope {
        Scope::NONE
    }
}

/// UDP-Lite (RFC 3828).
const UDP_LITE: u8 = 136;

impl KeyFields for FiveTupleKey {
    fn addresses(&self) -> Option<[IpAddr; 2]> {
        Some([self.a.address, self.b.address])
    }

    fn ports(&self) -> Option<[u16; 2]> {
        let has = [protocol::TCP, protocol::UDP, protocol::SCTP, UDP_LITE].contains(&self.protocol);
        has.then_some([self.a.port, self.b.port])
    }

    fn scope(&self) -> Scope {
        self.scope
    }
}

impl KeyFields for IpPairKey {
    fn addresses(&self) -> Option<[IpAddr; 2]> {
        Some([self.a, self.b])
    }

    fn scope(&self) -> Scope {
        self.scope
    }
}

impl KeyFields for MacPairKey {
    fn addresses(&self) -> Option<[IpAddr; 2]> {
        None
    }

    fn scope(&self) -> Scope {
        self.scope
    }
}

/// The VLANs of a scope, from the outside in.
pub(crate) fn vlans(scope: Scope) -> Vec<u64> {
    let vlan = |part: &String| part.strip_prefix("vlan ").and_then(|number| number.parse().ok());
    parts(scope).iter().filter_map(vlan).collect()
}

/// The tunnels of a scope, from the outside in.
pub(crate) fn tunnels(scope: Scope) -> Vec<String> {
    parts(scope).into_iter().filter(|part| !part.starts_with("vlan ")).collect()
}

/// The VLANs and tunnels of a scope's name: words, each with the numbers that follow it.
fn parts(scope: Scope) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for word in scope.to_string().split_whitespace() {
        match parts.last_mut() {
            Some(part) if word.starts_with(|c: char| c.is_ascii_digit()) => {
                part.push(' ');
                part.push_str(word);
            }
            _ => parts.push(word.to_owned()),
        }
    }
    parts
}
