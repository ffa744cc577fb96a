//! Containers at an Azure endpoint. The client library cannot make one: a signed request does.

use std::time::SystemTime;

use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use icecore_tiering::StoreSettings;
use sha2::Sha256;

use super::{fresh, told};

/// The account of every emulator, and its key, which is public.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const VERSION: &str = "2021-08-06";

/// A container of the test's own.
pub(crate) async fn container(name: &str) -> StoreSettings {
    let container = fresh(name);
    let date = DateTime::from(SystemTime::now()).fmt(DateTimeFormat::HttpDate).unwrap();
    let headers = format!("x-ms-date:{date}\nx-ms-version:{VERSION}\n");
    let resource = format!("/{ACCOUNT}/{ACCOUNT}/{container}\nrestype:container");
    let unset = "\n".repeat(12);
    let mut mac = Hmac::<Sha256>::new_from_slice(&BASE64_STANDARD.decode(KEY).unwrap()).unwrap();
    mac.update(format!("PUT{unset}{headers}{resource}").as_bytes());
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    let answer = reqwest::Client::new()
        .put(format!("{}/{container}?restype=container", endpoint()))
        .header("x-ms-date", date)
        .header("x-ms-version", VERSION)
        .header("authorization", format!("SharedKey {ACCOUNT}:{signature}"))
        .header("content-length", 0)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 201, "{:?}", answer.text().await);
    settings(&container)
}

pub(crate) fn settings(container: &str) -> StoreSettings {
    StoreSettings::new(format!("az://{container}/in/here"))
        .with_option("endpoint", endpoint())
        .with_option("account_name", ACCOUNT)
        .with_option("access_key", KEY)
}

fn endpoint() -> String {
    told("ICECORE_TEST_AZURE_ENDPOINT")
}
