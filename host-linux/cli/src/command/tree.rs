//! `erofs-unpack tree`: the names in an image, drawn as a tree.

use std::ffi::OsStr;

use erofs_unpack_core::erofs::{Entries, FileType, Inode};
use erofs_unpack_core::{At, Code, Error, Value};
use serde::Serialize;

use erofs_unpack_ops::image_file::FileAt;
use erofs_unpack_ops::reader::{FileReport, Found, Last, Reader};
use erofs_unpack_ops::{Escaped, HostError};

use super::read::{Out, run as run_reader};
use crate::args::Tree;
use crate::json::JsonWriter;

/// Runs the command and gives its exit code.
pub(super) fn run(args: &Tree) -> u8 {
    run_reader(
        "tree",
        (&args.image, &args.talk),
        args.json,
        true,
        |reader, out| {
            let path = args.path.as_deref().unwrap_or(OsStr::new("/"));
            let Found { inode, path } = reader.find(path, Last::Link)?;
            let mut drawing = Drawing {
                reader,
                most: args.level,
                levels: Vec::new(),
                path,
                counts: Counts::default(),
                trunks: Vec::new(),
                line: Vec::new(),
                spare: Vec::new(),
            };
            out.json(|json| json.name("tree"))?;
            drawing.draw(&inode, out)?;
            let Counts { directories, files } = drawing.counts;
            let plural = |count: u64, one: &'static str, many: &'static str| {
                if count == 1 { one } else { many }
            };
            out.text(format_args!(
                "\n{directories} {}, {files} {}\n",
                plural(directories, "directory", "directories"),
                plural(files, "file", "files"),
            ))?;
            out.json(|json| json.members(&drawing.counts))
        },
    )
}

/// How many there are below the start.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Counts {
    directories: u64,
    /// All that is no directory.
    files: u64,
}

/// An entry, which is kept until it is known whether it is the last one.
struct Kept {
    name: Vec<u8>,
    nid: u64,
}

/// A directory on the way down.
struct Level<'a> {
    nid: u64,
    entries: Entries<'a, FileAt>,
    next: Option<Kept>,
    /// Length of the path of the directory.
    path: usize,
    /// Length of the trunks of the levels above.
    trunks: usize,
}

struct Drawing<'a> {
    reader: &'a Reader,
    /// How deep it goes, if not all the way.
    most: Option<u32>,
    levels: Vec<Level<'a>>,
    path: Vec<u8>,
    counts: Counts,
    /// What stands in front of the branch on a line: a trunk for each level but the first.
    trunks: Vec<u8>,
    /// The line that is being written.
    line: Vec<u8>,
    /// Memory for the name of an entry.
    spare: Vec<u8>,
}

impl Drawing<'_> {
    fn draw(&mut self, start: &Inode, out: &mut Out) -> Result<(), HostError> {
        let name = self.path.clone();
        self.show("", &name, start, out)?;
        self.enter(start, true, out)?;
        while let Some(level) = self.levels.last_mut() {
            let Some(entry) = level.next.take() else {
                self.trunks.truncate(level.trunks);
                self.levels.pop();
                out.json(|json| {
                    json.end()?;
                    json.end()
                })?;
                continue;
            };
            self.path.truncate(level.path);
            level.next = next(self.reader, &self.path, &mut level.entries, &mut self.spare)?;
            let is_last = level.next.is_none();
            if !self.path.is_empty() && !self.path.ends_with(b"/") {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(&entry.name);
            let inode = self.reader.image().inode(entry.nid);
            let inode = inode.map_err(|error| self.reader.failed(&self.path, error))?;
            self.count(&inode)?;
            let branch = if is_last { "└── " } else { "├── " };
            self.show(branch, &entry.name, &inode, out)?;
            self.enter(&inode, is_last, out)?;
            self.spare = entry.name;
        }
        Ok(())
    }

    /// Counts a file, and the work with it.
    fn count(&mut self, inode: &Inode) -> Result<(), HostError> {
        let limit = self.reader.image().limits().inodes;
        if self.counts.directories.saturating_add(self.counts.files) >= limit {
            let error = Error::new(Code::InodeLimit, At::Nid(inode.nid));
            return Err(self.refused(error.expected(Value::AtMost(limit))));
        }
        if inode.file_type == FileType::Directory {
            self.counts.directories += 1;
        } else {
            self.counts.files += 1;
        }
        Ok(())
    }

    /// One line, or the start of an object.
    fn show(
        &mut self,
        branch: &str,
        name: &[u8],
        inode: &Inode,
        out: &mut Out,
    ) -> Result<(), HostError> {
        let target = self.reader.target(&self.path, inode)?;
        let name = Escaped::name(name);
        if out.is_json() {
            return out.json(|json| {
                json.object()?;
                json.name("name")?;
                json.value(&name.to_string())?;
                json.members(&FileReport::of(inode, target.as_deref()))
            });
        }
        self.line.clear();
        self.line.extend_from_slice(&self.trunks);
        self.line.extend_from_slice(branch.as_bytes());
        name.append_to(&mut self.line);
        if let Some(target) = target {
            self.line.extend_from_slice(b" -> ");
            Escaped::name(&target).append_to(&mut self.line);
        }
        self.line.push(b'\n');
        out.bytes(&self.line)
    }

    /// Goes down into a directory; of all else, ends the object.
    fn enter(&mut self, inode: &Inode, is_last: bool, out: &mut Out) -> Result<(), HostError> {
        let depth = self.levels.len() as u64;
        let is_deep = self.most.is_some_and(|most| depth >= most.into());
        if inode.file_type != FileType::Directory || is_deep {
            return out.json(JsonWriter::end);
        }
        let limit = self.reader.image().limits().directory_depth;
        if depth > limit.into() {
            let error = Error::new(Code::DirectoryDepth, At::Nid(inode.nid));
            return Err(self.refused(error.expected(Value::AtMost(limit.into()))));
        }
        if self.levels.iter().any(|level| level.nid == inode.nid) {
            return Err(self.refused(Error::new(Code::DirectoryLoop, At::Nid(inode.nid))));
        }
        let entries = self.reader.image().entries(inode);
        let mut entries = entries.map_err(|error| self.reader.failed(&self.path, error))?;
        let next = next(self.reader, &self.path, &mut entries, &mut self.spare)?;
        out.json(|json| {
            json.name("contents")?;
            json.list()
        })?;
        let trunks = self.trunks.len();
        if !self.levels.is_empty() {
            let trunk = if is_last { "    " } else { "│   " };
            self.trunks.extend_from_slice(trunk.as_bytes());
        }
        self.levels.push(Level {
            nid: inode.nid,
            entries,
            next,
            path: self.path.len(),
            trunks,
        });
        Ok(())
    }

    fn refused(&self, error: Error) -> HostError {
        HostError::refused(self.reader.file().inside(&self.path), error)
    }
}

/// The next entry that is neither `.` nor `..`. Its name takes the memory of `spare`.
fn next(
    reader: &Reader,
    path: &[u8],
    entries: &mut Entries<'_, FileAt>,
    spare: &mut Vec<u8>,
) -> Result<Option<Kept>, HostError> {
    loop {
        let entry = entries.next().map_err(|error| reader.failed(path, error))?;
        match entry {
            Some(entry) if matches!(entry.name, b"." | b"..") => {}
            entry => {
                return Ok(entry.map(|entry| {
                    let mut name = core::mem::take(spare);
                    name.clear();
                    name.extend_from_slice(entry.name);
                    Kept {
                        name,
                        nid: entry.nid,
                    }
                }));
            }
        }
    }
}
