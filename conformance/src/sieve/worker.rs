//! The process that asks, one mutant after another, and can be thrown away.
//!
//! Requests come in on standard input, a line of JSON each. For each it says three lines of
//! JSON on standard output: our answer, the kernel's, that of `fsck.erofs`, each as soon as it
//! is there, so that whoever waits knows which of them does not come.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::time::Duration;

use erofs_unpack_core::Limits;
use erofs_unpack_core::erofs::Image;
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

use super::fsck::{self, Fsck};
use super::images;
use super::kernel::{self, Kernel};
use super::mutant::Mutant;
use super::ours::{self, Ours};

/// Most address space of a worker and of each program that it runs, in bytes.
const MEMORY: u64 = 4 << 30;

/// How long `fsck.erofs` may take over what we pass.
const PASSED: Duration = Duration::from_secs(10);
/// How long it may take over what we refuse, where its answer is only counted.
const REFUSED: Duration = Duration::from_millis(300);

/// What is to be asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// The name of the image.
    pub image: String,
    /// What to flip; none for the image as it is.
    pub mutant: Option<Mutant>,
    /// Whether the answers hold the trees.
    pub with_listing: bool,
}

/// A line that a worker says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// Our answer.
    Ours(Ours),
    /// The kernel's.
    Kernel(Kernel),
    /// That of `fsck.erofs`.
    Fsck(Fsck),
    /// Something of the environment failed; the worker ends.
    Failed(String),
}

/// Answers requests until standard input ends. The images lie in the folder `images`; mutants
/// are written to and mounted in the folder `scratch`.
///
/// # Errors
///
/// When standard output is closed, or a line is no request.
pub fn run(images: &Path, scratch: &Path) -> io::Result<()> {
    let limit = |most| Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    setrlimit(Resource::As, limit(MEMORY))?;
    setrlimit(Resource::Core, limit(0))?;
    let images: BTreeMap<String, Vec<u8>> = images::read(images)?
        .into_iter()
        .map(|image| (image.name, image.bytes))
        .collect();
    let mut output = io::stdout().lock();
    let mut send = |message: &Message| {
        serde_json::to_writer(&mut output, message)?;
        output.write_all(b"\n")?;
        output.flush()
    };
    for (number, line) in io::stdin().lock().lines().enumerate() {
        let request: Request = serde_json::from_str(&line?)?;
        if let Err(error) = answer(&images, scratch, number, &request, &mut send) {
            send(&Message::Failed(error.to_string()))?;
            return Err(error);
        }
    }
    Ok(())
}

fn answer(
    images: &BTreeMap<String, Vec<u8>>,
    scratch: &Path,
    number: usize,
    request: &Request,
    send: &mut impl FnMut(&Message) -> io::Result<()>,
) -> io::Result<()> {
    let original = images
        .get(&request.image)
        .ok_or_else(|| io::Error::other(format!("no image {}", request.image)))?;
    let bytes = request
        .mutant
        .map_or_else(|| original.clone(), |mutant| mutant.of(original));
    let ours = ours::run(&bytes, request.with_listing);
    let limit = if ours.refused.is_empty() {
        PASSED
    } else {
        REFUSED
    };
    let spared = kernel::spare(&ours.refused);
    send(&Message::Ours(ours))?;
    // A new file for each mutant, so that no page of an old one can be seen.
    let path = scratch.join(format!("{number}.erofs"));
    fs::write(&path, &bytes)?;
    let folder = scratch.join("mount");
    send(&Message::Kernel(match spared {
        Some(kernel) => kernel,
        None => kernel::run(&path, &folder, request.with_listing)?,
    }))?;
    let device = device_start(original).and_then(|start| bytes.get(start..));
    let device_path = scratch.join(format!("{number}.device"));
    if let Some(device) = device {
        fs::write(&device_path, device)?;
    }
    let fsck = fsck::run(&path, device.map(|_| device_path.as_path()), limit)?;
    send(&Message::Fsck(fsck))?;
    fs::remove_file(&path)?;
    device.map_or(Ok(()), |_| fs::remove_file(&device_path))
}

/// Where in the file the first device that follows the image starts.
fn device_start(original: &[u8]) -> Option<usize> {
    let image = Image::open(original, original.len() as u64, &Limits::DEFAULT).ok()?;
    let start = image.devices().next()?.start;
    usize::try_from(start.checked_mul(image.superblock().block_size())?).ok()
}
