//! `cargo xtask soak`: single tests at full length.

use anyhow::Result;
use clap::Subcommand;

use crate::components::{Components, LocalStack, Place, free_ports};
use crate::groups::end_on_signal;
use crate::test_run::{cargo_test, phase, plain_cargo_test};

#[derive(Subcommand)]
pub(crate) enum Soak {
    /// Produce much more than the local disk may keep, and replay it with every client
    Tiered {
        /// Bytes of records
        #[arg(long, default_value_t = 1 << 30)]
        bytes: u64,
        /// segment.bytes of the topic
        #[arg(long, default_value_t = 16 << 20)]
        segment_bytes: u64,
        /// local.retention.bytes of the topic
        #[arg(long, default_value_t = 32 << 20)]
        local_bytes: u64,
    },
    /// Kill the broker again and again under its producers
    Kill {
        /// How often
        #[arg(long, default_value_t = 100)]
        rounds: u32,
        /// Repeats a run that printed it
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Kill the broker right before each step that changes what is stored (needs no S3)
    Steps {
        /// Dies at every so-many-th step
        #[arg(long, default_value_t = 1)]
        every: u32,
        /// The first step to die at, below EVERY
        #[arg(long, default_value_t = 0)]
        from: u32,
    },
}

pub(crate) fn run(soak: &Soak) -> Result<()> {
    end_on_signal()?;
    if let Soak::Steps { every, from } = soak {
        let mut test = plain_cargo_test()?;
        test.args(["--test", "steps", "--", "--nocapture"])
            .env("ICECORE_STEPS_EVERY", every.to_string())
            .env("ICECORE_STEPS_FROM", from.to_string());
        return phase("walking from step to step", &mut test);
    }
    let components = Components::install_for_end_to_end()?;
    phase("building the tests", cargo_test(&components)?.arg("--no-run"))?;
    let localstack = LocalStack::start(&components, &Place::here(), free_ports(1)?)?;
    let mut test = cargo_test(&components)?;
    test.args(["--test", "e2e", "--"]).env("ICECORE_TEST_S3_ENDPOINT", localstack.endpoint());
    match soak {
        Soak::Tiered { bytes, segment_bytes, local_bytes } => {
            test.arg("tiered::a_replay_from_s3")
                .env("ICECORE_E2E_BYTES", bytes.to_string())
                .env("ICECORE_E2E_SEGMENT_BYTES", segment_bytes.to_string())
                .env("ICECORE_E2E_LOCAL_BYTES", local_bytes.to_string());
        }
        Soak::Kill { rounds, seed } => {
            test.arg("kills::").env("ICECORE_E2E_ROUNDS", rounds.to_string());
            if let Some(seed) = seed {
                test.env("ICECORE_E2E_SEED", seed.to_string());
            }
        }
        Soak::Steps { .. } => unreachable!("it was run above"),
    }
    phase("soaking", test.arg("--nocapture"))
}
