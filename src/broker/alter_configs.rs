//! AlterConfigs, which replaces all of a topic's settings, and IncrementalAlterConfigs (KIP-339),
//! which changes some. Broker settings are read at the start and cannot be changed here.

use std::collections::{BTreeMap, BTreeSet};

use super::Broker;
use super::describe_configs::{RESOURCE_BROKER, RESOURCE_TOPIC, is_this_broker, wrong_broker};
use crate::cluster::AlterTopicError;
use crate::config::{Operation, alter, describe_topic};
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

enum What {
    All(BTreeMap<String, String>),
    Some(Vec<(String, Operation)>),
}

impl What {
    /// Whether it only takes settings away.
    fn sets_nothing(&self) -> bool {
        match self {
            Self::All(all) => all.is_empty(),
            Self::Some(operations) => {
                operations.iter().all(|(_, operation)| *operation == Operation::Delete)
            }
        }
    }
}

pub(super) async fn replace_all(
    broker: &Broker,
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
                once(&mut seen, &change, apply(broker, &change, request.validate_only)).await
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
                once(&mut seen, &change, apply(broker, &change, request.validate_only)).await
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

async fn apply(broker: &Broker, change: &Change, validate_only: bool) -> Result<(), Refusal> {
    match change.resource_type {
        RESOURCE_TOPIC => {}
        RESOURCE_BROKER if change.name.is_empty() || is_this_broker(broker, &change.name) => {
            if change.what.sets_nothing() {
                // None was ever set at runtime: they are gone already.
                return Ok(());
            }
            let text = "broker settings are read at the start: change them in icecore.toml, by --set or in the environment";
            return Err((ErrorCode::InvalidConfig, text.to_owned()));
        }
        RESOURCE_BROKER => {
            return Err((ErrorCode::InvalidRequest, wrong_broker(broker, &change.name)));
        }
        other => {
            return Err((
                ErrorCode::InvalidRequest,
                format!("resource type {other} has no settings here"),
            ));
        }
    }
    let current = |overrides: &BTreeMap<String, String>| -> BTreeMap<&str, String> {
        let entries = describe_topic(&broker.config, overrides).into_iter();
        entries.filter_map(|entry| Some((entry.name, entry.value?))).collect()
    };
    let altered = |overrides: &BTreeMap<String, String>| match &change.what {
        What::All(all) => Ok(all.clone()),
        What::Some(operations) => {
            let current = current(overrides);
            alter(overrides, operations, |name| current.get(name).cloned())
        }
    };
    let done = broker.controller.alter_topic(&change.name, altered, validate_only).await;
    done.map_err(|error| (error_code(&error), error.to_string()))
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
