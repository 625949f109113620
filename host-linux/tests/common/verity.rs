//! Layers with a dm-verity tree.

use serde_json::json;

use super::*;

/// A layer whose image has a tree of such a kind behind it, which its annotations announce.
pub(crate) fn with_tree(dir: &Dir, media_type: &str, image: &[u8], how: &[&str]) -> Layer {
    let path = dir.write("made", image);
    let format = ["verity", "format", path.to_str().unwrap(), "--json"];
    let mut how = how.to_vec();
    let offset = image.len().to_string();
    how.extend(["--hash-offset", &offset]);
    let report = run(format.iter().chain(&how)).json();
    let mut layer = Layer::new(media_type, &content(&path));
    layer.annotations = json!({
        "org.erofs.dmverity.hash_offset": offset,
        "org.erofs.dmverity.root_digest":
            format!("{}:{}", report["algorithm"].as_str().unwrap(), report["rootHash"].as_str().unwrap()),
        "org.erofs.dmverity.block_size": report["hashBlockSize"].to_string(),
    });
    layer
}
