//! Identifiers of flows that have none.

use std::net::IpAddr;

use flow::Scope;

use crate::Flow;

const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

/// Letters of a Zeek identifier.
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A hash (FNV-1a with 128 bits) of what makes a flow this flow: ends, protocol, start and number.
/// The same capture gives the same identifiers each time.
pub(crate) fn hash(flow: &Flow<'_>) -> u128 {
    let mut hash = OFFSET;
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u128::from(*byte)).wrapping_mul(PRIME);
        }
    };
    for end in [flow.initiator.endpoint, flow.responder.endpoint] {
        match end.address {
            IpAddr::V4(address) => add(&address.octets()),
            IpAddr::V6(address) => add(&address.octets()),
        }
        add(&end.port.to_be_bytes());
    }
    add(&[flow.protocol]);
    // The number of a tunnel's scope is another one in each process; its name is not.
    if flow.initiator.scope != Scope::NONE {
        add(flow.initiator.scope.to_string().as_bytes());
    }
    add(&flow.started.as_nanos().to_be_bytes());
    add(&flow.number.map_or(0, |number| number.wrapping_add(1)).to_be_bytes());
    hash
}

/// Passes the flow's identifier on: its own, or a C and 17 letters of the hash.
pub(crate) fn with<R>(flow: &Flow<'_>, take: impl FnOnce(&str) -> R) -> R {
    if let Some(uid) = flow.uid {
        return take(uid);
    }
    let mut text = [b'C'; 18];
    let mut rest = hash(flow);
    for letter in &mut text[1..] {
        *letter = LETTERS[(rest % 62) as usize];
        rest /= 62;
    }
    take(str::from_utf8(&text).unwrap_or("C"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use flow::Timestamp;

    use super::*;

    #[test]
    fn flows_that_differ_have_other_identifiers() {
        let mut flow =
            Flow::new("[2001:db8::1]:1".parse().unwrap(), "192.0.2.1:2".parse().unwrap(), 6);
        let uid = |flow: &Flow<'_>| with(flow, str::to_owned);
        let mut seen = HashSet::from([uid(&flow)]);
        assert_eq!(uid(&flow).len(), 18);
        assert!(!seen.insert(uid(&flow)));
        flow.started = Timestamp::from_nanos(1);
        assert!(seen.insert(uid(&flow)));
        flow.number = Some(0);
        assert!(seen.insert(uid(&flow)));
        flow.number = Some(1);
        assert!(seen.insert(uid(&flow)));
        flow.protocol = 17;
        assert!(seen.insert(uid(&flow)));
        flow.uid = Some("mine");
        assert_eq!(uid(&flow), "mine");
    }
}
