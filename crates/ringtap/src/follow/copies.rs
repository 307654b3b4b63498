//! Conversations that are in a capture twice, since both sides of a router between VLANs were
//! mirrored.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use flow::Scope;
use sha2::{Digest as _, Sha256};

/// Conversations that are remembered, the latest: a copy ends soon after the original. 3 MiB at
/// most.
const REMEMBERED: usize = 1 << 16;

/// Recognises the copies of conversations in other VLANs or tunnels.
///
/// A copy has the same addresses and ports, the same sequence numbers and the same bytes and gaps
/// in both directions. Two connections that only happen to have the same addresses and ports differ
/// in one of these.
#[derive(Clone, Debug, Default)]
pub(super) struct Copies(Rc<RefCell<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    /// By what identifies a conversation apart from its scope: where it was seen first.
    scopes: HashMap<Fingerprint, Scope>,
    /// The oldest first.
    order: VecDeque<Fingerprint>,
    copies: u64,
}

/// Half of a SHA-256 over everything that a conversation and its copy have in common.
pub(super) type Fingerprint = [u8; 16];

impl Copies {
    /// Returns `true` if the same conversation was seen in another scope.
    pub(super) fn has(&self, fingerprint: Fingerprint, scope: Scope) -> bool {
        let mut seen = self.0.borrow_mut();
        if let Some(first) = seen.scopes.get(&fingerprint) {
            let copy = *first != scope;
            seen.copies += u64::from(copy);
            return copy;
        }
        if seen.order.len() >= REMEMBERED
            && let Some(oldest) = seen.order.pop_front()
        {
            seen.scopes.remove(&oldest);
        }
        seen.order.push_back(fingerprint);
        seen.scopes.insert(fingerprint, scope);
        false
    }

    /// The number of copies.
    pub(super) fn count(&self) -> u64 {
        self.0.borrow().copies
    }
}

/// The fingerprint of what these parts say.
pub(super) fn fingerprint(parts: impl IntoIterator<Item = String>) -> Fingerprint {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
        hash.update(b"\n");
    }
    let mut fingerprint = [0; 16];
    fingerprint.copy_from_slice(&hash.finalize()[..16]);
    fingerprint
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_one_in_another_scope() {
        let copies = Copies::default();
        let [one, other] = ["one", "other"].map(|name| fingerprint([name.to_owned()]));
        assert!(!copies.has(one, Scope::NONE));
        assert!(!copies.has(one, Scope::NONE));
        assert!(copies.has(one, Scope(5)));
        assert!(copies.has(one, Scope(6)));
        assert!(!copies.has(other, Scope(5)));
        assert_eq!(copies.count(), 2);
    }

    #[test]
    fn only_the_latest_are_remembered() {
        let copies = Copies::default();
        for number in 0..=REMEMBERED {
            assert!(!copies.has(fingerprint([number.to_string()]), Scope::NONE));
        }
        assert_eq!(copies.0.borrow().scopes.len(), REMEMBERED);
        assert!(copies.has(fingerprint(["1".to_owned()]), Scope(1)));
        assert!(!copies.has(fingerprint(["0".to_owned()]), Scope(1)));
    }
}
