use erofs_unpack_core::Limits;
use erofs_unpack_core::erofs::*;
use std::os::unix::fs::FileExt;
struct F(std::fs::File);
impl ReadAt for F {
    type Error = std::io::Error;
    fn read_at(&self, o: u64, b: &mut [u8]) -> Result<(), std::io::Error> {
        self.0.read_exact_at(b, o)
    }
}
#[test]
fn readall() {
    let f = std::fs::File::open(std::env::var("IMG").unwrap()).unwrap();
    let size = f.metadata().unwrap().len();
    let image = Image::open(F(f), size, &Limits::DEFAULT).unwrap();
    let chunk: usize = std::env::var("CHUNK").map_or(1 << 20, |s| s.parse().unwrap());
    let mut buf = vec![0; chunk];
    let (mut files, mut total) = (0u64, 0u64);
    let t = std::time::Instant::now();
    let mut walk = image.walk().unwrap();
    while let Some(v) = walk.next().unwrap() {
        let inode = v.inode;
        if inode.file_type == FileType::Regular {
            files += 1;
            let mut at = 0;
            while at < inode.size {
                let n = image.read(&inode, at, &mut buf).unwrap();
                at += n as u64;
                total += n as u64;
            }
        }
    }
    println!("{files} files {total} bytes {:?}", t.elapsed());
}
