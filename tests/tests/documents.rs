//! The documents say what is so, and `docs/CONFIGURATION.md` is made. No emulator is needed for it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod common;

use std::{collections::BTreeSet, fs, path::PathBuf};

use local_cloud::logical;
use remediation::settings::FUNCTIONS;
use serde_json::{Map, Value};

fn page(path: &str) -> String {
    fs::read_to_string(common::root().join(path)).unwrap()
}

/// The logical ids of the template's resources of a type, or those that end so.
fn resources(is_meant: impl Fn(&str, &str) -> bool) -> BTreeSet<String> {
    let template = common::template();
    let resources = template["Resources"].as_object().unwrap().clone();
    let meant = |(id, resource): (String, Value)| is_meant(&id, resource["Type"].as_str().unwrap()).then_some(id);
    resources.into_iter().filter_map(meant).collect()
}

fn alarms() -> BTreeSet<String> {
    resources(|_, kind| kind == "AWS::CloudWatch::Alarm")
}

/// The sections about alarms, by their headings, each with its text.
fn sections() -> Vec<(String, String)> {
    let page = page("docs/RUNBOOK.md");
    let (alarms, _) = page.split_once("\n# Incidents").unwrap();
    let sections = alarms.split("\n### ").skip(1);
    sections
        .map(|section| {
            let (heading, text) = section.split_once('\n').unwrap();
            (heading.to_owned(), text.to_owned())
        })
        .collect()
}

/// `*FailedAlarm` is about the alarm of each function that has one.
fn is_about(heading: &str, alarm: &str) -> bool {
    match heading.strip_prefix('*') {
        None => heading == alarm,
        Some(kind) => FUNCTIONS
            .iter()
            .any(|function| format!("{}{kind}", logical(function)) == alarm),
    }
}

#[test]
fn each_alarm_has_one_section_and_each_section_an_alarm() {
    let (alarms, sections) = (alarms(), sections());
    assert!(!alarms.is_empty());
    for alarm in &alarms {
        let about: Vec<_> = sections
            .iter()
            .filter(|(heading, _)| is_about(heading, alarm))
            .collect();
        assert_eq!(
            about.len(),
            1,
            "{alarm}: {:?}",
            about.iter().map(|(heading, _)| heading).collect::<Vec<_>>()
        );
    }
    for (heading, text) in &sections {
        assert!(
            alarms.iter().any(|alarm| is_about(heading, alarm)),
            "{heading} is no alarm"
        );
        for part in ["**Meaning.**", "**First look", "emedy.**"] {
            assert!(text.contains(part), "{heading} has no {part}");
        }
    }
}

/// An output that a command reads is one of the template's.
#[test]
fn the_outputs_that_commands_read_are_there() {
    let outputs = common::template()["Outputs"].as_object().unwrap().clone();
    let page = page("docs/RUNBOOK.md");
    let read: BTreeSet<_> = page
        .split("$(output ")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap())
        .collect();
    assert!(!read.is_empty());
    for output in read {
        assert!(outputs.contains_key(output), "{output}");
    }
}

/// Every document of the workspace: not what is built, nor what hidden folders hold.
fn documents() -> Vec<PathBuf> {
    let mut documents = Vec::new();
    let mut folders = vec![common::root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    folders.push(path);
                }
            } else if name.ends_with(".md") {
                documents.push(path);
            }
        }
    }
    documents
}

/// Links within the documents lead to files and headings that are there.
#[test]
fn links_lead_somewhere() {
    let documents = documents();
    assert!(documents.len() > 30, "{documents:?}");
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        let folder = document.parent().unwrap();
        let links = text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
        for link in links.filter(|link| !link.starts_with("https://")) {
            let (file, anchor) = link
                .split_once('#')
                .map_or((link, None), |(file, anchor)| (file, Some(anchor)));
            let target = if file.is_empty() {
                document.clone()
            } else {
                folder.join(file)
            };
            assert!(target.exists(), "{}: {link}", document.display());
            if let Some(anchor) = anchor {
                let text = fs::read_to_string(&target).unwrap();
                let headings = text.lines().filter(|line| line.starts_with('#'));
                assert!(
                    headings.map(slug).any(|slug| slug == anchor),
                    "{}: {link}",
                    document.display()
                );
            }
        }
    }
}

/// The anchor that GitHub makes of a heading.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// `SCHEMA=update cargo test --workspace --test documents` writes it anew, once `SCHEMA=update cargo test -p securecart` has written
/// the schema from the types.
#[test]
fn the_configuration_page_is_that_of_the_schema_and_the_template() {
    let path = common::root().join("docs/CONFIGURATION.md");
    let page = configuration();
    if std::env::var_os("SCHEMA").is_some() {
        fs::write(&path, &page).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), page);
}

const PREFACE: &str = "\
# Configuration

Made from [`settings.schema.json`](settings.schema.json), [`settings.json`](../settings.json) and [`template.yaml`](../template.yaml); a test fails when it is out of date. What is set in which of the two, and why, is
in [decision 23](decisions/0023-settings-are-one-document.md).

# Settings

What an operator decides: one JSON document in the parameter `/securecart/STACK/settings` of Parameter Store, at most 8 KB. `securecart settings put FILE` checks it and puts it; it is in force within a minute, without a deployment. Everything
may be left out. An unknown key, a key that is there twice, a wrong type, a value out of its bounds and a contradiction are errors; all of them are reported at once, each by its path, and no function acts until they are mended.
";

const PARAMETERS: &str = "\
# Parameters

What a deployment decides: the parameters of `template.yaml`. A change is a deployment, such as `sam deploy --parameter-overrides LogRetentionDays=30`.
";

fn json(path: &str) -> Value {
    serde_json::from_str(&page(path)).unwrap()
}

fn configuration() -> String {
    let (schema, defaults) = (json("docs/settings.schema.json"), json("settings.json"));
    let mut text = PREFACE.to_owned();
    let mut whole = schema["properties"].as_object().unwrap().clone();
    let functions = whole.remove("functions").unwrap()["properties"]
        .as_object()
        .unwrap()
        .clone();
    table(&mut text, "All functions", "", &whole, &defaults);
    // What all functions have in the same form is told once.
    let (_, first) = functions.iter().next().unwrap();
    let is_shared = |name: &String, setting: &Value| {
        functions
            .values()
            .all(|function| &function["properties"][name] == setting)
    };
    let shared: Properties = first["properties"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, setting)| is_shared(name, setting))
        .map(|(name, setting)| (name.clone(), setting.clone()))
        .collect();
    assert!(!shared.is_empty());
    table(&mut text, "Each function", "functions.FUNCTION.", &shared, &Value::Null);
    for (name, function) in &functions {
        let mut own = function["properties"].as_object().unwrap().clone();
        own.retain(|setting, _| !shared.contains_key(setting));
        table(
            &mut text,
            name,
            &format!("functions.{name}."),
            &own,
            &defaults["functions"][name],
        );
    }
    text += "\n";
    text += PARAMETERS;
    text += "\n| parameter | type | default | allowed | meaning |\n|---|---|---|---|---|\n";
    let template = common::template();
    for (name, parameter) in template["Parameters"].as_object().unwrap() {
        let cells = [
            format!("`{name}`"),
            parameter["Type"].as_str().unwrap().to_owned(),
            code(&parameter["Default"]),
            allowed_parameter(parameter),
            parameter["Description"].as_str().unwrap().trim().to_owned(),
        ];
        row(&mut text, &cells);
    }
    text
}

type Properties = Map<String, Value>;

fn table(text: &mut String, heading: &str, at: &str, settings: &Properties, defaults: &Value) {
    *text += &format!("\n## {heading}\n\n| setting | type | default | allowed | meaning |\n|---|---|---|---|---|\n");
    for (name, setting) in settings {
        rows(text, &format!("{at}{name}"), setting, defaults.get(name), false);
    }
}

/// A setting, and all that is in it.
fn rows(text: &mut String, path: &str, setting: &Value, default: Option<&Value>, is_required: bool) {
    let setting = not_null(setting);
    let default = default
        .filter(|value| !value.is_null())
        .or_else(|| setting.get("default"));
    let default = match default {
        _ if is_required => "required".to_owned(),
        Some(value) if value.is_object() && setting.get("properties").is_some() => "as below".to_owned(),
        Some(value) if !value.is_null() => code(value),
        _ => "none".to_owned(),
    };
    let mut meaning = setting["description"].as_str().unwrap_or_default().replace('\n', " ");
    // How far a function goes is explained once, where it is set for all.
    if !path.starts_with("functions.") || !path.ends_with(".mode") {
        for choice in choices(setting) {
            meaning += &format!(
                " {}: {}",
                code(&choice["const"]),
                choice["description"].as_str().unwrap()
            );
        }
    }
    let cells = [format!("`{path}`"), kind(setting), default, allowed(setting), meaning];
    row(text, &cells);
    let item = &setting["items"];
    let (inner, prefix) = if item["properties"].is_object() {
        (item, format!("{path}[]."))
    } else {
        (setting, format!("{path}."))
    };
    let required: Vec<_> = inner["required"].as_array().into_iter().flatten().collect();
    for (name, setting) in inner["properties"].as_object().into_iter().flatten() {
        let is_required = required.iter().any(|required| required.as_str() == Some(name));
        rows(text, &format!("{prefix}{name}"), setting, None, is_required);
    }
}

fn row(text: &mut String, cells: &[String; 5]) {
    let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    *text += &format!("| {} |\n", cells.join(" | "));
}

/// What may be left out is written as that or null.
fn not_null(setting: &Value) -> &Value {
    let Some(either) = setting["anyOf"].as_array() else {
        return setting;
    };
    let given: Vec<_> = either.iter().filter(|form| form["type"] != "null").collect();
    if given.len() == 1 { given[0] } else { setting }
}

fn choices(setting: &Value) -> Vec<&Value> {
    let forms = setting["oneOf"].as_array().into_iter().flatten();
    forms.filter(|form| form.get("const").is_some()).collect()
}

fn kind(setting: &Value) -> String {
    let own = match &setting["type"] {
        Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null"),
        kind => Some(kind),
    };
    match own.and_then(Value::as_str) {
        Some("array") => format!("list of {}", kind(&setting["items"])),
        Some("object") if setting["additionalProperties"].is_object() => {
            format!("object of {}", kind(&setting["additionalProperties"]))
        }
        Some(kind) => kind.to_owned(),
        None if !choices(setting).is_empty() || setting.get("enum").is_some() || setting.get("const").is_some() => {
            "string".to_owned()
        }
        None => {
            let forms = ["anyOf", "oneOf"]
                .iter()
                .filter_map(|form| setting[form].as_array())
                .flatten();
            forms.map(kind).collect::<Vec<_>>().join(" or ")
        }
    }
}

/// The bounds, the choices and the form.
fn allowed(setting: &Value) -> String {
    let choices = choices(setting);
    if !choices.is_empty() {
        let choices: Vec<_> = choices.iter().map(|choice| code(&choice["const"])).collect();
        return choices.join(", ");
    }
    let mut parts = Vec::new();
    match (setting.get("minimum"), setting.get("maximum")) {
        (Some(least), Some(most)) if least == most => parts.push(least.to_string()),
        (Some(least), Some(most)) => parts.push(format!("{least} to {most}")),
        (Some(least), None) => parts.push(format!("{least} or more")),
        (None, Some(most)) => parts.push(format!("up to {most}")),
        (None, None) => {}
    }
    if setting["minLength"] == 1 {
        parts.push("not empty".to_owned());
    }
    parts.extend(
        setting["format"]
            .as_str()
            .filter(|format| *format == "date")
            .map(|_| "YYYY-MM-DD".to_owned()),
    );
    parts.extend(setting.get("const").map(code));
    parts.extend(setting["enum"].as_array().into_iter().flatten().map(code));
    parts.extend(setting.get("pattern").map(code));
    for inner in ["items", "additionalProperties"] {
        let inner = &setting[inner];
        if inner.is_object() && inner.get("properties").is_none() {
            parts.push(allowed(inner));
        }
    }
    for form in ["anyOf", "oneOf"]
        .iter()
        .filter_map(|form| setting[form].as_array())
        .flatten()
    {
        parts.push(allowed(form));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("; ")
}

fn allowed_parameter(parameter: &Value) -> String {
    if let Some(values) = parameter["AllowedValues"].as_array() {
        return values.iter().map(code).collect::<Vec<_>>().join(", ");
    }
    let number = |name: &str| parameter[name].as_i64();
    let mut parts = Vec::new();
    parts.extend(
        number("MinValue")
            .zip(number("MaxValue"))
            .map(|(least, most)| format!("{least} to {most}")),
    );
    parts.extend(number("MaxLength").map(|most| format!("up to {most} characters")));
    parts.extend(parameter.get("AllowedPattern").map(code));
    parts.join("; ")
}

/// A value as one writes it. An empty text is none.
fn code(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "none".to_owned(),
        Value::String(text) => format!("`{text}`"),
        value => format!("`{value}`"),
    }
}
