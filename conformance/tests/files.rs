//! Folders of files from elsewhere: what must decode, and what must not.

#![allow(clippy::std_instead_of_core, reason = "this is a test")]

use std::fs;
use std::path::Path;

use erofs_unpack_conformance::files::check;

#[test]
fn a_folder_says_what_its_files_must_be() {
    let bases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/bases");
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("files-{}", std::process::id()));
    let (good, bad) = (folder.join("good"), folder.join("bad"));
    for made in [&good, &bad] {
        fs::create_dir_all(made).unwrap();
    }
    for end in ["zst", "gz"] {
        let bytes = fs::read(bases.join(format!("small.erofs.{end}"))).unwrap();
        fs::write(good.join(format!("small.erofs.{end}")), &bytes).unwrap();
        fs::write(bad.join(format!("cut.{end}")), &bytes[..bytes.len() / 2]).unwrap();
    }
    // No file of a form that is known; and what the others hold.
    fs::write(good.join("README"), "").unwrap();
    fs::copy(bases.join("small.erofs"), good.join("small.erofs")).unwrap();

    let right = check(&good, true).unwrap();
    assert_eq!((right.files, right.wrong), (2, vec![]));
    let right = check(&bad, false).unwrap();
    assert_eq!((right.files, right.wrong), (2, vec![]));
    // The other way round, each is wrong.
    assert_eq!(check(&good, false).unwrap().wrong.len(), 2);
    assert_eq!(check(&bad, true).unwrap().wrong.len(), 2);
    // Other content.
    fs::write(good.join("small.erofs"), "other").unwrap();
    let wrong = check(&good, true).unwrap().wrong;
    assert_eq!(wrong.len(), 2);
    assert!(wrong[0].contains("other content"), "{wrong:?}");
    fs::remove_dir_all(&folder).unwrap();
}
