//! Fetch: reads many partitions over both tiers in one request.
//!
//! What lies in the page cache is answered at once; what has to come from the disk or the store is
//! read beside it, never on a network thread, and never holds up what is ready. Records are named
//! as ranges of files and leave by `sendfile`.

mod answer;
mod gates;
mod plan;
mod read;
mod rounds;
mod session;

use std::sync::Arc;

use super::{Broker, Call};
use crate::pace::ReaderId;
use crate::wire::ErrorCode;
use crate::wire::exchange::{CloseReason, Reply, Started};
use crate::wire::messages::fetch::{FetchRequest, FetchResponse};

pub(super) use session::{Sessions, TopicKey};

use plan::FetchPlan;
use session::SessionError;

pub(super) fn start(broker: &Arc<Broker>, call: Call) -> Result<Started, CloseReason> {
    let request: FetchRequest<'_> = call.body()?;
    let reader = ReaderId(call.frame.connection.id.0);
    let plan = match FetchPlan::new(broker, call.version, reader, &request) {
        Ok(plan) => plan,
        Err(error) => return Ok(Started::Ready(refuse(&call, error))),
    };
    call.is_about(request.topics.len(), plan.session.wanted.len());
    drop(request);
    let broker = broker.clone();
    Ok(Started::Pending(Box::pin(async move {
        let reads = rounds::run(&broker, &plan).await;
        answer::answer(&broker, &call, &plan, reads)
    })))
}

fn refuse(call: &Call, error: SessionError) -> Reply {
    let code = match error {
        SessionError::NotFound => ErrorCode::FetchSessionIdNotFound,
        SessionError::WrongEpoch => ErrorCode::InvalidFetchSessionEpoch,
        SessionError::TopicIdsMixed => ErrorCode::FetchSessionTopicIdError,
    };
    call.reply(&FetchResponse { error_code: code.as_i16(), ..Default::default() })
}
