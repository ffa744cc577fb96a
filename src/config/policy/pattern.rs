//! Patterns of topic names: `*` stands for any characters, `?` for one.

use std::fmt;

/// The longest topic name, and so the longest pattern of use.
const PATTERN_LEN_MAX: usize = 249;

/// A pattern of topic names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPattern(String);

impl TopicPattern {
    /// Reads a pattern of the characters that topic names have, `*` and `?`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let legal = |byte: u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'*' | b'?')
        };
        let right = (1..=PATTERN_LEN_MAX).contains(&text.len()) && text.bytes().all(legal);
        match right {
            true => Ok(Self(text.to_owned())),
            false => Err(format!(
                "{text:?} matches no topic: a pattern has 1 to {PATTERN_LEN_MAX} of a-z, A-Z, 0-9, dot, \
                 underscore, dash, * for any characters and ? for one"
            )),
        }
    }

    /// Whether it matches the whole name.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut p, mut n) = (0, 0);
        // Where the last `*` stood, and how far the name was when it began to stand for something.
        let mut star = None;
        while n < name.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    star = Some((p, n));
                    p += 1;
                }
                Some(byte) if *byte == b'?' || *byte == name[n] => (p, n) = (p + 1, n + 1),
                _ => {
                    let Some((at, from)) = star else { return false };
                    (p, n) = (at + 1, from + 1);
                    star = Some((at, from + 1));
                }
            }
        }
        pattern[p..].iter().all(|byte| *byte == b'*')
    }

    /// How closely it names its topics; of two that match one topic, the larger is the closer one.
    pub(super) fn closeness(&self) -> (bool, usize) {
        let wild = self.0.bytes().filter(|byte| matches!(byte, b'*' | b'?')).count();
        (wild == 0, self.0.len() - wild)
    }
}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> TopicPattern {
        TopicPattern::parse(text).expect("a pattern")
    }

    #[test]
    fn a_pattern_matches_the_whole_name_and_nothing_else() {
        for (text, name, matches) in [
            ("orders", "orders", true),
            ("orders", "orders2", false),
            ("orders-*", "orders-", true),
            ("orders-*", "orders-eu-1", true),
            ("orders-*", "orders", false),
            ("*-eu", "a-eu-eu", true),
            ("*-eu", "a-eu-us", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "anything", true),
            ("**a*b", "xxaxxb", true),
            ("a.c", "abc", false),
        ] {
            assert_eq!(pattern(text).matches(name), matches, "{text} {name}");
        }
    }

    #[test]
    fn a_name_is_closer_than_a_pattern_and_more_letters_are_closer_than_fewer() {
        let closer = |one: &str, other: &str| pattern(one).closeness() > pattern(other).closeness();
        assert!(closer("a", "orders-*"));
        assert!(closer("orders-eu-*", "orders-*"));
        assert!(closer("orders-*", "*"));
        assert!(!closer("*", "*") && !closer("a*", "?a"), "alike");
    }

    #[test]
    fn many_stars_take_no_long_time() {
        let text = "a*".repeat(60) + "b";
        assert!(!pattern(&text).matches(&"a".repeat(249)));
    }

    #[test]
    fn what_no_topic_can_be_named_is_refused() {
        for text in ["", "a b", "a/b", "[ab]", &"x".repeat(250)] {
            assert!(TopicPattern::parse(text).is_err(), "{text}");
        }
    }
}
