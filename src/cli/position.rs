//! Where to begin and where to stop reading.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::bail;

use super::client::{ClientError, EARLIEST, LATEST, Topic, offsets};
use crate::model::{Offset, Place};

/// How TIME may be written; part of the help of every flag that takes one.
pub(super) const TIME_HELP: &str = "TIME is RFC 3339 (2026-01-31T12:00:00Z, 2026-01-31T12:00:00+02:00, \
    2026-01-31), an age (2h, 7d, 1h30m: so long ago), or milliseconds since 1970 with `ms` behind \
    (1769860800000ms).";

/// Reads what a user typed.
pub(super) fn parse(text: &str) -> Result<Place, String> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text {
        "beginning" => return Ok(Place::Beginning),
        "end" => return Ok(Place::End),
        text if digits(text) => {
            let offset = text.parse().map_err(|_| format!("{text} is larger than any offset"))?;
            return Ok(Place::Offset(Offset::new(offset)));
        }
        _ => {}
    }
    if let Some(millis) = text.strip_suffix("ms").filter(|millis| digits(millis)) {
        let millis = millis.parse().map_err(|_| format!("{text} is later than any time"))?;
        return Ok(Place::Time(millis));
    }
    if let Ok(age) = humantime::parse_duration(text) {
        return Ok(Place::Time(millis(SystemTime::now().checked_sub(age))));
    }
    rfc3339(text).map(Place::Time).ok_or_else(|| {
        format!("give beginning, end, an offset, or a time; {text:?} is none of them. {TIME_HELP}")
    })
}

/// A date, or a date and a time in UTC or with an offset from it.
fn rfc3339(text: &str) -> Option<i64> {
    const DATE_LEN: usize = 10;
    if text.len() == DATE_LEN {
        return rfc3339(&format!("{text}T00:00:00Z"));
    }
    let zone_at = text.get(DATE_LEN..)?.rfind(['+', '-']).map(|at| at + DATE_LEN);
    let (local, ahead_ms) = match zone_at {
        None => (text.to_owned(), 0),
        Some(at) => {
            let (local, zone) = text.split_at(at);
            let (hours, minutes) = zone[1..].split_once(':')?;
            let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
            let ahead = (hours * 60 + minutes) * 60_000;
            (format!("{local}Z"), if zone.starts_with('+') { ahead } else { -ahead })
        }
    };
    let time = humantime::parse_rfc3339_weak(&local).ok()?;
    Some(millis(Some(time)) - ahead_ms)
}

fn millis(time: Option<SystemTime>) -> i64 {
    let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    i64::try_from(since.unwrap_or(Duration::ZERO).as_millis()).unwrap_or(i64::MAX)
}

/// The offset that is meant, by partition.
pub(super) async fn resolve(
    place: Place,
    topic: &Topic,
    partitions: &[i32],
) -> Result<BTreeMap<i32, Offset>, ClientError> {
    let known = match place {
        Place::Offset(offset) => {
            return Ok(partitions.iter().map(|number| (*number, offset)).collect());
        }
        Place::Beginning => offsets(topic, partitions, EARLIEST).await?,
        Place::End => offsets(topic, partitions, LATEST).await?,
        Place::Time(time) => offsets(topic, partitions, time).await?,
    };
    // A partition whose records are all earlier than the time is met at its end.
    let earlier: Vec<_> =
        known.iter().filter(|(_, offset)| offset.is_none()).map(|(number, _)| *number).collect();
    let ends = match earlier.is_empty() {
        true => BTreeMap::new(),
        false => offsets(topic, &earlier, LATEST).await?,
    };
    let resolved = known.into_iter().map(|(number, offset)| {
        let end = ends.get(&number).copied().flatten();
        (number, offset.or(end).unwrap_or_default())
    });
    Ok(resolved.collect())
}

/// Checks that an offset that was typed lies in each of the partitions.
pub(super) async fn check_range(
    topic: &Topic,
    starts: &BTreeMap<i32, Offset>,
) -> anyhow::Result<()> {
    let partitions: Vec<_> = starts.keys().copied().collect();
    let first = offsets(topic, &partitions, EARLIEST).await?;
    let next = offsets(topic, &partitions, LATEST).await?;
    for (number, start) in starts {
        let first = first.get(number).copied().flatten().unwrap_or_default();
        let next = next.get(number).copied().flatten().unwrap_or_default();
        if *start < first || *start > next {
            bail!(
                "offset {start} is not in {}-{number}, whose first offset is {first} and whose next is {next}",
                topic.name
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_offsets_unless_they_say_ms() {
        assert_eq!(parse("17"), Ok(Place::Offset(Offset::new(17))));
        assert_eq!(parse("1769860800000ms"), Ok(Place::Time(1_769_860_800_000)));
        assert_eq!(parse("beginning"), Ok(Place::Beginning));
        assert_eq!(parse("end"), Ok(Place::End));
    }

    #[test]
    fn times_are_read_in_utc_or_with_their_offset() {
        let noon = Ok(Place::Time(1_769_860_800_000));
        assert_eq!(parse("2026-01-31T12:00:00Z"), noon);
        assert_eq!(parse("2026-01-31T14:00:00+02:00"), noon);
        assert_eq!(parse("2026-01-31T07:30:00.000-04:30"), noon);
        assert_eq!(parse("2026-01-31"), Ok(Place::Time(1_769_860_800_000 - 12 * 3_600_000)));
    }

    #[test]
    fn an_age_counts_back_from_now() {
        let before = millis(Some(SystemTime::now()));
        let Ok(Place::Time(time)) = parse("2h") else { panic!("2h is a time") };
        assert!((before - 7_200_000..=before - 7_100_000).contains(&time));
    }

    #[test]
    fn what_is_no_place_is_refused_with_what_would_be() {
        for text in ["", "-1", "yesterday", "2026-01-31T", "99999999999999999999"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("yesterday").unwrap_err().contains("RFC 3339"));
    }
}
