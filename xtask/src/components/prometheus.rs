//! Prometheus itself: what scrapes a broker and answers the dashboard's questions in the tests.
//!
//! Without its ways to discover targets in clouds, which are most of what there is to build.

use anyhow::Result;

use super::{Components, golang};

const MODULE: &str = "github.com/prometheus/prometheus";
const VERSION: &str = "v0.316.0";

pub(super) fn install(components: &Components) -> Result<()> {
    golang::build(components, "prometheus", MODULE, VERSION, &["-tags", "remove_all_sd"])
}
