//! AlterConfigs, which replaces all of a topic's settings, and IncrementalAlterConfigs (KIP-339),
//! which changes some. Of the broker's settings a few can be changed while it runs; the others are
//! read at the start.

use std::collections::{BTreeMap, BTreeSet};

use super::describe_configs::{RESOURCE_BROKER, RESOURCE_TOPIC, is_this_broker, wrong_broker};
use super::{Broker, Call};
use crate::cluster::{AlterBrokerError, AlterTopicError};
use crate::config::{AlterError, BrokerScope, Operation, alter, describe_broker, describe_topic};
use crate::wire::ErrorCode;
use crate::wire::messages::alter_configs::{
    AlterConfigsRequest, AlterConfigsResourceResponse, AlterConfigsResponse,
};
use crate::wire::messages::incremental_alter_configs::{
    self as incremental_messages, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

type Refusal = (ErrorCode, String);

/// A resource and what it is to become.
struct Change {
    resource_type: i8,
    name: String,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    All(BTreeMap<String, String>),
    Some(Vec<(String, Operation)>),
}

impl What {
    /// What was given becomes this; `current` are the values in force.
    fn apply(
        &self,
        given: &BTreeMap<String, String>,
        current: &BTreeMap<&str, String>,
    ) -> Result<BTreeMap<String, String>, AlterError> {
        match self {
            Self::All(all) => Ok(all.clone()),
            Self::Some(operations) => alter(given, operations, |name| current.get(name).cloned()),
        }
    }
}

pub(super) async fn replace_all(
    broker: &Broker,
    call: &Call,
    request: AlterConfigsRequest<'_>,
) -> AlterConfigsResponse<'static> {
    let mut responses = Vec::with_capacity(request.resources.len());
    let mut seen = BTreeSet::new();
    for resource in &request.resources {
        let name = resource.resource_name.clone().into_owned();
        let all = resource.configs.iter().map(|config| match &config.value {
            Some(value) => Ok((config.name.to_string(), value.to_string())),
            None => Err((ErrorCode::InvalidRequest, format!("null value for {}", config.name))),
        });
        let outcome = match all.collect::<Result<BTreeMap<_, _>, Refusal>>() {
            Ok(all) => {
                let change = Change {
                    resource_type: resource.resource_type,
                    name: name.clone(),
                    what: What::All(all),
                };
                once(&mut seen, &change, apply(broker, call, &change, request.validate_only)).await
            }
            Err(refusal) => Err(refusal),
        };
        let (error_code, error_message) = codes(outcome);
        responses.push(AlterConfigsResourceResponse {
            error_code,
            error_message: error_message.map(Into::into),
            resource_type: resource.resource_type,
            resource_name: name.into(),
        });
    }
    AlterConfigsResponse { responses, ..Default::default() }
}

pub(super) async fn incremental(
    broker: &Broker,
    call: &Call,
    request: IncrementalAlterConfigsRequest<'_>,
) -> IncrementalAlterConfigsResponse<'static> {
    let mut responses = Vec::with_capacity(request.resources.len());
    let mut seen = BTreeSet::new();
    for resource in &request.resources {
        let name = resource.resource_name.clone().into_owned();
        let operations =
            resource.configs.iter().map(operation).collect::<Result<Vec<_>, Refusal>>();
        let outcome = match operations {
            Ok(some) => {
                let change = Change {
                    resource_type: resource.resource_type,
                    name: name.clone(),
                    what: What::Some(some),
                };
                once(&mut seen, &change, apply(broker, call, &change, request.validate_only)).await
            }
            Err(refusal) => Err(refusal),
        };
        let (error_code, error_message) = codes(outcome);
        responses.push(incremental_messages::AlterConfigsResourceResponse {
            error_code,
            error_message: error_message.map(Into::into),
            resource_type: resource.resource_type,
            resource_name: name.into(),
        });
    }
    IncrementalAlterConfigsResponse { responses, ..Default::default() }
}

/// Refuses a resource that the request has named before.
async fn once(
    seen: &mut BTreeSet<(i8, String)>,
    change: &Change,
    apply: impl Future<Output = Result<(), Refusal>>,
) -> Result<(), Refusal> {
    if !seen.insert((change.resource_type, change.name.clone())) {
        return Err((ErrorCode::InvalidRequest, format!("{} is named twice", change.name)));
    }
    apply.await
}

fn operation(
    config: &incremental_messages::AlterableConfig<'_>,
) -> Result<(String, Operation), Refusal> {
    let name = config.name.to_string();
    let value = |make: fn(String) -> Operation| match &config.value {
        Some(value) => Ok(make(value.to_string())),
        None => Err((ErrorCode::InvalidRequest, format!("null value for {}", config.name))),
    };
    let operation = match config.config_operation {
        0 => value(Operation::Set)?,
        1 => Operation::Delete,
        2 => value(Operation::Append)?,
        3 => value(Operation::Subtract)?,
        other => {
            return Err((
                ErrorCode::InvalidRequest,
                format!("unknown operation {other} for {name}"),
            ));
        }
    };
    Ok((name, operation))
}

async fn apply(
    broker: &Broker,
    call: &Call,
    change: &Change,
    validate_only: bool,
) -> Result<(), Refusal> {
    let Change { resource_type, name, what } = change;
    let kind = match *resource_type {
        RESOURCE_TOPIC => {
            apply_to_topic(broker, change, validate_only).await?;
            "topic"
        }
        RESOURCE_BROKER if name.is_empty() => {
            apply_to_broker(broker, BrokerScope::All, what, validate_only).await?;
            "all brokers"
        }
        RESOURCE_BROKER if is_this_broker(broker, name) => {
            apply_to_broker(broker, BrokerScope::Own, what, validate_only).await?;
            "broker"
        }
        RESOURCE_BROKER => return Err((ErrorCode::InvalidRequest, wrong_broker(broker, name))),
        other => {
            let told = format!("resource type {other} has no settings here");
            return Err((ErrorCode::InvalidRequest, told));
        }
    };
    if !validate_only {
        tracing::info!(of = kind, name, settings = ?what, by = %call.client(), "settings altered");
    }
    Ok(())
}

async fn apply_to_topic(
    broker: &Broker,
    change: &Change,
    validate_only: bool,
) -> Result<(), Refusal> {
    let (image, config) = (broker.image.load(), broker.config.clone());
    let (name, what) = (change.name.clone(), change.what.clone());
    let altered = move |overrides: &BTreeMap<String, String>| {
        let entries = describe_topic(&config, &image.policies, &name, overrides).into_iter();
        let current = entries.filter_map(|entry| Some((entry.name, entry.value?))).collect();
        what.apply(overrides, &current)
    };
    let done = broker.controller.alter_topic(change.name.clone(), altered, validate_only).await;
    done.map_err(|error| (error_code(&error), error.to_string()))
}

async fn apply_to_broker(
    broker: &Broker,
    scope: BrokerScope,
    what: &What,
    validate_only: bool,
) -> Result<(), Refusal> {
    let entries = describe_broker(&broker.config, &broker.image.load().broker_overrides);
    let current = entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?)));
    let (current, what) = (current.collect(), what.clone());
    let altered = move |given: &BTreeMap<String, String>| what.apply(given, &current);
    let done = broker.controller.alter_broker(scope, altered, validate_only).await;
    done.map_err(|error| {
        let code = match error {
            AlterBrokerError::Request(_) => ErrorCode::InvalidRequest,
            AlterBrokerError::Settings(_) => ErrorCode::InvalidConfig,
            AlterBrokerError::Store(_) => ErrorCode::KafkaStorageError,
        };
        (code, error.to_string())
    })
}

fn error_code(error: &AlterTopicError) -> ErrorCode {
    match error {
        AlterTopicError::Unknown(_) => ErrorCode::UnknownTopicOrPartition,
        AlterTopicError::Request(_) => ErrorCode::InvalidRequest,
        AlterTopicError::Settings(_) => ErrorCode::InvalidConfig,
        AlterTopicError::Store(_) => ErrorCode::KafkaStorageError,
    }
}

fn codes(outcome: Result<(), Refusal>) -> (i16, Option<String>) {
    match outcome {
        Ok(()) => (0, None),
        Err((code, message)) => (code.as_i16(), Some(message)),
    }
}
