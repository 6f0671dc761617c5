//! Reads an event so many times: what `cargo xtask instructions` counts the instructions of.
//!
//!     read EVENT.json TIMES

use std::{env, error::Error, fs, hint::black_box};

use remediation::intake;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let path = arguments.next().ok_or("which event?")?;
    let times: u32 = arguments.next().ok_or("how often?")?.parse()?;
    let event: serde_json::Value = serde_json::from_str(&fs::read_to_string(path)?)?;
    // As EventBridge sends it: without the spaces of the file.
    let event = event.to_string();
    for _ in 0..times {
        black_box(intake::read(black_box(&event))?);
    }
    Ok(())
}
