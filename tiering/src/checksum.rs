//! CRC32C, the checksum of Kafka's batches and of what this crate writes for years; CRC-64 for the
//! cache, which compares stale bytes by the million.

use crc_fast::{CrcAlgorithm, Digest};

/// The CRC32C of `bytes`.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    low_half(crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes))
}

/// The CRC-64/NVME of `parts` one after another.
pub(crate) fn crc64(parts: &[&[u8]]) -> u64 {
    let mut digest = Digest::new(CrcAlgorithm::Crc64Nvme);
    parts.iter().for_each(|part| digest.update(part));
    digest.finalize()
}

/// A CRC32C over bytes that arrive in pieces.
#[derive(Clone)]
pub(crate) struct RunningCrc(Digest);

impl RunningCrc {
    pub(crate) fn new() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc32Iscsi))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(&self) -> u32 {
        low_half(self.0.finalize())
    }
}

/// The library answers every width in 64 bits.
#[allow(clippy::cast_possible_truncation, reason = "a 32-bit checksum in a 64-bit answer")]
fn low_half(checksum: u64) -> u32 {
    checksum as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_catalogue_comes_out_whole_and_in_pieces() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        let mut crc = RunningCrc::new();
        crc.update(b"1234");
        crc.update(b"56789");
        assert_eq!(crc.finish(), 0xe306_9283);
        assert_eq!(crc64(&[b"1234", b"56789"]), 0xae8b_1486_0a79_9888);
    }
}
