//! Policies and topics of the values: which setting counts, that a change of the values counts without a
//! restart, and that nothing is taken away.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::Run;
use super::cluster::{RELEASE, Values};

const FILES: [&str; 1] = ["policies.yaml"];
const DAY_MS: u64 = 86_400_000;

impl Run {
    pub(super) fn policies(&self) -> Result<()> {
        let (steps, cluster) = (&self.steps, &self.cluster);
        let values = Values::of(&FILES);
        steps.part("Policies and topics");
        self.wrong_policy(&values)?;
        steps.step("installed with policies and topics", || cluster.install(&values))?;
        steps.tell("a Job set the policies", || {
            let told = self.told_of_policies()?;
            ensure!(told.matches("created").count() == 3, "{told}");
            Ok(told)
        })?;
        steps.step("each topic has the policy that its name asks for", || {
            for (topic, policy) in [
                ("orders-us", "orders"),
                ("orders-eu", "orders-eu"),
                ("payments", "orders"),
                ("clicks-web", "clicks"),
                ("orders-eu-of-tomorrow", "orders-eu"),
            ] {
                let has = self.explained(topic)?["policy"]["name"].clone();
                ensure!(has == policy, "{topic} has policy {has}");
            }
            Ok(())
        })?;
        steps.step("explain tells where a setting comes from", || {
            self.comes_from("orders-us", "retention.ms", 365 * DAY_MS, "policy")?;
            self.comes_from("orders-eu", "retention.ms", 730 * DAY_MS, "policy")?;
            self.comes_from("payments", "retention.ms", 3650 * DAY_MS, "topic")?;
            self.comes_from("payments", "local.retention.ms", DAY_MS, "policy")
        })?;
        self.changed(&values)?;
        self.removed(&values)?;
        steps.step("uninstalled, and the claim deleted", || {
            cluster.uninstall()?;
            cluster.delete_claims()
        })
    }

    fn wrong_policy(&self, values: &Values) -> Result<()> {
        let cluster = &self.cluster;
        self.steps.step("a policy without topics is refused with words", || {
            let none = values.clone().with("policies.none.settings.retention\\.ms", "1d");
            cluster.refuses(&none, "policies.none needs topics")
        })
    }

    fn changed(&self, values: &Values) -> Result<()> {
        let cluster = &self.cluster;
        let less = values.clone().with("policies.orders.settings.retention\\.ms", "90d");
        self.steps.step("an upgrade changes a policy: it counts, without a restart", || {
            let uid = cluster.pod(".metadata.uid")?;
            cluster.upgrade(&less)?;
            self.comes_from("orders-us", "retention.ms", 90 * DAY_MS, "policy")?;
            ensure!(cluster.pod(".metadata.uid")? == uid, "the pod was restarted");
            Ok(())
        })?;
        self.steps.tell("the Job told what changed", || {
            let told = self.told_of_policies()?;
            ensure!(
                told.contains("retention.ms=7776000000 (90d) (was 31536000000 (365d))"),
                "{told}"
            );
            ensure!(told.matches("unchanged").count() == 2, "{told}");
            Ok(told)
        })?;
        let wrong = less.with("policies.orders.settings.retention\\.msec", "1d");
        self.steps.step("one that is wrong is refused by a Job before anything is changed", || {
            let told = cluster.upgrade_in_vain(&wrong)?;
            ensure!(told.contains("did you mean retention.ms?"), "{told}");
            self.comes_from("orders-us", "retention.ms", 90 * DAY_MS, "policy")
        })
    }

    fn removed(&self, values: &Values) -> Result<()> {
        let cluster = &self.cluster;
        let fewer = values
            .clone()
            .with("policies.clicks", "null")
            .with("policies.orders.settings.local\\.retention\\.ms", "null");
        self.steps.tell("taken out of the values: told as a difference, and left", || {
            cluster.upgrade(&fewer)?;
            let told = self.told_of_policies()?;
            for said in ["is not in the file", "has local.retention.ms=86400000"] {
                ensure!(told.contains(said), "{told}");
            }
            self.comes_from("clicks-web", "retention.ms", 7 * DAY_MS, "policy")?;
            self.comes_from("orders-us", "local.retention.ms", DAY_MS, "policy")?;
            Ok(told)
        })?;
        self.steps.step("deleted by hand: the broker's setting counts", || {
            cluster.icecore("policy delete clicks", None)?;
            self.comes_from("clicks-web", "retention.ms", 30 * DAY_MS, "broker")
        })
    }

    fn told_of_policies(&self) -> Result<String> {
        self.cluster.kubectl(&["logs", &format!("job/{RELEASE}-policies")])
    }

    /// What `icecore policy explain` tells of a topic.
    fn explained(&self, topic: &str) -> Result<Value> {
        let words = format!("policy explain {topic} --output json");
        Ok(serde_json::from_str(&self.cluster.icecore(&words, None)?)?)
    }

    /// That a topic's setting has that value, from that kind of place.
    fn comes_from(&self, topic: &str, setting: &str, value: u64, from: &str) -> Result<()> {
        let told = self.explained(topic)?;
        let mut all = told["settings"].as_array().into_iter().flatten();
        let found = all.find(|one| one["name"] == setting).context("the setting")?;
        let (wanted, from) = (Value::from(value.to_string()), Value::from(from));
        ensure!(found["value"] == wanted && found["from"] == from, "{setting} of {topic}: {found}");
        Ok(())
    }
}
