//! Capabilities in error messages.

use std::fmt;

use ring_sys::capability::Capability;

/// The capabilities that an operation needs, and the ways to get them.
pub(crate) struct Needs<'a>(pub(crate) &'a [Capability]);

impl fmt::Display for Needs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|capability| capability.name()).collect();
        let (all, given) = (names.join(" and ").to_uppercase(), names.join(","));
        write!(
            f,
            "{}; run as root, or `setcap {given}+ep PROGRAM`",
            all.replace(" AND ", " and ")
        )?;
        // The kernel checks these two in the first user namespace, so one's own is of no use.
        if self.0.iter().any(|needed| matches!(needed, Capability::Bpf | Capability::SysAdmin)) {
            return Ok(());
        }
        f.write_str(
            ", or in a user namespace of your own (`unshare -rn`), which sees only its own traffic",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_given_that_lead_there() {
        let raw = Needs(&[Capability::NetRaw]).to_string();
        assert!(raw.starts_with("CAP_NET_RAW; run as root, or `setcap cap_net_raw+ep"), "{raw}");
        assert!(raw.contains("unshare -rn"), "{raw}");
        let program = Needs(&[Capability::NetAdmin, Capability::Bpf]).to_string();
        assert!(program.starts_with("CAP_NET_ADMIN and CAP_BPF; run as root"), "{program}");
        assert!(program.ends_with("`setcap cap_net_admin,cap_bpf+ep PROGRAM`"), "{program}");
    }
}
