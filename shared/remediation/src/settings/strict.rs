//! Reading JSON with all that is wrong in it at once.
//!
//! serde stops at the first thing that is wrong. So that is noted by its path and taken out, and the rest is read again.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

use super::InvalidSetting;

/// Reads an object that stands at this path. What is wrong is noted; then there is no answer.
pub(super) fn read<T: DeserializeOwned>(mut value: Value, at: &str, wrong: &mut Vec<InvalidSetting>) -> Option<T> {
    let mut is_right = true;
    let mut gone = Gone::default();
    // serde takes a list for a struct as well.
    if !value.is_object() {
        wrong.push(InvalidSetting {
            name: gone.named(at, &[]),
            problem: format!("expected an object, not {value}"),
        });
        return None;
    }
    loop {
        let error = match serde_path_to_error::deserialize::<_, T>(value.clone()) {
            Ok(read) => return is_right.then_some(read),
            Err(error) => error,
        };
        is_right = false;
        let mut path: Vec<Step> = error.path().iter().filter_map(Step::new).collect();
        let problem = error.into_inner().to_string();
        // The path of a key that is unknown ends before it.
        if let Some(name) = between(&problem, "unknown field `", "`") {
            let is_named = matches!(path.last(), Some(Step::Key(last)) if last == name);
            if !is_named {
                path.push(Step::Key(name.to_owned()));
            }
        }
        wrong.push(InvalidSetting {
            name: gone.named(at, &path),
            problem,
        });
        if !take_out(&mut value, &path) {
            return None;
        }
        gone.note(&path);
    }
}

/// What was taken out of lists: whatever stood behind it has moved up by one.
#[derive(Default)]
struct Gone(Vec<(Vec<Step>, usize)>);

impl Gone {
    fn note(&mut self, path: &[Step]) {
        if let Some((Step::Index(index), list)) = path.split_last() {
            let index = self.before(list, *index);
            self.0.push((list.to_vec(), index));
        }
    }

    /// Where an element of this list was at first.
    fn before(&self, list: &[Step], mut index: usize) -> usize {
        let mut gone: Vec<usize> = self.0.iter().filter(|(of, _)| of == list).map(|(_, at)| *at).collect();
        gone.sort_unstable();
        for at in gone {
            if at <= index {
                index += 1;
            }
        }
        index
    }

    /// `functions.block-ip.allowList[2]`
    fn named(&self, at: &str, path: &[Step]) -> String {
        let mut name = at.to_owned();
        for (depth, step) in path.iter().enumerate() {
            match step {
                Step::Key(key) if name.is_empty() => name.push_str(key),
                Step::Key(key) => name = format!("{name}.{key}"),
                Step::Index(index) => {
                    let list = path.get(..depth).unwrap_or_default();
                    name = format!("{name}[{}]", self.before(list, *index));
                }
            }
        }
        if name.is_empty() {
            "the document".clone_into(&mut name);
        }
        name
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Key(String),
    Index(usize),
}

impl Step {
    fn new(segment: &Segment) -> Option<Self> {
        match segment {
            Segment::Map { key } => Some(Self::Key(key.clone())),
            Segment::Seq { index } => Some(Self::Index(*index)),
            Segment::Enum { .. } | Segment::Unknown => None,
        }
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    Some(text.split_once(before)?.1.split_once(after)?.0)
}

/// Whether there was something to take out.
fn take_out(value: &mut Value, path: &[Step]) -> bool {
    let Some((last, before)) = path.split_last() else {
        return false;
    };
    let mut place = value;
    for step in before {
        let inner = match step {
            Step::Key(key) => place.get_mut(key),
            Step::Index(index) => place.get_mut(index),
        };
        match inner {
            Some(inner) => place = inner,
            None => return false,
        }
    }
    match (place, last) {
        (Value::Object(fields), Step::Key(key)) => fields.remove(key).is_some(),
        (Value::Array(list), Step::Index(index)) if *index < list.len() => {
            list.remove(*index);
            true
        }
        _ => false,
    }
}
