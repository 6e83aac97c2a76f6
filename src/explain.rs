//! Explains why a path is kept or removed: the rule that matches it, what needs it, and what needs that, up to
//! something that is kept by itself.

use std::fmt;

use serde::Serialize;

use crate::evidence::Reason;
use crate::plan::Plan;
use crate::rootfs::Rootfs;
use crate::rootfs_path::RootfsPath;

/// The largest number of reasons in a chain.
const MAX_CHAIN: usize = 30;

/// The answer for one path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The path, with the symlinks of its parents followed.
    pub path: RootfsPath,
    /// What happens to it.
    pub verdict: Verdict,
    /// The profile and the rule that match it, if any.
    pub rule: Option<(String, String)>,
    /// The packages that own it.
    pub packages: Vec<String>,
    /// The reasons, the nearest first.
    pub chain: Vec<String>,
}

/// What happens to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The image does not have it.
    NotFound,
    /// It is removed.
    Removed,
    /// It is kept.
    Kept,
    /// It is kept with other content.
    Edited,
}

/// Explains what the plan does with a path.
pub fn explain(plan: &Plan, rootfs: &Rootfs, path: &RootfsPath) -> Explanation {
    let folder = rootfs.resolve(rootfs.root(), path.parent().as_bytes(), &mut |_| {});
    let node = folder.and_then(|folder| rootfs.child(folder, path.file_name()));
    let path = node.map_or_else(|| path.clone(), |node| rootfs.path(node));
    let removed = plan.removed.iter().find(|removed| removed.path == path);
    let kept = plan.kept.iter().find(|kept| kept.path == path);
    let verdict = match (node, removed) {
        (None, _) => Verdict::NotFound,
        (_, Some(_)) => Verdict::Removed,
        _ if plan.edits.iter().any(|edit| edit.path == path) => Verdict::Edited,
        _ => Verdict::Kept,
    };
    let claim = removed.map(|removed| &removed.claim).or_else(|| kept.map(|kept| &kept.claim));
    let rule = claim.map(|claim| (claim.profile.to_string(), claim.rule.to_string()));
    let packages = node.into_iter().flat_map(|node| plan.owners.of(node)).map(str::to_owned).collect();
    let chain = match verdict {
        Verdict::Kept | Verdict::Edited => chain(plan, rootfs, &path),
        Verdict::Removed | Verdict::NotFound => Vec::new(),
    };
    Explanation { path, verdict, rule, packages, chain }
}

/// Follows reasons from a path to something that is kept by itself.
fn chain(plan: &Plan, rootfs: &Rootfs, path: &RootfsPath) -> Vec<String> {
    let mut chain = Vec::new();
    let mut at = Some(path.clone());
    while let Some(path) = at.take().filter(|_| chain.len() < MAX_CHAIN) {
        let owners = rootfs.lookup(&path).into_iter().flat_map(|node| plan.owners.of(node)).collect::<Vec<_>>();
        let kept = plan.kept.iter().find(|kept| kept.path == path).map(|kept| kept.reason.clone());
        let reason = kept.or_else(|| {
            let owner = owners.iter().find(|name| package(plan, name).is_some())?;
            chain.push(format!("{path}: a file of package {owner}"));
            follow_packages(plan, owner, &mut chain)
        });
        let Some(reason) = reason else {
            if owners.is_empty() {
                chain.push(format!("{path}: no rule matches it"));
            }
            break;
        };
        chain.push(format!("{path}: {reason}"));
        at = reason.from().filter(|from| **from != path).cloned();
    }
    chain
}

fn package<'a>(plan: &'a Plan, name: &str) -> Option<&'a Reason> {
    plan.kept_packages.iter().find(|kept| kept.name == name).map(|kept| &kept.reason)
}

/// Follows dependencies up to a package that is kept for another reason. Returns that reason if it comes from a file.
fn follow_packages(plan: &Plan, name: &str, chain: &mut Vec<String>) -> Option<Reason> {
    let mut name = name.to_owned();
    while chain.len() < MAX_CHAIN {
        match package(plan, &name)? {
            Reason::Dependency { of } => {
                chain.push(format!("package {name}: package {of} depends on it"));
                name.clone_from(of);
            }
            reason if reason.from().is_some() => return Some(reason.clone()),
            reason => {
                chain.push(format!("package {name}: {reason}"));
                return None;
            }
        }
    }
    None
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::NotFound => "is not in the image",
            Verdict::Removed => "is removed",
            Verdict::Kept => "is kept",
            Verdict::Edited => "is kept, with edited content",
        };
        writeln!(f, "{} {verdict}", self.path)?;
        if let Some((profile, rule)) = &self.rule {
            writeln!(f, "  rule: {profile}, {rule}")?;
        }
        if !self.packages.is_empty() {
            writeln!(f, "  package: {}", self.packages.join(", "))?;
        }
        for reason in &self.chain {
            writeln!(f, "  because {reason}")?;
        }
        Ok(())
    }
}
