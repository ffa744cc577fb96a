//! A bucket of a test's own in LocalStack.

use super::http::request;
use super::{Remote, environment};

pub(crate) struct Bucket {
    endpoint: String,
    name: String,
}

impl Remote for Bucket {
    fn url(&self) -> String {
        format!("s3://{}/tier", self.name)
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ]
    }
}

impl Bucket {
    pub(crate) fn create(test: &str) -> Self {
        let name = format!("{test}-{}", std::process::id());
        let bucket = Self { endpoint: environment("ICECORE_TEST_S3_ENDPOINT"), name };
        let (status, body) = bucket.ask("PUT", "");
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        bucket
    }

    /// The names of all objects.
    pub(crate) fn list(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        loop {
            let after = names.last().map(|name| format!("&start-after={name}"));
            let path = format!("?list-type=2{}", after.unwrap_or_default());
            let (status, body) = self.ask("GET", &path);
            let body = String::from_utf8(body).unwrap();
            assert_eq!(status, 200, "{body}");
            // Our names hold nothing that XML would write otherwise.
            let keys = body.split("<Key>").skip(1);
            names.extend(keys.map(|rest| rest.split("</Key>").next().unwrap().to_owned()));
            if !body.contains("<IsTruncated>true</IsTruncated>") {
                return names;
            }
        }
    }

    pub(crate) fn get(&self, name: &str) -> Vec<u8> {
        let (status, body) = self.ask("GET", &format!("/{name}"));
        assert_eq!(status, 200, "{name}");
        body
    }

    fn ask(&self, method: &str, path: &str) -> (u16, Vec<u8>) {
        let address = self.endpoint.trim_start_matches("http://");
        request(address, method, &format!("/{}{path}", self.name)).unwrap()
    }
}
