//! `${env:NAME}` in a value, as Kafka's provider of the environment has it (KIP-887).

/// Why a value cannot be filled in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FillInError {
    #[error("the environment variable {0} is not set, or is no text")]
    NotSet(String),
    #[error("${{{0}}} is none of what can be filled in: use ${{env:NAME}}")]
    Unknown(String),
}

/// The text with variables in the place of their names. What comes out of a variable is not looked
/// into again.
pub(super) fn fill_in(
    text: &str,
    env: impl Fn(&str) -> Option<String>,
) -> Result<String, FillInError> {
    let (mut filled, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once("${") {
        let Some((named, behind)) = after.split_once('}') else { break };
        let name = named.strip_prefix("env:");
        let name = name.ok_or_else(|| FillInError::Unknown(named.to_owned()))?;
        filled.push_str(before);
        filled.push_str(&env(name).ok_or_else(|| FillInError::NotSet(name.to_owned()))?);
        rest = behind;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, String> {
        let env = |name: &str| match name {
            "KEY" => Some("${env:KEY}".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        fill_in(text, env).map_err(|error| error.to_string())
    }

    #[test]
    fn variables_stand_where_they_are_named_and_are_not_looked_into() {
        for (text, expected) in [
            ("plain $KEY {x}", "plain $KEY {x}"),
            ("${env:KEY}", "${env:KEY}"),
            ("a ${env:EMPTY}${env:KEY} b", "a ${env:KEY} b"),
            ("open ${env:KEY", "open ${env:KEY"),
        ] {
            assert_eq!(filled(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        let told = filled("${env:NO_KEY}").expect_err("refused");
        assert_eq!(told, "the environment variable NO_KEY is not set, or is no text");
        let told = filled("${file:/etc/x:y}").expect_err("refused");
        assert_eq!(told, "${file:/etc/x:y} is none of what can be filled in: use ${env:NAME}");
    }
}
