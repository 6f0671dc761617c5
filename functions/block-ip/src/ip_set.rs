//! WAF IP sets, as the settings name them and as WAF answers.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;
use remediation::{Approved, Receipt, failure::Failure};

/// Addresses that one IP set holds at most (AWS WAF quotas; cannot be raised).
pub const CAPACITY: usize = 10_000;

/// Where an IP set applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WafScope {
    /// Load balancers, API Gateway and the like, in one Region.
    Regional,
    /// CloudFront; always managed in us-east-1.
    CloudFront,
}

impl fmt::Display for WafScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Regional => "REGIONAL",
            Self::CloudFront => "CLOUDFRONT",
        })
    }
}

/// The addresses that an IP set takes; fixed when it is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub fn of(address: &IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPV4",
            Self::V6 => "IPV6",
        })
    }
}

/// One IP set: what one write covers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpSet {
    /// Where it applies.
    pub waf: WafScope,
    /// What it takes.
    pub family: Family,
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
}

impl fmt::Display for IpSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.waf, self.family, self.name)
    }
}

/// An IP set without its family: `name|id|SCOPE`, the `Ref` of an `AWS::WAFv2::IPSet`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpSetRef {
    waf: WafScope,
    name: String,
    id: String,
}

impl IpSetRef {
    /// The set, which takes addresses of this family.
    #[must_use]
    pub fn of_family(self, family: Family) -> IpSet {
        IpSet {
            waf: self.waf,
            family,
            name: self.name,
            id: self.id,
        }
    }
}

impl FromStr for IpSetRef {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('|');
        let (name, id, scope) = (parts.next(), parts.next(), parts.next());
        match (name, id, scope, parts.next()) {
            (Some(name), Some(id), Some(scope), None) if !name.is_empty() && !id.is_empty() => {
                let waf = match scope {
                    "REGIONAL" => WafScope::Regional,
                    "CLOUDFRONT" => WafScope::CloudFront,
                    _ => return Err("the scope must be REGIONAL or CLOUDFRONT"),
                };
                Ok(Self {
                    waf,
                    name: name.to_owned(),
                    id: id.to_owned(),
                })
            }
            _ => Err("expected name|id|SCOPE, the Ref of an AWS::WAFv2::IPSet"),
        }
    }
}

/// What WAF says of an IP set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Its addresses, without host bits.
    pub addresses: Vec<IpNet>,
    /// The token of this state; a write with it fails when the state has changed.
    pub lock_token: String,
    /// Has to be sent again with every write.
    pub description: Option<String>,
}

/// The whole new contents, on top of the state that the token names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// All addresses, in order.
    pub addresses: Vec<IpNet>,
    /// The token of the state that this was planned from.
    pub lock_token: String,
    /// Kept as it was.
    pub description: Option<String>,
}

/// AWS WAF, as far as this function uses it.
pub trait IpSets: Send + Sync {
    /// `GetIPSet`.
    fn get(&self, set: &IpSet) -> impl Future<Output = Result<Contents, Failure>> + Send;

    /// `UpdateIPSet`. A conflict when the token is stale.
    fn update(
        &self,
        set: &IpSet,
        replacement: &Approved<Replacement>,
    ) -> impl Future<Output = Result<Receipt, Failure>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_those_of_cloudformation() {
        let set = "blocked-v4|a1b2|REGIONAL"
            .parse::<IpSetRef>()
            .unwrap()
            .of_family(Family::V4);
        assert_eq!(set.to_string(), "REGIONAL/IPV4/blocked-v4");
        for wrong in ["", "name|id", "name|id|GLOBAL", "|id|REGIONAL", "a|b|REGIONAL|c"] {
            assert!(wrong.parse::<IpSetRef>().is_err(), "{wrong}");
        }
    }
}
