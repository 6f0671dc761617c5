//! A period at a glance: one page of HTML that needs nothing beside itself, and runs nothing.

use std::{collections::BTreeMap, fmt::Write, fs, path::PathBuf, process::ExitCode};

use chrono::{TimeDelta, Timelike};
use clap::Args;
use remediation::{
    clock::{Clock, SystemClock, Timestamp},
    ledger::{Image, Record, Status},
    outcome::Outcome,
};
use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};

use crate::{
    error::Error,
    ledger::{Which, records, standing, why},
    screen::Screen,
};

/// Which period, and where to.
#[derive(Debug, Args)]
pub struct Report {
    /// The period: so many days until now.
    #[arg(long, default_value_t = 7)]
    days: u16,
    /// The file to write.
    #[arg(long, default_value = "securecart-report.html")]
    out: PathBuf,
}

/// Writes it.
pub async fn run(report: &Report, stack: &str, screen: Screen) -> Result<ExitCode, Error> {
    let which = Which {
        function: None,
        days: report.days,
        outcome: None,
        finding: None,
    };
    let stored = records(&which, stack).await?;
    let records: Vec<Record> = stored.into_iter().map(|stored| stored.record).collect();
    let now = SystemClock.now();
    let page = page(stack, &records, now - TimeDelta::days(report.days.into()), now);
    fs::write(&report.out, page).map_err(|error| Error::input(report.out.display(), error))?;
    let line = format!("{} records in {}", records.len(), report.out.display());
    screen.show(&json!({ "records": records.len(), "file": report.out }), [line]);
    Ok(ExitCode::SUCCESS)
}

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8884; --add: #2a84; --gone: #c334; --bar: #47a; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.tiles { display: flex; flex-wrap: wrap; gap: .8rem; padding: 0; list-style: none; }
.tiles li { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem 1rem; min-width: 7rem; }
.tiles b { display: block; font-size: 1.6rem; }
table { border-collapse: collapse; } th, td { border-bottom: 1px solid var(--line); padding: .25rem .8rem; text-align: left; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
details { border: 1px solid var(--line); border-radius: .5rem; margin: .5rem 0; padding: .4rem .8rem; }
summary { cursor: pointer; } summary b { display: inline-block; min-width: 10rem; }
dl { display: grid; grid-template-columns: 8rem 1fr; gap: .2rem 1rem; } dt { opacity: .7; } dd { margin: 0; overflow-wrap: anywhere; }
pre, code { font: 13px/1.45 ui-monospace, monospace; } pre { overflow-x: auto; border: 1px solid var(--line); border-radius: .3rem; padding: .5rem; }
ins { background: var(--add); text-decoration: none; } del { background: var(--gone); text-decoration: none; }
svg rect { fill: var(--bar); } svg text { font-size: 11px; fill: currentColor; }
";

/// What may be said of records between two times.
pub fn page(stack: &str, records: &[Record], from: Timestamp, to: Timestamp) -> String {
    let mut body = String::new();
    heading(&mut body, stack, records, from, to);
    table(&mut body, records);
    timeline(&mut body, records, from, to);
    each(&mut body, records);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>SecureCart remediation: {}</title>\n\
         <style>{STYLE}</style>\n<body>\n{body}</body>\n</html>\n",
        text(stack)
    )
}

/// Names, reasons and policies come from outside.
fn text(raw: &str) -> String {
    raw.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

fn put(page: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a text cannot fail.
    let _ = page.write_fmt(what);
}

fn counted<K: Ord>(keys: impl Iterator<Item = K>) -> BTreeMap<K, usize> {
    let mut counts = BTreeMap::new();
    for key in keys {
        *counts.entry(key).or_default() += 1;
    }
    counts
}

fn heading(page: &mut String, stack: &str, records: &[Record], from: Timestamp, to: Timestamp) {
    let day = |time: Timestamp| time.format("%Y-%m-%d %H:%M UTC");
    put(
        page,
        format_args!(
            "<h1>{}: {} to {}</h1>\n<ul class=\"tiles\">\n",
            text(stack),
            day(from),
            day(to)
        ),
    );
    for (outcome, count) in counted(records.iter().map(standing)) {
        put(page, format_args!("<li><b>{count}</b>{outcome}</li>\n"));
    }
    page.push_str("</ul>\n");
    if records.is_empty() {
        page.push_str("<p>Nothing was recorded.</p>\n");
    }
}

fn table(page: &mut String, records: &[Record]) {
    let key = |record: &Record| {
        (
            record.evidence.kind.clone(),
            record.remediation.clone(),
            standing(record),
        )
    };
    page.push_str(
        "<h2>By control</h2>\n<table>\n<tr><th>Control, rule or finding type<th>Function<th>Outcome<th>Records\n",
    );
    for ((control, function, outcome), count) in counted(records.iter().map(key)) {
        let (control, function) = (text(&control), text(&function));
        put(
            page,
            format_args!("<tr><td>{control}<td>{function}<td>{outcome}<td class=\"number\">{count}\n"),
        );
    }
    page.push_str("</table>\n");
}

/// Records by the hour, or by the day where the period is longer than three days.
fn timeline(page: &mut String, records: &[Record], from: Timestamp, to: Timestamp) {
    const WIDTH: usize = 800;
    const HEIGHT: usize = 120;
    let is_short = to - from <= TimeDelta::days(3);
    let step = if is_short {
        TimeDelta::hours(1)
    } else {
        TimeDelta::days(1)
    };
    let begin = |time: Timestamp| {
        let hour = if is_short { time.hour() } else { 0 };
        time.date_naive()
            .and_hms_opt(hour, 0, 0)
            .map_or(time, |begin| begin.and_utc())
    };
    let counts = counted(records.iter().map(|record| begin(record.updated_at)));
    let mut spans = Vec::new();
    let mut at = begin(from);
    while at <= to {
        spans.push((at, counts.get(&at).copied().unwrap_or(0)));
        at += step;
    }
    let most = spans.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
    let wide = (WIDTH / spans.len().max(1)).max(1);
    put(
        page,
        format_args!(
            "<h2>Timeline, by the {}</h2>\n<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"Records over time\">\n",
            if is_short { "hour" } else { "day" },
            wide * spans.len(),
            HEIGHT + 20
        ),
    );
    for (index, (at, count)) in spans.iter().enumerate() {
        let (high, x) = (HEIGHT * count / most, index * wide);
        let when = at.format(if is_short { "%m-%d %H:00" } else { "%Y-%m-%d" });
        put(
            page,
            format_args!(
                "<rect x=\"{x}\" y=\"{}\" width=\"{}\" height=\"{high}\"><title>{when}: {count}</title></rect>\n",
                HEIGHT - high,
                wide.saturating_sub(1).max(1)
            ),
        );
    }
    let ends = [
        spans.first().map(|(at, _)| (0, "start", at)),
        spans.last().map(|(at, _)| (wide * spans.len(), "end", at)),
    ];
    for (x, anchor, at) in ends.into_iter().flatten() {
        let y = HEIGHT + 15;
        put(
            page,
            format_args!(
                "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{}</text>\n",
                at.format("%Y-%m-%d %H:%M")
            ),
        );
    }
    page.push_str("</svg>\n");
}

/// What was changed, is planned, or is for a person; the newest first.
fn each(page: &mut String, records: &[Record]) {
    page.push_str("<h2>Changes, plans and escalations</h2>\n");
    let is_shown = |record: &&Record| match &record.status {
        Status::Intended | Status::Reverting => true,
        Status::Settled(outcome) => !matches!(outcome, Outcome::AlreadyInPlace(_) | Outcome::Declined(_)),
    };
    let mut shown: Vec<_> = records.iter().filter(is_shown).collect();
    shown.sort_by_key(|record| std::cmp::Reverse(record.updated_at));
    for record in shown {
        one(page, record);
    }
}

fn one(page: &mut String, record: &Record) {
    let when = record.updated_at.format("%Y-%m-%d %H:%M");
    let name = standing(record);
    put(
        page,
        format_args!(
            "<details>\n<summary><b>{name}</b> {when} {}</summary>\n<dl>\n",
            text(&why(record))
        ),
    );
    let evidence = &record.evidence;
    let word = |word: &Option<remediation::ledger::Word>| {
        word.as_ref()
            .map(|word| format!("{}, at {}", word.by, word.at))
            .unwrap_or_default()
    };
    let rows = [
        (
            "Finding",
            format!(
                "{} ({}), seen {}",
                evidence.kind, evidence.severity, evidence.observed_at
            ),
        ),
        ("Account", format!("{}, {}", evidence.account, evidence.region)),
        ("Scope", record.scope.clone()),
        ("Role", record.actor.clone()),
        ("Approved by", word(&record.approved)),
        ("Undone by", word(&record.reverted)),
        ("AWS requests", record.requests.join(", ")),
    ];
    for (what, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        put(page, format_args!("<dt>{what}<dd>{}\n", text(value)));
    }
    let order = match &record.status {
        Status::Settled(Outcome::Remediated(_)) => Some("undo"),
        Status::Settled(Outcome::AwaitingApproval(_) | Outcome::Escalated(_)) => Some("approve"),
        _ => None,
    };
    if let Some(order) = order {
        put(
            page,
            format_args!("<dt>Next<dd><code>securecart {order} {}</code>\n", record.id),
        );
    }
    page.push_str("</dl>\n");
    if let Some(image) = &record.image {
        difference(page, image);
    }
    page.push_str("</details>\n");
}

/// Before and after, line by line.
fn difference(page: &mut String, image: &Image) {
    let (before, after) = (lines(&image.before), lines(&image.after));
    page.push_str("<pre>");
    for change in TextDiff::from_lines(&before, &after).iter_all_changes() {
        let line = text(change.value().trim_end_matches('\n'));
        match change.tag() {
            ChangeTag::Delete => put(page, format_args!("<del>- {line}</del>\n")),
            ChangeTag::Insert => put(page, format_args!("<ins>+ {line}</ins>\n")),
            ChangeTag::Equal => put(page, format_args!("  {line}\n")),
        }
    }
    page.push_str("</pre>\n");
}

/// A value in lines. A text that is JSON itself, such as a policy, is spread out as well.
fn lines(value: &Value) -> String {
    fn spread(value: &Value) -> Value {
        match value {
            Value::String(text) => match serde_json::from_str::<Value>(text) {
                Ok(inner @ (Value::Object(_) | Value::Array(_))) => inner,
                _ => value.clone(),
            },
            Value::Array(list) => list.iter().map(spread).collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(name, value)| (name.clone(), spread(value)))
                .collect(),
            other => other.clone(),
        }
    }
    let spread = spread(value);
    let shown = spread.as_str().map(str::to_owned);
    shown
        .or_else(|| serde_json::to_string_pretty(&spread).ok())
        .unwrap_or_default()
        + "\n"
}

#[cfg(test)]
mod tests {
    use remediation::{
        finding::{Channel, Evidence, Severity},
        ids::{AccountId, FindingId, FindingVersion, RecordId, Region},
        ledger::{Revision, ScopeKey, Word},
        outcome::Reason,
    };

    use super::*;

    fn at(hour: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + TimeDelta::hours(hour)
    }

    fn record(target: &str, hour: i64, outcome: Outcome, image: Option<Image>) -> Record {
        let (finding, version) = (FindingId::new("finding"), FindingVersion::new("1"));
        let scope = ScopeKey {
            account: "111122223333",
            remediation: "revoke-permissions",
            scope: "scope",
        };
        Record {
            id: RecordId::derive(scope, target, &finding, &version),
            revision: Revision(1),
            remediation: "revoke-permissions".to_owned(),
            account: AccountId::new(scope.account),
            scope: "scope".to_owned(),
            target: Value::Null,
            evidence: Evidence {
                id: finding,
                version,
                channel: Channel::Direct,
                kind: "IAM.1".to_owned(),
                severity: Severity::High,
                account: AccountId::new("111122223333"),
                region: Region::new("us-east-1"),
                observed_at: at(0),
            },
            status: Status::Settled(outcome),
            change: None,
            image,
            released: None,
            requests: vec!["request-1".to_owned()],
            actor: "arn:aws:iam::111122223333:role/x".to_owned(),
            approved: Some(Word {
                by: "ann <script>".to_owned(),
                at: at(1),
            }),
            reverted: None,
            noticed: true,
            teller: String::new(),
            untold: false,
            unanswered: false,
            created_at: at(hour),
            updated_at: at(hour),
        }
    }

    fn sample() -> Vec<Record> {
        let image = Image {
            before: json!(r#"{"Statement":[{"Action":"*"},{"Action":"s3:Get*"}]}"#),
            after: json!(r#"{"Statement":[{"Action":"s3:Get*"}]}"#),
            inverse: Value::Null,
        };
        let reason = || Reason::new("code", "because of <b>this</b> & \"that\"");
        vec![
            record("a", 1, Outcome::Remediated(reason()), Some(image)),
            record("b", 1, Outcome::Escalated(reason()), None),
            record("c", 9, Outcome::Declined(reason()), None),
        ]
    }

    #[test]
    fn s88_everything_of_the_period_is_there_and_nothing_can_run() {
        let records = sample();
        let page = page("stack", &records, at(0), at(10));
        for part in [
            "<li><b>1</b>Remediated</li>",
            "<tr><td>IAM.1<td>revoke-permissions<td>Escalated<td class=\"number\">1",
            "<title>01-01 01:00: 2</title>",
            "because of &lt;b&gt;this&lt;/b&gt; &amp; &quot;that&quot;",
            "<dt>Approved by<dd>ann &lt;script&gt;, at 1970-01-01 01:00:00 UTC",
            "<del>-       &quot;Action&quot;: &quot;*&quot;</del>",
            "<dt>AWS requests<dd>request-1",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        for (record, order) in records.iter().zip(["undo", "approve"]) {
            assert!(page.contains(&format!("<code>securecart {order} {}</code>", record.id)));
        }
        assert!(
            !page.contains("<script") && !page.contains("http:") && !page.contains("https:"),
            "{page}"
        );
        assert_eq!(
            page.matches("<details>").count(),
            2,
            "what was declined is only counted"
        );
    }

    #[test]
    fn an_empty_period_says_so() {
        assert!(page("stack", &[], at(0), at(24 * 30)).contains("Nothing was recorded."));
    }
}
