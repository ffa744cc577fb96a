//! Buckets and objects at a fake Google Cloud Storage, made through its JSON API: it lacks the XML
//! uploads of the client library.

use icecore_tiering::StoreSettings;

use super::{fresh, told};

/// Without a key of its own the client library would ask the cloud's metadata address.
const KEY: &str =
    r#"{"private_key":"x","private_key_id":"x","client_email":"x","disable_oauth":true}"#;

/// A bucket of the test's own.
pub(crate) async fn bucket(name: &str) -> (String, StoreSettings) {
    let bucket = fresh(name);
    let url = format!("{}/storage/v1/b?project=p", endpoint());
    let body = format!(r#"{{"name":"{bucket}"}}"#);
    let request = reqwest::Client::new().post(url).header("content-type", "application/json");
    let answer = request.body(body).send().await.unwrap();
    assert!(answer.status().is_success(), "{:?}", answer.text().await);
    (bucket.clone(), settings(&bucket))
}

pub(crate) fn settings(bucket: &str) -> StoreSettings {
    StoreSettings::new(format!("gs://{bucket}/in/here"))
        .with_option("google_base_url", endpoint())
        .with_option("service_account_key", KEY)
}

pub(crate) async fn put(bucket: &str, object: &str, bytes: Vec<u8>) {
    let url = format!("{}/upload/storage/v1/b/{bucket}/o", endpoint());
    let name = object.replace('/', "%2F");
    let url = format!("{url}?uploadType=media&name={name}");
    let answer = reqwest::Client::new().post(url).body(bytes).send().await.unwrap();
    assert!(answer.status().is_success(), "{:?}", answer.text().await);
}

fn endpoint() -> String {
    told("ICECORE_TEST_GCS_ENDPOINT")
}
