//! `icecore replay plan`.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Parser;
use serde::Serialize;

use super::price::{Price, PriceArgs, PriceTable};
use super::{RangeArgs, rate};
use crate::cli::output::{self, OutputArgs};
use crate::cli::position::TIME_HELP;
use crate::cli::status::HttpArgs;
use crate::cli::table::{Align, Table};
use crate::cli::view::tell_of_nothing_to_read;
use crate::http::{PartitionPlan, ReplayPlan};

/// `icecore replay plan ...`.
#[derive(Debug, Parser)]
#[command(after_help = TIME_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    range: RangeArgs,
    /// At which rate the replay will go, in bytes a second, such as 200MiB/s. Default: what the
    /// broker has measured of the store lately
    #[arg(long, value_name = "RATE", value_parser = rate)]
    bandwidth: Option<u64>,
    #[command(flatten)]
    price: PriceArgs,
    #[command(flatten)]
    http: HttpArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// What is told. Scripts rely on the names of the fields.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    plan: ReplayPlan,
    total: Total,
    /// By which the time is told.
    bandwidth_bytes_per_second: Option<u64>,
    seconds: Option<f64>,
    prices: PriceTable,
    price: Price,
}

/// All partitions together.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Total {
    segments: u64,
    bytes: u64,
    local_bytes: u64,
    remote_bytes: u64,
    cached_bytes: u64,
    fetched_bytes: u64,
    gets: u64,
    exact: bool,
}

impl Total {
    fn of(partitions: &[PartitionPlan]) -> Self {
        let empty = Self { exact: true, ..Self::default() };
        partitions.iter().fold(empty, |sum, one| Self {
            segments: sum.segments + one.local.segments + one.remote.segments,
            bytes: sum.bytes + one.local.bytes + one.remote.bytes,
            local_bytes: sum.local_bytes + one.local.bytes,
            remote_bytes: sum.remote_bytes + one.remote.bytes,
            cached_bytes: sum.cached_bytes + one.cached_bytes,
            fetched_bytes: sum.fetched_bytes + one.fetched_bytes,
            gets: sum.gets + one.index_gets + one.log_gets,
            exact: sum.exact && one.exact,
        })
    }
}

pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    let prices = args.price.table()?;
    let plan = args.http.replay_plan(&args.range.ask(args.bandwidth)).await?;
    let total = Total::of(&plan.partitions);
    if total.bytes == 0 && total.exact {
        tell_of_nothing_to_read(&args.http).await;
    }
    let measured = Some(plan.measured_bytes_per_second).filter(|rate| *rate > 0);
    let bandwidth = args.bandwidth.or(measured);
    let report = Report {
        total,
        bandwidth_bytes_per_second: bandwidth,
        seconds: bandwidth.map(|rate| total.bytes as f64 / rate as f64),
        price: prices.price(total.gets, total.fetched_bytes),
        prices,
        plan,
    };
    args.output.show(&report, || text(&report, args.bandwidth.is_some()))
}

fn text(report: &Report, given: bool) -> String {
    let Report { plan, total, .. } = report;
    let mut text = table(plan).text();
    let about = if total.exact { "" } else { "about " };
    let (all, local) = (output::bytes(total.bytes), output::bytes(total.local_bytes));
    let _ =
        write!(text, "\n{about}{all} in {} segments: {local} on the local disk", total.segments);
    let (remote, cached) = (output::bytes(total.remote_bytes), output::bytes(total.cached_bytes));
    let _ = match plan.reads_in_place {
        true => writeln!(text, ", {remote} in the store, a folder that is read in place"),
        false => writeln!(text, ", {remote} in the store, of which the cache holds {cached}"),
    };
    let fetched = output::bytes(total.fetched_bytes);
    let _ = writeln!(text, "{about}{} GET requests, {fetched} to fetch", total.gets);
    let Price { currency, total: price, .. } = &report.price;
    let _ = writeln!(text, "{about}{price:.4} {currency} for them");
    let _ = match (report.bandwidth_bytes_per_second, report.seconds) {
        (Some(rate), Some(seconds)) => {
            let by = if given { "as given" } else { "as measured lately" };
            writeln!(text, "{about}{} at {}/s, {by}", time(seconds), output::bytes(rate))
        }
        _ => writeln!(
            text,
            "no time: nothing was fetched lately, so no rate is known; give --bandwidth"
        ),
    };
    if !total.exact {
        text.push_str(
            "The range begins or ends within a segment of the store, whose index is not read for a \
             plan: bytes are shared out among its offsets.\n",
        );
    }
    text
}

fn time(seconds: f64) -> String {
    let whole = Duration::from_secs_f64(seconds.clamp(0.0, 1e15).ceil());
    humantime::format_duration(whole).to_string()
}

fn table(plan: &ReplayPlan) -> Table {
    let mut table = Table::new(&[
        ("PARTITION", Align::Right),
        ("FROM", Align::Right),
        ("TO", Align::Right),
        ("BYTES", Align::Right),
        ("SEGMENTS", Align::Right),
        ("LOCAL", Align::Right),
        ("REMOTE", Align::Right),
        ("CACHED", Align::Right),
        ("TO FETCH", Align::Right),
        ("GETS", Align::Right),
    ]);
    for one in &plan.partitions {
        let about = if one.exact { "" } else { "~" };
        table.row([
            one.partition.to_string(),
            one.from_offset.to_string(),
            one.to_offset.to_string(),
            format!("{about}{}", output::bytes(one.local.bytes + one.remote.bytes)),
            (one.local.segments + one.remote.segments).to_string(),
            output::bytes(one.local.bytes),
            output::bytes(one.remote.bytes),
            output::bytes(one.cached_bytes),
            output::bytes(one.fetched_bytes),
            (one.index_gets + one.log_gets).to_string(),
        ]);
    }
    table
}
