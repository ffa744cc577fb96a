//! From a URL to a store.
//!
//! No cloud client is built without knowing where its credentials come from: left alone, the
//! libraries would ask the cloud's link-local metadata address, on a laptop too.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sdk_s3::config::Region;
use hdfs_native_object_store::HdfsObjectStoreBuilder;
use object_store::aws::{AmazonS3Builder, Checksum};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::memory::InMemory;
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use url::Url;

use super::credentials::AwsChain;
use super::s3_admin::S3Admin;
use super::throttle::Obedient;
use super::{Store, StoreKind, StoreSettings, Verify, detail, local_folder};

/// Why a store cannot be opened, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreOpenError {
    /// The URL names no store.
    #[error(
        "not the URL of a store: {url:?}: {reason} (use file:///folder, s3://bucket/prefix, \
         gs://bucket/prefix, az://container/prefix, hdfs://host:port/folder or memory://)"
    )]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An option is not known or has a value that it cannot have.
    #[error("store option {name:?}: {reason}")]
    Option {
        /// The option.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// No credentials were found.
    #[error("no credentials for {url}: {hint}")]
    NoCredentials {
        /// The store.
        url: String,
        /// Where they can be set.
        hint: String,
    },
    /// The folder of a `file://` store cannot be made, or is not there to be read.
    #[error("cannot use the folder {folder}: {source}")]
    Folder {
        /// The folder.
        folder: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The client library refuses the settings.
    #[error("cannot set up the client for {url}: {reason}")]
    Client {
        /// The store.
        url: String,
        /// What the library says.
        reason: String,
    },
}

pub(super) async fn open(settings: StoreSettings) -> Result<Store, StoreOpenError> {
    let settings = settings.with_times()?;
    let bad = |reason| StoreOpenError::Url { url: settings.url.clone(), reason };
    let url = Url::parse(&settings.url).map_err(|_| bad("it does not read as a URL"))?;
    match url.scheme() {
        "file" => {
            let folder = url.to_file_path().map_err(|()| bad("it names no absolute folder"))?;
            let files = match settings.read_only {
                true => local_folder::open_existing(&folder)?,
                false => local_folder::open(&folder)?,
            };
            let store = Store::counting(Arc::new(files.clone()), settings, Arc::default());
            Ok(Store { folder: Some(files), ..of_kind(StoreKind::File, store) })
        }
        "memory" => Ok(Store::over(Arc::new(InMemory::new()), settings)),
        "s3" => open_s3(bucket(&url, &settings)?, prefix(&url), settings).await,
        "gs" => open_gcs(bucket(&url, &settings)?, prefix(&url), settings),
        "az" => open_azure(bucket(&url, &settings)?, prefix(&url), settings),
        "hdfs" => open_hdfs(&url, settings),
        _ => Err(bad("its scheme is none of a store's")),
    }
}

/// Names the kind, and how its uploads are verified unless the settings say so.
fn of_kind(kind: StoreKind, store: Store) -> Store {
    let settings = store.calls.settings();
    let checked_on_the_way_in = match kind {
        StoreKind::S3 => settings.option("checksum") != Some("none"),
        StoreKind::Hdfs => true,
        StoreKind::File | StoreKind::Memory | StoreKind::Gcs | StoreKind::Azure => false,
    };
    let by_kind = if checked_on_the_way_in { Verify::Size } else { Verify::ReadBack };
    let verify = settings.verify.unwrap_or(by_kind);
    Store { kind, verify, ..store }
}

fn bucket(url: &Url, settings: &StoreSettings) -> Result<String, StoreOpenError> {
    let none = || StoreOpenError::Url { url: settings.url.clone(), reason: "it names no bucket" };
    url.host_str().filter(|host| !host.is_empty()).map(str::to_owned).ok_or_else(none)
}

fn prefix(url: &Url) -> String {
    url.path().trim_matches('/').to_owned()
}

async fn open_s3(
    bucket: String,
    url_prefix: String,
    settings: StoreSettings,
) -> Result<Store, StoreOpenError> {
    // The chain reads AWS_ENDPOINT_URL by itself; the variable for S3 alone goes before it.
    let only_s3 = std::env::var("AWS_ENDPOINT_URL_S3").ok();
    let endpoint = settings.option("endpoint").or(only_s3.as_deref());
    let sdk = load_aws(&settings, endpoint).await;
    let no_credentials = |reason: String| StoreOpenError::NoCredentials {
        url: settings.url.clone(),
        hint: format!(
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, a role, or the store's \
             access_key_id and secret_access_key ({reason})"
        ),
    };
    let chain = sdk.credentials_provider().ok_or_else(|| no_credentials("none found".into()))?;
    let ask = tokio::time::timeout(settings.call_timeout, chain.provide_credentials());
    let asked = ask.await.map_err(|_| no_credentials("no answer in time".into()))?;
    asked.map_err(|error| no_credentials(detail(&error)))?;

    let counters = Arc::default();
    let region = sdk.region().map_or("us-east-1", Region::as_ref);
    let virtual_hosted = settings.flag("virtual_hosted");
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&bucket)
        .with_region(region)
        .with_virtual_hosted_style_request(virtual_hosted)
        .with_credentials(Arc::new(AwsChain::new(chain)))
        .with_http_connector(Obedient::new(Arc::clone(&counters)))
        .with_retry(retry(&settings));
    let mut client = client_options(&settings);
    if let Some(endpoint) = endpoint.or(sdk.endpoint_url()) {
        let endpoint = endpoint.trim_end_matches('/');
        builder = builder.with_endpoint(endpoint);
        client = client.with_allow_http(endpoint.starts_with("http://"));
    }
    if let Some(checksum) = checksum(&settings)? {
        builder = builder.with_checksum_algorithm(checksum);
    }
    let built = builder.with_client_options(client).build();
    let built = built.map_err(|error| client_error(&settings, &error))?;
    let config = aws_sdk_s3::config::Builder::from(&sdk).force_path_style(!virtual_hosted);
    let config = match sdk.region() {
        Some(_) => config,
        None => config.region(Region::new("us-east-1")),
    };
    let admin = S3Admin::new(aws_sdk_s3::Client::from_conf(config.build()), bucket.clone());
    let store = of_kind(StoreKind::S3, Store::counting(Arc::new(built), settings, counters));
    Ok(Store { url_prefix, bucket: Some(bucket), admin: Some(admin), ..store })
}

/// The SDK has no time-outs of its own: a silent server would hold a call for ever.
async fn load_aws(settings: &StoreSettings, endpoint: Option<&str>) -> aws_config::SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(settings.connect_timeout)
        .operation_attempt_timeout(settings.request_timeout)
        .operation_timeout(settings.call_timeout)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts);
    if let Some(region) = settings.option("region") {
        loader = loader.region(Region::new(region.to_owned()));
    }
    if let Some(endpoint) = endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    if let (Some(key), Some(secret)) =
        (settings.option("access_key_id"), settings.option("secret_access_key"))
    {
        let token = settings.option("session_token").map(str::to_owned);
        let fixed = Credentials::new(key, secret, token, None, "store options");
        loader = loader.credentials_provider(SharedCredentialsProvider::new(fixed));
    }
    loader.load().await
}

fn checksum(settings: &StoreSettings) -> Result<Option<Checksum>, StoreOpenError> {
    match settings.option("checksum").unwrap_or("crc64nvme") {
        "crc64nvme" => Ok(Some(Checksum::CRC64NVME)),
        "sha256" => Ok(Some(Checksum::SHA256)),
        "none" => Ok(None),
        _ => Err(StoreOpenError::Option {
            name: "checksum".into(),
            reason: "use crc64nvme, sha256 or none".into(),
        }),
    }
}

const GCS_CREDENTIALS: [&str; 4] =
    ["service_account", "service_account_key", "application_credentials", "google_bearer_token"];

fn open_gcs(
    bucket: String,
    url_prefix: String,
    settings: StoreSettings,
) -> Result<Store, StoreOpenError> {
    let hint = "set the store's service_account (a file), service_account_key or \
         application_credentials, or ambient_credentials=true inside Google Cloud";
    require_credentials(&settings, &GCS_CREDENTIALS, hint)?;
    let mut builder = GoogleCloudStorageBuilder::new().with_bucket_name(&bucket);
    for (name, value) in client_library_options(&settings) {
        let key = GoogleConfigKey::from_str(name).map_err(|_| unknown_option(name))?;
        builder = builder.with_config(key, value);
    }
    let client = client_options(&settings).with_allow_http(
        settings.option("google_base_url").is_some_and(|u| u.starts_with("http:")),
    );
    let counters = Arc::default();
    let builder = builder.with_http_connector(Obedient::new(Arc::clone(&counters)));
    let built = builder.with_client_options(client).with_retry(retry(&settings)).build();
    let built = built.map_err(|error| client_error(&settings, &error))?;
    let store = of_kind(StoreKind::Gcs, Store::counting(Arc::new(built), settings, counters));
    Ok(Store { url_prefix, bucket: Some(bucket), ..store })
}

const AZURE_CREDENTIALS: [&str; 8] = [
    "access_key",
    "account_key",
    "client_secret",
    "sas_key",
    "sas_token",
    "bearer_token",
    "federated_token_file",
    "use_emulator",
];

fn open_azure(
    container: String,
    url_prefix: String,
    settings: StoreSettings,
) -> Result<Store, StoreOpenError> {
    let hint = "set the store's account_name with access_key, client_secret or sas_token, or \
         ambient_credentials=true inside Azure";
    require_credentials(&settings, &AZURE_CREDENTIALS, hint)?;
    let mut builder = MicrosoftAzureBuilder::new().with_container_name(&container);
    for (name, value) in client_library_options(&settings) {
        let key = AzureConfigKey::from_str(name).map_err(|_| unknown_option(name))?;
        builder = builder.with_config(key, value);
    }
    let plain = settings.flag("use_emulator")
        || settings.option("endpoint").is_some_and(|endpoint| endpoint.starts_with("http:"));
    let client = client_options(&settings).with_allow_http(plain);
    let counters = Arc::default();
    let builder = builder.with_http_connector(Obedient::new(Arc::clone(&counters)));
    let built = builder.with_client_options(client).with_retry(retry(&settings)).build();
    let built = built.map_err(|error| client_error(&settings, &error))?;
    let store = of_kind(StoreKind::Azure, Store::counting(Arc::new(built), settings, counters));
    Ok(Store { url_prefix, bucket: Some(container), ..store })
}

fn open_hdfs(url: &Url, settings: StoreSettings) -> Result<Store, StoreOpenError> {
    let bad = |reason| StoreOpenError::Url { url: settings.url.clone(), reason };
    let host = url.host_str().ok_or_else(|| bad("it names no NameNode"))?;
    let name_node = match url.port() {
        Some(port) => format!("hdfs://{host}:{port}"),
        None => format!("hdfs://{host}"),
    };
    let builder = HdfsObjectStoreBuilder::new().with_url(name_node);
    let built = builder.with_config(settings.options.clone()).build();
    let built = built.map_err(|error| client_error(&settings, &error))?;
    let store = of_kind(StoreKind::Hdfs, Store::over(Arc::new(built), settings));
    Ok(Store { url_prefix: prefix(url), ..store })
}

fn require_credentials(
    settings: &StoreSettings,
    names: &[&str],
    hint: &str,
) -> Result<(), StoreOpenError> {
    let named = names.iter().any(|name| settings.options.keys().any(|key| key.ends_with(name)));
    if named || settings.flag("ambient_credentials") {
        return Ok(());
    }
    Err(StoreOpenError::NoCredentials { url: settings.url.clone(), hint: hint.to_owned() })
}

fn client_library_options(settings: &StoreSettings) -> impl Iterator<Item = (&String, &String)> {
    settings.options.iter().filter(|(name, _)| *name != "ambient_credentials")
}

fn unknown_option(name: &str) -> StoreOpenError {
    StoreOpenError::Option { name: name.to_owned(), reason: "no such option".into() }
}

fn client_error(settings: &StoreSettings, error: &object_store::Error) -> StoreOpenError {
    StoreOpenError::Client { url: settings.url.clone(), reason: detail(error) }
}

fn client_options(settings: &StoreSettings) -> ClientOptions {
    ClientOptions::new()
        .with_timeout(settings.request_timeout)
        .with_connect_timeout(settings.connect_timeout)
        .with_pool_idle_timeout(Duration::from_secs(60))
}

fn retry(settings: &StoreSettings) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: settings.retries_max,
        retry_timeout: settings.call_timeout.saturating_sub(settings.request_timeout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(settings: StoreSettings) -> String {
        Store::open(settings).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn a_wrong_url_says_what_a_right_one_looks_like() {
        for url in ["", "store", "ftp://x/y", "file://host/x", "s3:///prefix", "gs://"] {
            let told = refused(StoreSettings::new(url)).await;
            assert!(told.contains("s3://bucket/prefix"), "{url}: {told}");
        }
    }

    #[tokio::test]
    async fn no_cloud_store_opens_without_named_credentials() {
        for url in ["gs://bucket", "az://container/prefix"] {
            let told = refused(StoreSettings::new(url)).await;
            assert!(told.starts_with("no credentials for"), "{url}: {told}");
        }
    }

    #[tokio::test]
    async fn an_option_that_does_not_exist_is_named() {
        let settings = StoreSettings::new("az://c").with_option("access_key", "a2V5");
        let told = refused(settings.with_option("acount", "x")).await;
        assert_eq!(told, "store option \"acount\": no such option");
        let s3 = StoreSettings::new("s3://b").with_option("region", "us-east-1");
        let s3 = s3.with_option("access_key_id", "k").with_option("secret_access_key", "s");
        let told = refused(s3.with_option("checksum", "md5")).await;
        assert_eq!(told, "store option \"checksum\": use crc64nvme, sha256 or none");
    }

    #[tokio::test]
    async fn times_are_read_as_people_write_them_and_a_wrong_one_is_named() {
        let of = |time| StoreSettings::new("memory://").with_option("call_timeout", time);
        let store = Store::open(of("2m").with_option("request_timeout", "90s")).await.unwrap();
        let settings = store.calls.settings();
        let times = [settings.call_timeout, settings.request_timeout];
        assert_eq!(times, [120, 90].map(Duration::from_secs));
        assert_eq!(settings.options.len(), 0, "no client library is told of them");
        for wrong in ["", "0s", "soon", "-1s"] {
            let told = refused(of(wrong)).await;
            assert!(told.contains("\"call_timeout\"") && told.contains("such as 30s"), "{told}");
        }
    }

    #[tokio::test]
    async fn the_path_of_a_bucket_url_is_a_prefix() {
        let s3 = StoreSettings::new("s3://bucket/a/b/").with_option("region", "us-east-1");
        let s3 = s3.with_option("access_key_id", "k").with_option("secret_access_key", "s");
        let store = Store::open(s3).await.unwrap();
        assert_eq!((store.kind(), store.url_prefix()), (StoreKind::S3, "a/b"));
        assert_eq!(store.verify(), Verify::Size);
    }
}
