//! How a message lies on the wire: the shape of the generated table.

/// First and last version; a range that ends before it starts is empty.
pub(crate) type Versions = (i16, i16);

/// No version at all.
pub(crate) const NEVER: Versions = (0, -1);

/// One message: its name, versions, first flexible version, and fields.
#[derive(Debug)]
pub(crate) struct Layout(
    pub(crate) &'static str,
    pub(crate) Versions,
    pub(crate) Option<i16>,
    pub(crate) &'static [Field],
);

impl Layout {
    pub(crate) fn is_flexible(&self, version: i16) -> bool {
        self.2.is_some_and(|first| version >= first)
    }

    pub(crate) fn versions(&self) -> std::ops::RangeInclusive<i16> {
        self.1.0..=self.1.1
    }
}

/// One field: its name, what it holds, when it is there, when it may be null, and its tag.
#[derive(Debug)]
pub(crate) struct Field(
    pub(crate) &'static str,
    pub(crate) Kind,
    pub(crate) Versions,
    pub(crate) Versions,
    pub(crate) Option<u32>,
);

impl Field {
    pub(crate) fn is_in(&self, version: i16) -> bool {
        self.2.0 <= version && version <= self.2.1
    }

    pub(crate) fn is_nullable(&self, version: i16) -> bool {
        self.3.0 <= version && version <= self.3.1
    }
}

/// What a field holds.
#[derive(Debug)]
pub(crate) enum Kind {
    Bool,
    /// Signed, of this many bytes.
    Integer(usize),
    /// Two bytes.
    Unsigned,
    Float,
    Uuid,
    Text,
    /// Keeps its two-byte length in flexible versions.
    ShortText,
    Bytes,
    Struct(&'static [Field]),
    Array(&'static Kind),
}
