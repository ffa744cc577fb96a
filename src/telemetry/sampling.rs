//! Which traces are kept.

use opentelemetry::trace::{Link, SpanKind, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingResult, ShouldSample};

/// Of requests a part, for there are many; of all that the broker does by itself everything. What
/// belongs to a trace shares its fate.
#[derive(Clone, Debug)]
pub(super) struct RequestSampler {
    requests: Sampler,
    rest: Sampler,
}

impl RequestSampler {
    /// Keeps so many of all requests, from 0 to 1.
    pub(super) fn new(ratio: f64) -> Self {
        let of = |root: Sampler| Sampler::ParentBased(Box::new(root));
        Self { requests: of(Sampler::TraceIdRatioBased(ratio)), rest: of(Sampler::AlwaysOn) }
    }
}

impl ShouldSample for RequestSampler {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let sampler = if *kind == SpanKind::Server { &self.requests } else { &self.rest };
        sampler.should_sample(parent, trace, name, kind, attributes, links)
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::trace::SamplingDecision;

    use super::*;

    fn kept(sampler: &RequestSampler, kind: &SpanKind) -> usize {
        let keeps = |trace: &u128| {
            // Spread over the range of ids, as random ones are.
            let spread = trace.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            let trace = TraceId::from_bytes(spread.to_be_bytes());
            let result = sampler.should_sample(None, trace, "", kind, &[], &[]);
            result.decision == SamplingDecision::RecordAndSample
        };
        (1..=1000_u128).filter(keeps).count()
    }

    #[test]
    fn a_part_of_the_requests_is_kept_and_all_of_the_rest() {
        let sampler = RequestSampler::new(0.25);
        let requests = kept(&sampler, &SpanKind::Server);
        assert!((200..300).contains(&requests), "{requests} of 1000");
        assert_eq!(kept(&sampler, &SpanKind::Internal), 1000);
        assert_eq!(kept(&RequestSampler::new(0.0), &SpanKind::Server), 0);
    }
}
