//! ListPartitionReassignments (KIP-455): replicas that are on the move. There is one broker, so
//! none ever is; topics that do not exist have none either, as on Kafka.

use crate::wire::messages::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};

pub(super) fn handle(
    _request: &ListPartitionReassignmentsRequest<'_>,
) -> ListPartitionReassignmentsResponse<'static> {
    ListPartitionReassignmentsResponse { error_message: None, ..Default::default() }
}
