use super::support::*;
use erofs_unpack_core::erofs::*;
use erofs_unpack_core::Limits;
#[test]
fn fuzz() {
    let secs: u64 = std::env::var("SECS").map_or(10, |s| s.parse().unwrap());
    let all = files();
    let small: Files = all.iter().map(|(n, c)| (n.clone(), c[..c.len().min(60_000)].to_vec())).collect();
    let folder = Folder::new("fuzz");
    folder.write(&small);
    let opts = ["-zlz4", "-zlz4 -C65536 -Eztailpacking", "-zlz4 -Elegacy-compress,dedupe", "-zlzma,level=1 -C16384 -Efragments", "-zlzma,level=1 -Ededupe,fragments -C8192", "-zdeflate -C16384 -Eztailpacking", "-zdeflate -Ededupe", "-zzstd -C65536", "-zzstd -Ededupe -C16384", "-zzstd -E48bit", "-zlz4 -m4096 --MZ", "-zlzma,level=1 -C16384 -m16384:lzma --MZ -Eall-fragments"];
    let mut worst = std::time::Duration::ZERO;
    for o in opts {
        let image = mkfs(&folder, "i", &o.split(' ').collect::<Vec<_>>()).unwrap();
        let mut random = Random::new(image.len() as u64 + 77 + secs);
        let t = std::time::Instant::now();
        let (mut n, mut ok, mut bad) = (0u64, 0u64, 0u64);
        while t.elapsed().as_secs() < secs {
            let mut b = image.clone();
            let len = b.len();
            for _ in 0..1 + random.below(40) {
                let at = match random.below(3) { 0 => 1024 + random.below(7000), 1 => len - 1 - random.below(20000.min(len - 1)), _ => random.below(len) };
                if (1024..1152).contains(&at) && random.below(10) != 0 { continue; }
                b[at] = match random.below(3) { 0 => b[at] ^ (1 << random.below(8)), 1 => 0, _ => random.below(256) as u8 };
            }
            let Ok(image) = Image::open(&b[..], len as u64, &Limits::DEFAULT) else { continue };
            let s = std::time::Instant::now();
            if let Ok(found) = inodes(&image) {
                for inode in found.values() {
                    let mut buf = vec![0; 70_000];
                    for at in [0, inode.size / 3, inode.size.saturating_sub(5)] {
                        match image.read(inode, at, &mut buf) { Ok(_) => ok += 1, Err(_) => bad += 1 }
                        if let Ok(e) = image.extent(inode, at) { assert!(at >= inode.size || (e.offset <= at && at - e.offset < e.length), "{e:?} {at} {inode:?}"); }
                    }
                }
            }
            worst = worst.max(s.elapsed());
            n += 1;
        }
        println!("{o}: {n} images, {ok} ok {bad} bad, worst {worst:?}");
    }
}
