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
use crate::http::{PartitionPlan, RateBound, ReplayPlan, SettingFrom};

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
    #[serde(flatten)]
    time: Time,
    prices: PriceTable,
    price: Price,
}

/// How long it takes, and why so long.
#[derive(Debug, Serialize)]
struct Time {
    /// As given, else as measured of the store lately. Without it the time is no more than what `bound_by`
    /// leaves: the replay takes at least so long.
    bandwidth_bytes_per_second: Option<u64>,
    /// The rate that people set and that is slower than that for what it counts for.
    bound_by: Option<RateBound>,
    seconds: Option<f64>,
}

impl Time {
    /// What a rate counts for takes its time by the slowest of them, and the rest by the bandwidth.
    fn of(total: &Total, bandwidth: Option<u64>, rates: &[RateBound]) -> Self {
        let takes = |bytes: u64, rate: u64| bytes as f64 / rate.max(1) as f64;
        let of_rates = rates.iter().map(|rate| (takes(rate.bytes, rate.bytes_per_second), rate));
        let slowest = of_rates.max_by(|(one, _), (other, _)| one.total_cmp(other));
        let at_bandwidth = |bytes| bandwidth.map_or(0.0, |rate| takes(bytes, rate));
        let bound = slowest.filter(|(seconds, _)| *seconds > at_bandwidth(total.remote_bytes));
        let seconds = match bound {
            Some((seconds, _)) => Some(at_bandwidth(total.local_bytes) + seconds),
            None => bandwidth.map(|rate| takes(total.bytes, rate)),
        };
        let bound_by = bound.map(|(_, rate)| rate.clone());
        Self { bandwidth_bytes_per_second: bandwidth, bound_by, seconds }
    }

    /// In words, on one line. `given` says whether the bandwidth was.
    fn text(&self, about: &str, given: bool) -> String {
        let by = if given { "as given" } else { "as measured lately" };
        let a_second = |rate: u64| format!("{}/s", output::bytes(rate));
        let took = duration(self.seconds.unwrap_or_default());
        match (&self.bound_by, self.bandwidth_bytes_per_second) {
            (Some(bound), Some(rate)) => {
                let (slow, fast) = (a_second(bound.bytes_per_second), a_second(rate));
                format!("{about}{took}: {} bounds it to {slow}, and not {fast}, {by}", place(bound))
            }
            (Some(bound), None) => format!(
                "at least {took}: {} bounds it to {}; no other rate is known, as nothing was fetched \
                 lately: give --bandwidth",
                place(bound),
                a_second(bound.bytes_per_second)
            ),
            (None, Some(rate)) => format!("{about}{took} at {}, {by}", a_second(rate)),
            (None, None) => {
                "no time: nothing was fetched lately, so no rate is known; give --bandwidth"
                    .to_owned()
            }
        }
    }
}

/// A setting and where its value comes from.
fn place(bound: &RateBound) -> String {
    let of = match (bound.from, &bound.by) {
        (SettingFrom::Policy, Some(policy)) => format!("of policy {policy}"),
        (SettingFrom::Topic, _) => "of the topic".to_owned(),
        _ => "of the broker".to_owned(),
    };
    format!("{} {of}", bound.setting)
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
        let offsets = plan.partitions.iter();
        let offsets = offsets.map(|one| one.log_start_offset.zip(one.high_watermark));
        let offsets: Option<Vec<_>> = offsets.collect();
        let why = args.range.why_nothing(offsets.as_deref());
        tell_of_nothing_to_read(&args.http, &why).await;
    }
    let measured = Some(plan.measured_bytes_per_second).filter(|rate| *rate > 0);
    let report = Report {
        time: Time::of(&total, args.bandwidth.or(measured), &plan.rates),
        total,
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
    let segments = match total.segments {
        1 => "1 segment".to_owned(),
        count => format!("{count} segments"),
    };
    let _ = write!(text, "\n{about}{all} in {segments}: {local} on the local disk");
    let (remote, cached) = (output::bytes(total.remote_bytes), output::bytes(total.cached_bytes));
    let _ = match plan.reads_in_place {
        true => writeln!(text, ", {remote} in the store, a folder that is read in place"),
        false => writeln!(text, ", {remote} in the store, of which the cache holds {cached}"),
    };
    let fetched = output::bytes(total.fetched_bytes);
    let _ = writeln!(text, "{about}{} GET requests, {fetched} to fetch", total.gets);
    let Price { currency, total: price, .. } = &report.price;
    let _ = writeln!(text, "{} {currency} for them", cost(about, *price));
    if total.bytes > 0 {
        let _ = writeln!(text, "{}", report.time.text(about, given));
    }
    if !total.exact {
        text.push_str(
            "The range begins or ends within a segment of the store, whose index is not read for a \
             plan: bytes are shared out among its offsets.\n",
        );
    }
    text
}

/// Few requests cost less than the digits show, which is not nothing.
fn cost(about: &str, price: f64) -> String {
    match price > 0.0 && price < 0.0001 {
        true => "less than 0.0001".to_owned(),
        false => format!("{about}{price:.4}"),
    }
}

fn duration(seconds: f64) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn total(local_mib: u64, remote_mib: u64) -> Total {
        let (local_bytes, remote_bytes) = (local_mib * MIB, remote_mib * MIB);
        Total { bytes: local_bytes + remote_bytes, local_bytes, remote_bytes, ..Total::default() }
    }

    fn rate(setting: &str, by: Option<&str>, mib_a_second: u64, mib: u64) -> RateBound {
        RateBound {
            setting: setting.to_owned(),
            bytes_per_second: mib_a_second * MIB,
            from: if by.is_some() { SettingFrom::Policy } else { SettingFrom::Broker },
            by: by.map(str::to_owned),
            bytes: mib * MIB,
        }
    }

    #[test]
    fn what_costs_next_to_nothing_is_not_told_to_cost_nothing() {
        assert_eq!(cost("about ", 0.000_012_8), "less than 0.0001");
        assert_eq!(cost("", 0.0), "0.0000");
        assert_eq!(cost("about ", 0.0224), "about 0.0224");
    }

    #[test]
    fn the_time_is_told_by_the_slowest_rate_that_people_set_for_what_it_counts_for() {
        let (of_topic, of_broker) =
            (rate("topic's", Some("thrifty"), 2, 60), rate("broker's", None, 1, 20));
        let both = [of_topic.clone(), of_broker];
        let time = Time::of(&total(40, 60), Some(10 * MIB), &both);
        assert_eq!((time.seconds, &time.bound_by), (Some(34.0), &Some(of_topic.clone())));
        let expected = "about 34s: topic's of policy thrifty bounds it to 2.00 MiB/s, and not 10.00 \
                        MiB/s, as given";
        assert_eq!(time.text("about ", true), expected);

        let unknown = Time::of(&total(40, 60), None, &both);
        assert_eq!(unknown.seconds, Some(30.0), "what lies on the disk is not bounded");
        assert!(unknown.text("", false).starts_with("at least 30s: topic's of policy thrifty"));
        let slow = Time::of(&total(40, 60), Some(MIB), &both);
        assert_eq!((slow.seconds, slow.bound_by), (Some(100.0), None), "it is slower by itself");
        let free = Time::of(&total(0, 60), None, &[]);
        assert_eq!((free.seconds, free.bound_by), (None, None));
    }
}
