//! What was measured, as a table, a page and a picture.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    fs,
};

use anyhow::{Context, Result};
use local_cloud::workspace;

use crate::{
    Results, Run, Series,
    subject::{JOBS, Job, Subject},
};

/// The median, the quarter that is quicker and the quarter that is slower.
#[derive(Clone, Copy, Debug)]
struct Spread {
    low: f64,
    median: f64,
    high: f64,
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.median.is_nan() {
            return f.write_str("none");
        }
        let Self { low, median, high } = *self;
        write!(f, "{} ({} to {})", figure(median), figure(low), figure(high))
    }
}

fn spread(runs: &[Run], of: impl Fn(&Run) -> f64) -> Spread {
    let mut values: Vec<f64> = runs.iter().map(of).filter(|value| !value.is_nan()).collect();
    values.sort_by(f64::total_cmp);
    let at = |quarter: usize| {
        let index = values.len().saturating_sub(1) * quarter / 4;
        values.get(index).copied().unwrap_or(f64::NAN)
    };
    Spread {
        low: at(1),
        median: at(2),
        high: at(3),
    }
}

fn answer(run: &Run) -> f64 {
    run.init + run.first
}

type Column = (&'static str, fn(&Run) -> f64);

const COLUMNS: [Column; 8] = [
    ("start to first request, ms", |run| run.init),
    ("start to first answer, ms", answer),
    ("first event, ms", |run| run.first),
    ("of it the emulators, ms", |run| run.emulators),
    ("warm event, ms", |run| run.warm),
    ("processor, ms", |run| run.processor),
    ("first answer at the exact share, ms", |run| run.exact),
    ("memory, MB", |run| run.memory),
];

fn figure(value: f64) -> String {
    if value.is_nan() {
        "none".to_owned()
    } else if value < 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

pub fn print_job(job: &Job, results: &Results) {
    println!("\n{} ({})", job.function, job.sample);
    print!("{:<36}", "");
    for subject in Subject::ALL {
        print!("{:>26}", subject.name());
    }
    println!();
    for (name, of) in COLUMNS {
        print!("{name:<36}");
        for subject in Subject::ALL {
            let cell = results.get(&(job.function, subject));
            let cell = cell.map_or(String::new(), |series| spread(&series.runs, of).to_string());
            print!("{cell:>26}");
        }
        println!();
    }
    for subject in Subject::ALL {
        if let Some(Series {
            calls: [cold, warm], ..
        }) = results.get(&(job.function, subject))
        {
            println!("{}: {} calls: {}", subject.name(), cold.len(), cold.join(" "));
            if warm != cold {
                println!("{}, warm: {} calls: {}", subject.name(), warm.len(), warm.join(" "));
            }
        }
    }
}

/// How many times more of it another subject needs.
fn times(results: &Results, job: &Job, other: Subject, of: impl Fn(&Run) -> f64) -> Option<f64> {
    let ours = results.get(&(job.function, Subject::Ours))?;
    let other = results.get(&(job.function, other))?;
    Some(spread(&other.runs, &of).median / spread(&ours.runs, &of).median)
}

pub fn print(results: &Results) {
    print!("\n{}", ratios(results));
}

fn ratios(results: &Results) -> String {
    let mut text = String::from(
        "| function | first answer, Python / ours | at the exact share | first event, Python / ours | first event, Cloud Custodian / ours | memory, ours / Python | AWS calls: ours, Python, Cloud Custodian |\n|---|---|---|---|---|---|---|\n",
    );
    let cell = |value: Option<f64>| value.map_or("none".to_owned(), |value| format!("{value:.1}"));
    for job in &JOBS {
        let calls = |subject| {
            let series = results.get(&(job.function, subject));
            series.map_or("none".to_owned(), |series| series.calls[0].len().to_string())
        };
        if !results.contains_key(&(job.function, Subject::Ours)) {
            continue;
        }
        let memory = times(results, job, Subject::Python, |run| run.memory).map(|times| 1.0 / times);
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} | {} | {}, {}, {} |",
            job.function,
            cell(times(results, job, Subject::Python, answer)),
            cell(times(results, job, Subject::Python, |run| run.exact)),
            cell(times(results, job, Subject::Python, |run| run.first)),
            cell(times(results, job, Subject::Custodian, |run| run.first)),
            memory.map_or("none".to_owned(), |part| format!("{part:.2}")),
            calls(Subject::Ours),
            calls(Subject::Python),
            calls(Subject::Custodian),
        );
    }
    text
}

fn medians(results: &Results) -> String {
    let mut text = String::from("| function | subject |");
    for (name, _) in COLUMNS {
        let _ = write!(text, " {name} |");
    }
    text.push_str("\n|---|---|");
    text.push_str(&"---|".repeat(COLUMNS.len()));
    text.push('\n');
    for ((function, subject), series) in results {
        let _ = write!(text, "| `{function}` | {} |", subject.name());
        for (_, of) in COLUMNS {
            let _ = write!(text, " {} |", spread(&series.runs, of));
        }
        text.push('\n');
    }
    text
}

fn sizes() -> Result<String> {
    let mut text = String::from("| function | binary, bytes | zipped, bytes |\n|---|---|---|\n");
    for job in &JOBS {
        let folder = workspace()?.join("target/lambda").join(job.function);
        let size = |name: &str| fs::metadata(folder.join(name)).map(|file| file.len());
        let (binary, zip) = (size("bootstrap")?, size("bootstrap.zip")?);
        let _ = writeln!(text, "| `{}` | {binary} | {zip} |", job.function);
    }
    Ok(text)
}

fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("an unknown processor", |(_, model)| model.trim());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory: u64 = read("/proc/meminfo")
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok())
        .unwrap_or_default();
    format!("{cores} cores of {model}, {} GB, Linux", memory / 1_048_576)
}

/// Puts what was measured between the marks of `docs/PERFORMANCE.md`, and draws it.
pub fn write(results: &Results, runs: usize, share: f64) -> Result<()> {
    let docs = workspace()?.join("docs");
    let path = docs.join("PERFORMANCE.md");
    let page = fs::read_to_string(&path)?;
    let measured = format!(
        "Measured on {}: medians of {runs} runs, with the quarters beside them; {:.1} % of a core from the first request on.\n\n{}\n{}\n{}",
        machine(),
        share * 100.0,
        ratios(results),
        medians(results),
        sizes()?
    );
    fs::write(&path, between(&page, "measured", &measured)?)?;
    fs::write(docs.join("performance.svg"), picture(results))?;
    Ok(())
}

fn between(page: &str, name: &str, text: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- {name}: begin -->"), format!("<!-- {name}: end -->"));
    let (before, rest) = page.split_once(&begin).with_context(|| format!("no {begin}"))?;
    let (_, after) = rest.split_once(&end).with_context(|| format!("no {end}"))?;
    Ok(format!("{before}{begin}\n{text}{end}{after}"))
}

/// From the start of the process to its first answer, on a logarithmic scale.
fn picture(results: &Results) -> String {
    const LEFT: f64 = 190.0;
    const WIDTH: f64 = 560.0;
    /// Pixels for ten times the time; the scale begins at ten milliseconds.
    const DECADE: f64 = 160.0;
    let colours = BTreeMap::from([
        (Subject::Ours, "#2a7d4f"),
        (Subject::Python, "#3b6ea8"),
        (Subject::Custodian, "#b0643c"),
    ]);
    let x = |milliseconds: f64| LEFT + (milliseconds / 10.0).max(1.0).log10() * DECADE;
    let mut body = String::new();
    let mut y = 64.0;
    for job in &JOBS {
        let _ = writeln!(body, "<text x=\"12\" y=\"{:.0}\">{}</text>", y + 13.0, job.function);
        for subject in Subject::ALL {
            let Some(series) = results.get(&(job.function, subject)) else {
                continue;
            };
            let median = spread(&series.runs, answer).median;
            let colour = colours.get(&subject).copied().unwrap_or("#000");
            let _ = writeln!(
                body,
                "<rect x=\"{LEFT}\" y=\"{y:.0}\" width=\"{:.1}\" height=\"14\" fill=\"{colour}\"/><text x=\"{:.1}\" y=\"{:.0}\" class=\"n\">{} ms</text>",
                (x(median) - LEFT).max(1.0),
                x(median) + 5.0,
                y + 11.0,
                figure(median)
            );
            y += 17.0;
        }
        y += 10.0;
    }
    let mut grid = String::new();
    for (milliseconds, name) in [(10.0, "10 ms"), (100.0, "100 ms"), (1_000.0, "1 s"), (10_000.0, "10 s")] {
        let _ = writeln!(
            grid,
            "<line x1=\"{0:.0}\" x2=\"{0:.0}\" y1=\"54\" y2=\"{y:.0}\" stroke=\"#d0d0d0\"/><text x=\"{0:.0}\" y=\"50\" class=\"n\" text-anchor=\"middle\">{name}</text>",
            x(milliseconds)
        );
    }
    let mut legend = String::new();
    for (number, subject) in (0_u8..).zip(Subject::ALL) {
        let at = LEFT + f64::from(number) * 150.0;
        let colour = colours.get(&subject).copied().unwrap_or("#000");
        let _ = writeln!(
            legend,
            "<rect x=\"{at:.0}\" y=\"10\" width=\"12\" height=\"12\" fill=\"{colour}\"/><text x=\"{:.0}\" y=\"20\">{}</text>",
            at + 17.0,
            subject.name()
        );
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0}\" height=\"{1:.0}\" viewBox=\"0 0 {0:.0} {1:.0}\" font-family=\"sans-serif\" font-size=\"13\">\n<title>From the start of the process to its first answer</title>\n<style>.n {{ font-size: 11px; fill: #444 }}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{grid}{legend}{body}</svg>\n",
        LEFT + WIDTH + 70.0,
        y + 10.0
    )
}
