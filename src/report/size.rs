//! Sizes as people read and write them. MB are 10^6 bytes, as registries count; MiB are 2^20.

/// Returns a size with one decimal and its unit: `462.9 MB`, `1.2 GB`, `512 B`.
///
/// ```
/// assert_eq!(pydock::report::size::human(462_900_000), "462.9 MB");
/// ```
pub fn human(bytes: u64) -> String {
    let units = [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
    match units.into_iter().find(|(_, size)| bytes as f64 >= *size) {
        Some((unit, size)) => format!("{:.1} {unit}", bytes as f64 / size),
        None => format!("{bytes} B"),
    }
}

/// Parses `80MB`, `1.5 GB`, `100MiB` or plain bytes.
///
/// # Errors
/// If the text has none of these forms.
pub fn parse(text: &str) -> Result<u64, String> {
    let bad = || format!("`{text}` is not a size such as `80MB`, `1.5GB` or `100MiB`");
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit.to_ascii_lowercase().trim_end_matches('b') {
        "" => 1.0,
        "k" => 1e3,
        "m" => 1e6,
        "g" => 1e9,
        "ki" => 1024.0,
        "mi" => 1024.0 * 1024.0,
        "gi" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(bad()),
    };
    let number: f64 = number.trim().parse().map_err(|_| bad())?;
    if !number.is_finite() || number < 0.0 {
        return Err(bad());
    }
    Ok((number * factor) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_write_them() {
        assert_eq!(parse("80MB"), Ok(80_000_000));
        assert_eq!(parse("1.5 g"), Ok(1_500_000_000));
        assert_eq!(parse("1MiB"), Ok(1 << 20));
        assert_eq!(parse("12"), Ok(12));
        for bad in ["", "MB", "-1MB", "1XB", "nan"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
