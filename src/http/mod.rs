//! Metrics, health and the read-only JSON view of partitions.
