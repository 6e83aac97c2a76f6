//! The image-spec's own JSON schemas accept every document that is written. `scripts/setup.sh` fetches them as a Go module.

use std::path::PathBuf;

use serde_json::Value;

use crate::images::slim;
use crate::support::image::{read_json, root, write_blob, write_index};
use crate::support::{Image, tools};

fn schemas() -> PathBuf {
    let module = tools::run("go", ["list", "-m", "-f", "{{.Dir}}", "github.com/opencontainers/image-spec@v1.1.1"]);
    PathBuf::from(module.trim()).join("schema")
}

/// Calls `check` with a validator of one schema; the schemas refer to each other by file name.
fn with_validator(name: &str, check: impl FnOnce(&jsonschema::Validator)) {
    let folder = schemas();
    let read = |name: &str| -> Value {
        let text = std::fs::read_to_string(folder.join(name))
            .unwrap_or_else(|error| panic!("{name}: {error}; run scripts/setup.sh"));
        serde_json::from_str(&text).unwrap()
    };
    let mut registry = jsonschema::Registry::new();
    for file in ["content-descriptor.json", "defs.json", "defs-descriptor.json"] {
        for base in ["https://opencontainers.org/schema", "https://opencontainers.org/schema/image"] {
            registry = registry.add(format!("{base}/{file}"), read(file)).unwrap();
        }
    }
    let registry = registry.prepare().unwrap();
    check(&jsonschema::options().with_registry(&registry).build(&read(name)).unwrap());
}

fn accept(name: &str, document: &Value) {
    with_validator(name, |validator| {
        let errors = validator.iter_errors(document).map(|error| error.to_string()).collect::<Vec<_>>();
        assert!(errors.is_empty(), "{name}: {errors:#?}\n{document}");
    });
}

#[test]
fn manifests_indexes_and_configs_are_what_the_image_spec_says() {
    let source = tempfile::tempdir().unwrap();
    let entries = ["amd64", "arm64"].map(|architecture| {
        let image = Image::of(&[&["f a 1", "f x/__pycache__/c.pyc 1"], &["f b 1"]]).docker().platform(architecture);
        let mut entry = image.history(&["one", "#two", "three"]).write_blobs(source.path());
        entry["platform"] = serde_json::json!({"os": "linux", "architecture": architecture});
        entry
    });
    let index = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json", "manifests": entries,
    });
    let index = write_blob(source.path(), index["mediaType"].as_str().unwrap(), index.to_string().as_bytes());
    write_index(source.path(), &[index]);
    for options in [&[][..], &["--squash", "all"], &["--compression", "zstd"]] {
        let out = slim(source.path(), options);
        let index = read_json(out.path(), &root(out.path()));
        accept("image-index-schema.json", &index);
        let layout_index: Value =
            serde_json::from_slice(&std::fs::read(out.path().join("index.json")).unwrap()).unwrap();
        accept("image-index-schema.json", &layout_index);
        for entry in index["manifests"].as_array().unwrap() {
            let manifest = read_json(out.path(), entry);
            accept("image-manifest-schema.json", &manifest);
            accept("config-schema.json", &read_json(out.path(), &manifest["config"]));
        }
    }
}
