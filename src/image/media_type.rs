//! Media types of manifests, configs and layers. Specs: image-spec `media-types.md`; Docker image manifest v2.2.

use crate::layer::codec::Compression;

/// An OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// An OCI image config.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// A Docker schema 2 manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// A Docker manifest list.
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// A Docker image config.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// Why a layer's media type is not supported.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum LayerTypeError {
    /// The layer is encrypted (OCIcrypt).
    #[error("it is encrypted (`{0}`)")]
    Encrypted(String),
    /// The layer is stored at a URL instead of in the registry, as layers of Windows are.
    #[error("it is not distributable (`{0}`)")]
    Foreign(String),
    /// The media type is unknown.
    #[error("`{0}` is not the media type of a known kind of layer")]
    Unknown(String),
}

/// Returns the compression of a layer with this media type.
///
/// # Errors
/// If the layer cannot be read.
pub fn layer_compression(media_type: &str) -> Result<Compression, LayerTypeError> {
    if media_type.ends_with("+encrypted") {
        return Err(LayerTypeError::Encrypted(media_type.to_owned()));
    }
    if is_foreign(media_type) {
        return Err(LayerTypeError::Foreign(media_type.to_owned()));
    }
    let suffix = media_type.strip_prefix(OCI_LAYER).or_else(|| media_type.strip_prefix(DOCKER_LAYER));
    match suffix {
        Some("") => Ok(Compression::None),
        // OCI appends `+gzip`, Docker `.gzip`.
        Some("+gzip" | ".gzip") => Ok(Compression::Gzip),
        Some("+zstd" | ".zstd") => Ok(Compression::Zstd),
        _ => Err(LayerTypeError::Unknown(media_type.to_owned())),
    }
}

/// Returns whether a layer of this media type is stored at a URL instead of in the registry.
pub fn is_foreign(media_type: &str) -> bool {
    media_type.contains("nondistributable") || media_type.contains(".foreign.")
}

/// Returns the OCI media type of a layer.
pub fn oci_layer(compression: Compression) -> String {
    match compression {
        Compression::None => OCI_LAYER.to_owned(),
        Compression::Gzip => format!("{OCI_LAYER}+gzip"),
        Compression::Zstd => format!("{OCI_LAYER}+zstd"),
    }
}

/// Returns whether a manifest with a config of this media type is an image, and not another artifact.
pub fn is_image_config(media_type: &str) -> bool {
    media_type == OCI_CONFIG || media_type == DOCKER_CONFIG
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_that_cannot_be_read_are_told_apart() {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            assert_eq!(layer_compression(&oci_layer(compression)), Ok(compression));
        }
        assert_eq!(layer_compression(&format!("{DOCKER_LAYER}.gzip")), Ok(Compression::Gzip));
        assert!(matches!(layer_compression(&format!("{OCI_LAYER}+gzip+encrypted")), Err(LayerTypeError::Encrypted(_))));
        assert!(matches!(
            layer_compression("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
            Err(LayerTypeError::Foreign(_))
        ));
        assert!(matches!(layer_compression("text/plain"), Err(LayerTypeError::Unknown(_))));
    }
}
