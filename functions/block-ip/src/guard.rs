//! Addresses that are never blocked, whatever a finding says.

use ipnet::IpNet;
use remediation::outcome::Reason;

use crate::Attacker;

/// Special-purpose addresses of the IANA registries that are not reachable as public hosts. The documentation ranges
/// (RFC 5737, RFC 3849) are left out on purpose: they count as public, so that examples work.
const NOT_PUBLIC: &[(&str, &str)] = &[
    ("0.0.0.0/8", "this network"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "carrier-grade NAT"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "protocol assignments"),
    ("192.88.99.0/24", "6to4 relays"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "benchmarking"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved or broadcast"),
    // IPv6 global unicast is 2000::/3; everything else is not public.
    ("::/3", "not global unicast"),
    ("4000::/2", "not global unicast"),
    ("8000::/1", "not global unicast"),
    ("2001::/23", "protocol assignments and Teredo"),
    ("2002::/16", "6to4"),
];

/// What must not be blocked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    not_public: Vec<(IpNet, &'static str)>,
    allow_list: Vec<IpNet>,
    protected: Vec<IpNet>,
}

impl Guard {
    /// `allow_list`: addresses that the operator trusts. `protected`: our own, such as NAT gateways and the VPC.
    #[must_use]
    pub fn new(allow_list: Vec<IpNet>, protected: Vec<IpNet>) -> Self {
        let not_public = NOT_PUBLIC
            .iter()
            .filter_map(|(net, what)| Some((net.parse().ok()?, *what)))
            .collect();
        Self {
            not_public,
            allow_list,
            protected,
        }
    }

    /// Why this address must not be blocked.
    #[must_use]
    pub fn refuse(&self, attacker: &Attacker) -> Option<Reason> {
        let Attacker(address) = attacker;
        let within = |nets: &[IpNet]| nets.iter().find(|net| net.contains(address)).copied();
        if let Some((net, what)) = self.not_public.iter().find(|(net, _)| net.contains(address)) {
            return Some(Reason::new(
                "not-public",
                format!("{address} is not a public address: {what}, {net}"),
            ));
        }
        if let Some(net) = within(&self.allow_list) {
            return Some(Reason::new(
                "allow-listed",
                format!("{address} is on the allow-list by {net}"),
            ));
        }
        let net = within(&self.protected)?;
        Some(Reason::new(
            "protected",
            format!("{address} belongs to the protected range {net}"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> Guard {
        Guard::new(
            vec!["203.0.113.0/24".parse().unwrap()],
            vec!["198.51.100.9/32".parse().unwrap()],
        )
    }

    fn code(address: &str) -> Option<String> {
        guard()
            .refuse(&Attacker(address.parse().unwrap()))
            .map(|reason| reason.code)
    }

    #[test]
    fn every_range_of_the_table_is_read() {
        assert_eq!(guard().not_public.len(), NOT_PUBLIC.len());
    }

    #[test]
    fn s41_what_is_not_public_is_refused() {
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.31.255.255",
            "192.168.1.1",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "ff02::1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001::1",
        ] {
            assert_eq!(code(address).as_deref(), Some("not-public"), "{address}");
        }
    }

    #[test]
    fn neighbours_of_those_ranges_are_public() {
        for address in [
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.2.1",
            "198.51.100.7",
            "223.255.255.255",
            "2001:db8::1",
            "2600::1",
            "3fff::1",
        ] {
            assert_eq!(code(address), None, "{address}");
        }
    }

    #[test]
    fn s41_the_operators_lists_hold() {
        assert_eq!(code("203.0.113.77").as_deref(), Some("allow-listed"));
        assert_eq!(code("198.51.100.9").as_deref(), Some("protected"));
    }
}
