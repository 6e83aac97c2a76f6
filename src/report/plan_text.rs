//! The plan as text: what is removed, folder by folder, and what is kept although a rule matches it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::outcome::Outcome;
use crate::rootfs_path::RootfsPath;

/// How many kept paths are listed. The saved plan lists all.
const KEPT_LINES: usize = 40;

/// Returns the plan of each image as text.
pub fn render(outcome: &Outcome) -> String {
    let mut text = String::new();
    for image in &outcome.images {
        let _ = writeln!(text, "plan for {} {}\n", image.platform, image.source);
        // List only the topmost of the paths that are removed together, and count those below.
        let mut tops: BTreeMap<(&str, &RootfsPath), usize> = BTreeMap::new();
        let mut top: Option<&crate::plan::Removed> = None;
        for item in &image.plan.removed {
            let below = top.filter(|top| item.path.is_within(&top.path) && item.claim.profile == top.claim.profile);
            let head = below.unwrap_or(item);
            top = Some(head);
            *tops.entry((&head.claim.profile, &head.path)).or_default() += 1;
        }
        for ((profile, path), count) in tops {
            let below = if count > 1 { format!(" and {} below", count - 1) } else { String::new() };
            let _ = writeln!(text, "remove  {profile:<12} {path}{below}");
        }
        for kept in image.plan.kept.iter().take(KEPT_LINES) {
            let _ = writeln!(text, "keep    {:<12} {}: {}", kept.claim.profile, kept.path, kept.reason);
        }
        if image.plan.kept.len() > KEPT_LINES {
            let _ =
                writeln!(text, "keep    … and {} more; `--plan FILE` saves all", image.plan.kept.len() - KEPT_LINES);
        }
        text += "\n";
    }
    text
}
