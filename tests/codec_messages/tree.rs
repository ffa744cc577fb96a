//! Values by field name, read from what `{:?}` prints, so that codecs with types of their own can
//! be compared without a line of code per message.
//!
//! Strings, byte strings and ids all become bytes: one codec keeps a string as bytes, another an
//! id as text. Wrappers with one nameless value are looked through.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tree {
    Null,
    /// A number, a boolean, or an id in its text form.
    Scalar(String),
    Bytes(Vec<u8>),
    List(Vec<Tree>),
    Fields(Vec<(String, Tree)>),
}

impl Tree {
    /// Reads the output of `{:?}`.
    pub(crate) fn parse(text: &str) -> Self {
        let mut parser = Parser { rest: text };
        let tree = parser.value();
        assert!(parser.rest.is_empty(), "not read to its end: {}", parser.rest);
        tree
    }

    /// The first place where `actual` lacks or contradicts what is expected. Fields that are not
    /// expected may hold anything: they are not in the version at hand.
    pub(crate) fn difference(&self, actual: &Self) -> Option<String> {
        match (self, actual) {
            (Self::Fields(expected), Self::Fields(found)) => {
                expected.iter().find_map(|(name, value)| {
                    let same = |other: &&(String, Self)| bare(&other.0) == bare(name);
                    let Some((_, other)) = found.iter().find(same) else {
                        return Some(format!("{name}: no such field"));
                    };
                    value.difference(other).map(|what| format!("{name}.{what}"))
                })
            }
            (Self::List(expected), Self::List(found)) if expected.len() == found.len() => {
                expected.iter().zip(found).enumerate().find_map(|(at, (one, other))| {
                    one.difference(other).map(|w| format!("{at}.{w}"))
                })
            }
            (Self::List(expected), Self::Bytes(found))
                if expected.is_empty() && found.is_empty() =>
            {
                None
            }
            (Self::Bytes(expected), other) if other.as_bytes().as_ref() == Some(expected) => None,
            _ if self == actual => None,
            _ => Some(format!(" expected {self:?}, found {actual:?}")),
        }
    }

    /// Bytes that another codec prints as a list of numbers or as an id.
    fn as_bytes(&self) -> Option<Vec<u8>> {
        match self {
            Self::Bytes(bytes) => Some(bytes.clone()),
            Self::List(elements) => elements
                .iter()
                .map(|element| match element {
                    Self::Scalar(number) => number.parse().ok(),
                    _ => None,
                })
                .collect(),
            Self::Scalar(id) if id.len() == 36 => {
                let digits: Vec<u8> = id.bytes().filter(|letter| *letter != b'-').collect();
                digits.chunks(2).map(hex_byte).collect()
            }
            Self::Scalar(id) => URL_SAFE_NO_PAD.decode(id).ok(),
            _ => None,
        }
    }
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// `TopicId`, `topic_id` and `_topic_id` are one name.
fn bare(name: &str) -> String {
    name.chars().filter(|letter| *letter != '_').map(|letter| letter.to_ascii_lowercase()).collect()
}

struct Parser<'t> {
    rest: &'t str,
}

impl Parser<'_> {
    fn skip(&mut self, prefix: &str) -> bool {
        let found = self.rest.strip_prefix(prefix);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn expect(&mut self, prefix: &str) {
        assert!(self.skip(prefix), "{prefix:?} expected before {}", self.rest);
    }

    fn value(&mut self) -> Tree {
        if self.skip("b\"") || self.skip("\"") {
            return Tree::Bytes(self.quoted());
        }
        if self.skip("[") {
            return Tree::List(self.until("]", Self::value));
        }
        if self.skip("{") {
            self.until("}", |parser| {
                parser.value();
                parser.expect(": ");
                parser.value()
            });
            return Tree::Null;
        }
        self.word()
    }

    fn word(&mut self) -> Tree {
        let is_part = |letter: char| letter.is_alphanumeric() || "_-.+#".contains(letter);
        let end = self.rest.find(|letter| !is_part(letter)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        assert!(!word.is_empty(), "a value expected before {}", self.rest);
        self.rest = rest;
        if self.skip("(") {
            let inner = self.value();
            self.expect(")");
            return inner;
        }
        if self.skip(" { ") {
            return self.structure();
        }
        match word {
            "None" | "Null" => Tree::Null,
            _ => Tree::Scalar(word.to_owned()),
        }
    }

    fn structure(&mut self) -> Tree {
        let mut fields = self.until(" }", |parser| {
            let end = parser.rest.find(": ").expect("a field has a value");
            let name = parser.rest[..end].to_owned();
            parser.rest = &parser.rest[end + 2..];
            (name, parser.value())
        });
        match fields.as_slice() {
            [(name, _)] if name == "inner" => fields.remove(0).1,
            _ => Tree::Fields(fields),
        }
    }

    fn until<T>(&mut self, end: &str, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let mut all = Vec::new();
        while !self.skip(end) {
            all.push(one(self));
            self.skip(", ");
        }
        all
    }

    fn quoted(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let letter = self.rest.chars().next().expect("a quoted text ends");
            self.rest = &self.rest[letter.len_utf8()..];
            match letter {
                '"' => return bytes,
                '\\' => bytes.push(self.escaped()),
                _ => bytes.extend(letter.encode_utf8(&mut [0; 4]).bytes()),
            }
        }
    }

    fn escaped(&mut self) -> u8 {
        let letter = self.rest.as_bytes()[0];
        self.rest = &self.rest[1..];
        match letter {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'0' => 0,
            b'x' => {
                let (digits, rest) = self.rest.split_at(2);
                self.rest = rest;
                hex_byte(digits.as_bytes()).expect("two hex digits")
            }
            other => other,
        }
    }
}
