//! The settings document.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;
use remediation::{
    engine::Policy,
    settings::{Document, FUNCTIONS, InvalidSettings, Section, of, schema},
};
use serde_json::{Map, Value, json};

use crate::{cloud::Cloud, error::Error, screen::Screen};

/// What to do with settings.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check a file: everything that is wrong is named by its path.
    Check {
        /// The file.
        file: PathBuf,
    },
    /// Print the settings that are in force.
    Get,
    /// Check a file, and put it in force. The functions take it within a minute.
    Put {
        /// The file.
        file: PathBuf,
    },
    /// Stop every write of every function within a minute, whatever the modes say.
    Stop,
    /// Let the functions write again.
    Resume,
    /// Print the JSON Schema of settings.
    Schema,
}

/// The settings of one function alone.
struct Own {
    function: &'static str,
    read: fn(&Document, &str) -> Result<(), InvalidSettings>,
    schema: fn() -> Value,
}

const fn own<S: Section>(function: &'static str) -> Own {
    Own {
        function,
        read: |document, function| Policy::read::<S>(document, function).map(drop),
        schema: of::<S>,
    }
}

const OWN: [Own; FUNCTIONS.len()] = [
    own::<block_ip::Own>("block-ip"),
    own::<block_public_access::Own>("block-public-access"),
    own::<close_open_ingress::Own>("close-open-ingress"),
    own::<disable_access_key::Own>("disable-access-key"),
    own::<enforce_s3_encryption::Own>("enforce-s3-encryption"),
    own::<enforce_storage_encryption::Own>("enforce-storage-encryption"),
    own::<revoke_permissions::Own>("revoke-permissions"),
];

/// Runs it.
pub async fn run(command: Command, stack: &str, screen: Screen) -> Result<ExitCode, Error> {
    match command {
        Command::Check { file } => {
            check(&read(&file)?)?;
            screen.show(&json!({ "valid": true }), [format!("{} is valid", file.display())]);
        }
        Command::Get => {
            let text = Cloud::of(stack).await.settings().await?;
            if screen.json {
                screen.show(&json_of(&text)?, []);
            } else {
                // As it is: what is no JSON has to be seen, to be mended.
                screen.show(&text, [text.clone()]);
            }
        }
        Command::Put { file } => {
            let text = read(&file)?;
            check(&text)?;
            put(&Cloud::of(stack).await, &text, screen).await?;
        }
        Command::Stop => stop(true, stack, screen).await?,
        Command::Resume => stop(false, stack, screen).await?,
        Command::Schema => {
            let schema = whole_schema();
            let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
            screen.show(&schema, [text]);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn json_of(text: &str) -> Result<Value, Error> {
    let no_json = |error| format!("are no JSON ({error}); no function acts until they are mended");
    serde_json::from_str(text).map_err(|error| Error::input("the settings", no_json(error)))
}

fn read(file: &Path) -> Result<String, Error> {
    fs::read_to_string(file).map_err(|error| Error::input(file.display(), error))
}

/// Everything that is wrong, in the settings of all functions.
///
/// # Errors
/// All of it, each by its path.
pub fn check(text: &str) -> Result<(), InvalidSettings> {
    let (document, mut wrong) = match Document::parse(text) {
        Ok(document) => (document, Vec::new()),
        Err(InvalidSettings(wrong)) => (of_functions(text), wrong),
    };
    for own in OWN {
        let read = (own.read)(&document, own.function);
        wrong.extend(read.err().into_iter().flat_map(|InvalidSettings(wrong)| wrong));
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(InvalidSettings(wrong))
    }
}

/// Of a document that is wrong elsewhere, what can be read of single functions.
fn of_functions(text: &str) -> Document {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let functions = value.get("functions").and_then(Value::as_object).into_iter().flatten();
    let functions: Map<_, _> = functions
        .filter(|(name, section)| FUNCTIONS.contains(&name.as_str()) && section.is_object())
        .map(|(name, section)| (name.clone(), section.clone()))
        .collect();
    Document::parse(&json!({ "functions": functions }).to_string()).unwrap_or_default()
}

/// The schema of the whole document.
pub fn whole_schema() -> Value {
    schema(&OWN.map(|own| (own.function, (own.schema)())))
}

async fn put(cloud: &Cloud, text: &str, screen: Screen) -> Result<(), Error> {
    let version = cloud.put_settings(text).await?;
    let line = format!("version {version} is put; the functions take it within a minute");
    screen.show(&json!({ "version": version }), [line]);
    Ok(())
}

async fn stop(stop: bool, stack: &str, screen: Screen) -> Result<(), Error> {
    let cloud = Cloud::of(stack).await;
    let mut value = json_of(&cloud.settings().await?)?;
    let fields = value.as_object_mut();
    let fields = fields.ok_or_else(|| Error::input("the settings", "are no object"))?;
    fields.insert("stop".to_owned(), stop.into());
    let text = serde_json::to_string_pretty(&value).map_err(|error| Error::input("the settings", error))?;
    // Whatever else is wrong with the settings must not keep anybody from stopping.
    if !stop {
        check(&text)?;
    }
    put(&cloud, &text, screen).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_of_each_function_are_known() {
        assert_eq!(OWN.map(|own| own.function), FUNCTIONS);
    }

    #[test]
    fn s35_what_is_wrong_for_any_function_is_told_at_once() {
        let text = json!({ "functions": {
            "block-ip": { "mode": "on" }, "disable-access-key": { "maxKeyAgeDays": 0 }, "revoke-permissions": { "protekted": [] }
        } });
        let names: Vec<_> = check(&text.to_string())
            .err()
            .map(|InvalidSettings(wrong)| wrong.into_iter().map(|wrong| wrong.name).collect())
            .unwrap_or_default();
        assert_eq!(
            names,
            [
                "functions.block-ip.mode",
                "functions.disable-access-key.maxKeyAgeDays",
                "functions.revoke-permissions.protekted"
            ]
        );
        assert_eq!(check("{}"), Ok(()));
    }

    #[test]
    fn s35_what_is_wrong_for_all_functions_hides_nothing_that_is_wrong_for_one() {
        let text = json!({ "mode": "enforced", "functions": {
            "block-ip": { "allowlist": ["198.51.100.7"] }, "disable-access-key": { "maxKeyAgeDays": 0 }, "block-everything": {}
        } });
        let names: Vec<_> = check(&text.to_string())
            .err()
            .map(|InvalidSettings(wrong)| wrong.into_iter().map(|wrong| wrong.name).collect())
            .unwrap_or_default();
        for name in [
            "mode",
            "functions.block-ip.allowlist",
            "functions.disable-access-key.maxKeyAgeDays",
        ] {
            assert!(names.iter().any(|found| found == name), "{name} is not in {names:?}");
        }
        assert!(check("{ \"mode\": ").is_err());
    }

    #[test]
    fn settings_that_are_no_json_are_said_to_be_so() {
        let said = json_of("{ \"mode\": ").err().map(|error| error.to_string());
        assert!(
            said.as_ref()
                .is_some_and(|said| said.starts_with("the settings: are no JSON")),
            "{said:?}"
        );
    }

    /// `SCHEMA=update cargo test -p securecart` writes it anew.
    #[test]
    fn the_schema_in_docs_is_the_one_of_the_types() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/settings.schema.json");
        let schema = serde_json::to_string_pretty(&whole_schema())
            .map(|text| text + "\n")
            .unwrap_or_default();
        if std::env::var_os("SCHEMA").is_some() {
            assert!(fs::write(path, &schema).is_ok());
        }
        assert_eq!(fs::read_to_string(path).ok(), Some(schema));
    }

    #[test]
    fn the_default_document_is_valid() {
        let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../settings.json"));
        assert_eq!(
            text.map_err(|_| ()).and_then(|text| check(&text).map_err(|_| ())),
            Ok(())
        );
    }
}
