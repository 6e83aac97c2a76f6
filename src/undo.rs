//! Brings back the image that slimming in place replaced: its manifest is still there, and so are its blobs.

use crate::blob::BlobFacts;
use crate::digest::Digest;
use crate::image::{Descriptor, Document, marks, media_type};
use crate::reference::Reference;
use crate::slim::SlimError;
use crate::transport::{self, Access, Source, TransportError};

/// Lets a tag point at `to` again, or at what its image says it was made of, and returns that digest.
///
/// # Errors
/// If the image is none of pydock's and there is no `to`, or the old manifest is gone.
pub async fn undo(image: &Reference, to: Option<Digest>, access: &Access) -> Result<Digest, SlimError> {
    let name = image.to_string();
    let unread = |source| SlimError::Source { image: name.clone(), source };
    let unwritten = |source| SlimError::Destination { destination: name.clone(), source };
    let source = transport::open(image, access).await.map_err(unread)?;
    let digest = match to {
        Some(digest) => digest,
        None => noted(&*source, &name).await?,
    };
    let mut old = Descriptor::new(media_type::OCI_MANIFEST, BlobFacts { digest, size: 0 });
    // A layout verifies sizes, and knows them.
    old.size = source.slice(&old).await.map_err(unread)?.map_or(0, |slice| slice.size);
    let bytes = source.manifest(&old).await.map_err(unread)?;
    let document = parse(bytes.clone(), &name)?;
    let kind = match document {
        Document::Manifest(manifest) => manifest.media_type,
        Document::Index(index) => index.media_type,
    };
    let sink = transport::create(image, &[], image, access).await.map_err(unwritten)?;
    sink.finish(&Descriptor::of(kind, &bytes), &bytes).await.map_err(unwritten)?;
    Ok(digest)
}

/// Returns the digest of what the image was made of, as it says itself.
async fn noted(source: &dyn Source, name: &str) -> Result<Digest, SlimError> {
    let unread = |source: TransportError| SlimError::Source { image: name.to_owned(), source };
    let (bytes, _) = source.root().await.map_err(unread)?;
    let json = match parse(bytes, name)? {
        Document::Manifest(manifest) => manifest.json,
        Document::Index(index) => index.json,
    };
    marks::source_digest(&json).ok_or_else(|| SlimError::NotOurs { image: name.to_owned() })
}

fn parse(bytes: Vec<u8>, name: &str) -> Result<Document, SlimError> {
    Document::parse(bytes, None).map_err(|source| SlimError::Document { image: name.to_owned(), source })
}
