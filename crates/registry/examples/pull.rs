//! Prints the manifest of an image, and downloads its config:
//!
//! ```sh
//! cargo run -p pydock-registry --example pull -- python:3.14-slim
//! ```

use std::error::Error;
use std::io::{self, Read, Write};

use pydock_registry::{BlobFacts, Client, ImageName, Logins, ManifestRef, Options};
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let name: ImageName = std::env::args().nth(1).ok_or("usage: pull [HOST/]REPOSITORY[:TAG][@DIGEST]")?.parse()?;
    let logins = Logins::from_files(std::env::home_dir().map(|home| home.join(".docker/config.json")))?;
    let client = Client::new(Options { logins, ..Options::default() });
    let repository = client.repository(&name).await?;

    let mut pulled = repository.manifest(&name.manifest_ref()).await?;
    let mut manifest: Value = serde_json::from_slice(&pulled.bytes)?;
    // An index lists one manifest for each platform. This example takes the first.
    if let Some(entry) = manifest.pointer("/manifests/0/digest").and_then(Value::as_str) {
        pulled = repository.manifest(&ManifestRef::Digest(entry.parse()?)).await?;
        manifest = serde_json::from_slice(&pulled.bytes)?;
    }
    let mut output = io::stdout().lock();
    output.write_all(&pulled.bytes)?;

    let config = &manifest["config"];
    let digest = config["digest"].as_str().ok_or("the manifest has no config")?.parse()?;
    let size = config["size"].as_u64().ok_or("the config has no size")?;
    let mut reader = repository.blob(BlobFacts { digest, size }).await?;
    // The reader blocks, and fails at the end of a blob whose digest is not `digest`.
    let config = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).map(|_| bytes)
    });
    writeln!(output, "\nThe config has {} bytes.", config.await??.len())?;
    Ok(())
}
