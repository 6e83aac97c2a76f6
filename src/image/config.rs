//! The image config as JSON. Only diff IDs and history change. Spec: image-spec `config.md`.

use serde_json::Value;

use super::document::DocumentError;
use super::platform::Platform;
use crate::digest::Digest;

/// An image config.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageConfig {
    bytes: Vec<u8>,
    json: Value,
    diff_ids: Vec<Digest>,
}

impl ImageConfig {
    /// Parses a config.
    ///
    /// # Errors
    /// If it is not JSON, its diff IDs are not digests, or its history is not a list of objects.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, DocumentError> {
        let json: Value =
            serde_json::from_slice(&bytes).map_err(|source| DocumentError::Json { what: "config", source })?;
        let diff_ids = json
            .pointer("/rootfs/diff_ids")
            .ok_or(DocumentError::Missing { what: "config", key: "rootfs.diff_ids" })?;
        let diff_ids = serde_json::from_value(diff_ids.clone()).map_err(|source| DocumentError::Key {
            what: "config",
            key: "rootfs.diff_ids",
            source,
        })?;
        let config = Self { bytes, json, diff_ids };
        match config.history().iter().position(|line| !line.is_object()) {
            Some(line) => Err(DocumentError::History { line: line + 1 }),
            None => Ok(config),
        }
    }

    /// Returns the original bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the digests of the decompressed layers, lowest first.
    pub fn diff_ids(&self) -> &[Digest] {
        &self.diff_ids
    }

    /// Returns the history lines, oldest first. Empty if there is no history.
    pub fn history(&self) -> &[Value] {
        self.json.get("history").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// Returns the platform in the config.
    pub fn platform(&self) -> Option<Platform> {
        let text = |key: &str| self.json.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(Platform {
            os: text("os")?,
            architecture: text("architecture")?,
            variant: text("variant"),
            rest: serde_json::Map::new(),
        })
    }

    /// Returns the environment variables as `(name, value)` pairs.
    pub fn env(&self) -> impl Iterator<Item = (&str, &str)> {
        self.strings("Env").filter_map(|line| line.split_once('='))
    }

    /// Returns the value of an environment variable.
    pub fn env_value(&self, name: &str) -> Option<&str> {
        self.env().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// Returns the strings in a list, such as `Entrypoint`.
    pub fn strings(&self, key: &str) -> impl Iterator<Item = &str> {
        let list = self.container(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        list.iter().filter_map(Value::as_str)
    }

    /// Returns the keys of an object, such as `Volumes`.
    pub fn names(&self, key: &str) -> impl Iterator<Item = &str> {
        self.container(key).and_then(Value::as_object).into_iter().flat_map(|object| object.keys().map(String::as_str))
    }

    /// Returns a string, such as `WorkingDir`.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.container(key)?.as_str().filter(|text| !text.is_empty())
    }

    /// Returns a value of the object `config`, the settings of a container.
    pub fn container(&self, key: &str) -> Option<&Value> {
        self.json.get("config")?.get(key)
    }

    /// Returns the bytes of this config with other layers, or the original bytes if nothing differs.
    pub fn with_layers(&self, diff_ids: &[Digest], history: &[Value]) -> Vec<u8> {
        if diff_ids == self.diff_ids && history == self.history() {
            return self.bytes.clone();
        }
        let mut json = self.json.clone();
        json["rootfs"]["diff_ids"] = serde_json::json!(diff_ids);
        match json.as_object_mut() {
            Some(object) if history.is_empty() => {
                object.shift_remove("history");
            }
            _ => json["history"] = history.into(),
        }
        json.to_string().into_bytes()
    }
}
