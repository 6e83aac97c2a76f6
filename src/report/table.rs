//! The closing tables: layers before and after, and what each profile saves.

use std::fmt::Write as _;

use super::json::{ImageReport, LayerReport, Report, Sizes};
use super::size::human;

/// Returns the report as tables in plain text.
pub fn render(report: &Report) -> String {
    let mut text = String::new();
    for image in &report.images {
        let _ = writeln!(text, "{} {}\n", report.source.reference, image.platform);
        text += &layers(image);
        text += "\n";
        text += &savings(image);
        text += "\n";
    }
    for note in &report.notes {
        let _ = writeln!(text, "note: {note}");
    }
    for unmet in &report.unmet_gates {
        let _ = writeln!(text, "gate not met, nothing written: {unmet}");
    }
    if let Some(destination) = report.destination.as_ref().filter(|_| report.written) {
        let _ = writeln!(text, "wrote {} {}", destination.reference, destination.digest);
    }
    text
}

fn layers(image: &ImageReport) -> String {
    let mut rows = vec![row(["layer", "before", "after", "change", "made by"])];
    for (index, layer) in image.layers.iter().enumerate() {
        rows.push(layer_row(index + 1, layer));
    }
    let after = image.after.map_or_else(String::new, |after| human(after.compressed));
    rows.push(row(["all, compressed", &human(image.before.compressed), &after, &change(image, |s| s.compressed), ""]));
    let after = image.after.map_or_else(String::new, |after| human(after.uncompressed));
    rows.push(row([
        "all, uncompressed",
        &human(image.before.uncompressed),
        &after,
        &change(image, |s| s.uncompressed),
        "",
    ]));
    align(&rows, [Left, Right, Right, Left, Left])
}

fn layer_row(number: usize, layer: &LayerReport) -> Vec<String> {
    let made_by = layer.created_by.as_deref().unwrap_or_default();
    let made_by = made_by.trim_start_matches("/bin/sh -c ").trim_start_matches("#(nop) ").trim();
    let made_by = made_by.split_whitespace().collect::<Vec<_>>().join(" ");
    let after = layer.compressed_after.map_or_else(String::new, human);
    row([
        &number.to_string(),
        &human(layer.compressed_before),
        &after,
        layer.change.as_deref().unwrap_or("not written"),
        &made_by.chars().take(48).collect::<String>(),
    ])
}

fn change(image: &ImageReport, size: impl Fn(&Sizes) -> u64) -> String {
    let Some(after) = &image.after else { return String::new() };
    let (before, after) = (size(&image.before), size(after));
    match before {
        0 => String::new(),
        _ => format!("{:+.1} %", (after as f64 / before as f64 - 1.0) * 100.0),
    }
}

fn savings(image: &ImageReport) -> String {
    let mut rows = vec![row(["profile", "entries", "uncompressed", "compressed (est.)"])];
    for saving in &image.savings {
        rows.push(row([
            &saving.profile,
            &saving.entries.to_string(),
            &human(saving.uncompressed),
            &human(saving.compressed),
        ]));
    }
    let mut text = align(&rows, [Left, Right, Right, Right]);
    if !image.removed_packages.is_empty() {
        let (gone, left) = (image.removed_packages.len(), image.kept_packages.len());
        let _ = writeln!(text, "{gone} of {} operating-system packages are removed", gone + left);
    }
    if !image.unread.is_empty() {
        let _ = writeln!(text, "{} could not be read completely; the report lists them", files(image.unread.len()));
    }
    if !image.kept.is_empty() {
        let is_one = image.kept.len() == 1;
        let (paths, are, them) = if is_one { ("path", "is", "it") } else { ("paths", "are", "them") };
        let _ = writeln!(text, "{} {paths} that a rule matches {are} kept: something needs {them}", image.kept.len());
    }
    text
}

fn files(count: usize) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).into()
}

#[derive(Clone, Copy)]
enum Align {
    Left,
    Right,
}
use Align::{Left, Right};

/// Aligns cells in columns, two spaces apart.
fn align<const N: usize>(rows: &[Vec<String>], columns: [Align; N]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(columns).zip(widths).map(|((cell, align), width)| match align {
            Left => format!("{cell:<width$}"),
            Right => format!("{cell:>width$}"),
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        text += line.trim_end();
        text += "\n";
    }
    text
}
