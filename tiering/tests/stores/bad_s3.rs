//! A real S3 behind a proxy that misbehaves on order, named by ICECORE_TEST_BAD_S3_ENDPOINT: what
//! the HTTP clients make of it, and what we make of that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use icecore_tiering::{CollectOptions, Scope, Segment, Tiering};
use serde_json::{Value, json};

use crate::fixture::{Fixture, Made, key, read_log};
use crate::fixture_over;
use crate::places::s3::VERSITYGW;
use crate::places::told;

fn endpoint() -> String {
    told("ICECORE_TEST_BAD_S3_ENDPOINT")
}

/// A tiering behind the proxy, with one segment that lies in the store alone.
struct Scene {
    bucket: String,
    fixture: Fixture,
    tiering: Arc<Tiering>,
    made: Made,
    segment: Segment,
}

impl Scene {
    async fn set() -> Self {
        let direct = VERSITYGW.bucket("bad").await;
        let bucket = direct.url.split('/').nth(2).unwrap().to_owned();
        let mut fixture = fixture_over(direct.with_option("endpoint", endpoint()));
        fixture.config.read_ahead_bytes_max = 0;
        let tiering = fixture.open().await;
        let made = fixture.make(&key("t", 0), 0, 9, 600_000);
        let segment = made.upload(&tiering).await;
        tiering.local_gone(&segment).await.unwrap();
        Self { bucket, fixture, tiering, made, segment }
    }

    /// The next `times` requests of this scene's bucket meet a fault.
    async fn order(&self, method: &str, part: &str, fault: Value, times: usize) {
        let order = json!([{
            "method": method, "contains": [self.bucket, part], "fault": fault, "times": times,
        }]);
        let url = format!("{}/_bad/orders", endpoint());
        let request = reqwest::Client::new().post(url).header("content-type", "application/json");
        let answer = request.body(order.to_string()).send().await.unwrap();
        assert!(answer.status().is_success(), "{:?}", answer.text().await);
    }

    /// Every order of this scene was met.
    async fn all_were_met(&self) {
        let url = format!("{}/_bad/orders", endpoint());
        let left = reqwest::Client::new().get(url).send().await.unwrap().text().await.unwrap();
        assert!(!left.contains(&self.bucket), "{left}");
    }

    async fn reads_right(&self) {
        assert!(read_log(&self.tiering, &self.segment).await == self.made.log);
    }

    /// Uploads a segment, as often as it takes; the errors on the way.
    async fn upload(&self) -> Vec<String> {
        let made = self.fixture.make(&key("t", 0), 10, 19, 6_000_000);
        self.tiering.record_sealed(&made.segment).await.unwrap();
        let mut errors = Vec::new();
        while let Err(error) = self.tiering.offload(&made.segment, made.parts.clone()).await {
            errors.push(error.to_string());
            assert!(errors.len() < 20, "{errors:?}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let row = self.tiering.find(&made.segment.partition, made.segment.base).await.unwrap();
        assert!(read_log(&self.tiering, &row.unwrap()).await == made.log);
        errors
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_is_asked_again_when_it_said_so() {
    let scene = Scene::set().await;
    scene.order("PUT", "/t.", json!({"status": {"status": 503, "retry_after_s": 1}}), 2).await;
    let began = Instant::now();
    assert_eq!(scene.upload().await, [] as [&str; 0], "within the call");
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(scene.tiering.counters().throttled, 2);
    scene.all_were_met().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_fail_or_only_say_so_are_sent_again() {
    for fault in [json!({"status": {"status": 500}}), json!("fail_afterwards")] {
        let scene = Scene::set().await;
        scene.order("PUT", "/t.", fault.clone(), 3).await;
        scene.order("POST", "/t.", fault, 1).await;
        scene.upload().await;
        scene.all_were_met().await;
        scene.reads_right().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_denied_for_a_while_delay_an_upload() {
    let scene = Scene::set().await;
    scene.order("PUT", "/t.", json!({"status": {"status": 403}}), 2).await;
    let errors = scene.upload().await;
    assert_eq!(errors.len(), 2);
    assert!(errors.iter().all(|error| error.contains("check the credentials")), "{errors:?}");
    assert_eq!(scene.tiering.counters().denied, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_cut_short_wrong_or_slow_are_read_right_all_the_same() {
    for fault in [
        json!("cut"),
        json!("short"),
        json!("wrong_byte"),
        json!({"trickle": {"bytes_per_s": 400_000}}),
        json!({"delay": {"ms": 700}}),
    ] {
        let scene = Scene::set().await;
        scene.order("GET", ".log", fault.clone(), 1).await;
        scene.order("GET", ".index", fault.clone(), 1).await;
        scene.reads_right().await;
        scene.all_were_met().await;
        let wrong = scene.tiering.counters().wrong_bytes;
        let expected = match fault.as_str() {
            Some("short" | "wrong_byte") => 2,
            _ => 0,
        };
        assert_eq!(wrong, expected, "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_in_place_of_a_list_makes_nothing_garbage_and_nothing_lost() {
    let scene = Scene::set().await;
    scene.fixture.clock.advance(60_000);
    scene.order("GET", "list-type=2", json!("page"), 3).await;
    let options = CollectOptions { min_age: Duration::ZERO, dry_run: false, scope: Scope::All };
    let report = scene.tiering.collect_garbage(&options).await.unwrap();
    assert_eq!((report.lost.len(), report.returned.len()), (0, 0), "{report:?}");
    assert_eq!((report.orphans.count, report.unclaimed.count), (0, 0), "{report:?}");
    let report = scene.tiering.reconcile(&Scope::All, &[]).await.unwrap();
    assert_eq!(report.live, 0, "the page was there");
    scene.reads_right().await;
    scene.all_were_met().await;
}
