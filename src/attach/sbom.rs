//! An SBOM of what is left in the new image, as CycloneDX 1.5. The old image's SBOM does not describe it.

use std::str::FromStr;

use cyclonedx_bom::external_models::uri::Purl;
use cyclonedx_bom::models::bom::{Bom, SpecVersion};
use cyclonedx_bom::models::component::{Classification, Component as BomComponent, Components};
use packageurl::PackageUrl;

use crate::image::artifact::Artifact;
use crate::inventory::{Component, ComponentKind, Distribution, Inventory};
use crate::packages::SourcePackage;

/// Media type of an SBOM.
const CYCLONEDX: &str = "application/vnd.cyclonedx+json";

/// Lists what is left. The list has no serial number and no time, so the same image gives the same list.
///
/// # Panics
/// Never: writing to memory does not fail.
pub(super) fn artifact(inventory: &Inventory) -> Artifact {
    let distribution = inventory.distribution.as_ref();
    let components = inventory.components.iter().map(|component| bom_component(component, distribution));
    let components = distribution.map(operating_system).into_iter().chain(components);
    let bom = Bom { components: Some(Components(components.collect())), serial_number: None, ..Bom::default() };
    let mut json = Vec::new();
    bom.output_as_json(&mut json, SpecVersion::V1_5).unwrap_or_else(|error| panic!("{error}"));
    Artifact::new(CYCLONEDX, json)
}

/// Returns the operating system. Scanners select advisories by it.
fn operating_system(distribution: &Distribution) -> BomComponent {
    let Distribution { id, version } = distribution;
    BomComponent::new(Classification::OperatingSystem, id, version, Some(format!("os:{id}@{version}")))
}

fn bom_component(component: &Component, distribution: Option<&Distribution>) -> BomComponent {
    let purl = purl(component, distribution);
    // The same package may be installed for two Pythons. Its location distinguishes the two.
    let place = match &component.kind {
        ComponentKind::Python(metadata) => format!("#{metadata}"),
        ComponentKind::Dpkg(_) | ComponentKind::Apk(_) => String::new(),
    };
    let reference = purl.as_ref().map(|purl| format!("{purl}{place}"));
    let mut listed = BomComponent::new(Classification::Library, &component.name, &component.version, reference);
    listed.purl = purl.and_then(|purl| Purl::from_str(&purl).ok());
    listed
}

/// Returns the package URL of a component. Source: purl-spec `PURL-TYPES`.
fn purl(component: &Component, distribution: Option<&Distribution>) -> Option<String> {
    let name = component.name.as_str();
    let id = distribution.map(|distribution| distribution.id.clone());
    let (kind, namespace, architecture, name) = match &component.kind {
        ComponentKind::Python(_) => ("pypi", None, None, name.to_lowercase().replace('_', "-")),
        ComponentKind::Dpkg(architecture) => {
            ("deb", id.or_else(|| Some("debian".to_owned())), Some(architecture), name.to_owned())
        }
        ComponentKind::Apk(architecture) => {
            ("apk", id.or_else(|| Some("alpine".to_owned())), Some(architecture), name.to_owned())
        }
    };
    let mut purl = PackageUrl::new(kind, name).ok()?;
    purl.with_version(component.version.clone()).ok()?;
    if let Some(namespace) = namespace {
        purl.with_namespace(namespace).ok()?;
    }
    if let Some(architecture) = architecture {
        purl.add_qualifier("arch", architecture.clone()).ok()?;
        if let Some(distribution) = distribution.filter(|distribution| !distribution.version.is_empty()) {
            purl.add_qualifier("distro", format!("{}-{}", distribution.id, distribution.version)).ok()?;
        }
    }
    // Syft writes this qualifier, and Grype reads it.
    if let Some(SourcePackage { name, version }) = &component.source {
        let version = version.as_ref().map(|version| format!("@{version}")).unwrap_or_default();
        purl.add_qualifier("upstream", format!("{name}{version}")).ok()?;
    }
    Some(purl.to_string())
}
