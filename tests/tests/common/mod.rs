//! What the tests look at: the workspace, the event corpus, the template.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]
#![allow(dead_code, reason = "each test file uses a part")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Value, json};

/// The workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// One event as a file.
pub struct Event {
    /// Relative to the workspace for a sample, else to the corpus, with `/` between.
    pub path: String,
    pub text: String,
}

/// The sample events, and those of the corpus where there is one.
pub fn events() -> Vec<Event> {
    let mut events = below(&root(), "events");
    if let Some(corpus) = corpus() {
        events.extend(below(&corpus, ""));
    }
    events
}

/// The folder of events that `EVENT_CORPUS` names, relative to the workspace from wherever the test is run. One that is named must be there.
pub fn corpus() -> Option<PathBuf> {
    let folder = root().join(std::env::var_os("EVENT_CORPUS")?);
    assert!(folder.is_dir(), "EVENT_CORPUS names no folder: {}", folder.display());
    Some(folder)
}

/// Every `*.json` in a folder below another one, in the order of their paths.
fn below(base: &Path, folder: &str) -> Vec<Event> {
    let mut events = Vec::new();
    let mut folders = vec![base.join(folder)];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "json") {
                let relative: Vec<_> = path
                    .strip_prefix(base)
                    .unwrap()
                    .iter()
                    .map(|part| part.to_string_lossy())
                    .collect();
                let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
                events.push(Event {
                    path: relative.join("/"),
                    text,
                });
            }
        }
    }
    events.sort_by(|a, b| a.path.cmp(&b.path));
    events
}

/// `template.yaml` as the JSON form of CloudFormation: `!Ref X` is `{"Ref": "X"}`, `!Sub X` is `{"Fn::Sub": "X"}`.
///
/// saphyr keeps tags as they stand, which CloudFormation's short forms need, and is maintained. The descendants of serde_yaml
/// keep them too, but rest on a translated C parser that nobody maintains.
pub fn template() -> Value {
    yaml("template.yaml")
}

/// Another one, with the short forms of functions spelled out.
pub fn yaml(path: &str) -> Value {
    let text = fs::read_to_string(root().join(path)).unwrap();
    let documents = Yaml::load_from_str(&text).unwrap();
    to_json(&documents[0])
}

fn to_json(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(flag)) => json!(flag),
        Yaml::Value(Scalar::Integer(number)) => json!(number),
        Yaml::Value(Scalar::FloatingPoint(number)) => json!(number.into_inner()),
        Yaml::Value(Scalar::String(text)) => json!(text),
        Yaml::Sequence(entries) => entries.iter().map(to_json).collect(),
        Yaml::Mapping(entries) => entries
            .iter()
            .map(|(key, value)| (key.as_str().unwrap().to_owned(), to_json(value)))
            .collect(),
        Yaml::Tagged(tag, value) => intrinsic(&tag.suffix, to_json(value)),
        other => panic!("not a value: {other:?}"),
    }
}

fn intrinsic(name: &str, value: Value) -> Value {
    match name {
        "Ref" | "Condition" => json!({ name: value }),
        "GetAtt" => {
            let (resource, attribute) = value.as_str().unwrap().split_once('.').unwrap();
            json!({ "Fn::GetAtt": [resource, attribute] })
        }
        _ => json!({ (format!("Fn::{name}")): value }),
    }
}
