//! What a store charges for reading.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::cli::name_and_value;

/// Bytes of what price lists call a GB.
const GB: f64 = 1e9;

/// `--price-table` and `--price`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct PriceArgs {
    /// What the store charges, a TOML file: currency, get_per_1000, retrieval_per_gb, egress_per_gb.
    /// Default: AWS's list price for S3 Standard in us-east-1, read from the same region
    #[arg(long, value_name = "FILE")]
    price_table: Option<PathBuf>,
    /// One price of the table, such as get_per_1000=0.0005; may be given many times.
    #[arg(long = "price", value_name = "NAME=VALUE", value_parser = name_and_value)]
    prices: Vec<(String, String)>,
}

/// Prices of reading. Names that are not given keep the default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PriceTable {
    /// What the prices are in.
    currency: String,
    /// For a thousand GET requests.
    get_per_1000: f64,
    /// For each 10^9 bytes that are read from a storage class that charges for it.
    retrieval_per_gb: f64,
    /// For each 10^9 bytes that leave the store's network.
    egress_per_gb: f64,
}

/// AWS's list price for S3 Standard in us-east-1: 0.0004 USD for 1,000 GET requests, nothing for
/// retrieval, nothing for what stays in the region.
impl Default for PriceTable {
    fn default() -> Self {
        Self {
            currency: "USD".to_owned(),
            get_per_1000: 0.0004,
            retrieval_per_gb: 0.0,
            egress_per_gb: 0.0,
        }
    }
}

/// What a plan will be charged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Price {
    pub(super) currency: String,
    pub(super) requests: f64,
    pub(super) retrieval: f64,
    pub(super) egress: f64,
    pub(super) total: f64,
}

impl PriceArgs {
    /// The table that counts.
    pub(super) fn table(&self) -> anyhow::Result<PriceTable> {
        let mut table = match &self.price_table {
            None => PriceTable::default(),
            Some(path) => {
                let shown = path.display();
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read the price table {shown}"))?;
                toml::from_str(&text).with_context(|| format!("{shown} is no price table"))?
            }
        };
        for (name, value) in &self.prices {
            table.set(name, value)?;
        }
        table.check()
    }
}

impl PriceTable {
    fn set(&mut self, name: &str, value: &str) -> anyhow::Result<()> {
        let price = match name {
            "currency" => {
                value.clone_into(&mut self.currency);
                return Ok(());
            }
            "get_per_1000" => &mut self.get_per_1000,
            "retrieval_per_gb" => &mut self.retrieval_per_gb,
            "egress_per_gb" => &mut self.egress_per_gb,
            _ => bail!(
                "--price has no {name:?}: use currency, get_per_1000, retrieval_per_gb or egress_per_gb"
            ),
        };
        *price = value.parse().with_context(|| format!("the price {name}={value} is no number"))?;
        Ok(())
    }

    fn check(self) -> anyhow::Result<Self> {
        let prices = [self.get_per_1000, self.retrieval_per_gb, self.egress_per_gb];
        if prices.iter().any(|price| !price.is_finite() || *price < 0.0) {
            bail!("a price is 0 or more: {prices:?}");
        }
        Ok(self)
    }

    /// For so many requests and bytes.
    pub(super) fn price(&self, gets: u64, bytes: u64) -> Price {
        let gigabytes = bytes as f64 / GB;
        let requests = gets as f64 / 1000.0 * self.get_per_1000;
        let (retrieval, egress) =
            (gigabytes * self.retrieval_per_gb, gigabytes * self.egress_per_gb);
        let (currency, total) = (self.currency.clone(), requests + retrieval + egress);
        Price { currency, requests, retrieval, egress, total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(prices: &[&str]) -> anyhow::Result<PriceTable> {
        let prices = prices.iter().map(|text| name_and_value(text).expect("a pair")).collect();
        PriceArgs { price_table: None, prices }.table()
    }

    #[test]
    fn requests_and_bytes_are_charged_by_the_table() {
        let price = PriceTable::default().price(250_000, 5_000_000_000_000);
        assert!((price.total - 0.1).abs() < 1e-9 && price.egress == 0.0, "{price:?}");
        let dear = table(&["egress_per_gb=0.09", "retrieval_per_gb=0.01", "currency=EUR"]);
        let price = dear.expect("a table").price(1000, 2_000_000_000);
        assert!((price.total - 0.2004).abs() < 1e-9 && price.currency == "EUR", "{price:?}");
    }

    #[test]
    fn a_price_that_is_none_is_refused_in_words() {
        for (text, words) in [
            ("put_per_1000=1", "use currency, get_per_1000"),
            ("get_per_1000=cheap", "is no number"),
            ("get_per_1000=-1", "0 or more"),
            ("egress_per_gb=NaN", "0 or more"),
        ] {
            let told = table(&[text]).expect_err(text);
            assert!(format!("{told:#}").contains(words), "{told:#}");
        }
    }
}
