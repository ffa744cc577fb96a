//! The AWS credential chain (profiles, SSO, processes, roles) for the S3 client.
//!
//! The client asks before every request, so the answer is kept until five minutes before it
//! expires.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use tokio::sync::Mutex;

const RENEW_BEFORE: Duration = Duration::from_secs(5 * 60);

#[derive(Debug)]
struct Kept {
    credential: Arc<AwsCredential>,
    renew_at: Option<SystemTime>,
}

/// Asks the chain, rarely.
#[derive(Debug)]
pub(super) struct AwsChain {
    chain: SharedCredentialsProvider,
    kept: Mutex<Option<Kept>>,
}

impl AwsChain {
    pub(super) fn new(chain: SharedCredentialsProvider) -> Self {
        Self { chain, kept: Mutex::new(None) }
    }
}

#[async_trait]
impl CredentialProvider for AwsChain {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut kept = self.kept.lock().await;
        if let Some(Kept { credential, renew_at }) = kept.as_ref()
            && renew_at.is_none_or(|at| SystemTime::now() < at)
        {
            return Ok(Arc::clone(credential));
        }
        let found = self.chain.provide_credentials().await.map_err(|error| {
            object_store::Error::Generic { store: "S3 credentials", source: Box::new(error) }
        })?;
        let credential = Arc::new(AwsCredential {
            key_id: found.access_key_id().to_owned(),
            secret_key: found.secret_access_key().to_owned(),
            token: found.session_token().map(str::to_owned),
        });
        let renew_at = found.expiry().map(|at| at.checked_sub(RENEW_BEFORE).unwrap_or(at));
        *kept = Some(Kept { credential: Arc::clone(&credential), renew_at });
        Ok(credential)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use aws_credential_types::Credentials;
    use aws_credential_types::provider::ProvideCredentials;
    use aws_credential_types::provider::future::ProvideCredentials as Answer;

    use super::*;

    #[derive(Debug)]
    struct Counted {
        asked: AtomicU64,
        lives: Duration,
    }

    #[derive(Debug, Clone)]
    struct Provider(Arc<Counted>);

    impl ProvideCredentials for Provider {
        fn provide_credentials<'a>(&'a self) -> Answer<'a>
        where
            Self: 'a,
        {
            let n = self.0.asked.fetch_add(1, Ordering::SeqCst);
            let expiry = Some(SystemTime::now() + self.0.lives);
            Answer::ready(Ok(Credentials::new(format!("key-{n}"), "secret", None, expiry, "test")))
        }
    }

    async fn asked_in_three_requests(lives: Duration) -> u64 {
        let counted = Arc::new(Counted { asked: AtomicU64::new(0), lives });
        let chain = AwsChain::new(SharedCredentialsProvider::new(Provider(Arc::clone(&counted))));
        for _ in 0..3 {
            chain.get_credential().await.unwrap();
        }
        counted.asked.load(Ordering::SeqCst)
    }

    #[tokio::test]
    async fn the_chain_is_asked_again_only_within_five_minutes_of_the_end() {
        assert_eq!(asked_in_three_requests(Duration::from_secs(3600)).await, 1);
        assert_eq!(asked_in_three_requests(Duration::from_secs(60)).await, 3);
    }
}
