//! One case: what is stated of it, and what the core says.

use core::fmt::{self, Write};

use erofs_unpack_core::codec::{Compression, Gzip, Raw, Status, Step, ZstdIn};
use erofs_unpack_core::oci::{self, Digest, ErofsAnnotations, MediaType, Role};
use erofs_unpack_core::unpack::{Content, Devices, Expectations, Outcome, Unpacker};
use erofs_unpack_core::{At, Code, Error, Limits};
use heapless::Vec;

/// Why the requests cannot be answered.
pub struct Fault(pub &'static str);

/// Longest text that is asked about, in bytes.
const TEXT: usize = 8192;
/// How much of a blob is given at a time, and into how much: sizes of a small device.
const PIECE: usize = 512;

type Text = Vec<u8, TEXT>;

/// What the core says of a case.
enum Verdict {
    Nothing,
    Unable(&'static str),
    MediaType(MediaType, oci::LayerType),
    Digest(Digest),
    Annotations,
    Layer(Outcome),
    Refused(Error),
}

/// The decoder of a layer.
enum Unpacking<'m> {
    No,
    Plain(Unpacker<Raw>),
    Gzip(Unpacker<Gzip>),
    Zstd(Unpacker<ZstdIn<'m>>),
}

/// A case so far.
pub struct Case<'m> {
    pub id: Vec<u8, 256>,
    annotations: ErofsAnnotations,
    media_type: Text,
    digest: Option<Text>,
    diff_id: Option<Text>,
    size: Option<u64>,
    devices: Option<u16>,
    limits: Limits,
    unpacking: Unpacking<'m>,
    /// For a zstd decoder.
    memory: &'m mut [u8],
    verdict: Verdict,
}

impl<'m> Case<'m> {
    /// A case that may use this memory.
    pub fn new(memory: &'m mut [u8]) -> Self {
        Self {
            id: Vec::new(),
            memory,
            annotations: ErofsAnnotations::default(),
            media_type: Vec::new(),
            digest: None,
            diff_id: None,
            size: None,
            devices: None,
            limits: Limits::DEFAULT,
            unpacking: Unpacking::No,
            verdict: Verdict::Nothing,
        }
    }

    /// Takes a line; whether it asks for the answer.
    pub fn take(
        &mut self,
        name: &[u8],
        first: &mut [u8],
        second: &mut [u8],
    ) -> Result<bool, Fault> {
        match name {
            b"media-type" => self.verdict = media_type(text(first)?, false),
            b"device-type" => self.verdict = media_type(text(first)?, true),
            b"digest" => {
                let digest = Digest::parse(text(first)?);
                self.verdict = digest.map_or_else(Verdict::Refused, Verdict::Digest);
            }
            b"annotation" => {
                let set = self.annotations.set(text(first)?, text(second)?);
                self.refuse(set);
                return Ok(false);
            }
            b"annotations" => {
                let checked = self.annotations.check();
                self.refuse(checked);
                if let Verdict::Nothing = self.verdict {
                    self.verdict = Verdict::Annotations;
                }
            }
            b"unpack" => self.finish(),
            _ => {
                self.state(name, first, second)?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes what is stated of a layer, and its blob.
    fn state(&mut self, name: &[u8], first: &mut [u8], second: &mut [u8]) -> Result<(), Fault> {
        match name {
            b"layer" => self.media_type = kept(first)?,
            b"layer-digest" => self.digest = Some(kept(first)?),
            b"layer-diff-id" => self.diff_id = Some(kept(first)?),
            b"layer-size" => self.size = Some(number(first)?),
            b"layer-devices" => {
                let devices = u16::try_from(number(first)?);
                self.devices = Some(devices.map_err(|_| Fault("too many devices"))?);
            }
            b"limit" => self.limit(first, number(second)?)?,
            b"blob" => match self.expectations() {
                Ok(expectations) => self.begin(&expectations),
                Err(error) => self.refuse(Err(error)),
            },
            b"part" => {
                let times = number(first)?;
                let bytes = decoded(second)?;
                for _ in 0..times {
                    if !matches!(self.verdict, Verdict::Nothing) {
                        break;
                    }
                    self.push(bytes)?;
                }
            }
            _ => return Err(Fault("an unknown line")),
        }
        Ok(())
    }

    /// Keeps the first refusal.
    fn refuse(&mut self, result: Result<(), Error>) {
        if let (Verdict::Nothing, Err(error)) = (&self.verdict, result) {
            self.verdict = Verdict::Refused(error);
        }
    }

    fn limit(&mut self, name: &[u8], value: u64) -> Result<(), Fault> {
        let limits = &mut self.limits;
        match name {
            b"blobSize" => limits.blob_size = value,
            b"imageSize" => limits.image_size = value,
            b"frames" => limits.frames = value,
            b"skippableSize" => limits.skippable_size = value,
            b"zstdWindow" => limits.zstd_window = value,
            b"expansionRatio" => limits.expansion_ratio = Some(value),
            _ => return Err(Fault("an unknown limit")),
        }
        Ok(())
    }

    /// What is expected of the layer.
    fn expectations(&self) -> Result<Expectations, Error> {
        let erofs = &self.annotations;
        erofs.check()?;
        let media_type = MediaType::parse(utf8(&self.media_type))?;
        let kind = match erofs.role {
            Some(Role::Device) => media_type.device()?,
            _ => media_type.layer()?,
        };
        let mut expected = Expectations::new(kind.compression);
        expected.content = match kind.content {
            oci::Content::Erofs => Content::Erofs,
            oci::Content::Bytes => Content::Bytes,
            // A chunk index belongs to another layer, and none is here.
            _ => return Err(Error::new(Code::MediaTypeUnknown, At::Whole)),
        };
        let digest = |text: &Option<Text>| {
            text.as_ref()
                .map(|text| Digest::parse(utf8(text)))
                .transpose()
        };
        expected.blob_digest = digest(&self.digest)?;
        expected.diff_id = digest(&self.diff_id)?;
        expected.blob_size = self.size;
        if let Some(devices) = self.devices {
            expected.devices = Devices::Attached(devices);
        }
        expected.verity = erofs.verity_tree();
        expected.chunk_index = erofs.chunk_index_range.map(|range| range.offset);
        Ok(expected)
    }

    /// Makes ready for the blob.
    fn begin(&mut self, expectations: &Expectations) {
        if !matches!(self.verdict, Verdict::Nothing) {
            return;
        }
        let limits = &self.limits;
        let unpacking = match expectations.compression {
            Compression::None => Unpacker::new(Raw, expectations, limits).map(Unpacking::Plain),
            Compression::Gzip => {
                Unpacker::new(Gzip::new(limits), expectations, limits).map(Unpacking::Gzip)
            }
            Compression::Zstd => {
                let memory = core::mem::take(&mut self.memory);
                Unpacker::new(ZstdIn::new(limits, memory), expectations, limits)
                    .map(Unpacking::Zstd)
            }
            _ => {
                self.verdict = Verdict::Unable("a compression without a decoder here");
                return;
            }
        };
        match unpacking {
            Ok(unpacking) => self.unpacking = unpacking,
            Err(error) => self.verdict = Verdict::Refused(error),
        }
    }

    /// Gives bytes of the blob in small pieces; the image goes nowhere.
    fn push(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let mut output = [0; PIECE];
        for piece in bytes.chunks(PIECE) {
            let mut rest = piece;
            loop {
                let step = match &mut self.unpacking {
                    Unpacking::No => return Err(Fault("a part without a blob")),
                    Unpacking::Plain(unpacker) => unpacker.push(rest, &mut output),
                    Unpacking::Gzip(unpacker) => unpacker.push(rest, &mut output),
                    Unpacking::Zstd(unpacker) => unpacker.push(rest, &mut output),
                };
                let Step {
                    consumed,
                    produced,
                    status,
                } = match step {
                    Ok(step) => step,
                    Err(error) => {
                        self.verdict = match error.code() {
                            Code::ZstdMemory => Verdict::Unable("a window over the memory here"),
                            _ => Verdict::Refused(error),
                        };
                        return Ok(());
                    }
                };
                rest = rest
                    .get(consumed..)
                    .ok_or(Fault("more was taken than given"))?;
                if rest.is_empty() && status != Status::NeedOutput {
                    break;
                }
                if consumed == 0 && produced == 0 {
                    return Err(Fault("no progress"));
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self) {
        if !matches!(self.verdict, Verdict::Nothing) {
            return;
        }
        let result = match core::mem::replace(&mut self.unpacking, Unpacking::No) {
            Unpacking::No => return,
            Unpacking::Plain(unpacker) => unpacker.finish(),
            Unpacking::Gzip(unpacker) => unpacker.finish(),
            Unpacking::Zstd(unpacker) => unpacker.finish(),
        };
        self.verdict = result.map_or_else(Verdict::Refused, Verdict::Layer);
    }

    /// Writes the answer as a line of JSON. Nothing in it needs an escape: ids of cases and errors,
    /// digests, and media types, whose grammar has neither quotes nor backslashes.
    pub fn answer(&self, output: &mut impl Write) -> fmt::Result {
        write!(output, "{{\"id\":\"{}\",\"result\":", utf8(&self.id))?;
        match &self.verdict {
            Verdict::Nothing => write!(output, "\"unable\",\"reason\":\"nothing was asked\"")?,
            Verdict::Unable(reason) => write!(output, "\"unable\",\"reason\":\"{reason}\"")?,
            Verdict::Refused(error) => refused(output, error)?,
            Verdict::Annotations => write!(output, "\"valid\"")?,
            Verdict::Digest(digest) => {
                let (algorithm, hex) = (digest.algorithm().name(), digest.hex());
                let outputs = format_args!("\"algorithm\":\"{algorithm}\",\"hex\":\"{hex}\"");
                write!(output, "\"valid\",\"outputs\":{{{outputs}}}")?;
            }
            Verdict::MediaType(media_type, layer) => {
                let content = match layer.content {
                    oci::Content::Erofs => "erofs",
                    oci::Content::ChunkIndex => "chunk-index",
                    _ => "bytes",
                };
                write!(
                    output,
                    "\"valid\",\"outputs\":{{\"mediaType\":\"{}\"",
                    media_type.as_str()
                )?;
                let compression = layer.compression.name();
                write!(
                    output,
                    ",\"content\":\"{content}\",\"compression\":\"{compression}\"}}"
                )?;
            }
            Verdict::Layer(outcome) => layer(output, outcome)?,
        }
        writeln!(output, "}}")
    }
}

fn refused(output: &mut impl Write, error: &Error) -> fmt::Result {
    let (id, kind) = (error.id(), error.kind().id());
    write!(
        output,
        "\"invalid\",\"error\":{{\"id\":\"{id}\",\"kind\":\"{kind}\""
    )?;
    match error.at() {
        At::Blob(offset) => write!(output, ",\"at\":{{\"blob\":{offset}}}")?,
        At::Image(offset) => write!(output, ",\"at\":{{\"image\":{offset}}}")?,
        At::Text(offset) => write!(output, ",\"at\":{{\"text\":{offset}}}")?,
        _ => {}
    }
    write!(output, "}}")
}

fn layer(output: &mut impl Write, outcome: &Outcome) -> fmt::Result {
    write!(
        output,
        "\"valid\",\"outputs\":{{\"blobDigest\":\"{}\"",
        outcome.blob_digest
    )?;
    write!(
        output,
        ",\"blobSize\":{},\"diffId\":\"{}\"",
        outcome.blob_size, outcome.diff_id
    )?;
    write!(
        output,
        ",\"imageSize\":{},\"superblock\":",
        outcome.image_size
    )?;
    match outcome.superblock {
        Some(superblock) => {
            write!(output, "{{\"blockSize\":{}", superblock.block_size())?;
            write!(output, ",\"blocks\":{}", superblock.blocks)?;
            write!(output, ",\"inodes\":{}", superblock.inodes)?;
            write!(output, ",\"rootNid\":{}}}}}", superblock.root_nid)
        }
        None => write!(output, "null}}"),
    }
}

fn media_type(text: &str, device: bool) -> Verdict {
    let read = MediaType::parse(text).and_then(|media_type| {
        let layer = if device {
            media_type.device()
        } else {
            media_type.layer()
        };
        layer.map(|layer| (media_type, layer))
    });
    match read {
        Ok((media_type, layer)) => Verdict::MediaType(media_type, layer),
        Err(error) => Verdict::Refused(error),
    }
}

/// Bytes from their hex, in its place.
fn decoded(word: &mut [u8]) -> Result<&[u8], Fault> {
    if word == b"-" {
        return Ok(&[]);
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(Fault("no hex")),
    };
    let length = word.len() / 2;
    for index in 0..length {
        word[index] = digit(word[2 * index])? << 4 | digit(word[2 * index + 1])?;
    }
    Ok(&word[..length])
}

fn text(word: &mut [u8]) -> Result<&str, Fault> {
    str::from_utf8(decoded(word)?).map_err(|_| Fault("no UTF-8"))
}

fn kept(word: &mut [u8]) -> Result<Text, Fault> {
    Text::from_slice(text(word)?.as_bytes()).map_err(|_| Fault("a long text"))
}

/// What [`kept`] has looked at, or an id.
fn utf8(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap_or("")
}

fn number(word: &[u8]) -> Result<u64, Fault> {
    utf8(word).parse().map_err(|_| Fault("no number"))
}
