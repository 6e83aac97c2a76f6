//! PAX records: `LENGTH KEY=VALUE\n`, where LENGTH counts the whole record. Spec: POSIX pax, "Extended Header".
//!
//! A value may contain any byte, including line ends, as Linux file capabilities (`security.capability`) do. Records
//! are therefore read by their length, as Go's `archive/tar` does.

/// A PAX record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its key.
    pub key: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
}

/// The error for bytes that are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Returns the records of an extension header, up to the first malformed one.
pub fn records(data: &[u8]) -> impl Iterator<Item = Result<Record<'_>, Malformed>> {
    let mut rest = data;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let taken = take(rest);
        rest = taken.map_or(&[], |(_, rest)| rest);
        Some(taken.map(|(record, _)| record).ok_or(Malformed))
    })
}

/// Splits off the first record. Returns it and the rest.
fn take(data: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let space = data.iter().take(20).position(|&byte| byte == b' ')?;
    let digits = &data[..space];
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let (record, rest) = data.split_at_checked(length)?;
    let body = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|&byte| byte == b'=')?;
    let (key, value) = (&body[..equals], &body[equals + 1..]);
    let is_name = matches!(key, b"path" | b"linkpath" | b"uname" | b"gname");
    if key.is_empty() || key.contains(&0) || is_name && value.contains(&0) {
        return None;
    }
    Some((Record { key, value }, rest))
}

/// Appends a record.
pub fn push_record(data: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let body = key.len() + value.len() + 3;
    let mut length = body + 1;
    while length != body + length.to_string().len() {
        length = body + length.to_string().len();
    }
    data.extend_from_slice(format!("{length} ").as_bytes());
    data.extend_from_slice(key);
    data.push(b'=');
    data.extend_from_slice(value);
    data.push(b'\n');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_record_counts_its_own_length() {
        for length in [1, 5, 6, 7, 80, 95, 96, 97, 98, 99, 980, 990, 991, 992] {
            let mut data = Vec::new();
            push_record(&mut data, b"k", &vec![b'v'; length]);
            let declared: usize =
                std::str::from_utf8(data.split(|&b| b == b' ').next().unwrap()).unwrap().parse().unwrap();
            assert_eq!(declared, data.len());
        }
    }

    #[test]
    fn malformed_records_are_refused() {
        for bad in [
            &b"x"[..],
            b"5 a=\nx",
            b"0 ",
            b"9 a=b\n",
            b"6 a=bc",
            b"5 =b\n",
            b"+6 a=b\n",
            b"8 path=\0\n",
            b"10 path=\0\n",
        ] {
            assert!(records(bad).any(|record| record.is_err()), "{:?}", String::from_utf8_lossy(bad));
        }
    }

    proptest! {
        #[test]
        fn records_hold_any_value_and_read_back_as_they_were_written(
            wanted in proptest::collection::vec(("[a-z.]{1,9}", proptest::collection::vec(1u8.., 0..99)), 0..9),
        ) {
            let mut data = Vec::new();
            for (key, value) in &wanted {
                push_record(&mut data, key.as_bytes(), value);
            }
            let read = records(&data).map(|record| record.map(|record| (record.key.to_vec(), record.value.to_vec())));
            let read = read.collect::<Result<Vec<_>, _>>().unwrap();
            let wanted = wanted.into_iter().map(|(key, value)| (key.into_bytes(), value)).collect::<Vec<_>>();
            prop_assert_eq!(read, wanted);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(data in proptest::collection::vec(any::<u8>(), 0..99)) {
            let _ = records(&data).count();
        }
    }
}
