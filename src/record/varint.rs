//! Zigzag variable-length integers, as records use them.

/// Reads a 64-bit integer; `None` when the bytes end first or it has more than ten.
#[inline]
pub(super) fn read_long(from: &mut &[u8]) -> Option<i64> {
    // Most numbers of most records have one byte or two, and each record has half a dozen.
    match **from {
        [byte @ ..0x80, ref rest @ ..] => {
            *from = rest;
            Some(unfold(u64::from(byte)))
        }
        [low, high @ ..0x80, ref rest @ ..] => {
            *from = rest;
            Some(unfold(u64::from(low & 0x7f) | u64::from(high) << 7))
        }
        _ => read_further(from),
    }
}

#[cold]
fn read_further(from: &mut &[u8]) -> Option<i64> {
    let (mut value, mut shift) = (0_u64, 0);
    loop {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(unfold(value));
        }
        shift += 7;
        if shift > 63 {
            return None;
        }
    }
}

/// 0, 1, 2, 3, ... to 0, -1, 1, -2, ...
fn unfold(zigzag: u64) -> i64 {
    (zigzag >> 1).cast_signed() ^ -((zigzag & 1).cast_signed())
}

/// Reads a 32-bit integer; `None` when the bytes end first or it does not fit.
#[inline]
pub(super) fn read_int(from: &mut &[u8]) -> Option<i32> {
    i32::try_from(read_long(from)?).ok()
}

/// Writes an integer.
pub(super) fn write(to: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        to.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    to.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_read_back_as_written() {
        for value in [
            0,
            1,
            -1,
            63,
            -64,
            64,
            -65,
            8191,
            -8192,
            8192,
            -8193,
            i64::from(i32::MAX),
            i64::MAX,
            i64::MIN,
        ] {
            let mut bytes = Vec::new();
            write(&mut bytes, value);
            let mut from = &bytes[..];
            assert_eq!((read_long(&mut from), from.len()), (Some(value), 0), "{value}");
        }
    }

    #[test]
    fn bytes_that_end_early_or_go_on_too_long_are_refused() {
        assert_eq!(read_long(&mut &[0x80][..]), None);
        assert_eq!(read_long(&mut &[0xff; 11][..]), None);
        assert_eq!(read_int(&mut &[0xff, 0xff, 0xff, 0xff, 0x7f][..]), None, "over 32 bits");
    }
}
