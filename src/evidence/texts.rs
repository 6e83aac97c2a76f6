//! Configuration files: texts that define what an application, a supervisor or a library runs and loads.

use super::words::{Syntax, Use, WordCollector, Words};

/// The largest configuration file that is read, in bytes. Larger texts are data.
pub(super) const MAX_TEXT: u64 = 256 << 10;

/// Endings of the names of configuration files.
const ENDINGS: [&str; 27] = [
    ".conf",
    ".cfg",
    ".cnf",
    ".config",
    ".ini",
    ".toml",
    ".yaml",
    ".yml",
    ".json",
    ".env",
    ".properties",
    ".service",
    ".timer",
    ".socket",
    ".path",
    ".desktop",
    ".cron",
    ".crontab",
    ".mk",
    ".plist",
    ".rc",
    ".types",
    ".icd",
    ".cache",
    ".xml",
    ".mailcap",
    ".sh",
];
/// Names of configuration files without such an ending.
const NAMES: [&str; 12] = [
    "Procfile",
    "Makefile",
    "makefile",
    "GNUmakefile",
    "Justfile",
    "justfile",
    "crontab",
    ".env",
    ".mailcap",
    "run",
    "finish",
    "up",
];
/// Folders whose texts are not read: they hold distributions, documentation, or a package manager's own files.
const NOT_READ: [&str; 13] = [
    ".cache/",
    "site-packages/",
    "dist-packages/",
    "node_modules/",
    "share/doc/",
    "share/man/",
    "share/locale/",
    "share/zoneinfo/",
    "share/icons/",
    "share/perl",
    "lib/python",
    "var/lib/dpkg/",
    "lib/apk/",
];
/// Names of texts that describe another machine, a build or a lock. Nothing reads them when the image runs.
const OF_ELSEWHERE: [&str; 10] = [
    "package-lock.json",
    "pnpm-lock.yaml",
    "npm-shrinkwrap.json",
    ".gitlab-ci.yml",
    ".travis.yml",
    ".pre-commit-config.yaml",
    "azure-pipelines.yml",
    "bitbucket-pipelines.yml",
    "compose.yaml",
    "compose.yml",
];
/// Texts of packages that name programs to run, by the end of their path.
const NAMES_PROGRAMS: [&str; 4] = ["/delegates.xml", "etc/mailcap", "etc/inetd.conf", "etc/sane.d/saned.conf"];

/// Where packages put configuration of services and desktops that a container does not start by itself.
const NOT_STARTED: [&str; 12] = [
    "etc/X11/",
    "etc/bash",
    "etc/cron",
    "etc/default/",
    "etc/init.d/",
    "etc/logrotate.d/",
    "etc/network/",
    "etc/profile",
    "etc/skel/",
    "etc/systemd/",
    "lib/systemd/",
    "usr/lib/systemd/",
];

/// Returns whether a configuration file of a package belongs to something that a container does not start by itself.
pub(super) fn is_not_started(path: &str) -> bool {
    NOT_STARTED.iter().any(|start| path.starts_with(start))
}

/// Returns whether a file is configuration, by its path without the leading slash.
pub(super) fn is_configuration(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let lies_in = |folder: &&str| path.starts_with(*folder) || path.contains(&format!("/{folder}"));
    let is_of_elsewhere = OF_ELSEWHERE.contains(&name)
        || name.starts_with("docker-compose")
        || [".github/", ".circleci/", ".gitlab/"].iter().any(lies_in);
    let is_named = NAMES.contains(&name)
        || ENDINGS.iter().any(|ending| name.ends_with(ending))
        || path.starts_with("etc/")
        || path.starts_with("var/spool/cron/");
    is_named && !is_of_elsewhere && !NOT_READ.iter().any(lies_in)
}

/// Returns whether a text of a package names programs. In other texts only paths and libraries count.
pub(super) fn names_programs(path: &str) -> bool {
    NAMES_PROGRAMS.iter().any(|end| path.ends_with(end))
}

/// Returns the words of a configuration file. Comments do not count.
pub(super) fn words(path: &str, text: &str) -> Words {
    let mut words = WordCollector::default();
    // A line of a crontab may name a user before the command.
    let is_crontab = path.contains("cron");
    for (number, line) in (1..).zip(text.lines()) {
        let start = line.trim_start();
        if ["#", ";", "//"].iter().any(|mark| start.starts_with(mark)) {
            continue;
        }
        words.add_text(line, number..=number, Syntax::Config, Use::Command);
        if is_crontab {
            let is_field = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit() || "*@".contains(c));
            let user_and_command = line.split_whitespace().skip_while(is_field);
            user_and_command.take(2).for_each(|word| words.add(word, number, Use::Command));
        }
    }
    words.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_is_known_by_its_path() {
        for path in [
            "etc/nginx/sites-enabled/app",
            "app/Procfile",
            "srv/app/settings.toml",
            "app/.env",
            "etc/services.d/web/run",
            "var/spool/cron/crontabs/root",
            "usr/share/glvnd/egl_vendor.d/50_mesa.json",
        ] {
            assert!(is_configuration(path), "{path}");
        }
        for path in [
            "app/.github/workflows/ci.yml",
            "app/package-lock.json",
            "usr/lib/python3/dist-packages/x.json",
            "usr/local/lib/python3.11/config-3.11/Makefile",
            "app/node_modules/x/package.json",
            "app/data.csv",
        ] {
            assert!(!is_configuration(path), "{path}");
        }
    }

    #[test]
    fn a_crontab_names_its_commands_after_its_fields_and_a_user() {
        let text =
            "# make it so\n*/5 * * * * root make -C /srv/app\n@daily convert a b\n[program:x]\ncommand = file -\n";
        let words = words("etc/cron.d/app", text);
        let commands = words.iter().filter(|word| word.r#use == Use::Command).map(|word| (word.text, word.line));
        let commands = commands.collect::<Vec<_>>();
        for command in [("make", 2), ("convert", 3), ("file", 5)] {
            assert!(commands.contains(&command), "{command:?}: {commands:?}");
        }
        assert!(!words.iter().any(|word| word.line == 1));
    }
}
