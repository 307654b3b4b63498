//! Checksums that are wrong, and whether that means anything.

use crate::{
    Checksum, ChecksumStatus, Defect, Headers, Packet, VerifyChecksums, verify_ipv4_header,
};

/// Senders whose checksums have proved to be real.
///
/// A host that leaves checksums to its adapter is captured before they are filled in, and one that
/// joins received segments after they have lost theirs. So a wrong checksum says something only
/// about a sender that has shown right ones, and never a wrong one before. What is known is kept in
/// a table of fixed size, where a sender may take the place of another: that one then has to prove
/// itself again.
#[derive(Debug, Default)]
pub(super) struct Checksums {
    proofs: Vec<Proof>,
    hasher: ahash::RandomState,
}

#[derive(Clone, Copy, Debug, Default)]
struct Proof {
    /// The sender's hash.
    tag: u64,
    ip: Level,
    transport: Level,
    /// The longest packet whose transport checksum was right: a longer one may be several that were
    /// joined.
    longest: u32,
}

/// Right checksums in a row; [`DOUBTFUL`](Self::DOUBTFUL) once one was wrong before it was enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Level(u8);

/// Places for senders.
const PROOFS: usize = 1 << 13;

impl Level {
    /// Right checksums that prove a sender's. A random one is right once in 65,536 times.
    const ENOUGH: u8 = 4;
    const DOUBTFUL: Self = Self(u8::MAX);

    const fn is_proven(self) -> bool {
        self.0 >= Self::ENOUGH && self.0 != Self::DOUBTFUL.0
    }

    const fn right(&mut self) {
        if self.0 < Self::ENOUGH {
            self.0 += 1;
        }
    }

    const fn wrong(&mut self) {
        if self.0 < Self::ENOUGH {
            *self = Self::DOUBTFUL;
        }
    }
}

impl Checksums {
    /// The reason for which the receiver discards a packet, if its checksums show one.
    pub(super) fn defect(
        &mut self,
        packet: &Packet<'_>,
        headers: &Headers,
        mode: VerifyChecksums,
    ) -> Option<Defect> {
        if mode == VerifyChecksums::Never {
            return None;
        }
        let transport = if packet.meta().checksum == ChecksumStatus::Partial {
            Checksum::Partial
        } else {
            headers.verify_checksum(packet.data())
        };
        let header = ipv4_header(packet.data(), headers.network_offset);
        let always = mode == VerifyChecksums::Always;
        let proof = self.proof(headers);
        let mut defect = None;
        match transport {
            Checksum::Valid => {
                proof.transport.right();
                proof.longest = proof.longest.max(packet.wire_len());
            }
            Checksum::Invalid if always => defect = Some(Defect::Checksum),
            Checksum::Invalid if proof.transport.is_proven() => {
                if packet.wire_len() <= proof.longest {
                    defect = Some(Defect::Checksum);
                } else {
                    proof.transport = Level::DOUBTFUL;
                }
            }
            Checksum::Invalid | Checksum::Partial => proof.transport.wrong(),
            Checksum::Unknown => {}
        }
        if let Some(header) = header {
            if verify_ipv4_header(header) == Checksum::Valid {
                proof.ip.right();
            } else if proof.ip.is_proven() || always && header[10..12] != [0, 0] {
                // An adapter that makes these checksums is left with 0.
                defect = Some(Defect::IpChecksum);
            } else {
                proof.ip.wrong();
            }
        }
        defect
    }

    fn proof(&mut self, headers: &Headers) -> &mut Proof {
        let Headers { source, destination, protocol, source_port, destination_port, scope, .. } =
            headers;
        let sender = (source, destination, protocol, source_port, destination_port, scope);
        let tag = self.hasher.hash_one(sender);
        if self.proofs.is_empty() {
            self.proofs.resize(PROOFS, Proof::default());
        }
        let proof = &mut self.proofs[tag as usize % PROOFS];
        if proof.tag != tag {
            *proof = Proof { tag, ..Proof::default() };
        }
        proof
    }
}

/// The IPv4 header at this place, if it was captured.
pub(super) fn ipv4_header(data: &[u8], offset: u32) -> Option<&[u8]> {
    let packet = data.get(offset as usize..)?;
    let first = *packet.first()?;
    let header = packet.get(..usize::from(first & 0x0f) * 4)?;
    (first >> 4 == 4 && header.len() >= 20).then_some(header)
}
