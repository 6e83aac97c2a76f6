//! Writes blobs to the destination: new ones, and those that are copied from the source.

use super::SlimError;
use super::destination::Destination;
use super::session::Session;
use super::slimmed::NewBlob;
use crate::image::Descriptor;
use crate::progress::Stage;
use crate::transport::Blob;

/// Writes a blob, unless the destination has it already. Without a new blob, it is copied from the source.
///
/// # Errors
/// If the source cannot be read, or the destination cannot be written.
pub(super) async fn push_blob(
    session: &Session<'_>,
    to: &Destination,
    descriptor: &Descriptor,
    new: Option<NewBlob>,
) -> Result<(), SlimError> {
    if to.has(descriptor).await? {
        return Ok(());
    }
    let name = descriptor.digest.short();
    let at_hand = match new {
        Some(NewBlob::Spooled(blob)) => Some(Blob::Spooled(blob)),
        Some(NewBlob::Cached(layer)) => Some(Blob::Stream(layer.reader())),
        None if to.may_read_twice() => session.source.slice(descriptor).await?.map(Blob::Slice),
        None => None,
    };
    match at_hand {
        Some(blob) => {
            let meter = session.progress.begin(Stage::Push, &name, descriptor.size);
            let put = to.put(descriptor, blob).await;
            meter.advance(descriptor.size);
            put
        }
        None => {
            let reader = session.blob(Stage::Push, &name, descriptor).await?;
            to.put(descriptor, Blob::Stream(reader)).await
        }
    }
}
