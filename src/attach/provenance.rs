//! The provenance of a new image, as an in-toto statement with an SLSA predicate. Specs: in-toto attestation
//! `statement.md`, SLSA v1.0 `provenance`.

use serde_json::{Map, Value, json};

use crate::digest::Digest;
use crate::image::Descriptor;
use crate::image::artifact::Artifact;
use crate::options::{PlanSource, SlimOptions};
use crate::plan::Plan;
use crate::reference::Reference;

/// Media type of an in-toto statement.
const STATEMENT: &str = "application/vnd.in-toto+json";
const PREDICATE: &str = "https://slsa.dev/provenance/v1";
/// Annotation with the predicate type, as BuildKit writes it. Tools use it to distinguish statements without reading
/// them.
const PREDICATE_TYPE: &str = "in-toto.io/predicate-type";
/// This program as a package URL, which names it wherever it came from. Source: purl-spec.
const BUILDER: &str = concat!("pkg:cargo/pydock@", env!("CARGO_PKG_VERSION"));
/// What `externalParameters` mean.
const BUILD_TYPE: &str = "pkg:cargo/pydock#slim/v1";

/// Returns a statement of which image a new one was made from, and how. It contains no time, so the same run gives the
/// same statement.
pub(super) fn artifact(options: &SlimOptions, new: &Descriptor, source: Digest, plan: &Plan) -> Artifact {
    let name = options.destination.as_ref().map_or_else(String::new, name);
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": digest_set(new.digest)}],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": parameters(options, plan),
                "resolvedDependencies": [{"uri": options.source.to_string(), "digest": digest_set(source)}],
            },
            "runDetails": {
                "builder": {"id": BUILDER, "version": {"pydock": env!("CARGO_PKG_VERSION")}},
            },
        },
    });
    let mut artifact = Artifact::new(STATEMENT, statement.to_string().into_bytes());
    artifact.annotations.insert(PREDICATE_TYPE.to_owned(), PREDICATE.into());
    artifact
}

fn parameters(options: &SlimOptions, plan: &Plan) -> Value {
    let mut parameters = Map::new();
    parameters.insert("source".to_owned(), options.source.to_string().into());
    match &options.plan {
        PlanSource::Rules(choice) => {
            let profiles = choice.profiles.iter().map(|profile| profile.name.as_str()).collect::<Vec<_>>();
            parameters.insert("profiles".to_owned(), json!(profiles));
            parameters.insert("remove".to_owned(), json!(choice.remove));
            parameters.insert("keep".to_owned(), json!(choice.keep));
        }
        PlanSource::Saved(saved) => {
            parameters.insert("plan".to_owned(), Digest::of(saved.to_json().as_bytes()).to_string().into());
            parameters.insert("profiles".to_owned(), json!(plan.profiles()));
        }
    }
    parameters.insert("squash".to_owned(), options.squash.to_string().into());
    let compression = options.compression.map(|compression| compression.to_string());
    parameters.insert("compression".to_owned(), json!(compression));
    parameters.insert("recompress".to_owned(), options.recompress.into());
    parameters.into()
}

/// Returns the name of a subject: the repository without a tag, because tags can move.
fn name(destination: &Reference) -> String {
    match destination {
        Reference::Registry(name) => format!("{}/{}", name.registry, name.repository),
        other => other.to_string(),
    }
}

/// Returns a digest set. Spec: in-toto attestation `digest_set.md`.
fn digest_set(digest: Digest) -> Value {
    json!({"sha256": digest.hex()})
}
