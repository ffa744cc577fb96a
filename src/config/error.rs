//! What is wrong with settings, all of it at once.

use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// No setting has this name.
    Unknown {
        /// As given.
        name: String,
        /// One that is spelled much like it.
        nearest: Option<&'static str>,
    },
    /// Not a value of the setting's type, or out of its bounds.
    Value {
        /// The setting.
        name: String,
        /// As given.
        value: String,
        /// What it should be.
        expected: String,
    },
    /// Right alone, wrong together.
    Conflict(String),
    /// The file cannot be read or is no TOML.
    File(String),
    /// Something of a policy.
    Policy {
        /// The policy.
        name: String,
        /// What is wrong with it.
        what: Box<Problem>,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, nearest: None } => write!(f, "unknown setting {name}"),
            Self::Unknown { name, nearest: Some(nearest) } => {
                write!(f, "unknown setting {name}, did you mean {nearest}?")
            }
            Self::Value { name, value, expected } if value.is_empty() => {
                write!(f, "{name} is given no value: it takes {expected}")
            }
            Self::Value { name, value, expected } => {
                write!(f, "invalid value {value} for {name}: {expected}")
            }
            Self::Conflict(text) | Self::File(text) => f.write_str(text),
            Self::Policy { name, what } => write!(f, "policy {name}: {what}"),
        }
    }
}

/// Everything that is wrong; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    /// An error if there is any problem.
    pub(super) fn check(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self { problems }) }
    }

    /// Whether values are right alone, and wrong together.
    pub(super) fn is_conflict(&self) -> bool {
        self.problems.iter().all(|problem| matches!(problem, Problem::Conflict(_)))
    }

    /// The same, and one thing more that belongs to it.
    pub(super) fn and(mut self, problem: Problem) -> Self {
        self.problems.push(problem);
        self
    }

    /// The same as the problems of a policy.
    pub(super) fn of_policy(self, name: &str) -> Self {
        let of_policy = |what| Problem::Policy { name: name.to_owned(), what: Box::new(what) };
        Self { problems: self.problems.into_iter().map(of_policy).collect() }
    }

    /// What is wrong, in the order in which it was found.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            let between = if number == 0 { "" } else { "; " };
            write!(f, "{between}{problem}")?;
        }
        Ok(())
    }
}
