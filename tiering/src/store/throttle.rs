//! Obeys `Retry-After`. The client library sees a 429 or 503, waits for its own short backoff and
//! asks again; what the server asked for is in a header that it does not look at. This sits under
//! it, around the HTTP client.
//!
//! All requests of a store wait, not only the one that was answered so: the server speaks of itself.
//! The wait is within the deadline of each call, and never longer than [`WAIT_MAX`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::backoff::Dice;
use crate::counters::Counters;

/// A server that asks for more is asked again after this.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Requests that waited together go on spread over so long.
const SPREAD: Duration = Duration::from_millis(250);

/// Makes HTTP clients that obey; one for each store.
#[derive(Debug)]
pub(super) struct Obedient(Arc<Counters>);

impl Obedient {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        Self(counters)
    }
}

impl HttpConnector for Obedient {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Throttled::over(client, Arc::clone(&self.0))))
    }
}

#[derive(Debug)]
struct Throttled {
    client: HttpClient,
    not_before: Mutex<Option<Instant>>,
    counters: Arc<Counters>,
}

impl Throttled {
    fn over(client: HttpClient, counters: Arc<Counters>) -> Self {
        Self { client, not_before: Mutex::new(None), counters }
    }

    async fn wait(&self) {
        let not_before = *self.not_before.lock();
        let Some(until) = not_before.filter(|until| Instant::now() < *until) else { return };
        tokio::time::sleep_until(until + Dice::roll().part_of(SPREAD)).await;
    }

    fn note(&self, answer: &HttpResponse) {
        let Some(wait) = asked_to_wait(answer) else { return };
        self.counters.throttled.bump();
        let until = Instant::now() + wait.min(WAIT_MAX);
        let mut not_before = self.not_before.lock();
        // Told once for all who are answered so while they wait.
        if not_before.is_none_or(|known| known <= Instant::now()) {
            tracing::warn!(
                status = answer.status().as_u16(),
                wait_s = wait.as_secs(),
                "the object store is busy and asks for a pause, which it gets"
            );
        }
        *not_before = Some(not_before.map_or(until, |known| known.max(until)));
    }
}

#[async_trait]
impl HttpService for Throttled {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.wait().await;
        let answer = self.client.execute(request).await?;
        self.note(&answer);
        Ok(answer)
    }
}

/// What a 429 or 503 asks for, in seconds. Stores send no dates.
fn asked_to_wait(answer: &HttpResponse) -> Option<Duration> {
    if !matches!(answer.status().as_u16(), 429 | 503) {
        return None;
    }
    let seconds = answer.headers().get("retry-after")?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// Answers with these statuses and headers, then with 200.
    #[derive(Debug)]
    struct Scripted(Mutex<VecDeque<(u16, &'static str)>>);

    #[async_trait]
    impl HttpService for Scripted {
        async fn call(&self, _: HttpRequest) -> Result<HttpResponse, HttpError> {
            let (status, wait) = self.0.lock().pop_front().unwrap_or((200, ""));
            let mut answer = HttpResponse::new(String::new().into());
            *answer.status_mut() = status.try_into().unwrap();
            if !wait.is_empty() {
                answer.headers_mut().insert("retry-after", wait.parse().unwrap());
            }
            Ok(answer)
        }
    }

    /// How many seconds the second of two requests took, and what was counted.
    async fn second_takes(status: u16, wait: &'static str) -> (u64, u64) {
        let counters = Arc::new(Counters::default());
        let script = Scripted(Mutex::new([(status, wait)].into()));
        let throttled = Throttled::over(HttpClient::new(script), Arc::clone(&counters));
        let request = || HttpRequest::new(String::new().into());
        throttled.call(request()).await.unwrap();
        let began = Instant::now();
        throttled.call(request()).await.unwrap();
        (began.elapsed().as_secs(), counters.values().throttled)
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_server_is_given_the_time_that_it_asks_for() {
        assert_eq!(second_takes(503, "7").await, (7, 1));
        assert_eq!(second_takes(429, " 2 ").await, (2, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn no_server_is_given_more_than_half_a_minute() {
        assert_eq!(second_takes(503, "86400").await, (30, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_asks_for_nothing_costs_no_time() {
        for (status, wait) in [(503, ""), (200, "7"), (503, "soon"), (503, "-1"), (500, "7")] {
            assert_eq!(second_takes(status, wait).await, (0, 0), "{status} {wait}");
        }
    }
}
