//! The table of values in the chart's README.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};

use super::{folder, values};

/// Everything behind this line of the README is written here.
const MARK: &str = "<!-- written by cargo xtask chart -->\n";

/// Writes the table; with `check` only compares.
pub(super) fn write(check: bool) -> Result<()> {
    let path = folder()?.join("README.md");
    let text = std::fs::read_to_string(&path)?;
    let (before, _) = text.split_once(MARK).context("the chart's README has the mark")?;
    let expected = format!("{before}{MARK}\n{}", table()?);
    if !check {
        return Ok(std::fs::write(path, expected)?);
    }
    ensure!(text == expected, "helm/icecore/README.md is out of date: run `cargo xtask chart`");
    Ok(())
}

fn table() -> Result<String> {
    let values = values::read(&std::fs::read_to_string(folder()?.join("values.yaml"))?)?;
    let mut table = "| Value | Default | What it does |\n|---|---|---|\n".to_owned();
    for value in values {
        let comment = value.comment.replace('|', "\\|");
        writeln!(table, "| `{}` | `{}` | {comment} |", value.path, value.default)?;
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_table_of_values_in_the_charts_readme_is_up_to_date() {
        super::write(true).expect("run `cargo xtask chart`");
    }
}
