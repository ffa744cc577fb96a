//! Random messages: their bytes, written from the layout alone, and the values that a decoder must
//! find in them.

use crate::layout::{Field, Kind, Layout};
use crate::random::Random;
use crate::tree::Tree;

const ALPHABET: [&str; 12] = ["a", "b", "z", "Q", "0", "9", "-", ".", "_", " ", "é", "雪"];

/// One random message of one version.
pub(crate) fn message(random: &mut Random, layout: &Layout, version: i16) -> (Vec<u8>, Tree) {
    let mut writer = Writer {
        random,
        version,
        flexible: layout.is_flexible(version),
        must_differ: false,
        out: Vec::new(),
    };
    let tree = writer.fields(layout.3);
    (writer.out, tree)
}

struct Writer<'r> {
    random: &'r mut Random,
    version: i16,
    flexible: bool,
    /// Inside a tagged field, which is written only when it differs from its default.
    must_differ: bool,
    out: Vec<u8>,
}

impl Writer<'_> {
    fn fields(&mut self, fields: &'static [Field]) -> Tree {
        let mut named = Vec::new();
        let version = self.version;
        let there = fields.iter().filter(|field| field.is_in(version));
        for field in there.clone().filter(|field| field.4.is_none()) {
            let nullable = field.is_nullable(self.version);
            named.push((field.0.to_owned(), self.value(&field.1, nullable)));
        }
        if self.flexible {
            let mut tagged: Vec<_> =
                there.filter_map(|field| field.4.map(|tag| (tag, field))).collect();
            tagged.sort_by_key(|(tag, _)| *tag);
            tagged.retain(|_| !self.random.one_in(3));
            self.tagged(&tagged, &mut named);
        }
        Tree::Fields(named)
    }

    fn tagged(&mut self, tagged: &[(u32, &'static Field)], named: &mut Vec<(String, Tree)>) {
        self.varint(tagged.len());
        for (tag, field) in tagged {
            self.varint(*tag as usize);
            let before = std::mem::take(&mut self.out);
            let outer = std::mem::replace(&mut self.must_differ, true);
            let value = self.value(&field.1, false);
            self.must_differ = outer;
            let bytes = std::mem::replace(&mut self.out, before);
            self.varint(bytes.len());
            self.out.extend(bytes);
            named.push((field.0.to_owned(), value));
        }
    }

    fn value(&mut self, kind: &'static Kind, nullable: bool) -> Tree {
        if nullable && self.random.one_in(4) {
            return self.null(kind);
        }
        match kind {
            Kind::Bool => {
                let set = self.must_differ || self.random.one_in(2);
                self.out.push(u8::from(set));
                Tree::Scalar(set.to_string())
            }
            Kind::Integer(bytes) => self.integer(*bytes),
            Kind::Unsigned => {
                let value = self.random.next() as u16 | 1;
                self.out.extend(value.to_be_bytes());
                Tree::Scalar(value.to_string())
            }
            Kind::Float => {
                let value = f64::from(self.random.next() as i16) / 4.0;
                self.out.extend(value.to_be_bytes());
                Tree::Scalar(format!("{value:?}"))
            }
            Kind::Uuid => {
                let bytes = self.random.bytes(16);
                self.out.extend(&bytes);
                Tree::Bytes(bytes)
            }
            Kind::Text => self.text(self.flexible),
            Kind::ShortText => self.text(false),
            Kind::Bytes => self.bytes(),
            Kind::Struct(fields) => {
                if nullable {
                    self.out.push(1);
                }
                self.fields(fields)
            }
            Kind::Array(element) => self.array(element),
        }
    }

    fn null(&mut self, kind: &Kind) -> Tree {
        match kind {
            Kind::Struct(_) => self.out.push(0xff),
            Kind::ShortText => self.out.extend([0xff; 2]),
            _ if self.flexible => self.out.push(0),
            Kind::Text => self.out.extend([0xff; 2]),
            _ => self.out.extend([0xff; 4]),
        }
        Tree::Null
    }

    fn integer(&mut self, bytes: usize) -> Tree {
        let unused = 64 - 8 * bytes as u32;
        let value = match self.random.below(8) {
            _ if self.must_differ => 1 + self.random.below(100) as i64,
            0 => i64::MIN >> unused,
            1 => i64::MAX >> unused,
            2 => -1,
            3 => 0,
            4 => self.random.below(100) as i64,
            _ => self.random.next().cast_signed() >> unused,
        };
        self.out.extend(&value.to_be_bytes()[8 - bytes..]);
        Tree::Scalar(value.to_string())
    }

    fn text(&mut self, compact: bool) -> Tree {
        let letters = match self.random.below(20) {
            0 => 150 + self.random.below(200),
            1 if !self.must_differ => 0,
            _ => 1 + self.random.below(9),
        };
        let text: String =
            (0..letters).map(|_| ALPHABET[self.random.below(ALPHABET.len())]).collect();
        if compact {
            self.varint(text.len() + 1);
        } else {
            self.out.extend((text.len() as i16).to_be_bytes());
        }
        self.out.extend(text.as_bytes());
        Tree::Bytes(text.into_bytes())
    }

    fn bytes(&mut self) -> Tree {
        let count = if self.random.one_in(10) { 20_000 } else { self.random.below(30) };
        let bytes = self.random.bytes(count);
        self.long_length(count);
        self.out.extend(&bytes);
        Tree::Bytes(bytes)
    }

    fn array(&mut self, element: &'static Kind) -> Tree {
        let is_struct = matches!(element, Kind::Struct(_));
        let count = match self.random.below(12) {
            0 if !is_struct => 130,
            1 if !self.must_differ => 0,
            _ => 1 + self.random.below(3),
        };
        self.long_length(count);
        Tree::List((0..count).map(|_| self.value(element, false)).collect())
    }

    fn long_length(&mut self, length: usize) {
        if self.flexible {
            self.varint(length + 1);
        } else {
            self.out.extend((length as i32).to_be_bytes());
        }
    }

    fn varint(&mut self, mut value: usize) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }
}
