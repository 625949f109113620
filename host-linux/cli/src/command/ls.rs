//! `erofs-unpack ls`: names in an image, and what they are.

use std::ffi::OsString;

use erofs_unpack_core::erofs::{FileType, Inode};
use serde::Serialize;

use erofs_unpack_ops::reader::{FileReport, Found, Last, MetacopyReport, Reader};
use erofs_unpack_ops::{Escaped, HostError};

use super::read::{Out, Widths, row, run as run_reader};
use crate::args::Ls;

/// Runs the command and gives its exit code.
pub(super) fn run(args: &Ls) -> u8 {
    run_reader(
        "ls",
        (&args.image, &args.talk),
        args.json,
        true,
        |reader, out| {
            out.json(|json| {
                json.name("entries")?;
                json.list()
            })?;
            let root = [OsString::from("/")];
            let paths = if args.paths.is_empty() {
                &root[..]
            } else {
                &args.paths
            };
            let mut listing = Listing {
                args,
                reader,
                // Headings tell several directories apart.
                headings: args.recursive || paths.len() > 1,
                is_first: true,
                kept: Kept::default(),
                line: Vec::new(),
            };
            for path in paths {
                if let Err(error) = listing.path(path, out) {
                    out.fail(error)?;
                }
            }
            Ok(())
        },
    )
}

/// An entry of the list in JSON.
#[derive(Serialize)]
struct EntryReport {
    /// From the root of the image, escaped.
    path: String,
    #[serde(flatten)]
    file: FileReport,
    /// Where its content lies, if that is outside of the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    metacopy: Option<MetacopyReport>,
}

struct Listing<'a> {
    args: &'a Ls,
    reader: &'a Reader,
    headings: bool,
    is_first: bool,
    kept: Kept,
    /// The line that is being written.
    line: Vec<u8>,
}

/// Most entries of a directory that are kept.
const KEPT: usize = 4096;

/// The entries of a directory, from the pass that finds the widths of its columns to the one that
/// prints them. Those of a large directory are read a second time.
#[derive(Default)]
struct Kept {
    names: Vec<u8>,
    /// Each with where its name ends, and whether it has an access control list.
    entries: Vec<(Inode, usize, bool)>,
    /// Whether there are more of them.
    is_full: bool,
}

impl Kept {
    fn clear(&mut self) {
        self.names.clear();
        self.entries.clear();
        self.is_full = false;
    }

    fn add(&mut self, name: &[u8], inode: &Inode, has_acl: bool) {
        if self.entries.len() >= KEPT {
            self.is_full = true;
            return;
        }
        self.names.extend_from_slice(name);
        self.entries.push((*inode, self.names.len(), has_acl));
    }
}

/// Where an entry is: the path of its directory, or nothing for what the user named, and its name.
#[derive(Clone, Copy)]
struct At<'a> {
    dir: &'a [u8],
    name: &'a [u8],
}

impl At<'_> {
    fn path(&self) -> Vec<u8> {
        match self.dir {
            b"" => self.name.to_vec(),
            dir => join(dir, self.name),
        }
    }
}

impl Listing<'_> {
    /// What the user named.
    fn path(&mut self, path: &OsString, out: &mut Out) -> Result<(), HostError> {
        let Found { inode, path } = self.reader.find(path, Last::Link)?;
        let path = path.as_slice();
        if inode.file_type != FileType::Directory || self.args.directory {
            let at = At {
                dir: b"",
                name: path,
            };
            let mut widths = Widths::default();
            let has_acl = has_acl(self.args, self.reader, at, &inode)?;
            widths.add(&inode, has_acl);
            self.is_first = false;
            return self.entry(at, &inode, has_acl, &widths, out);
        }
        if !self.args.recursive {
            return self.directory(path, &inode, out).map(|_| ());
        }
        let mut walk = self.reader.image().walk_from(inode);
        loop {
            let visit = match walk.next() {
                Ok(Some(visit)) => visit,
                Ok(None) => return Ok(()),
                Err(error) => return Err(self.reader.failed(&join(path, walk.path()), error)),
            };
            if visit.inode.file_type == FileType::Directory
                && self.directory(&join(path, visit.path), &visit.inode, out)?
            {
                walk.skip_files();
            }
        }
    }

    /// The entries of a directory, in the order in which they lie, which is that of bytes. Says
    /// whether all of them state the type that the inode has, or none.
    fn directory(&mut self, path: &[u8], dir: &Inode, out: &mut Out) -> Result<bool, HostError> {
        if self.headings {
            let gap = if self.is_first { "" } else { "\n" };
            out.text(format_args!("{gap}{}:\n", Escaped::name(path)))?;
        }
        self.is_first = false;
        let (args, reader) = (self.args, self.reader);
        let mut widths = Widths::default();
        // The widths need a pass of their own.
        if args.long && !out.is_json() {
            let mut kept = core::mem::take(&mut self.kept);
            kept.clear();
            let agree = each(reader, path, dir, |at, inode| {
                let has_acl = has_acl(args, reader, at, inode)?;
                widths.add(inode, has_acl);
                kept.add(at.name, inode, has_acl);
                Ok(())
            })?;
            if !kept.is_full {
                let mut start = 0;
                for (inode, end, has_acl) in &kept.entries {
                    let name = kept.names.get(start..*end).unwrap_or_default();
                    start = *end;
                    self.entry(At { dir: path, name }, inode, *has_acl, &widths, out)?;
                }
                self.kept = kept;
                return Ok(agree);
            }
            self.kept = kept;
        }
        each(reader, path, dir, |at, inode| {
            let has_acl = !out.is_json() && has_acl(args, reader, at, inode)?;
            self.entry(at, inode, has_acl, &widths, out)
        })
    }

    /// One file.
    fn entry(
        &mut self,
        at: At<'_>,
        inode: &Inode,
        has_acl: bool,
        widths: &Widths,
        out: &mut Out,
    ) -> Result<(), HostError> {
        let target = if self.args.long || out.is_json() {
            self.target(at, inode)?
        } else {
            None
        };
        if out.is_json() {
            let path = at.path();
            let report = EntryReport {
                path: Escaped::name(&join(b"/", &path)).to_string(),
                file: FileReport::of(inode, target.as_deref()),
                metacopy: self.reader.metacopy(&path, inode)?,
            };
            return out.json(|json| json.value(&report));
        }
        self.line.clear();
        if self.args.long {
            row(&mut self.line, inode, has_acl, widths);
        }
        Escaped::name(at.name).append_to(&mut self.line);
        if self.args.long {
            // Without xattrs there is none.
            let metacopy = match inode.xattr_count {
                0 => None,
                _ => self.reader.metacopy(&at.path(), inode)?,
            };
            if let Some(metacopy) = metacopy {
                let place = metacopy.redirect.as_deref();
                let place = place.unwrap_or("the same path below");
                self.line
                    .extend_from_slice(format!(" (content at {place})").as_bytes());
            }
            if let Some(target) = target {
                self.line.extend_from_slice(b" -> ");
                Escaped::name(&target).append_to(&mut self.line);
            }
        }
        self.line.push(b'\n');
        out.bytes(&self.line)
    }

    /// The target of a symbolic link.
    fn target(&self, at: At<'_>, inode: &Inode) -> Result<Option<Vec<u8>>, HostError> {
        match inode.file_type {
            FileType::Symlink => self.reader.target(&at.path(), inode),
            _ => Ok(None),
        }
    }
}

/// Goes through the entries of a directory, without `.` and `..`. Says whether all of them state
/// the type that the inode has, or none.
fn each(
    reader: &Reader,
    path: &[u8],
    dir: &Inode,
    mut take: impl FnMut(At<'_>, &Inode) -> Result<(), HostError>,
) -> Result<bool, HostError> {
    let failed = |error| reader.failed(path, error);
    let mut entries = reader.image().entries(dir).map_err(failed)?;
    let mut agree = true;
    while let Some(entry) = entries.next().map_err(failed)? {
        if matches!(entry.name, b"." | b"..") {
            continue;
        }
        let at = At {
            dir: path,
            name: entry.name,
        };
        let inode = reader.image().inode(entry.nid);
        let inode = inode.map_err(|error| reader.failed(&at.path(), error))?;
        agree &= entry
            .file_type
            .is_none_or(|stated| stated == inode.file_type);
        take(at, &inode)?;
    }
    Ok(agree)
}

/// Whether a file has more of an access control list than its mode.
fn has_acl(args: &Ls, reader: &Reader, at: At<'_>, inode: &Inode) -> Result<bool, HostError> {
    if !args.long || inode.xattr_count == 0 {
        return Ok(false);
    }
    for name in ["system.posix_acl_access", "system.posix_acl_default"] {
        let found = reader.image().xattr(inode, name.as_bytes());
        if found
            .map_err(|error| reader.failed(&at.path(), error))?
            .is_some()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A path and what is below it.
fn join(path: &[u8], below: &[u8]) -> Vec<u8> {
    let mut all = path.to_vec();
    let below = below.strip_prefix(b"/").unwrap_or(below);
    if !all.is_empty() && !all.ends_with(b"/") && !below.is_empty() {
        all.push(b'/');
    }
    all.extend_from_slice(below);
    all
}
