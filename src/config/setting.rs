//! What a setting is.

/// Kafka's types of settings, with the numbers that DescribeConfigs gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean = 1,
    /// Text.
    Text = 2,
    /// A 32-bit number.
    Int = 3,
    /// A 64-bit number.
    Long = 5,
    /// A fraction.
    Double = 6,
    /// Texts with commas between them.
    List = 7,
}

/// Which values are right.
#[derive(Clone, Copy, Debug)]
pub enum Bounds {
    /// Any of the type.
    Any,
    /// From here on.
    AtLeast(i64),
    /// From here on, or -1 for none.
    OffOrAtLeast(i64),
    /// From the first to the second, both inclusive.
    Between(i64, i64),
    /// One of these (each one, for a list).
    OneOf(&'static [&'static str]),
    /// A fraction from 0 to 1.
    Fraction,
}

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// Given for the topic.
    Topic,
    /// A policy that was given while the broker ran.
    RuntimePolicy,
    /// A policy of the file.
    FilePolicy,
    /// Given for this broker while it ran.
    RuntimeBroker,
    /// Given for all brokers while they ran.
    RuntimeAllBrokers,
    /// A flag, the environment or the file.
    StaticBroker,
    /// Nobody said anything.
    Default,
}

impl ConfigSource {
    /// The number that DescribeConfigs gives it. Kafka has no policies of this kind: one of the file is
    /// told as what else stands there, and one that was given at runtime as what is given for all
    /// brokers then.
    #[must_use]
    pub const fn number(self) -> i8 {
        match self {
            Self::Topic => 1,
            Self::RuntimeBroker => 2,
            Self::RuntimePolicy | Self::RuntimeAllBrokers => 3,
            Self::FilePolicy | Self::StaticBroker => 4,
            Self::Default => 5,
        }
    }
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Kafka's name, where Kafka has one.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// The value when nobody says anything; empty for "not set".
    pub default: &'static str,
    /// Which values are right.
    pub bounds: Bounds,
    /// For a topic's setting: the broker's setting that it takes its default from.
    pub synonym: Option<&'static str>,
    /// For a broker's setting: whether it can be changed while the broker runs.
    pub changes_at_runtime: bool,
    /// For a topic's setting: whether a policy may give it.
    pub in_policies: bool,
    /// Numbers that stand for something else than themselves, and what for.
    pub meanings: &'static [(i64, &'static str)],
    /// What it does, for people who are about to change it.
    pub doc: &'static str,
}

impl Setting {
    /// A setting without a synonym.
    pub(super) const fn new(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        bounds: Bounds,
        doc: &'static str,
    ) -> Self {
        let (synonym, changes_at_runtime, in_policies, meanings) = (None, false, false, &[]);
        Self {
            name,
            kind,
            default,
            bounds,
            synonym,
            changes_at_runtime,
            in_policies,
            meanings,
            doc,
        }
    }

    /// The same with the broker's setting that gives its default.
    pub(super) const fn of_broker(self, synonym: &'static str) -> Self {
        Self { synonym: Some(synonym), ..self }
    }

    /// The same, for one that can be changed while the broker runs.
    pub(super) const fn at_runtime(self) -> Self {
        Self { changes_at_runtime: true, ..self }
    }

    /// The same, for one that a policy may give.
    pub(super) const fn in_policies(self) -> Self {
        Self { in_policies: true, ..self }
    }

    /// The same, for one with numbers that stand for something.
    pub(super) const fn meaning(self, meanings: &'static [(i64, &'static str)]) -> Self {
        Self { meanings, ..self }
    }
}
