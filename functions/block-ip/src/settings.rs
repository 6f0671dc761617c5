//! The function's settings: what the deployment sets in the environment, and what the operator does in the document.

use std::str::FromStr;

use remediation::{
    engine::Policy,
    settings::{Document, Hours, InvalidSettings, Net, Section, SettingsReader, list},
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    block::Terms,
    guard::Guard,
    ip_set::{Family, IpSet, IpSetRef},
};

/// What the deployment sets.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The IP sets; at least one.
    pub sets: Vec<IpSet>,
}

impl Environment {
    /// Reads it.
    ///
    /// # Errors
    /// All that is missing or wrong, each by its name.
    pub fn read(mut reader: SettingsReader) -> Result<Self, InvalidSettings> {
        let v4 = reader.or_default("BLOCK_IPV4_SETS", |text| list(text, IpSetRef::from_str));
        let v6 = reader.or_default("BLOCK_IPV6_SETS", |text| list(text, IpSetRef::from_str));
        let sets = v4.zip(v6).map(|(v4, v6)| sets(v4, v6));
        if sets.as_ref().is_some_and(Vec::is_empty) {
            reader.reject("BLOCK_IPV4_SETS", &"names no IP set, and neither does BLOCK_IPV6_SETS");
        }
        reader.finish(sets.map(|sets| Self { sets }))
    }
}

fn sets(v4: Vec<IpSetRef>, v6: Vec<IpSetRef>) -> Vec<IpSet> {
    let v4 = v4.into_iter().map(|set| set.of_family(Family::V4));
    v4.chain(v6.into_iter().map(|set| set.of_family(Family::V6))).collect()
}

/// What the operator sets for this function alone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(inline)]
pub struct Own {
    /// Addresses that are never blocked, such as those of offices, partners and scanners that you run.
    pub allow_list: Vec<Net>,
    /// Your own NAT gateways, load balancers, proxies and VPCs; never blocked.
    pub protected_ranges: Vec<Net>,
    /// How long blocks stand.
    pub block_hours: BlockHours,
}

/// Hours that a block stands, by the severity of the finding. It doubles with each further offence, up to the cap.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(inline)]
pub struct BlockHours {
    /// For severities below 4.
    pub low: Hours,
    /// From 4.
    pub medium: Hours,
    /// From 7.
    pub high: Hours,
    /// From 9.
    pub critical: Hours,
    /// Hours from now that no block outlasts, however often the attacker returns.
    pub cap: Hours,
}

impl Default for BlockHours {
    fn default() -> Self {
        Self {
            low: Hours::new(24),
            medium: Hours::new(72),
            high: Hours::new(168),
            critical: Hours::new(336),
            cap: Hours::new(720),
        }
    }
}

impl BlockHours {
    fn terms(&self) -> Terms {
        Terms {
            low: self.low.span(),
            medium: self.medium.span(),
            high: self.high.span(),
            critical: self.critical.span(),
            cap: self.cap.span(),
        }
    }
}

impl Section for Own {
    /// A storm of attackers is no reason to stop blocking them.
    const CHANGES_PER_HOUR: u32 = 10_000;

    fn contradictions(&self) -> Vec<(String, String)> {
        let hours = &self.block_hours;
        let longest = hours.low.max(hours.medium).max(hours.high).max(hours.critical);
        if longest > hours.cap {
            vec![(
                "blockHours.cap".to_owned(),
                format!("{} is shorter than {longest}, which a block may stand", hours.cap),
            )]
        } else {
            Vec::new()
        }
    }
}

/// All that can be set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is allowed.
    pub policy: Policy,
    /// The IP sets; at least one.
    pub sets: Vec<IpSet>,
    /// What is never blocked.
    pub guard: Guard,
    /// How long blocks stand.
    pub terms: Terms,
}

impl Settings {
    /// Reads the operator's document.
    ///
    /// # Errors
    /// All settings of this function that are wrong, each by its path.
    pub fn read(environment: &Environment, document: &Document) -> Result<Self, InvalidSettings> {
        let (policy, own) = Policy::read::<Own>(document, "block-ip")?;
        let nets = |nets: Vec<Net>| nets.into_iter().map(|Net(net)| net).collect();
        Ok(Self {
            policy,
            sets: environment.sets.clone(),
            guard: Guard::new(nets(own.allow_list), nets(own.protected_ranges)),
            terms: own.block_hours.terms(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(values: &[(&str, &str)]) -> Result<Environment, InvalidSettings> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Environment::read(SettingsReader::new(values.iter().map(own)))
    }

    fn names(wrong: InvalidSettings) -> Vec<String> {
        wrong.0.into_iter().map(|wrong| wrong.name).collect()
    }

    #[test]
    fn what_the_deployment_sets_is_read_and_named_where_it_is_wrong() {
        let sets = environment(&[("BLOCK_IPV4_SETS", "a|1|REGIONAL,b|2|CLOUDFRONT")]);
        assert_eq!(sets.unwrap().sets.len(), 2);
        let wrong = environment(&[("BLOCK_IPV4_SETS", "a|1")]).unwrap_err();
        assert_eq!(names(wrong), ["BLOCK_IPV4_SETS"]);
        assert_eq!(names(environment(&[]).unwrap_err()), ["BLOCK_IPV4_SETS"]);
    }

    #[test]
    fn what_the_operator_sets_is_read_and_named_where_it_is_wrong() {
        let environment = environment(&[("BLOCK_IPV4_SETS", "a|1|REGIONAL")]).unwrap();
        let read = |own: &str| {
            let document = format!(r#"{{"functions": {{"block-ip": {own}}}}}"#);
            Settings::read(&environment, &Document::parse(&document).unwrap())
        };
        let default = read("{}").unwrap();
        assert_eq!(default.terms, Terms::default());
        let set =
            read(r#"{"blockHours": {"low": 1, "critical": 700}, "allowList": ["203.0.113.0/24", "2001:db8::1"]}"#);
        let terms = set.unwrap().terms;
        assert_eq!((terms.low.num_hours(), terms.critical.num_hours()), (1, 700));
        let wrong =
            read(r#"{"blockHours": {"low": 0, "hgh": 1}, "allowList": ["10.0.0.5/24"], "protectedRanges": "all"}"#);
        assert_eq!(
            names(wrong.unwrap_err()),
            [
                "functions.block-ip.allowList[0]",
                "functions.block-ip.blockHours.hgh",
                "functions.block-ip.blockHours.low",
                "functions.block-ip.protectedRanges"
            ]
        );
        let contradicts = read(r#"{"blockHours": {"cap": 100}}"#).unwrap_err();
        assert_eq!(names(contradicts), ["functions.block-ip.blockHours.cap"]);
    }
}
