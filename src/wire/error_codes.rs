//! The error codes of one message, counted while it is written.

/// How often each error code stands in a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorCodes {
    /// Most messages have nothing else: those cost no allocation.
    none: u32,
    others: Vec<(i16, u32)>,
}

impl ErrorCodes {
    pub(super) fn add(&mut self, code: i16) {
        if code == 0 {
            self.none += 1;
            return;
        }
        match self.others.iter_mut().find(|(known, _)| *known == code) {
            Some((_, count)) => *count += 1,
            None => self.others.push((code, 1)),
        }
    }

    /// Each code that is there, 0 (`NONE`) first, with its count.
    pub fn iter(&self) -> impl Iterator<Item = (i16, u32)> + '_ {
        let none = (self.none > 0).then_some((0, self.none));
        none.into_iter().chain(self.others.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use crate::wire::messages::list_offsets::{
        ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
    };
    use crate::wire::{Encoder, Message as _};

    #[test]
    fn the_codes_of_a_response_are_counted_wherever_they_stand() {
        let partition =
            |error_code| ListOffsetsPartitionResponse { error_code, ..Default::default() };
        let partitions = [0, 3, 0, 6, 3].map(partition).to_vec();
        let topics = vec![ListOffsetsTopicResponse { partitions, ..Default::default() }];
        let mut encoder = Encoder::new();
        let response = ListOffsetsResponse { topics, ..Default::default() };
        response.encode(&mut encoder, 7).expect("encoded");
        let codes: Vec<_> = encoder.error_codes().iter().collect();
        assert_eq!(codes, [(0, 2), (3, 2), (6, 1)]);
    }
}
