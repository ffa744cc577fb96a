//! `cargo xtask bad-store`: a proxy in front of an S3 that misbehaves on order.
//!
//! ```text
//! POST   /_bad/orders   a JSON array of orders, added to those that there are
//! GET    /_bad/orders   what is left of them
//! DELETE /_bad/orders   all of them go
//! ```
//! Anything else goes to the store and back, unless an order meets it. An order meets the requests of
//! its method whose path and query contain its texts, so that tests with buckets of their own share one
//! proxy. The `Host` header passes as it is: it is part of what the client signed.

mod orders;
mod proxy;

use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use tokio::net::TcpListener;

use orders::{Order, Orders};
use proxy::Proxy;

#[derive(clap::Args)]
pub(crate) struct BadStore {
    /// Where it listens
    #[arg(long, default_value = "127.0.0.1:21290")]
    listen: String,
    /// The store behind it, for example http://127.0.0.1:4566
    #[arg(long)]
    upstream: String,
}

/// Serves until the process is ended.
pub(crate) fn run(bad_store: &BadStore) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listen = &bad_store.listen;
        let listener = TcpListener::bind(listen).await.with_context(|| listen.clone())?;
        println!("xtask: a bad store at http://{listen}, before {}", bad_store.upstream);
        let proxy = Arc::new(Proxy::new(bad_store.upstream.clone())?);
        Ok(axum::serve(listener, router(proxy)).await?)
    })
}

fn router(proxy: Arc<Proxy>) -> Router {
    let admin = get(left).post(add).delete(clear).with_state(proxy.orders());
    Router::new().route("/_bad/orders", admin).fallback(proxy::pass).with_state(proxy)
}

async fn left(State(orders): State<Arc<Orders>>) -> axum::Json<Vec<Order>> {
    axum::Json(orders.left())
}

async fn add(State(orders): State<Arc<Orders>>, axum::Json(new): axum::Json<Vec<Order>>) {
    orders.add(new);
}

async fn clear(State(orders): State<Arc<Orders>>) {
    orders.clear();
}
