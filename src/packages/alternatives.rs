//! Debian's alternatives, which select one of several programs for a generic name. Source: update-alternatives(1),
//! "FILES".
//!
//! An administrative file contains: `auto` or `manual`; the generic link; pairs of slave name and link, ended by an
//! empty line; then for each choice its path, its priority and one line per slave, ended by an empty line.

use super::{DatabaseChange, IsGone, Texts};
use crate::rootfs_path::RootfsPath;

/// The folder of the administrative files.
pub const FOLDER: &str = "var/lib/dpkg/alternatives/";

/// A group of alternatives.
#[derive(Debug, PartialEq, Eq)]
struct Group {
    name: String,
    link: RootfsPath,
    /// Name and link of each slave.
    slaves: Vec<(String, RootfsPath)>,
    choices: Vec<Alternative>,
    /// The lines before the choices.
    head: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct Alternative {
    path: RootfsPath,
    lines: Vec<String>,
}

fn path_of(text: &str) -> Option<RootfsPath> {
    RootfsPath::parse(text.as_bytes()).ok()
}

fn parse(name: &str, text: &str) -> Option<Group> {
    let mut lines = text.lines();
    let mut head = vec![lines.next()?.to_owned()];
    let link = lines.next()?;
    head.push(link.to_owned());
    let mut slaves = Vec::new();
    loop {
        let slave = lines.next()?;
        head.push(slave.to_owned());
        if slave.is_empty() {
            break;
        }
        let link = lines.next()?;
        head.push(link.to_owned());
        slaves.push((slave.to_owned(), path_of(link)?));
    }
    let mut choices = Vec::new();
    while let Some(path) = lines.next().filter(|path| !path.is_empty()) {
        let mut own = vec![path.to_owned(), lines.next()?.to_owned()];
        for _ in &slaves {
            own.push(lines.next()?.to_owned());
        }
        choices.push(Alternative { path: path_of(path)?, lines: own });
    }
    Some(Group { name: name.to_owned(), link: path_of(link)?, slaves, choices, head })
}

impl Group {
    /// Returns all symlinks of the group: the generic links, and the links in `/etc/alternatives` that they lead
    /// through.
    fn links(&self) -> impl Iterator<Item = RootfsPath> {
        let all = std::iter::once((&self.name, &self.link)).chain(self.slaves.iter().map(|(name, link)| (name, link)));
        all.flat_map(|(name, link)| [Some(link.clone()), path_of(&format!("etc/alternatives/{name}"))]).flatten()
    }
}

fn groups(texts: &Texts) -> impl Iterator<Item = (&RootfsPath, &str, Group)> {
    texts.iter().filter_map(|(path, text)| {
        let name = path.to_string();
        let group = parse(name.strip_prefix(FOLDER)?, text)?;
        Some((path, &**text, group))
    })
}

/// Returns the links and the paths of the choices of each group. If all choices are removed, the links are removed. If
/// one is kept, the links must not dangle.
pub fn all(texts: &Texts) -> Vec<(Vec<RootfsPath>, Vec<RootfsPath>)> {
    let pair = |(_, _, group): (_, _, Group)| {
        let links = group.links().collect();
        (links, group.choices.into_iter().map(|choice| choice.path).collect())
    };
    groups(texts).map(pair).collect()
}

/// Drops choices with removed paths from the administrative files.
pub(super) fn without(texts: &Texts, gone: &IsGone<'_>, change: &mut DatabaseChange) {
    for (path, text, group) in groups(texts) {
        let left = group.choices.iter().filter(|choice| !gone(&choice.path)).collect::<Vec<_>>();
        if left.len() == group.choices.len() {
            continue;
        }
        if left.is_empty() {
            change.removed.push(path.clone());
            continue;
        }
        let lines = group.head.iter().chain(left.iter().flat_map(|choice| &choice.lines));
        let new = lines.map(|line| format!("{line}\n")).collect::<String>() + "\n";
        change.edit(path, text, new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGER: &str = "auto\n/usr/bin/pager\npager.1.gz\n/usr/share/man/man1/pager.1.gz\n\n\
        /bin/more\n50\n/usr/share/man/man1/more.1.gz\n/usr/bin/less\n77\n/usr/share/man/man1/less.1.gz\n\n";

    #[test]
    fn a_choice_that_goes_leaves_the_others_and_the_last_takes_the_group_along() {
        let file = path_of("var/lib/dpkg/alternatives/pager").unwrap();
        let texts: Texts = [(file.clone(), PAGER.into())].into();
        let (links, choices) = &all(&texts)[0];
        assert_eq!(choices.len(), 2);
        assert_eq!(links[1].to_string(), "etc/alternatives/pager");
        assert_eq!(links.len(), 4);
        let mut change = DatabaseChange::default();
        without(&texts, &|path| path.to_string() == "usr/bin/less", &mut change);
        assert!(!change.edits[0].content.contains("less") && change.edits[0].content.contains("/bin/more\n50\n"));
        let mut change = DatabaseChange::default();
        without(&texts, &|_| true, &mut change);
        assert_eq!(change.removed, [file]);
    }
}
