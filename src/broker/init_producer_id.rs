//! InitProducerId (KIP-98): ids for idempotent producers. Transactional ones are refused: this
//! broker has no transaction coordinator.

use super::Broker;
use crate::wire::ErrorCode;
use crate::wire::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

pub(super) async fn handle(
    broker: &Broker,
    request: InitProducerIdRequest<'_>,
) -> InitProducerIdResponse {
    if let Some(id) = &request.transactional_id {
        if id.is_empty() {
            return refused(ErrorCode::InvalidRequest);
        }
        tracing::warn!(transactional.id = %id, "a transactional producer was refused: transactions are not supported");
        return refused(ErrorCode::TransactionalIdAuthorizationFailed);
    }
    if (request.producer_id == -1) != (request.producer_epoch == -1) {
        return refused(ErrorCode::InvalidRequest);
    }
    // A producer without transactions always starts over with an id of its own.
    match broker.producer_ids.next().await {
        Ok(id) => {
            InitProducerIdResponse { producer_id: id.0, producer_epoch: 0, ..Default::default() }
        }
        Err(error) => {
            tracing::error!(%error, "no producer id can be given out");
            refused(ErrorCode::KafkaStorageError)
        }
    }
}

fn refused(code: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse { error_code: code.as_i16(), producer_epoch: -1, ..Default::default() }
}
