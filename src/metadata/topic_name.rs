//! Which names a topic may have.
//!
//! A name becomes part of a folder, an object key and a metric label: the alphabet is Kafka's and
//! is safe in all three.

/// Kafka's bound: the folder `<topic>-<partition>` and its suffixes stay below 255 bytes.
const NAME_LEN_MAX: usize = 249;

/// Why a name is refused. The text goes to the client as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicNameError {
    /// Nothing there.
    #[error("topic name is illegal, it can't be empty")]
    Empty,
    /// `.` and `..` are folders.
    #[error("topic name cannot be \".\" or \"..\"")]
    Dots,
    /// Over 249 characters.
    #[error("topic name is illegal, it can't be longer than 249 characters")]
    TooLong,
    /// A character outside the alphabet.
    #[error(
        "topic name is illegal, it contains a character other than ASCII alphanumerics, '.', '_' \
         and '-'"
    )]
    Alphabet,
}

/// Accepts 1 to 249 characters of `[a-zA-Z0-9._-]` other than `.` and `..`.
///
/// # Errors
/// The first rule that `name` breaks.
pub fn check_topic_name(name: &str) -> Result<(), TopicNameError> {
    if name.is_empty() {
        return Err(TopicNameError::Empty);
    }
    if name == "." || name == ".." {
        return Err(TopicNameError::Dots);
    }
    if name.len() > NAME_LEN_MAX {
        return Err(TopicNameError::TooLong);
    }
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if !name.bytes().all(legal) {
        return Err(TopicNameError::Alphabet);
    }
    Ok(())
}

/// Whether two different names become one in metrics, where `.` and `_` are the same character.
#[must_use]
pub fn collides(one: &str, other: &str) -> bool {
    let fold = |byte: u8| if byte == b'.' { b'_' } else { byte };
    one != other && one.len() == other.len() && one.bytes().map(fold).eq(other.bytes().map(fold))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_as_kafka_judges_them() {
        let longest = "x".repeat(249);
        for (name, expected) in [
            ("orders", Ok(())),
            ("a.b_c-D9", Ok(())),
            (longest.as_str(), Ok(())),
            ("", Err(TopicNameError::Empty)),
            (".", Err(TopicNameError::Dots)),
            ("..", Err(TopicNameError::Dots)),
            (&format!("{longest}x"), Err(TopicNameError::TooLong)),
            ("a/b", Err(TopicNameError::Alphabet)),
            ("a b", Err(TopicNameError::Alphabet)),
            ("ünder", Err(TopicNameError::Alphabet)),
            ("nul\0", Err(TopicNameError::Alphabet)),
        ] {
            assert_eq!(check_topic_name(name), expected, "{name:?}");
        }
    }

    #[test]
    fn names_that_differ_in_dot_and_underscore_alone_collide() {
        assert!(collides("a.b", "a_b"));
        assert!(!collides("a.b", "a.b"), "a name does not collide with itself");
        assert!(!collides("a.b", "a-b"));
    }
}
