//! ApiVersions: what this broker serves (KIP-511, KIP-35).

use super::{Broker, Call, served};
use crate::wire::ErrorCode;
use crate::wire::exchange::{CloseReason, Reply};
use crate::wire::messages::api::ApiKey;
use crate::wire::messages::api_versions::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse};

/// Answers in the client's version, or in version 0 with the versions of ApiVersions itself when
/// the client speaks a later one.
pub(super) fn handle(broker: &Broker, call: &Call) -> Result<Reply, CloseReason> {
    if !(ApiKey::ApiVersions.min_version()..=ApiKey::ApiVersions.max_version())
        .contains(&call.version)
    {
        let response = ApiVersionsResponse {
            error_code: ErrorCode::UnsupportedVersion.as_i16(),
            api_keys: vec![advertised(ApiKey::ApiVersions)],
            ..Default::default()
        };
        return Ok(call.reply_in(0, &response, &[]));
    }
    let request: ApiVersionsRequest<'_> = call.body()?;
    if call.version >= 3 {
        let (name, version) = (&request.client_software_name, &request.client_software_version);
        if !is_software_text(name) || !is_software_text(version) {
            let error_code = ErrorCode::InvalidRequest.as_i16();
            return Ok(call.reply(&ApiVersionsResponse { error_code, ..Default::default() }));
        }
        call.frame.connection.set_software(name, version);
    }
    let api_keys = served::served(broker.config.read_only()).map(advertised).collect();
    Ok(call.reply(&ApiVersionsResponse { api_keys, ..Default::default() }))
}

fn advertised(api: ApiKey) -> ApiVersion {
    // librdkafka takes a broker without Produce 0 for one without Produce (KAFKA-18659), so Kafka
    // advertises 0 though it serves none below 3.
    let min_version = if api == ApiKey::Produce { 0 } else { served::min_version(api) };
    ApiVersion { api_key: api.as_i16(), min_version, max_version: api.max_version() }
}

/// Letters, digits, `-` and `.`, with a letter or digit at both ends.
fn is_software_text(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    let ends = [text.bytes().next(), text.bytes().next_back()];
    ends.iter().all(|byte| byte.is_some_and(|byte| byte.is_ascii_alphanumeric()))
        && text.bytes().all(inner)
}

#[cfg(test)]
mod tests {
    use super::is_software_text;

    #[test]
    fn software_names_follow_kip_511() {
        for good in ["a", "apache-kafka-java", "4.3.1", "x--.y"] {
            assert!(is_software_text(good), "{good}");
        }
        for bad in ["", "-a", "a.", "a b", "ü", "a\n"] {
            assert!(!is_software_text(bad), "{bad:?}");
        }
    }
}
