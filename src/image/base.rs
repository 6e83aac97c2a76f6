//! Finds where the base image ends and the application's layers begin.

use serde_json::Value;

use super::config::ImageConfig;
use super::stack::LayerStack;

/// Annotation that names the base image's digest. Spec: image-spec `annotations.md`.
pub const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
/// Annotation that names the base image. Spec: image-spec `annotations.md`.
pub const BASE_NAME: &str = "org.opencontainers.image.base.name";

/// Returns the number of `base`'s layers if `image` is built on `base`, otherwise `None`.
pub fn layers_of_base(image: &ImageConfig, base: &ImageConfig) -> Option<usize> {
    let below = base.diff_ids();
    image.diff_ids().starts_with(below).then_some(below.len())
}

/// Guesses from the history how many layers the base image has.
///
/// A Dockerfile usually ends with `CMD` or `ENTRYPOINT`. The base ends at the last such line that is followed by a
/// layer. Returns `None` if there is no such line, or no layer before it.
pub fn layers_by_history(config: &ImageConfig, stack: &LayerStack) -> Option<usize> {
    let lines = config.history();
    let last_layer_line = stack.layers.last()?.history?;
    let end = lines[..last_layer_line].iter().rposition(ends_a_dockerfile)?;
    let below = stack.layers.iter().filter(|layer| layer.history < Some(end)).count();
    (below > 0).then_some(below)
}

fn ends_a_dockerfile(line: &Value) -> bool {
    let made_by = line.get("created_by").and_then(Value::as_str).unwrap_or_default();
    let instruction = made_by.rsplit_once("#(nop)").map_or(made_by, |(_, rest)| rest).trim_start();
    instruction.starts_with("CMD ") || instruction.starts_with("ENTRYPOINT ")
}
