//! What a read-only server says of itself beside what scripts read: how old what it shows is.

use std::time::Duration;

use super::output;
use super::produce::now_ms;
use super::status::HttpArgs;
use crate::http::ServerStatus;

/// The words of a read-only server; `None` of others.
pub(super) fn words(server: &ServerStatus) -> Option<String> {
    let age_ms = server.view_age_ms?;
    let as_of = output::time(Some(now_ms().saturating_sub_unsigned(age_ms)));
    let age = humantime::format_duration(Duration::from_secs(age_ms / 1000));
    let again = server.view_every_ms.map(|every| {
        format!(
            ", it looks again every {}",
            humantime::format_duration(Duration::from_millis(every))
        )
    });
    let told = server.view_told_ms.map(|told| {
        format!(
            ", and the cluster's broker told of something new last at {}",
            output::time(Some(told))
        )
    });
    let amiss = server.view_amiss.as_ref().map(|why| format!(" ({why})"));
    Some(format!(
        "a read-only server of cluster {}: its view of the store is as of {as_of}, {age} old{}{}{}",
        server.cluster_id,
        again.unwrap_or_default(),
        told.unwrap_or_default(),
        amiss.unwrap_or_default()
    ))
}

/// Says on standard error that a range has nothing to read, and why; and, if the server whose HTTP port `http`
/// names only reads, how old its view is: there may be more by now. One that does not answer is passed over.
pub(super) async fn tell_of_nothing_to_read(http: &HttpArgs, why: &str) {
    let server = http.server().await.ok();
    match server.as_ref().and_then(words) {
        Some(words) => eprintln!(
            "nothing to read: {why}; at {} is {words}: what was uploaded since comes when that broker has \
             told of it",
            http.http
        ),
        None => eprintln!("nothing to read: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_only_reads_says_how_old_its_view_is_and_a_broker_says_nothing() {
        let reader = ServerStatus {
            cluster_id: "c".into(),
            read_only: true,
            view_age_ms: Some(4200),
            view_every_ms: Some(10_000),
            view_told_ms: Some(1_767_323_045_678),
            view_amiss: Some("the store is away".into()),
        };
        let told = words(&reader).expect("words");
        let (before, after) = told.split_once(", 4s old").expect("an age");
        assert!(
            before
                .starts_with("a read-only server of cluster c: its view of the store is as of 20")
        );
        let expected = ", it looks again every 10s, and the cluster's broker told of something new last at \
                        2026-01-02T03:04:05.678Z (the store is away)";
        assert_eq!(after, expected);
        assert_eq!(words(&ServerStatus { view_age_ms: None, ..reader }), None);
    }
}
