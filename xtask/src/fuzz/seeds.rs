//! The seeds of the fuzz targets, made of the sample events, and the dictionary of the fields that stand in them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// Policies in the forms that IAM's grammar has, for want of any among the events.
const POLICIES: [&str; 8] = [
    r#"{"Version":"2012-10-17","Statement":[{"Sid":"All","Effect":"Allow","Action":"*","Resource":"*"}]}"#,
    r#"{"Statement":{"Effect":"Allow","Action":["s3:*","kms:Decrypt"],"Resource":["arn:aws:s3:::a/*","*"]}}"#,
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotAction":"iam:*","NotResource":"arn:aws:s3:::a"},{"Effect":"Deny","Action":"s3:Delete*","Resource":"*"}]}"#,
    r#"{"Version":"2012-10-17","Id":"p","Statement":[{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::999988887777:root","111122223333"],"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"aws:PrincipalAccount":"111122223333"}}}]}"#,
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::a","arn:aws:s3:::a/*"],"Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}"#,
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"accounts.google.com"},"Action":"sts:AssumeRoleWithWebIdentity"},{"Effect":"Deny","NotPrincipal":{"AWS":"999988887777"},"Action":"sts:*"}]}"#,
    r#"{ "Statement" : [ { "Effect" : "Allow" , "Action" : "kms:*" , "Resource" : "arn:aws:kms:*:*:key/*" } , { "Effect":"Allow","Action":"s3:Get?bject","Resource":"arn:aws:s3:::${aws:username}/*" } ] }"#,
    r#"{"Statement":[]}"#,
];
const PATTERNS: [&str; 4] = [
    "arn:aws:s3:::*\narn:aws:s3:::a/?*\narn:aws:s3:::a/b",
    "s3:*\ns3:Get*\ns3:GetObject",
    "*:*\n*\na:b",
    "arn:*:x\narn:a${b}c:x\narn:abc:x",
];
/// Read as numbers that choose: any bytes do.
const CHOICES: [&str; 2] = ["securecart", "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdef"];

/// Every seed by its path below `fuzz/`, and the dictionary.
type Seeds = BTreeMap<PathBuf, String>;

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(default)]
    source: String,
    #[serde(default, rename = "detail-type")]
    detail_type: String,
    #[serde(default, borrow)]
    detail: Option<&'a RawValue>,
    #[serde(default, borrow)]
    undo: Option<&'a RawValue>,
    #[serde(default, borrow)]
    explain: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Findings<'a> {
    #[serde(default, borrow)]
    findings: Vec<&'a RawValue>,
}

/// What the seeds are by the sample events that there are.
pub fn made(workspace: &Path) -> Result<Seeds> {
    let mut seeds = Seeds::new();
    let mut fields = BTreeSet::new();
    let mut known = BTreeSet::new();
    let mut add = |target: &str, name: &str, text: String| {
        // The same finding is in several samples.
        if known.insert((target.to_owned(), text.clone())) {
            seeds.insert(Path::new("seeds").join(target).join(name), text);
        }
    };
    for (name, text) in samples(workspace)? {
        let text = compact(&text);
        named(&serde_json::from_str(&text)?, &mut fields);
        add("intake", &name, text.clone());
        let event: Event<'_> = serde_json::from_str(&text).with_context(|| name.clone())?;
        if let Some(id) = event.undo {
            add("command", &name, format!("{}\nann", id.get().trim_matches('"')));
        }
        if let Some(event) = event.explain {
            add("command", &name, format!("\n{}", event.get()));
        }
        let Some(detail) = event.detail.map(RawValue::get) else {
            continue;
        };
        let listed = || -> Result<Vec<String>> {
            let findings: Findings<'_> = serde_json::from_str(detail)?;
            Ok(findings.findings.iter().map(|raw| raw.get().to_owned()).collect())
        };
        let (target, texts) = match (event.source.as_str(), event.detail_type.as_str()) {
            ("aws.guardduty", _) => ("guardduty", vec![detail.to_owned()]),
            ("aws.securityhub", "Findings Imported V2") => ("ocsf", listed()?),
            ("aws.securityhub", _) => ("asff", listed()?),
            ("aws.config", _) => ("config", vec![detail.to_owned()]),
            ("aws.access-analyzer", _) => ("access_analyzer", vec![detail.to_owned()]),
            ("aws.health", _) => ("health", vec![detail.to_owned()]),
            (_, "AWS API Call via CloudTrail") => ("cloudtrail", vec![detail.to_owned()]),
            _ => continue,
        };
        for (index, text) in texts.into_iter().enumerate() {
            add(target, &format!("{name}-{index}"), text);
        }
    }
    let settings = compact(&fs::read_to_string(workspace.join("settings.json"))?);
    named(&serde_json::from_str(&settings)?, &mut fields);
    add("settings", "settings", settings);
    for policy in POLICIES {
        named(&serde_json::from_str(policy)?, &mut fields);
    }
    let written: [(&str, &[&str]); 3] = [("policy", &POLICIES), ("pattern", &PATTERNS), ("subset", &CHOICES)];
    for (target, texts) in written {
        for (index, text) in texts.iter().enumerate() {
            add(target, &index.to_string(), (*text).to_owned());
        }
    }
    let words = fields.iter().map(|field| format!("\"\\\"{field}\\\"\"\n"));
    seeds.insert(PathBuf::from("fields.dict"), words.collect());
    Ok(seeds)
}

/// Writes them, and takes away what no sample stands behind any more.
pub fn write(workspace: &Path) -> Result<()> {
    let fuzz = workspace.join("fuzz");
    let seeds = made(workspace)?;
    for path in present(workspace)?.keys().filter(|path| !seeds.contains_key(*path)) {
        fs::remove_file(fuzz.join(path))?;
    }
    for (path, text) in &seeds {
        let path = fuzz.join(path);
        fs::create_dir_all(path.parent().context("a seed lies in a folder")?)?;
        fs::write(path, text)?;
    }
    println!("{} seeds below fuzz/seeds", seeds.len() - 1);
    Ok(())
}

/// Those that are there.
fn present(workspace: &Path) -> Result<Seeds> {
    let fuzz = workspace.join("fuzz");
    let mut seeds = Seeds::new();
    let mut folders = vec![fuzz.join("seeds")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = fs::read_to_string(&path)?;
                seeds.insert(path.strip_prefix(&fuzz)?.to_owned(), text);
            }
        }
    }
    let dictionary = fs::read_to_string(fuzz.join("fields.dict")).unwrap_or_default();
    seeds.insert(PathBuf::from("fields.dict"), dictionary);
    Ok(seeds)
}

/// The sample events, by function and name.
fn samples(workspace: &Path) -> Result<BTreeMap<String, String>> {
    let mut samples = BTreeMap::new();
    for folder in fs::read_dir(workspace.join("events"))? {
        let folder = folder?.path();
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let name = |path: &Path| Some(path.file_stem()?.to_str()?.to_owned());
                let name = name(&folder).zip(name(&path)).context("names are text")?;
                samples.insert(format!("{}-{}", name.0, name.1), fs::read_to_string(&path)?);
            }
        }
    }
    Ok(samples)
}

/// The text without the space between its tokens; their order and spelling stay.
fn compact(text: &str) -> String {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.chars()
        .filter(|c| {
            let stays = is_quoted || !c.is_ascii_whitespace();
            if *c == '"' && !is_escaped {
                is_quoted = !is_quoted;
            }
            is_escaped = *c == '\\' && !is_escaped;
            stays
        })
        .collect()
}

/// The names of all fields. Those with signs in them, such as `aws/guardduty/service/…`, belong to single findings.
fn named(value: &Value, fields: &mut BTreeSet<String>) {
    match value {
        Value::Object(entries) => {
            for (name, value) in entries {
                if name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_:".contains(&byte))
                {
                    fields.insert(name.clone());
                }
                named(value, fields);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| named(value, fields)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_are_those_of_the_sample_events() {
        let workspace = local_cloud::workspace().unwrap();
        let (made, present) = (made(&workspace).unwrap(), present(&workspace).unwrap());
        let differ: Vec<_> = made
            .keys()
            .chain(present.keys())
            .filter(|path| made.get(*path) != present.get(*path))
            .collect();
        assert!(differ.is_empty(), "cargo xtask fuzz seeds writes them anew: {differ:?}");
    }

    #[test]
    fn what_is_quoted_stays() {
        assert_eq!(compact("{ \"a b\" : \"\\\" c\" }"), "{\"a b\":\"\\\" c\"}");
    }
}
