//! The receiving hosts: how they treat what an attacker sends to mislead an observer.

use std::str::FromStr;

use clap::ValueEnum;
use flow::{
    FlowExtractor, FlowTableBuilder, Network, OverlapPolicy, ParseOptions, VerifyChecksums,
};

use crate::input;

/// The treatment, by the hosts of the capture, of packets that contradict each other or are
/// damaged.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Hosts {
    /// Of overlapping segments and fragments whose bytes differ, show those that the receiving
    /// hosts take: first, last, bsd, bsd-right, linux, windows or solaris. With a network, the
    /// policy of the hosts in it; the longest prefix decides. May be repeated for other networks
    /// [default: first]
    #[arg(long = "policy", value_name = "[NETWORK=]POLICY", value_delimiter = ',')]
    policies: Vec<Policy>,
    /// Drop packets whose checksum is wrong, as their receiver did. `auto` drops those of senders
    /// whose checksums have proved to be real, for captures of a host that leaves checksums to its
    /// adapter [default: never; without a value: always]
    #[arg(long, value_enum, value_name = "WHEN", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "always")]
    verify_checksums: Option<Verify>,
    /// Read ESP packets as if they were not encrypted (NULL encryption, RFC 2410); what does not
    /// look like a packet stays closed.
    #[arg(long)]
    esp_null: bool,
}

/// The packets whose checksums are verified.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Verify {
    Never,
    Auto,
    Always,
}

/// A policy, of one network or of all hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Policy {
    network: Option<Network>,
    policy: OverlapPolicy,
}

impl Hosts {
    /// Ends the command if the same hosts have two policies.
    pub(crate) fn check(&self) {
        for (at, later) in self.policies.iter().enumerate() {
            let Some(first) = self.policies[..at].iter().find(|one| one.network == later.network)
            else {
                continue;
            };
            let whom = match later.network {
                Some(network) => format!("the hosts of {network}"),
                None => "all hosts".to_owned(),
            };
            input::wrong(&format!(
                "--policy: {whom} have two policies, {} and {}; give one for each network",
                first.policy, later.policy
            ));
        }
    }

    /// Sets a table up accordingly, and to compare what comes again with what was delivered.
    pub(crate) fn apply_comparing<E: FlowExtractor>(
        &self,
        table: FlowTableBuilder<E>,
    ) -> FlowTableBuilder<E> {
        // What is in flight of most connections, and as much as conversations take anyway.
        self.apply(table).remember_delivered(64 << 10, 32 << 20)
    }

    /// Sets a table up accordingly.
    pub(crate) fn apply<E: FlowExtractor>(
        &self,
        mut table: FlowTableBuilder<E>,
    ) -> FlowTableBuilder<E> {
        for Policy { network, policy } in &self.policies {
            table = match network {
                Some(network) => table.overlap_policy_for(*network, *policy),
                None => table.overlap_policy(*policy),
            };
        }
        let mut parse = ParseOptions::default();
        parse.esp_null = self.esp_null;
        let verify = match self.verify_checksums {
            None | Some(Verify::Never) => VerifyChecksums::Never,
            Some(Verify::Auto) => VerifyChecksums::Auto,
            Some(Verify::Always) => VerifyChecksums::Always,
        };
        table.verify_checksums(verify).parse_options(parse)
    }
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (network, policy) = match text.rsplit_once('=') {
            Some((network, policy)) => {
                let network = network.parse().map_err(|error| format!("{network}: {error}"))?;
                (Some(network), policy)
            }
            None => (None, text),
        };
        let policy = policy.parse().map_err(|error| format!("{policy}: {error}"))?;
        Ok(Self { network, policy })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_with_and_without_a_network() {
        let read = |text: &str| text.parse::<Policy>();
        assert_eq!(read("linux"), Ok(Policy { network: None, policy: OverlapPolicy::Linux }));
        for network in ["192.0.2.0/24", "2001:db8::/32", "::1"] {
            let policy = read(&format!("{network}=bsd-right"));
            let network = Some(network.parse().unwrap());
            assert_eq!(policy, Ok(Policy { network, policy: OverlapPolicy::BsdRight }));
        }
        for (text, error) in [
            (
                "beos",
                "beos: not a policy; one of first, last, bsd, bsd-right, linux, windows, solaris",
            ),
            ("192.0.2.1/24=linux", "192.0.2.1/24: the address has bits set after the prefix"),
            ("=linux", ": not an IP address; write a network as 192.0.2.0/24 or 2001:db8::/32"),
        ] {
            assert_eq!(read(text), Err(error.to_owned()));
        }
    }
}
