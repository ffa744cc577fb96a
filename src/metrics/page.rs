//! The page that Prometheus reads, and the list of what can stand on it.
//!
//! Invariant: whatever is registered is listed, so that the documents, which are made of the list,
//! leave nothing out.

use prometheus_client::collector::Collector;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

/// One metric, as people look it up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// As it stands on the page, a counter's `_total` included.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

/// What is registered so far.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) registry: Registry,
    pub(super) list: Vec<Listed>,
}

impl Page {
    /// Registers a metric that has labels, or none, and gives its handle back.
    pub(super) fn add<M: Metric + Clone>(
        &mut self,
        name: &str,
        labels: &'static [&'static str],
        help: &'static str,
        metric: M,
    ) -> M {
        self.list.push(listed(name, metric.metric_type(), labels, help));
        self.registry.register(name, help, metric.clone());
        metric
    }

    pub(super) fn counter(&mut self, name: &str, help: &'static str) -> Counter {
        self.add(name, &[], help, Counter::default())
    }

    pub(super) fn gauge(&mut self, name: &str, help: &'static str) -> Gauge {
        self.add(name, &[], help, Gauge::default())
    }

    pub(super) fn histogram(&mut self, name: &str, help: &'static str) -> Histogram {
        self.add(name, &[], help, super::seconds())
    }

    /// A metric with one line for each set of label values.
    pub(super) fn family<L, M>(
        &mut self,
        name: &str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Family<L, M>
    where
        Family<L, M>: Metric + Clone + Default,
    {
        self.add(name, labels, help, Family::default())
    }

    /// Registers what is read when the page is, and lists it.
    pub(super) fn collector(
        &mut self,
        collector: Box<dyn Collector>,
        metrics: &[(&'static str, MetricType, &'static str)],
    ) {
        let listed = metrics.iter().map(|(name, kind, help)| listed(name, *kind, &[], help));
        self.list.extend(listed);
        self.registry.register_collector(collector);
    }
}

fn listed(
    name: &str,
    kind: MetricType,
    labels: &'static [&'static str],
    help: &'static str,
) -> Listed {
    let (kind, ending) = match kind {
        MetricType::Counter => ("counter", "_total"),
        MetricType::Gauge => ("gauge", ""),
        MetricType::Histogram => ("histogram", ""),
        _ => ("unknown", ""),
    };
    Listed { name: format!("{name}{ending}"), kind, labels, help }
}
