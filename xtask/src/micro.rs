//! How long reading and deciding take, and how that grows: the benchmarks of `remediation` and `block-ip`, as a table and a picture.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::tools::run;

/// What criterion says of a benchmark.
#[derive(Deserialize)]
struct Benchmark {
    #[serde(default)]
    function_id: Option<String>,
    #[serde(default)]
    value_str: Option<String>,
}

#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    /// In nanoseconds.
    point_estimate: f64,
}

/// `cargo xtask micro [--write]`
pub fn command(arguments: &[&str]) -> Result<()> {
    let is_written = match arguments {
        [] => false,
        ["--write"] => true,
        _ => bail!("usage: cargo xtask micro [--write]"),
    };
    let workspace = local_cloud::workspace()?;
    for (package, bench) in [("remediation", "intake"), ("block-ip", "decide")] {
        let mut cargo = local_cloud::cargo();
        run(cargo
            .args(["bench", "--package", package, "--bench", bench])
            .current_dir(&workspace))?;
    }
    let read = |group| measured(&workspace.join("target/criterion").join(group));
    let (sources, sets, batches) = (read("read")?, sizes(read("set")?), sizes(read("batch")?));
    let table = table(&sources, &sets, &batches);
    println!("\n{table}");
    if is_written {
        let page = workspace.join("docs/PERFORMANCE.md");
        let text = fs::read_to_string(&page)?;
        let (begin, end) = ("<!-- micro: begin -->", "<!-- micro: end -->");
        let (before, rest) = text
            .split_once(begin)
            .context("no place for it in docs/PERFORMANCE.md")?;
        let (_, after) = rest.split_once(end).context("no end of its place")?;
        fs::write(page, format!("{before}{begin}\n{table}{end}{after}"))?;
        fs::write(workspace.join("docs/scaling.svg"), picture(&sets, &batches))?;
    }
    Ok(())
}

/// Name and median of each benchmark of a group.
fn measured(group: &Path) -> Result<Vec<(String, f64)>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(group).with_context(|| format!("nothing measured in {}", group.display()))? {
        let folder = entry?.path().join("new");
        if !folder.is_dir() {
            continue;
        }
        let benchmark: Benchmark = serde_json::from_slice(&fs::read(folder.join("benchmark.json"))?)?;
        let estimates: Estimates = serde_json::from_slice(&fs::read(folder.join("estimates.json"))?)?;
        let name = benchmark
            .function_id
            .or(benchmark.value_str)
            .context("a benchmark has a name")?;
        all.push((name, estimates.median.point_estimate));
    }
    all.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(all)
}

/// By size, smallest first.
fn sizes(measured: Vec<(String, f64)>) -> Vec<(f64, f64)> {
    let mut sizes: Vec<(f64, f64)> = measured
        .into_iter()
        .filter_map(|(name, time)| Some((name.parse().ok()?, time)))
        .collect();
    sizes.sort_by(|one, other| one.0.total_cmp(&other.0));
    sizes
}

fn table(sources: &[(String, f64)], sets: &[(f64, f64)], batches: &[(f64, f64)]) -> String {
    let mut text = String::from("| one event of | read, µs | a second and core |\n|---|---|---|\n");
    for (name, nanoseconds) in sources {
        let _ = writeln!(text, "| {name} | {:.1} | {:.0} |", nanoseconds / 1e3, 1e9 / nanoseconds);
    }
    text.push_str("\n| addresses in the set | one finding read, claimed and decided, µs |\n|---|---|\n");
    for (size, nanoseconds) in sets {
        let _ = writeln!(text, "| {size} | {:.1} |", nanoseconds / 1e3);
    }
    text.push_str(
        "\n| findings in the batch | read, claimed and decided, ms | findings a second and core |\n|---|---|---|\n",
    );
    for (size, nanoseconds) in batches {
        let _ = writeln!(
            text,
            "| {size} | {:.3} | {:.0} |",
            nanoseconds / 1e6,
            size * 1e9 / nanoseconds
        );
    }
    text.push_str("\n![Time by the size of the set, and by the size of the batch](scaling.svg)\n");
    text
}

/// Both axes are logarithmic: what is linear rises by one in one.
fn picture(sets: &[(f64, f64)], batches: &[(f64, f64)]) -> String {
    const LEFT: f64 = 70.0;
    const BOTTOM: f64 = 330.0;
    const DECADE: f64 = 110.0;
    let x = |size: f64| LEFT + size.log10() * DECADE;
    // The lowest line is at a microsecond.
    let y = |nanoseconds: f64| BOTTOM - (nanoseconds / 1e3).max(1.0).log10() * DECADE / 2.0;
    let mut body = String::new();
    for (exponent, name) in (0_i32..).zip(["1", "10", "100", "1,000", "10,000"]) {
        let at = x(10_f64.powi(exponent));
        let _ = writeln!(
            body,
            "<line x1=\"{at:.0}\" x2=\"{at:.0}\" y1=\"40\" y2=\"{BOTTOM:.0}\" stroke=\"#ddd\"/><text x=\"{at:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{name}</text>",
            BOTTOM + 16.0
        );
    }
    for (exponent, name) in (0_i32..).zip(["1 µs", "10 µs", "100 µs", "1 ms", "10 ms", "100 ms"]) {
        let at = y(1e3 * 10_f64.powi(exponent));
        let _ = writeln!(
            body,
            "<line x1=\"{LEFT:.0}\" x2=\"{:.0}\" y1=\"{at:.0}\" y2=\"{at:.0}\" stroke=\"#ddd\"/><text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{name}</text>",
            x(10_000.0),
            LEFT - 6.0,
            at + 4.0
        );
    }
    let lines = [
        (batches, "#2a7d4f", "a batch of so many findings, for an empty set"),
        (sets, "#3b6ea8", "one finding, for a set of so many addresses"),
    ];
    for (number, (line, colour, name)) in (0_u8..).zip(lines) {
        let points: Vec<String> = line
            .iter()
            .map(|(size, time)| format!("{:.1},{:.1}", x(*size), y(*time)))
            .collect();
        let _ = writeln!(
            body,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n<text x=\"{LEFT:.0}\" y=\"{:.0}\" fill=\"{colour}\">{name}</text>",
            points.join(" "),
            14.0 + f64::from(number) * 16.0
        );
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"560\" height=\"360\" viewBox=\"0 0 560 360\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>Time to read, claim and decide</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{body}</svg>\n"
    )
}
