//! Makes an OCI image layout of one zstd layer with a chunk index in it, whose digest the manifest
//! states, out of an EROFS image. For the benchmark `host-linux/benches/indexed.sh`.
//!
//! ```sh
//! cargo run --release --example indexed_layout -- IMAGE LAYOUT CHUNK-SIZE LEVEL
//! ```

use core::error::Error;
use std::fs;
use std::path::Path;

use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::oci::Algorithm;
use erofs_unpack_core::seekable::{Checksum, ChunkIndexWriter, HashAlgorithm, skippable};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [image, layout, chunk_size, level] = &arguments[..] else {
        return Err("expected IMAGE LAYOUT CHUNK-SIZE LEVEL".into());
    };
    let image = fs::read(image)?;
    let layout = Path::new(layout);
    fs::create_dir_all(layout.join("blobs/sha256"))?;
    let put = |media_type: &str, content: &[u8]| -> Result<Value, Box<dyn Error>> {
        let digest = Algorithm::Sha256.digest(content);
        fs::write(
            layout.join("blobs/sha256").join(digest.hex().to_string()),
            content,
        )?;
        Ok(json!({
            "mediaType": media_type,
            "digest": digest.to_string(),
            "size": content.len(),
        }))
    };
    let sha256 = HashAlgorithm::Sha2(Algorithm::Sha256);
    let mut index = ChunkIndexWriter::new(Compression::Zstd, sha256);
    let mut compressor = zstd::bulk::Compressor::new(level.parse()?)?;
    compressor.include_checksum(true)?;
    let mut blob = Vec::new();
    for chunk in image.chunks(chunk_size.parse()?) {
        let frame = compressor.compress(chunk)?;
        let digest = Checksum::Digest(Algorithm::Sha256.digest(&frame));
        index.push(frame.len() as u64, chunk.len() as u64, digest)?;
        blob.extend(frame);
    }
    let range = blob.len();
    let index = index.finish();
    blob.extend(skippable(&index).ok_or("the index is too long")?);
    blob.extend(&index);
    let mut layer = put("application/vnd.erofs+zstd", &blob)?;
    layer["annotations"] = json!({
        "org.erofs.uncompressed-digest": Algorithm::Sha256.digest(&image).to_string(),
        "org.erofs.chunk-index.range": range.to_string(),
        "org.erofs.chunk-index.digest": Algorithm::Sha256.digest(&index).to_string(),
    });
    let config = json!({"os": "linux", "architecture": "amd64", "os.features": ["erofs"]});
    let config = put(
        "application/vnd.oci.image.config.v1+json",
        config.to_string().as_bytes(),
    )?;
    let manifest_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": manifest_type,
        "config": config,
        "layers": [layer],
    });
    let manifest = put(manifest_type, manifest.to_string().as_bytes())?;
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    fs::write(layout.join("index.json"), index.to_string())?;
    fs::write(
        layout.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )?;
    Ok(())
}
