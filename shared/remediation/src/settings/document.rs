//! What the operator sets: one JSON document in SSM Parameter Store, the same for all functions.

use std::collections::BTreeMap;

use chrono::{NaiveDate, NaiveTime};
use schemars::{JsonSchema, SchemaGenerator};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error},
};
use serde_json::{Map, Value, json};

use super::{Hours, InvalidSetting, InvalidSettings, Mode, strict};
use crate::{clock::Timestamp, ids::AccountId, json, policy::matches};

/// The functions that there are; settings of any other name are a mistake.
pub const FUNCTIONS: [&str; 7] = [
    "block-ip",
    "block-public-access",
    "close-open-ingress",
    "disable-access-key",
    "enforce-s3-encryption",
    "enforce-storage-encryption",
    "revoke-permissions",
];

/// The operator's document, read and found right as far as it is not about one function only.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(inline, title = "SecureCart remediation settings")]
pub struct Document {
    /// Where the schema of this document is, for editors.
    #[serde(rename = "$schema")]
    schema: Option<String>,
    /// The form of this document.
    #[schemars(range(min = 1, max = 1))]
    version: u8,
    /// The kill switch: while it is true nothing is written anywhere, and everything waits for approval.
    pub stop: bool,
    /// How far functions go that say nothing else.
    pub mode: Mode,
    /// How many changes a function makes in an account in an hour; all others wait for approval. If nothing is said, 100, and
    /// 10,000 blocks of addresses.
    #[schemars(range(min = 1))]
    pub changes_per_hour: Option<u32>,
    /// How long a plan waits for approval.
    pub approval_hours: Hours,
    /// What is left alone for a while, and on whose word.
    pub exemptions: Vec<Exemption>,
    /// What is set for single functions, by their names.
    functions: BTreeMap<String, Map<String, Value>>,
}

impl Default for Document {
    fn default() -> Self {
        Self {
            schema: None,
            version: 1,
            stop: false,
            mode: Mode::DryRun,
            changes_per_hour: None,
            approval_hours: Hours::new(72),
            exemptions: Vec::new(),
            functions: BTreeMap::new(),
        }
    }
}

/// What is left alone for a while, and on whose word.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Exemption {
    /// The resource, as records name it: `user/alice`, `role/team/deploy-*`, `policy/baseline`, `bucket/website`,
    /// `203.0.113.7`. A `*` stands for any text.
    #[schemars(length(min = 1))]
    pub resource: String,
    /// The control, rule or finding type; a `*` stands for any text.
    #[serde(default = "any")]
    #[schemars(length(min = 1))]
    pub control: String,
    /// The account that it holds in; in all, if none is named.
    #[serde(default, deserialize_with = "account")]
    #[schemars(with = "Option<String>", extend("pattern" = "^[0-9]{12}$"))]
    pub account: Option<AccountId>,
    /// Who answers for it.
    #[schemars(length(min = 1))]
    pub owner: String,
    /// Why.
    #[schemars(length(min = 1))]
    pub reason: String,
    /// The last day on which it holds, in UTC.
    pub expires: NaiveDate,
}

fn account<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<AccountId>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| AccountId::parse(&text).map_err(D::Error::custom))
        .transpose()
}

fn any() -> String {
    "*".to_owned()
}

impl Exemption {
    /// Whether it holds in an account on that day.
    #[must_use]
    pub fn holds(&self, account: &AccountId, now: Timestamp) -> bool {
        now.date_naive() <= self.expires && self.account.as_ref().is_none_or(|own| own == account)
    }

    /// The account that it holds in, or `all`.
    #[must_use]
    pub fn place(&self) -> &str {
        self.account.as_ref().map_or("all", AccountId::as_str)
    }

    /// When it ends.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        let after = self.expires.succ_opt().unwrap_or(self.expires);
        after.and_time(NaiveTime::MIN).and_utc()
    }

    /// Whether it holds for a control on a resource of an account.
    #[must_use]
    pub fn covers(&self, account: &AccountId, control: &str, resource: &str, now: Timestamp) -> bool {
        let is_meant = |pattern: &str, text: &str| matches(&pattern.to_ascii_lowercase(), &text.to_ascii_lowercase());
        self.holds(account, now) && is_meant(&self.control, control) && is_meant(&self.resource, resource)
    }
}

/// What is set for one function alone.
pub trait Section: DeserializeOwned + Default + JsonSchema {
    /// How many changes the function makes in an account in an hour, if nothing is said.
    const CHANGES_PER_HOUR: u32 = 100;

    /// What contradicts itself: the setting's path within the section, and what is wrong.
    fn contradictions(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// What every function has.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(inline)]
pub(crate) struct Common {
    /// How far the function goes.
    pub(crate) mode: Option<Mode>,
    /// How many changes it makes in an account in an hour.
    #[schemars(range(min = 1))]
    pub(crate) changes_per_hour: Option<u32>,
    /// How far it goes for single controls, rules or finding types, in place of `mode`. A `*` in a name stands for any text;
    /// of several that fit, the most cautious holds.
    pub(crate) controls: BTreeMap<String, Mode>,
    /// Whether GuardDuty's sample findings are acted on.
    pub(crate) sample_findings: bool,
}

impl Common {
    const KEYS: [&str; 4] = ["mode", "changesPerHour", "controls", "sampleFindings"];
}

impl Document {
    /// Reads it.
    ///
    /// # Errors
    /// All that is wrong, each by its path; not what is wrong in the settings of single functions.
    pub fn parse(text: &str) -> Result<Self, InvalidSettings> {
        let mut wrong = Vec::new();
        let document = match json::unambiguous(text) {
            Ok(value) => strict::read::<Self>(value, "", &mut wrong),
            Err(error) => {
                wrong.push(invalid("the document", error.to_string()));
                None
            }
        };
        if let Some(document) = &document {
            document.check(&mut wrong);
        }
        match document {
            Some(document) if wrong.is_empty() => Ok(document),
            _ => Err(InvalidSettings(wrong)),
        }
    }

    fn check(&self, wrong: &mut Vec<InvalidSetting>) {
        if self.version != 1 {
            wrong.push(invalid("version", format!("{} is not known, only 1", self.version)));
        }
        if self.changes_per_hour == Some(0) {
            wrong.push(invalid(
                "changesPerHour",
                "expected 1 or more; stop stops everything".to_owned(),
            ));
        }
        for name in self.functions.keys().filter(|name| !FUNCTIONS.contains(&name.as_str())) {
            let problem = format!("there is no such function, only {}", FUNCTIONS.join(", "));
            wrong.push(invalid(&format!("functions.{name}"), problem));
        }
        for (index, exemption) in self.exemptions.iter().enumerate() {
            let texts = [
                ("resource", &exemption.resource),
                ("control", &exemption.control),
                ("owner", &exemption.owner),
                ("reason", &exemption.reason),
            ];
            for (field, _) in texts.iter().filter(|(_, text)| text.trim().is_empty()) {
                wrong.push(invalid(&format!("exemptions[{index}].{field}"), "is empty".to_owned()));
            }
        }
    }

    /// What is set for a function: what all have, and its own.
    ///
    /// # Errors
    /// All that is wrong, each by its path.
    pub(crate) fn of<S: Section>(&self, function: &str) -> Result<(Common, S), InvalidSettings> {
        let at = format!("functions.{function}");
        let (common, own): (Map<_, _>, Map<_, _>) = self
            .functions
            .get(function)
            .cloned()
            .unwrap_or_default()
            .into_iter()
            .partition(|(key, _)| Common::KEYS.contains(&key.as_str()));
        let mut wrong = Vec::new();
        let common = strict::read::<Common>(common.into(), &at, &mut wrong);
        let own = strict::read::<S>(own.into(), &at, &mut wrong);
        if common.as_ref().is_some_and(|common| common.changes_per_hour == Some(0)) {
            let problem = "expected 1 or more; the mode off switches the function off";
            wrong.push(invalid(&format!("{at}.changesPerHour"), problem.to_owned()));
        }
        for (setting, problem) in own.iter().flat_map(S::contradictions) {
            wrong.push(invalid(&format!("{at}.{setting}"), problem));
        }
        match (common, own) {
            (Some(common), Some(own)) if wrong.is_empty() => Ok((common, own)),
            _ => Err(InvalidSettings(wrong)),
        }
    }
}

fn invalid(name: &str, problem: String) -> InvalidSetting {
    InvalidSetting {
        name: name.to_owned(),
        problem,
    }
}

/// The JSON Schema of the document, with the settings of these functions.
#[must_use]
pub fn schema(sections: &[(&str, Value)]) -> Value {
    let mut schema = SchemaGenerator::default().into_root_schema_for::<Document>().to_value();
    let mut functions = Map::new();
    for (name, section) in sections {
        let mut properties = properties(&of::<Common>());
        properties.extend(self::properties(section));
        functions.insert(
            (*name).to_owned(),
            json!({ "type": "object", "additionalProperties": false, "properties": properties }),
        );
    }
    if let Some(place) = schema.pointer_mut("/properties/functions") {
        *place = json!({
            "description": "What is set for single functions, by their names.",
            "type": "object", "additionalProperties": false, "properties": functions,
        });
    }
    schema
}

/// The schema of one function's own settings.
#[must_use]
pub fn of<T: JsonSchema>() -> Value {
    SchemaGenerator::default().into_root_schema_for::<T>().to_value()
}

fn properties(schema: &Value) -> Map<String, Value> {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Days, Net};

    #[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase", deny_unknown_fields, default)]
    struct Example {
        /// Ranges.
        allow_list: Vec<Net>,
        /// Days.
        least: Option<Days>,
        most: Option<Days>,
    }

    impl Section for Example {
        fn contradictions(&self) -> Vec<(String, String)> {
            let is_wrong = self.least > self.most;
            is_wrong
                .then(|| ("least".to_owned(), "is longer than most".to_owned()))
                .into_iter()
                .collect()
        }
    }

    fn wrong(text: &Value) -> Vec<String> {
        let document = match Document::parse(&text.to_string()) {
            Ok(document) => document,
            Err(InvalidSettings(wrong)) => return wrong.iter().map(ToString::to_string).collect(),
        };
        let InvalidSettings(wrong) = document.of::<Example>("block-ip").unwrap_err();
        wrong.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn s16_nothing_said_is_a_dry_run() {
        let document = Document::parse("{}").unwrap();
        assert_eq!(document, Document::default());
        assert_eq!((document.mode, document.stop), (Mode::DryRun, false));
        let (common, own) = document.of::<Example>("block-ip").unwrap();
        assert_eq!((common, own), (Common::default(), Example::default()));
    }

    #[test]
    fn s35_all_that_is_wrong_is_told_at_once_each_by_its_path() {
        let told = wrong(&json!({
            "version": 2, "stop": "yes", "mode": "enforced", "changesPerHour": -1, "changesPerDay": 7,
            "exemptions": [
                { "resource": "a", "owner": "b", "reason": "c", "expires": "2026-13-01" },
                { "resource": "a", "owner": "b", "reason": "c", "expires": "2027-01-01" },
                { "resource": "a", "expires": "2027-01-01", "until": 1 },
                { "resource": "a", "owner": "b", "reason": "c", "expires": "2027-01-01", "account": "1" },
            ],
            "functions": { "block-ip": 7 },
        }));
        let names: Vec<_> = told.iter().map(|line| line.split(": ").next().unwrap()).collect();
        assert_eq!(
            names,
            [
                "setting changesPerDay",
                "setting changesPerHour",
                "setting exemptions[0].expires",
                "setting exemptions[0]",
                "setting exemptions[2].until",
                "setting exemptions[2]",
                "setting exemptions[3].account",
                "setting functions.block-ip",
                "setting mode",
                "setting stop",
            ],
            "{told:#?}"
        );
        assert_eq!(wrong(&json!([])).len(), 1);
        let twice = Document::parse(r#"{"stop": true, "stop": false}"#)
            .unwrap_err()
            .to_string();
        assert!(twice.contains("stop is there twice"), "{twice}");
    }

    #[test]
    fn what_is_wrong_in_itself_is_told_too() {
        let told = wrong(&json!({
            "version": 2, "changesPerHour": 0, "functions": { "blok-ip": {} },
            "exemptions": [{ "resource": "", "owner": " ", "reason": "c", "expires": "2027-01-01" }],
        }));
        let names: Vec<_> = told.iter().map(|line| line.split(": ").next().unwrap()).collect();
        assert_eq!(
            names,
            [
                "setting version",
                "setting changesPerHour",
                "setting functions.blok-ip",
                "setting exemptions[0].resource",
                "setting exemptions[0].owner"
            ]
        );
    }

    #[test]
    fn a_functions_own_settings_are_as_strict() {
        let told = wrong(&json!({ "functions": { "block-ip": {
            "mode": "on", "allowList": ["10.0.0.0/8", "10.0.0.5/24", "all"], "least": 0, "leest": 3, "changesPerHour": 0,
        } } }));
        assert_eq!(
            told,
            [
                "setting functions.block-ip.mode: unknown variant `on`, expected one of `off`, `dry-run`, `approve`, `enforce`",
                "setting functions.block-ip.allowList[1]: 10.0.0.5/24 has bits beside its prefix; expected 10.0.0.0/24",
                "setting functions.block-ip.allowList[2]: expected an address or a CIDR range, not \"all\"",
                "setting functions.block-ip.least: expected whole days from 1 to 3650, not 0",
                "setting functions.block-ip.leest: unknown field `leest`, expected one of `allowList`, `least`, `most`",
            ]
        );
        let told = wrong(&json!({ "functions": { "block-ip": { "least": 3, "most": 2 } } }));
        assert_eq!(told, ["setting functions.block-ip.least: is longer than most"]);
    }

    #[test]
    fn the_schema_knows_every_setting() {
        let schema = schema(&[("block-ip", of::<Example>())]);
        let at = |path: &str| schema.pointer(path).cloned().unwrap_or_default();
        assert_eq!(at("/properties/approvalHours/maximum"), 8760);
        assert_eq!(at("/additionalProperties"), false);
        assert_eq!(
            at("/properties/exemptions/items/required"),
            json!(["resource", "owner", "reason", "expires"])
        );
        let function = "/properties/functions/properties/block-ip";
        assert_eq!(at(&format!("{function}/additionalProperties")), false);
        let known = at(&format!("{function}/properties"));
        let known: Vec<_> = known.as_object().unwrap().keys().cloned().collect();
        let mut all: Vec<_> = Common::KEYS.into_iter().chain(["allowList", "least", "most"]).collect();
        all.sort_unstable();
        assert_eq!(known, all);
        assert!(!schema.to_string().contains("$ref"), "{schema:#}");
    }

    #[test]
    fn s26_an_exemption_ends_after_its_last_day() {
        let exemption = Exemption {
            resource: "role/Deploy-*".to_owned(),
            control: "IAM.*".to_owned(),
            account: Some(AccountId::new("111122223333")),
            owner: "ann".to_owned(),
            reason: "moving".to_owned(),
            expires: NaiveDate::from_ymd_opt(2026, 11, 23).unwrap(),
        };
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (last, over) = (at("2026-11-23T23:59:59Z"), at("2026-11-24T00:00:00Z"));
        let covers = |control, resource, now| exemption.covers(&AccountId::new("111122223333"), control, resource, now);
        assert!(covers("IAM.1", "role/deploy-x", last));
        assert!(!covers("IAM.1", "role/deploy-x", over));
        assert!(!covers("KMS.1", "role/deploy-x", last) && !covers("IAM.1", "role/x", last));
        assert!(!exemption.covers(&AccountId::new("444455556666"), "IAM.1", "role/deploy-x", last));
    }

    #[test]
    fn an_exemption_holds_to_the_end_of_its_last_day() {
        let of = |account: Value| {
            let exemption =
                json!({"resource": "user/a", "owner": "o", "reason": "r", "expires": "2026-12-31", "account": account});
            Document::parse(&json!({ "exemptions": [exemption] }).to_string())
                .unwrap()
                .exemptions
                .remove(0)
        };
        let (all, one) = (of(json!(null)), of(json!("111122223333")));
        assert_eq!((all.place(), one.place()), ("all", "111122223333"));
        assert_eq!(all.end(), "2027-01-01T00:00:00Z".parse::<Timestamp>().unwrap());
        let last = all.end() - chrono::TimeDelta::seconds(1);
        let holds = |account: &str, now| one.holds(&AccountId::new(account), now);
        assert!(holds("111122223333", last) && !holds("111122223333", one.end()) && !holds("444455556666", last));
    }
}
