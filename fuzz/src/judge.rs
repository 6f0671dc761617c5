//! Who may do what by two policies, by definition: every request of a small world is asked.

use remediation::policy::Narrowed;
use serde_json::{Map, Value, json};

/// How far a star reaches: IAM lets one over a colon for certain only at the end of an ARN's part.
#[derive(Clone, Copy)]
enum Star {
    OverColons,
    WithinParts,
}

/// A pattern by definition: tries every text that a star could stand for.
fn matches(pattern: &[u8], text: &[u8], star: Star) -> bool {
    let Some((first, rest)) = pattern.split_first() else {
        return text.is_empty();
    };
    match first {
        b'*' => {
            let crosses = matches!(star, Star::OverColons) || matches!(rest.first(), None | Some(b':' | b'*'));
            (0..=text.len())
                .filter(|end| crosses || !text[..*end].contains(&b':'))
                .any(|end| matches(rest, &text[end..], star))
        }
        b'?' => !text.is_empty() && matches(rest, &text[1..], star),
        c => text.first() == Some(c) && matches(rest, &text[1..], star),
    }
}

struct Ask {
    action: &'static str,
    resource: &'static str,
    principal: &'static str,
    vpc: Option<&'static str>,
}

const ACTIONS: [&str; 5] = ["a:a", "a:b", "b:a", "a:ab", "ab:b"];
const RESOURCES: [&str; 9] = ["a", "b", "A", "ab", "a:a", "a:b", "a:b:a", "aa:b", "b::"];
const PRINCIPALS: [&str; 2] = ["111122223333", "444455556666"];
const VPCS: [Option<&str>; 3] = [Some("p"), Some("q"), None];

fn asks() -> impl Iterator<Item = Ask> {
    ACTIONS.into_iter().flat_map(|action| {
        RESOURCES.into_iter().flat_map(move |resource| {
            PRINCIPALS.into_iter().flat_map(move |principal| {
                VPCS.into_iter().map(move |vpc| Ask {
                    action,
                    resource,
                    principal,
                    vpc,
                })
            })
        })
    })
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// What a statement is about.
struct About {
    actions: Vec<&'static str>,
    resources: Vec<&'static str>,
    principals: Vec<&'static str>,
    vpcs: Vec<Option<&'static str>>,
}

impl About {
    fn of(statement: &Value, star: Star) -> Self {
        let is_listed = |listed: &Value, text: &str, folds: bool| {
            texts(listed).into_iter().any(|pattern| match pattern {
                "*" => true,
                pattern if folds => matches(pattern.to_ascii_lowercase().as_bytes(), text.as_bytes(), star),
                pattern => matches(pattern.as_bytes(), text.as_bytes(), star),
            })
        };
        let said = |field: &str, not: &str, text: &str, folds: bool| match (statement.get(field), statement.get(not)) {
            (Some(listed), _) => is_listed(listed, text, folds),
            (None, Some(listed)) => !is_listed(listed, text, folds),
            (None, None) => true,
        };
        let condition = statement.get("Condition").and_then(Value::as_object);
        let holds = |vpc: Option<&str>| {
            condition.into_iter().flatten().all(|(operator, keys)| {
                keys.as_object().into_iter().flatten().all(|(_, values)| {
                    let is_named = vpc.is_some_and(|vpc| texts(values).contains(&vpc));
                    is_named == (operator == "StringEquals")
                })
            })
        };
        let is_named = |account: &str| match &statement["Principal"] {
            Value::Null | Value::String(_) => true,
            named => texts(&named["AWS"])
                .iter()
                .any(|text| *text == "*" || text.contains(account)),
        };
        let (mut actions, mut resources) = (ACTIONS.to_vec(), RESOURCES.to_vec());
        let (mut principals, mut vpcs) = (PRINCIPALS.to_vec(), VPCS.to_vec());
        actions.retain(|action| said("Action", "NotAction", action, true));
        resources.retain(|resource| said("Resource", "NotResource", resource, false));
        principals.retain(|account| is_named(account));
        vpcs.retain(|vpc| holds(*vpc));
        Self {
            actions,
            resources,
            principals,
            vpcs,
        }
    }

    fn covers(&self, ask: &Ask) -> bool {
        self.actions.contains(&ask.action)
            && self.resources.contains(&ask.resource)
            && self.principals.contains(&ask.principal)
            && self.vpcs.contains(&ask.vpc)
    }
}

/// What the policy says to a request.
fn allows(policy: &Value, star: Star) -> impl Fn(&Ask) -> bool {
    let statements = policy["Statement"].as_array().expect("as it was made");
    let about = |effect: &str| -> Vec<About> {
        let of = statements.iter().filter(|one| one["Effect"] == effect);
        of.map(|one| About::of(one, star)).collect()
    };
    let (allowed, denied) = (about("Allow"), about("Deny"));
    move |ask| allowed.iter().any(|one| one.covers(ask)) && !denied.iter().any(|one| one.covers(ask))
}

/// Makes policies of bytes.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> usize {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        usize::from(*first)
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.next() % of.len()]
    }

    fn pattern(&mut self, is_action: bool) -> String {
        let symbols = ["a", "b", "A", ":", "*", "?"];
        let length = 1 + self.next() % 5;
        let text: String = (0..length).map(|_| self.pick(&symbols)).collect();
        // An action has exactly one colon, or is a star.
        if is_action && text.matches(':').count() != 1 {
            let (service, name) = (self.pick(&["a", "*", "?", "a*", "A"]), text.replace(':', ""));
            return if name == "*" { name } else { format!("{service}:{name}") };
        }
        text
    }

    fn patterns(&mut self, is_action: bool) -> Value {
        let many = self.next() % 3;
        match many {
            0 => self.pattern(is_action).into(),
            many => (0..many).map(|_| self.pattern(is_action)).collect::<Vec<_>>().into(),
        }
    }

    fn statement(&mut self) -> Map<String, Value> {
        let mut statement = Map::new();
        for part in 0..5 {
            self.set(&mut statement, part);
        }
        statement
    }

    fn set(&mut self, statement: &mut Map<String, Value>, part: usize) {
        match part {
            0 => {
                let effect = self.pick(&["Allow", "Allow", "Deny"]);
                statement.insert("Effect".to_owned(), effect.into());
            }
            1 | 2 => {
                let fields = if part == 1 {
                    ["Action", "NotAction"]
                } else {
                    ["Resource", "NotResource"]
                };
                let field = fields[usize::from(self.next() % 4 == 0)];
                for field in fields {
                    statement.remove(field);
                }
                statement.insert(field.to_owned(), self.patterns(part == 1));
            }
            3 => {
                let root = "arn:aws:iam::111122223333:root";
                let principal = match self.next() % 4 {
                    0 => json!("*"),
                    1 => json!({ "AWS": self.pick(&PRINCIPALS) }),
                    2 => json!({ "AWS": [root, self.pick(&PRINCIPALS)] }),
                    _ => json!({ "AWS": "*" }),
                };
                statement.insert("Principal".to_owned(), principal);
            }
            _ => {
                statement.remove("Condition");
                if self.next() % 2 == 0 {
                    let operator = self.pick(&["StringEquals", "StringNotEquals"]);
                    let key = self.pick(&["aws:SourceVpc", "AWS:sourcevpc"]);
                    let values = self.pick(&[&["p"][..], &["q"], &["p", "q"]]);
                    statement.insert("Condition".to_owned(), json!({ operator: { key: values } }));
                }
            }
        }
    }
}

/// Makes two policies, the second one of the first, changed here and there, and holds what is proved against what they say.
pub fn two_policies(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let count = 1 + bytes.next() % 3;
    let wide: Vec<_> = (0..count).map(|_| bytes.statement()).collect();
    let mut narrow = wide.clone();
    for _ in 0..bytes.next() % 4 {
        match bytes.next() % 4 {
            0 => narrow.push(bytes.statement()),
            1 => _ = narrow.pop(),
            _ => {
                let (index, part) = (bytes.next() % narrow.len().max(1), bytes.next() % 5);
                if let Some(statement) = narrow.get_mut(index) {
                    bytes.set(statement, part);
                }
            }
        }
    }
    let policy = |statements: Vec<Map<String, Value>>| json!({ "Version": "2012-10-17", "Statement": statements });
    let (wide, narrow) = (policy(wide), policy(narrow));
    if Narrowed::prove(Some(&wide.to_string()), Some(&narrow.to_string())).is_err() {
        return;
    }
    for star in [Star::OverColons, Star::WithinParts] {
        let (is_granted, was_granted) = (allows(&narrow, star), allows(&wide, star));
        for ask in asks() {
            assert!(
                !is_granted(&ask) || was_granted(&ask),
                "{} on {} by {} from {:?} is new\n{wide}\n{narrow}",
                ask.action,
                ask.resource,
                ask.principal,
                ask.vpc
            );
        }
    }
}
