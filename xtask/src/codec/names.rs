//! Kafka's names in Rust's case.

/// Words that a field or module may not be named plainly.
const KEYWORDS: [&str; 8] = ["type", "match", "ref", "move", "mod", "use", "loop", "where"];

/// `TopicPartitions` -> `topic_partitions`, `ISRNodes` -> `isr_nodes`.
pub(super) fn snake(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (at, letter) in letters.iter().enumerate() {
        let after_lower = at > 0 && !letters[at - 1].is_uppercase();
        let before_lower = at > 0 && letters.get(at + 1).is_some_and(|next| next.is_lowercase());
        if letter.is_uppercase() && (after_lower || before_lower) {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// A field's name as an identifier.
pub(super) fn field(name: &str) -> String {
    let snake = snake(name);
    if KEYWORDS.contains(&snake.as_str()) { format!("r#{snake}") } else { snake }
}

#[cfg(test)]
mod tests {
    use super::{field, snake};

    #[test]
    fn words_are_split_where_a_capital_starts_one() {
        assert_eq!(snake("TopicPartitions"), "topic_partitions");
        assert_eq!(snake("timeoutMs"), "timeout_ms");
        assert_eq!(snake("ISRNodes"), "isr_nodes");
    }

    #[test]
    fn a_keyword_becomes_a_raw_identifier() {
        assert_eq!(field("Type"), "r#type");
    }
}
