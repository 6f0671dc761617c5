//! The function's settings, from the environment that `template.yaml` sets.

use std::str::FromStr;

use chrono::TimeDelta;
use remediation::{
    engine::Policy,
    finding::Severity,
    settings::{InvalidSettings, Mode, SettingsReader, flag, list},
};

use crate::{
    block::Terms,
    guard::{Guard, parse_net},
    ip_set::{Family, IpSet, IpSetRef},
};

/// All that can be set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How far to go.
    pub policy: Policy,
    /// The IP sets; at least one.
    pub sets: Vec<IpSet>,
    /// What is never blocked.
    pub guard: Guard,
    /// How long blocks stand.
    pub terms: Terms,
}

impl Settings {
    /// Reads them.
    ///
    /// # Errors
    /// All settings that are missing or wrong, each by its name.
    pub fn read(mut reader: SettingsReader) -> Result<Self, InvalidSettings> {
        let mode = reader.required("MODE", Mode::from_str);
        let samples = reader.or_default("ALLOW_SAMPLE_FINDINGS", flag);
        let v4 = reader.or_default("BLOCK_IPV4_SETS", |text| list(text, IpSetRef::from_str));
        let v6 = reader.or_default("BLOCK_IPV6_SETS", |text| list(text, IpSetRef::from_str));
        let allow_list = reader.or_default("ALLOW_LIST", |text| list(text, parse_net));
        let protected = reader.or_default("PROTECTED_RANGES", |text| list(text, parse_net));
        let cap = reader.or_default("BLOCK_HOURS_CAP", |text| hours(text).map(Some));
        let terms = reader
            .or_default("BLOCK_HOURS", |text| list(text, severity_hours))
            .zip(cap)
            .map(terms);
        if let Some(terms) = &terms
            && [terms.low, terms.medium, terms.high, terms.critical]
                .iter()
                .any(|term| *term > terms.cap)
        {
            reader.reject("BLOCK_HOURS_CAP", &"is shorter than one of BLOCK_HOURS");
        }
        let sets = v4.zip(v6).map(|(v4, v6)| sets(v4, v6));
        if sets.as_ref().is_some_and(Vec::is_empty) {
            reader.reject("BLOCK_IPV4_SETS", &"names no IP set, and neither does BLOCK_IPV6_SETS");
        }
        let settings = (|| {
            Some(Self {
                policy: Policy {
                    mode: mode?,
                    allow_samples: samples?,
                    // An attacker of one account is blocked for all that share this web ACL.
                    account: None,
                },
                sets: sets?,
                guard: Guard::new(allow_list?, protected?),
                terms: terms?,
            })
        })();
        reader.finish(settings)
    }
}

fn sets(v4: Vec<IpSetRef>, v6: Vec<IpSetRef>) -> Vec<IpSet> {
    let v4 = v4.into_iter().map(|set| set.of_family(Family::V4));
    v4.chain(v6.into_iter().map(|set| set.of_family(Family::V6))).collect()
}

fn hours(text: &str) -> Result<TimeDelta, &'static str> {
    let hours = text.parse().ok().filter(|hours| (1..=24 * 365).contains(hours));
    hours.map(TimeDelta::hours).ok_or("expected whole hours from 1 to 8760")
}

fn severity_hours(text: &str) -> Result<(Severity, TimeDelta), String> {
    let (label, number) = text.split_once('=').ok_or("expected SEVERITY=HOURS, such as LOW=24")?;
    let severity = Severity::from_label(label).ok_or("expected LOW, MEDIUM, HIGH or CRITICAL")?;
    Ok((severity, hours(number)?))
}

fn terms((named, cap): (Vec<(Severity, TimeDelta)>, Option<TimeDelta>)) -> Terms {
    let mut terms = Terms::default();
    terms.cap = cap.unwrap_or(terms.cap);
    for (severity, term) in named {
        match severity {
            Severity::Low => terms.low = term,
            Severity::Medium => terms.medium = term,
            Severity::High => terms.high = term,
            Severity::Critical => terms.critical = term,
        }
    }
    terms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[(&str, &str)]) -> Result<Settings, InvalidSettings> {
        Settings::read(SettingsReader::new(
            values
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        ))
    }

    #[test]
    fn as_the_template_sets_them() {
        let settings = read(&[
            ("MODE", "enforce"),
            ("BLOCK_IPV4_SETS", "a|1|REGIONAL,b|2|CLOUDFRONT"),
            ("BLOCK_IPV6_SETS", ""),
            ("ALLOW_LIST", "203.0.113.0/24, 2001:db8::1"),
            ("PROTECTED_RANGES", ""),
            ("ALLOW_SAMPLE_FINDINGS", "false"),
            ("BLOCK_HOURS", "LOW=1,CRITICAL=700"),
            ("BLOCK_HOURS_CAP", "720"),
        ])
        .unwrap();
        assert_eq!(settings.sets.len(), 2);
        assert_eq!(
            (settings.terms.low.num_hours(), settings.terms.critical.num_hours()),
            (1, 700)
        );
        assert_eq!(settings.terms.medium, Terms::default().medium);
    }

    #[test]
    fn everything_wrong_is_named() {
        let wrong = read(&[
            ("BLOCK_IPV4_SETS", "a|1"),
            ("ALLOW_LIST", "10.0.0.5/24"),
            ("PROTECTED_RANGES", "all"),
            ("ALLOW_SAMPLE_FINDINGS", "yes"),
            ("BLOCK_HOURS", "LOW:1"),
            ("BLOCK_HOURS_CAP", "0"),
        ])
        .unwrap_err();
        let names: Vec<_> = wrong.0.iter().map(|w| w.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "MODE",
                "ALLOW_SAMPLE_FINDINGS",
                "BLOCK_IPV4_SETS",
                "ALLOW_LIST",
                "PROTECTED_RANGES",
                "BLOCK_HOURS_CAP",
                "BLOCK_HOURS"
            ]
        );
        assert!(wrong.to_string().contains("10.0.0.0/24"), "{wrong}");
    }

    #[test]
    fn contradictions_are_wrong_too() {
        let base = [("MODE", "dry-run"), ("BLOCK_IPV4_SETS", "a|1|REGIONAL")];
        assert!(read(&base).is_ok());
        assert!(read(&[base[0], base[1], ("BLOCK_HOURS_CAP", "100")]).is_err());
        assert!(read(&[base[0]]).is_err());
    }
}
