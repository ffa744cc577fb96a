//! What is known of each API beside its key: names, versions, header versions.

use super::messages::api::ApiKey;

/// From a response on, headers carry tagged fields too; ApiVersions is the exception.
const FLEXIBLE_RESPONSE_HEADER: i16 = 1;

/// The constants of one API.
pub(super) struct Facts {
    pub(super) name: &'static str,
    pub(super) min: i16,
    pub(super) max: i16,
    pub(super) first_flexible: Option<i16>,
}

impl ApiKey {
    /// The key on the wire.
    #[must_use]
    pub const fn as_i16(self) -> i16 {
        self as i16
    }

    /// Kafka's name, such as `Produce`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// The lowest version that is served.
    #[must_use]
    pub const fn min_version(self) -> i16 {
        self.facts().min
    }

    /// The highest stable version.
    #[must_use]
    pub const fn max_version(self) -> i16 {
        self.facts().max
    }

    /// Whether the version is one of the stable ones.
    #[must_use]
    pub const fn supports(self, version: i16) -> bool {
        self.min_version() <= version && version <= self.max_version()
    }

    /// The first version with compact lengths and tagged fields (KIP-482), if any has them.
    #[must_use]
    pub const fn first_flexible(self) -> Option<i16> {
        self.facts().first_flexible
    }

    /// Whether the version has compact lengths and tagged fields. Holds for versions to come too.
    #[must_use]
    pub const fn is_flexible(self, version: i16) -> bool {
        match self.first_flexible() {
            Some(first) => version >= first,
            None => false,
        }
    }

    /// The version of the header before a request of this version: 1 or 2.
    #[must_use]
    pub const fn request_header_version(self, version: i16) -> i16 {
        if self.is_flexible(version) { 2 } else { 1 }
    }

    /// The version of the header before a response of this version: 0 or 1. ApiVersions keeps 0,
    /// since a client must be able to read the answer of a broker that does not know its version
    /// (KIP-511).
    #[must_use]
    pub const fn response_header_version(self, version: i16) -> i16 {
        match self {
            Self::ApiVersions => 0,
            _ if self.is_flexible(version) => FLEXIBLE_RESPONSE_HEADER,
            _ => 0,
        }
    }
}

impl std::fmt::Display for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
