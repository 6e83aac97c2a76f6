//! What is attached to new images, and signatures, as cosign, oras, regctl and syft see them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::pydock;
use crate::support::registries::{Kind, Registry};
use crate::support::tools::run;

const REPORT: &str = "application/vnd.pydock.report.v2+json";
const STATEMENT: &str = "application/vnd.in-toto+json";
const SBOM: &str = "application/vnd.cyclonedx+json";

/// Slims the committed image in a registry; returns the new one's reference, by digest.
fn slimmed(registry: &Registry) -> String {
    registry.push_fixture("app:1");
    let (from, to) = (registry.image("app:1"), registry.image("slim:1"));
    let digest = pydock(["slim", "-q", "--format", "digest", &from, &to]).ok().stdout;
    format!("{}@{}", registry.image("slim"), digest.trim())
}

/// Configures regctl for a registry that speaks HTTP.
fn allow_http(image: &str) {
    let host = image.split('/').next().unwrap();
    let _ = Command::new("regctl").args(["registry", "set", "--tls", "disabled", host]).status();
}

/// Reads the one artifact of a type.
fn attached(image: &str, kind: &str) -> Value {
    allow_http(image);
    let text = run("regctl", ["artifact", "get", "--subject", image, "--filter-artifact-type", kind]);
    serde_json::from_str(&text).unwrap()
}

#[test]
fn report_provenance_and_bill_of_materials_are_attached_for_every_tool_to_see() {
    // The available version of zot does not support artifact types.
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Zot) {
        let registry = Registry::start(kind);
        let image = slimmed(&registry);
        let digest = image.rsplit_once(':').unwrap().1;
        let statement = attached(&image, STATEMENT);
        assert_eq!(statement["subject"][0]["digest"]["sha256"], digest);
        assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
        let old = run("crane", ["digest", "--insecure", &registry.image("app:1")]);
        let dependency = &statement["predicate"]["buildDefinition"]["resolvedDependencies"][0];
        assert_eq!(format!("sha256:{}", dependency["digest"]["sha256"].as_str().unwrap()), old.trim());
        assert_eq!(attached(&image, REPORT)["images"][0]["digest"], format!("sha256:{digest}"));
        assert_eq!(attached(&image, SBOM)["bomFormat"], "CycloneDX");
        let listed = run("regctl", ["artifact", "list", &image]);
        let discovered = run("oras", ["discover", "--plain-http", "-o", "json", &image]);
        for kind in [REPORT, STATEMENT, SBOM] {
            assert!(listed.contains(kind), "{listed}");
            assert!(discovered.contains(kind), "{discovered}");
        }
        run("crane", ["validate", "--insecure", "--remote", &image]);
        // The same again attaches the same.
        slimmed(&registry);
        let again = run("oras", ["discover", "--plain-http", "-o", "json", &image]);
        assert_eq!(again, discovered);
        pydock(["slim", "-q", "--no-attach", &registry.image("app:1"), &registry.image("bare:1")]).ok();
    }
}

#[test]
fn a_registry_that_lists_referrers_without_their_types_lists_them_all() {
    let registry = Registry::start(Kind::Zot);
    let image = slimmed(&registry);
    let (repository, digest) = image.split_once('@').unwrap();
    // An older reader finds them with their types under the tag that stands for the list.
    let tag = format!("{repository}:{}", digest.replace(':', "-"));
    let fallback: Value = serde_json::from_str(&run("crane", ["manifest", "--insecure", &tag])).unwrap();
    let attached = fallback["manifests"].as_array().unwrap();
    let types = attached.iter().map(|document| document["artifactType"].as_str().unwrap()).collect::<BTreeSet<_>>();
    assert_eq!(types, BTreeSet::from([REPORT, STATEMENT, SBOM]));
    allow_http(&image);
    let listed = run("regctl", ["artifact", "list", &image]);
    let discovered = run("oras", ["discover", "--plain-http", "-o", "json", &image]);
    for document in attached {
        let digest = document["digest"].as_str().unwrap();
        assert!(listed.contains(digest), "{listed}");
        assert!(discovered.contains(digest), "{discovered}");
    }
    run("crane", ["validate", "--insecure", "--remote", &image]);
}

/// `type name version source` of what a purl names, as far as we list it.
fn component(purl: &str) -> Option<String> {
    let decoded = [("%2B", "+"), ("%2b", "+"), ("%3A", ":"), ("%3a", ":"), ("%7E", "~"), ("%7e", "~"), ("%40", "@")];
    let purl = decoded.iter().fold(purl.to_owned(), |purl, (code, character)| purl.replace(code, character));
    let (purl, qualifiers) = purl.split_once('?').unwrap_or((&purl, ""));
    let source = qualifiers.split('&').find_map(|qualifier| qualifier.strip_prefix("upstream=")).unwrap_or_default();
    let (name, version) = purl.rsplit_once('@')?;
    let kind = name.strip_prefix("pkg:")?.split('/').next()?;
    let name = name.rsplit('/').next()?.to_lowercase().replace(['_', '.'], "-");
    ["pypi", "deb", "apk"].contains(&kind).then(|| format!("{kind} {name} {version} {source}"))
}

fn components(purls: impl Iterator<Item = String>) -> BTreeSet<String> {
    purls.filter_map(|purl| component(&purl)).collect()
}

#[test]
fn the_bill_of_materials_is_what_syft_finds() {
    let registry = Registry::start(Kind::V3);
    let image = slimmed(&registry);
    let purl = |item: &Value| item["purl"].as_str().unwrap_or_default().to_owned();
    let ours = components(attached(&image, SBOM)["components"].as_array().unwrap().iter().map(purl));
    let mut syft = Command::new("syft");
    syft.args(["-q", "-o", "json", &format!("registry:{image}")]).env("SYFT_REGISTRY_INSECURE_USE_HTTP", "true");
    let output = syft.env("SYFT_CHECK_FOR_APP_UPDATE", "false").output().expect("syft; run scripts/setup.sh");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let theirs = components(found["artifacts"].as_array().unwrap().iter().map(purl));
    assert!(theirs.len() > 3, "{theirs:?}");
    assert_eq!(ours, theirs);
    let system = attached(&image, SBOM)["components"][0].clone();
    let name = found["distro"]["id"].as_str().filter(|name| !name.is_empty());
    assert_eq!(name, (system["type"] == "operating-system").then(|| system["name"].as_str().unwrap()));
}

fn cosign(folder: &Path, args: &[&str]) -> String {
    let mut command = Command::new("cosign");
    command.args(args).current_dir(folder).env("COSIGN_PASSWORD", "").env("HOME", folder);
    let output = command.output().expect("cosign; run scripts/setup.sh");
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn cosign_signs_and_verifies_the_new_image_and_its_attestation() {
    let registry = Registry::start(Kind::V3);
    let image = slimmed(&registry);
    let folder = tempfile::tempdir().unwrap();
    cosign(folder.path(), &["generate-key-pair"]);
    let http = "--allow-http-registry";
    let sign = ["--key", "cosign.key", "--tlog-upload=false", "-y", http, &image];
    let verify = ["--key", "cosign.pub", "--insecure-ignore-tlog=true", http, &image];
    cosign(folder.path(), &[&["sign"], &sign[..]].concat());
    cosign(folder.path(), &[&["verify"], &verify[..]].concat());
    let statement = attached(&image, STATEMENT);
    std::fs::write(folder.path().join("predicate.json"), statement["predicate"].to_string()).unwrap();
    let kind = ["--type", "slsaprovenance1"];
    cosign(folder.path(), &[&["attest", "--predicate", "predicate.json"], &kind[..], &sign].concat());
    let verified = cosign(folder.path(), &[&["verify-attestation"], &kind[..], &verify].concat());
    assert!(verified.contains("payload"), "{verified}");
    // A signed image that is slimmed loses its signature. The user is warned.
    let ran = pydock(["slim", "-q", "--again", "--remove", "/**/*.py", &image, &registry.image("again:1")]).ok();
    assert!(
        ran.stdout.contains("cosign sign") && ran.stdout.contains("signatures do not carry over"),
        "{}",
        ran.stdout
    );
}
