//! `erofs-unpack ls`: names in an image, and what they are.

use std::ffi::OsString;

use erofs_unpack_core::erofs::{FileType, Inode};
use serde::Serialize;

use erofs_unpack_ops::reader::{FileReport, Found, Last, MetacopyReport, Reader};
use erofs_unpack_ops::{Escaped, HostError};

use super::read::{Out, Widths, row, run as run_reader};
use crate::args::Ls;

/// Runs the command and gives its exit code.
pub(crate) fn run(args: &Ls) -> u8 {
    run_reader("ls", &args.image, args.json, true, |reader, out| {
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
        };
        for path in paths {
            if let Err(error) = listing.path(path, out) {
                out.fail(error)?;
            }
        }
        Ok(())
    })
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
}

impl Listing<'_> {
    /// What the user named.
    fn path(&mut self, path: &OsString, out: &mut Out) -> Result<(), HostError> {
        let Found { inode, path } = self.reader.find(path, Last::Link)?;
        let path = path.as_slice();
        if inode.file_type != FileType::Directory || self.args.directory {
            let mut widths = Widths::default();
            let has_acl = self.has_acl(path, &inode)?;
            widths.add(&inode, has_acl);
            self.is_first = false;
            return self.entry(path, path, &inode, &widths, out);
        }
        if !self.args.recursive {
            return self.directory(path, &inode, out);
        }
        let mut walk = self.reader.image().walk_from(inode);
        loop {
            let visit = match walk.next() {
                Ok(Some(visit)) => visit,
                Ok(None) => return Ok(()),
                Err(error) => return Err(self.reader.failed(&join(path, walk.path()), error)),
            };
            if visit.inode.file_type == FileType::Directory {
                self.directory(&join(path, visit.path), &visit.inode, out)?;
            }
        }
    }

    /// The entries of a directory, in the order in which they lie, which is that of bytes.
    fn directory(&mut self, path: &[u8], dir: &Inode, out: &mut Out) -> Result<(), HostError> {
        if self.headings {
            let gap = if self.is_first { "" } else { "\n" };
            out.text(format_args!("{gap}{}:\n", Escaped::name(path)))?;
        }
        self.is_first = false;
        let mut widths = Widths::default();
        // The widths need a pass of their own, so that no list of entries is kept.
        if self.args.long && !out.is_json() {
            self.each(path, dir, |listing, name, inode| {
                let has_acl = listing.has_acl(&join(path, name), inode)?;
                widths.add(inode, has_acl);
                Ok(())
            })?;
        }
        self.each(path, dir, |listing, name, inode| {
            listing.entry(&join(path, name), name, inode, &widths, out)
        })
    }

    /// Goes through the entries of a directory, without `.` and `..`.
    fn each(
        &self,
        path: &[u8],
        dir: &Inode,
        mut take: impl FnMut(&Self, &[u8], &Inode) -> Result<(), HostError>,
    ) -> Result<(), HostError> {
        let failed = |error| self.reader.failed(path, error);
        let mut entries = self.reader.image().entries(dir).map_err(failed)?;
        while let Some(entry) = entries.next().map_err(failed)? {
            if matches!(entry.name, b"." | b"..") {
                continue;
            }
            let inode = self.reader.image().inode(entry.nid);
            let inode =
                inode.map_err(|error| self.reader.failed(&join(path, entry.name), error))?;
            take(self, entry.name, &inode)?;
        }
        Ok(())
    }

    /// One file.
    fn entry(
        &self,
        path: &[u8],
        name: &[u8],
        inode: &Inode,
        widths: &Widths,
        out: &mut Out,
    ) -> Result<(), HostError> {
        let name = Escaped::name(name);
        if !self.args.long && !out.is_json() {
            return out.text(format_args!("{name}\n"));
        }
        let target = self.reader.target(path, inode)?;
        if out.is_json() {
            let report = EntryReport {
                path: Escaped::name(&join(b"/", path)).to_string(),
                file: FileReport::of(inode, target.as_deref()),
                metacopy: self.reader.metacopy(path, inode)?,
            };
            return out.json(|json| json.value(&report));
        }
        let row = row(inode, self.has_acl(path, inode)?, widths);
        if let Some(metacopy) = self.reader.metacopy(path, inode)? {
            let place = metacopy.redirect.as_deref();
            let place = place.unwrap_or("the same path below");
            return out.text(format_args!("{row} {name} (content at {place})\n"));
        }
        match target {
            None => out.text(format_args!("{row} {name}\n")),
            Some(target) => {
                let target = Escaped::name(&target);
                out.text(format_args!("{row} {name} -> {target}\n"))
            }
        }
    }

    /// Whether a file has more of an access control list than its mode.
    fn has_acl(&self, path: &[u8], inode: &Inode) -> Result<bool, HostError> {
        if !self.args.long || inode.xattr_count == 0 {
            return Ok(false);
        }
        for name in ["system.posix_acl_access", "system.posix_acl_default"] {
            let found = self.reader.image().xattr(inode, name.as_bytes());
            if found
                .map_err(|error| self.reader.failed(path, error))?
                .is_some()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
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
