//! Buckets at an S3 endpoint.

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use icecore_tiering::StoreSettings;

use super::{fresh, told};

/// One of the servers that speak S3.
#[derive(Clone, Copy)]
pub(crate) struct Endpoint {
    /// What the environment calls its address.
    variable: &'static str,
    secret: &'static str,
}

/// Takes any secret.
pub(crate) const LOCALSTACK: Endpoint =
    Endpoint { variable: "ICECORE_TEST_S3_ENDPOINT", secret: "test" };
/// Checks signatures.
pub(crate) const VERSITYGW: Endpoint =
    Endpoint { variable: "ICECORE_TEST_VERSITYGW_ENDPOINT", secret: "testtest" };

impl Endpoint {
    pub(crate) fn client(self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(told(self.variable))
            .credentials_provider(Credentials::new("test", self.secret, None, None, "test"))
            .force_path_style(true)
            .build();
        aws_sdk_s3::Client::from_conf(config)
    }

    /// A bucket of the test's own.
    pub(crate) async fn bucket(self, name: &str) -> StoreSettings {
        let bucket = fresh(name);
        self.client().create_bucket().bucket(&bucket).send().await.unwrap();
        self.settings(&bucket)
    }

    pub(crate) fn settings(self, bucket: &str) -> StoreSettings {
        StoreSettings::new(format!("s3://{bucket}/in/here"))
            .with_option("endpoint", told(self.variable))
            .with_option("region", "us-east-1")
            .with_option("access_key_id", "test")
            .with_option("secret_access_key", self.secret)
    }
}
