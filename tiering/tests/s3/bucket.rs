//! A bucket of a test's own at the endpoint that the environment names.

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use icecore_tiering::StoreSettings;

use crate::fixture::Fixture;

fn endpoint() -> String {
    std::env::var("ICECORE_TEST_S3_ENDPOINT")
        .expect("set ICECORE_TEST_S3_ENDPOINT to an S3 endpoint, for example LocalStack's")
}

pub(crate) fn client() -> aws_sdk_s3::Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint())
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .force_path_style(true)
        .build();
    aws_sdk_s3::Client::from_conf(config)
}

/// A fixture over a bucket of its own.
pub(crate) async fn fixture(bucket: &str) -> Fixture {
    let bucket = format!("{bucket}-{}", uuid::Uuid::new_v4().simple());
    client().create_bucket().bucket(&bucket).send().await.unwrap();
    Fixture::with_store(tempfile::tempdir().unwrap(), settings(&bucket))
}

pub(crate) fn settings(bucket: &str) -> StoreSettings {
    StoreSettings::new(format!("s3://{bucket}/in/here"))
        .with_option("endpoint", endpoint())
        .with_option("region", "us-east-1")
        .with_option("access_key_id", "test")
        .with_option("secret_access_key", "test")
}

pub(crate) fn bucket_of(fixture: &Fixture) -> String {
    fixture.config.store.url.split('/').nth(2).unwrap().to_owned()
}
