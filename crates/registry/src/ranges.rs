//! The headers in which registries name parts of blobs.

/// Returns the offset of the first byte of a response, by its `Content-Range: bytes 10-19/20`. Source: RFC 9110, 14.4.
pub(crate) fn first(content_range: &str) -> Option<u64> {
    content_range.trim_start().strip_prefix("bytes")?.trim_start().split('-').next()?.parse().ok()
}

/// Returns how many bytes of an upload have arrived, by its `Range: 0-9`, which means ten. Returns 0 if the header is
/// malformed, or is `0-0`, which registries use for both no byte and one byte.
/// Spec: distribution-spec, "Pushing a blob in chunks".
pub(crate) fn arrived(range: &str) -> u64 {
    match range.rsplit('-').next().and_then(|last| last.trim().parse::<u64>().ok()) {
        None | Some(0) => 0,
        Some(last) => last.saturating_add(1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_read_as_registries_write_them() {
        assert_eq!(first("bytes 10-19/20"), Some(10));
        assert_eq!(first("bytes 0-0/*"), Some(0));
        assert_eq!(first("bytes */20"), None);
        assert_eq!(first("10-19"), None);
        assert_eq!(arrived("0-9"), 10);
        assert_eq!(arrived("bytes=0-9"), 10);
        assert_eq!(arrived("0-0"), 0);
        assert_eq!(arrived(""), 0);
        assert_eq!(arrived("0-18446744073709551615"), u64::MAX);
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_a_panic(text in any::<String>(), start in any::<u64>(), end in any::<u64>()) {
            let _ = (first(&text), arrived(&text));
            prop_assert_eq!(first(&format!("bytes {start}-{end}/*")), Some(start));
        }
    }
}
