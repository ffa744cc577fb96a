//! Kafka sockets and frames.
