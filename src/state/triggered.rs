//! Files that no package lists, because the triggers of a package create them. They belong to that package: they are
//! removed with it, and only it reads them.
//!
//! Source: the `.triggers` and `.postinst` files of the packages in Debian 12 and 13.

/// Start of the package name, and start and end of the path.
type Triggered = (&'static str, &'static str, &'static str);

const TRIGGERED: [Triggered; 13] = [
    ("desktop-file-utils", "usr/share/applications/", "mimeinfo.cache"),
    ("dictionaries-common", "var/cache/dictionaries-common/", ""),
    ("fontconfig", "var/cache/fontconfig/", ""),
    ("hicolor-icon-theme", "usr/share/icons/hicolor/", "icon-theme.cache"),
    ("libgdk-pixbuf", "usr/lib/", "/loaders.cache"),
    ("libglib2.0-0", "usr/lib/", "/gio/modules/giomodule.cache"),
    ("libglib2.0-0", "usr/share/glib-2.0/schemas/", "gschemas.compiled"),
    ("libgtk-3-0", "usr/lib/", "/immodules.cache"),
    ("libgtk2.0-0", "usr/lib/", "/immodules.cache"),
    ("libgvc", "usr/lib/", "/graphviz/config6a"),
    ("man-db", "var/cache/man/", ""),
    ("shared-mime-info", "usr/share/mime/", ""),
    ("tex-common", "var/lib/texmf/", ""),
];

/// Returns the starts of the names of packages whose triggers create the file at a path.
pub fn makers(path: &str) -> impl Iterator<Item = &'static str> {
    let is_made = move |(_, start, end): &&Triggered| path.starts_with(start) && path.ends_with(end);
    TRIGGERED.iter().filter(is_made).map(|(package, ..)| *package)
}

/// Returns whether triggers create files below the folder at a path.
pub fn may_hold(folder: &str) -> bool {
    TRIGGERED.iter().any(|(_, start, _)| start.starts_with(folder) || format!("{folder}/").starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_belongs_to_the_library_that_reads_it() {
        let loaders = "usr/lib/x86_64-linux-gnu/gdk-pixbuf-2.0/2.10.0/loaders.cache";
        assert_eq!(makers(loaders).collect::<Vec<_>>(), ["libgdk-pixbuf"]);
        assert_eq!(makers("usr/share/mime/application/pdf.xml").collect::<Vec<_>>(), ["shared-mime-info"]);
        assert_eq!(makers("usr/lib/x").count(), 0);
        assert!(may_hold("usr") && may_hold("usr/share/mime/text") && !may_hold("usr/share/doc"));
    }
}
