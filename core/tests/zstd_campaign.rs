//! Our own zstd decoder against libzstd, over frames made by structure and bent ones: what libzstd
//! refuses we refuse, and of what it takes we refuse what is named, and nothing else. The other
//! back ends are asked now and then, and so are the other forms of our own decoder, which must say
//! what it says.
//!
//! `campaign` is the long form: `ZSTD_CASES` is how many streams, `ZSTD_SEED` which ones.
#![cfg(feature = "alloc")]
#![allow(clippy::std_instead_of_alloc, reason = "tests are std programs")]

mod zstd_frames;
mod zstd_support;

use std::collections::BTreeMap;
use std::time::Instant;

use erofs_unpack_core::codec::{Decoder as _, Status, Zstd, ZstdBackend, ZstdIn};
use erofs_unpack_core::{Code, Limits};
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective, get_error_name};
use zstd_frames::dice::Dice;
use zstd_frames::explain::{NAMED, Why, explain};
use zstd_frames::huffman::Tree;
use zstd_frames::{MOST, bend};
use zstd_support::{Chunks, Cut, Phases, run};

/// The back ends that are not our own.
const OTHERS: &[ZstdBackend] = &[
    #[cfg(feature = "ruzstd")]
    ZstdBackend::Ruzstd,
];

fn limits() -> Limits {
    let mut limits = Limits::DEFAULT;
    limits.zstd_window = 8 << 20;
    limits.frames = u64::MAX;
    limits.skippable_size = u64::MAX;
    limits
}

/// A decoder, used for one stream after another as long as it has not refused one.
struct Ours {
    backend: ZstdBackend,
    decoder: Zstd,
    output: Vec<u8>,
}

impl Ours {
    fn new(backend: ZstdBackend) -> Self {
        Self {
            backend,
            decoder: Zstd::with_backend(backend, &limits()),
            output: vec![0; MOST],
        }
    }

    fn renew(&mut self) {
        self.decoder = Zstd::with_backend(self.backend, &limits());
    }

    /// The size of the content, which lies in `output`; nothing where there is no room for it.
    fn decode(&mut self, blob: &[u8]) -> Option<Result<usize, Code>> {
        // For one that has had a frame nothing at all is an end.
        if blob.is_empty() {
            self.renew();
        }
        let mut size = 0;
        let mut rest = blob;
        loop {
            let step = match self.decoder.decode(rest, &mut self.output[size..]) {
                Ok(step) => step,
                Err(error) => {
                    self.renew();
                    return Some(Err(error.code()));
                }
            };
            size += step.produced;
            rest = &rest[step.consumed..];
            if step.status == Status::NeedOutput {
                if size == MOST {
                    self.renew();
                    return None;
                }
                continue;
            }
            assert!(rest.is_empty(), "input is left");
            let end = self.decoder.finish();
            assert_eq!(end.is_ok(), step.status == Status::Done);
            if end.is_err() {
                self.renew();
            }
            return Some(end.map(|()| size).map_err(|error| error.code()));
        }
    }
}

/// Pieces of any sizes, mostly small.
struct Pieces<'a, 'b>(&'a mut Dice<'b>);

impl Cut for Pieces<'_, '_> {
    fn input(&mut self) -> usize {
        let most = self.0.pick(&[3, 200]);
        self.0.small(most)
    }

    fn output(&mut self) -> usize {
        let most = self.0.pick(&[3, 3000, 100_000]);
        self.0.small(most)
    }
}

/// What came of the streams.
#[derive(Debug, Default)]
struct Counts {
    streams: u64,
    /// Both take it.
    taken: u64,
    /// Both refuse it, with our code.
    refused: BTreeMap<&'static str, u64>,
    /// What was wrong with some of them.
    why: BTreeMap<&'static str, u64>,
    /// We alone refuse it, with the code and the reason, and whether libzstd does too where it gets
    /// the stream in pieces.
    stricter: BTreeMap<String, u64>,
    /// The shortest stream for each of these reasons.
    shortest: BTreeMap<Why, String>,
    /// What the other back ends make of it, where that is something else.
    others: BTreeMap<String, u64>,
    /// How often the other forms of ours were asked.
    forms: BTreeMap<&'static str, u64>,
    /// More content than there is room for.
    large: u64,
}

/// The decoders, side by side.
struct Campaign {
    ours: Ours,
    /// Memory for windows of up to 8 MiB.
    lent: Vec<u8>,
    others: Vec<Ours>,
    libzstd: DCtx<'static>,
    streaming: DCtx<'static>,
    content: Vec<u8>,
    counts: Counts,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Campaign {
    fn new() -> Self {
        let mut streaming = DCtx::create();
        // As wide as ours.
        streaming
            .set_parameter(DParameter::WindowLogMax(23))
            .unwrap();
        Self {
            others: OTHERS.iter().copied().map(Ours::new).collect(),
            streaming,
            ours: Ours::new(ZstdBackend::Own),
            lent: vec![0; ZstdIn::memory(8 << 20)],
            libzstd: DCtx::create(),
            content: vec![0; MOST],
            counts: Counts::default(),
        }
    }

    /// One stream through the decoders, and its content where that is known.
    fn case(&mut self, blob: &[u8], content: Option<&[u8]>, dice: &mut Dice<'_>) {
        self.counts.streams += 1;
        let ours = self.ours.decode(blob);
        if dice.one_in(16) {
            self.forms(blob, ours, dice);
        }
        let Some(ours) = ours else {
            assert!(content.is_none());
            self.counts.large += 1;
            return;
        };
        if dice.one_in(16) {
            let explained = explain(blob, limits().zstd_window);
            assert_eq!(
                explained.is_ok(),
                ours.is_ok(),
                "{explained:?} {ours:?} {}",
                hex(blob)
            );
            if let Ok(content) = explained {
                assert!(content == self.ours.output[..content.len()]);
            } else {
                *self.counts.why.entry(explained.unwrap_err()).or_default() += 1;
            }
        }
        let theirs = self.libzstd.decompress(&mut self.content[..], blob);
        if let Some(content) = content {
            assert_eq!(ours, Ok(content.len()), "{}", hex(blob));
            let there = &self.ours.output[..content.len()];
            assert!(
                there == content,
                "other content than was meant: {}",
                hex(blob)
            );
            assert_eq!(
                theirs.map_err(get_error_name),
                Ok(content.len()),
                "{}",
                hex(blob)
            );
        }
        match (ours, theirs) {
            (Ok(size), Ok(theirs)) => {
                let same = self.ours.output[..size] == self.content[..theirs];
                assert!(same, "other content: {}", hex(blob));
                self.counts.taken += 1;
            }
            (Err(code), Err(_)) => *self.counts.refused.entry(code.id()).or_default() += 1,
            (Ok(_), Err(error)) => {
                let name = get_error_name(error);
                panic!("we alone take it ({name}): {}", hex(blob));
            }
            (Err(code), Ok(_)) => self.stricter(blob, code),
        }
        if dice.one_in(64) {
            self.others(blob, theirs.ok());
        }
    }

    /// The other forms of our decoder, and a stream in pieces: all say the same, errors and where
    /// they lie among it.
    fn forms(&mut self, blob: &[u8], ours: Option<Result<usize, Code>>, dice: &mut Dice<'_>) {
        let Some(ours) = ours else {
            return;
        };
        let limits = limits();
        let whole = run(Zstd::new(&limits), blob, (usize::MAX, 1 << 16));
        let said = match whole.end {
            Ok(()) => Ok(whole.content.len()),
            Err(error) => Err(error.code()),
        };
        assert_eq!(said, ours, "in a decoder of its own: {}", hex(blob));
        let more = dice.pick(&[0, 1, 31, 1000, 200_000]);
        let name;
        let other = match dice.below(4) {
            0 => {
                name = "in pieces";
                run(Zstd::new(&limits), blob, Pieces(dice))
            }
            1 => {
                name = "flat";
                run(Chunks::new(&limits, more), blob, Pieces(dice))
            }
            2 => {
                name = "in phases";
                let batches = dice.between(1, 4);
                Phases::new(&limits, batches, more).run(blob, Pieces(dice))
            }
            _ => {
                name = "lent";
                run(ZstdIn::new(&limits, &mut self.lent), blob, Pieces(dice))
            }
        };
        assert_eq!(other.end, whole.end, "{name}, {more}: {}", hex(blob));
        let same = other.content == whole.content;
        assert!(same, "other content {name}, {more}: {}", hex(blob));
        *self.counts.forms.entry(name).or_default() += 1;
    }

    /// Names why we refuse what libzstd takes.
    fn stricter(&mut self, blob: &[u8], code: Code) {
        let why = explain(blob, limits().zstd_window).unwrap_err();
        assert!(NAMED.contains(&why), "{code:?}, {why}: {}", hex(blob));
        let streamed = if self.stream(blob) {
            "taken"
        } else {
            "refused"
        };
        let class = format!("{}: {why} ({streamed} in pieces)", code.id());
        *self.counts.stricter.entry(class).or_default() += 1;
        let shortest = self.counts.shortest.entry(why).or_default();
        if shortest.is_empty() || shortest.len() > blob.len() * 2 {
            *shortest = hex(blob);
        }
    }

    /// Whether libzstd takes a stream in pieces.
    fn stream(&mut self, blob: &[u8]) -> bool {
        self.streaming.reset(ResetDirective::SessionOnly).unwrap();
        let mut input = InBuffer::around(blob);
        loop {
            let mut output = OutBuffer::around(&mut self.content[..]);
            match self.streaming.decompress_stream(&mut output, &mut input) {
                Err(_) => return false,
                Ok(0) if input.pos == blob.len() => return true,
                Ok(_) if input.pos == blob.len() && output.pos() < MOST => return false,
                Ok(_) => {}
            }
        }
    }

    /// What the other back ends say of a stream that libzstd takes or refuses.
    fn others(&mut self, blob: &[u8], theirs: Option<usize>) {
        for other in &mut self.others {
            let said = other.decode(blob);
            let difference = match (said, theirs) {
                (None, _) | (Some(Err(_)), None) => continue,
                (Some(Ok(size)), Some(theirs)) => {
                    if other.output[..size] == self.content[..theirs] {
                        continue;
                    }
                    let why = explain(blob, limits().zstd_window);
                    format!("other content: {}", why.err().unwrap_or("nothing is wrong"))
                }
                (Some(Ok(_)), None) => "takes what libzstd refuses".into(),
                (Some(Err(code)), Some(_)) => {
                    let why = explain(blob, limits().zstd_window);
                    let why = why.err().unwrap_or("nothing is wrong");
                    format!("refuses what libzstd takes, {}: {why}", code.id())
                }
            };
            let class = format!("{:?}: {difference}", other.backend);
            let number = self.counts.others.entry(class.clone()).or_default();
            *number += 1;
            if *number < 3 && difference.contains("nothing") {
                println!("{class}: {}", hex(blob));
            }
        }
    }

    /// So many streams: whole ones, bent ones, and both with other bytes.
    fn run(&mut self, count: u64, seed: u64) {
        let mut dice = Dice::new(seed);
        let mut bytes = Vec::new();
        let end = self.counts.streams + count;
        while self.counts.streams < end {
            let stream = if dice.one_in(4) {
                let stream = zstd_frames::whole(&mut dice);
                self.case(&stream.bytes, Some(&stream.content), &mut dice);
                stream
            } else {
                let stream = zstd_frames::bent(&mut dice);
                self.case(&stream.bytes, None, &mut dice);
                stream
            };
            for _ in 0..2 {
                bend::bytes(&mut dice, &stream, &mut bytes);
                self.case(&bytes, None, &mut dice);
            }
        }
    }
}

/// A number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect(name))
}

#[test]
fn frames_by_structure() {
    let mut campaign = Campaign::new();
    campaign.run(20_000, 1);
    println!("{:#?}", campaign.counts);
    // Each side must have been asked.
    assert!(campaign.counts.taken > 4000, "{:?}", campaign.counts);
    assert!(campaign.counts.why.len() > 20, "{:?}", campaign.counts);
    assert!(campaign.counts.stricter.len() > 3, "{:?}", campaign.counts);
}

/// A frame of one block of literals, without sequences.
fn literals(tree: &Tree, description: &[u8], literals: &[u8]) -> Vec<u8> {
    let mut data = description.to_vec();
    data.extend(tree.stream(literals).finish());
    let header = literals.len() << 4 | data.len() << 14 | 2;
    let mut block = header.to_le_bytes()[..3].to_vec();
    block.extend(data);
    block.push(0);
    let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0, 0];
    frame.extend(&(block.len() << 3 | 2 << 1 | 1).to_le_bytes()[..3]);
    frame.extend(block);
    frame
}

/// What the forms once said differently.
#[test]
fn every_form_says_the_same() {
    let limits = limits();
    let same = |blob: &[u8]| {
        let whole = run(Zstd::new(&limits), blob, (usize::MAX, 64));
        for give in [1, usize::MAX] {
            let cut = || (give, 64);
            let mut lent = [0; ZstdIn::memory(1 << 10)];
            let lent = run(ZstdIn::new(&limits, &mut lent), blob, cut());
            assert_eq!(lent, whole, "lent, {}", hex(blob));
            let flat = run(Chunks::new(&limits, 0), blob, cut());
            assert_eq!(flat, whole, "flat, {}", hex(blob));
            let phases = Phases::new(&limits, 2, 0).run(blob, cut());
            assert_eq!(phases, whole, "in phases, {}", hex(blob));
        }
        whole.end.map_err(|error| error.code())
    };
    // A frame of no content: a block that repeats a byte no times, and the byte.
    let none = b"\x28\xb5\x2f\xfd\x20\x00\x03\x00\x00\x07";
    assert_eq!(same(none), Ok(()));
    assert_eq!(same(&none[..9]), Err(Code::ZstdTruncated));
    // One byte is declared: a raw block of it, and the header of another of two bytes.
    let more = b"\x28\xb5\x2f\xfd\x00\x00\x08\x00\x00a\x11\x00\x00b";
    assert_eq!(same(more), Err(Code::ZstdTruncated));
    let mut more = more.to_vec();
    more.splice(4..6, [0xA0, 1, 0, 0, 0]);
    // Blocks are not larger than the window, which is the content.
    assert_eq!(same(&more), Err(Code::ZstdBlockSize));
    more.splice(4..9, [0x80, 0, 1, 0, 0, 0]);
    assert_eq!(same(&more), Err(Code::ZstdContentSize));
}

/// Two states of weights that the bits do not suffice for: nothing follows, as after the last one.
#[test]
fn weights_without_bits() {
    let blob = b"\x28\xb5\x2f\xfd\x20\x20\x1c\x00\x00\x09\x79\x00\xb5\x00\x00\
        \x12\x01\x03\x06\xe1\x1d\xec\x15\x36\x01\x41\x41\x1d\x44\x01\
        \x02\x00\xc0\xf0\x00\xc7\x06";
    let why = explain(blob, limits().zstd_window);
    assert_eq!(why, Err("the bits of the weights do not suffice"));
    let mut campaign = Campaign::new();
    campaign.case(blob, None, &mut Dice::new(1));
    assert_eq!(campaign.counts.refused[Code::ZstdBlock.id()], 1);
}

/// A tree whose weights take 127 bytes is the longest of its form: the next number stands for the
/// other one.
#[test]
fn trees_of_every_size() {
    let mut campaign = Campaign::new();
    let mut dice = Dice::new(5);
    let mut seen = [false; 256];
    while seen[20..].contains(&false) {
        let tree = Tree::random(11, &mut dice);
        let direct = dice.one_in(4);
        let Some(description) = tree.describe(direct, 12, &mut dice) else {
            continue;
        };
        seen[usize::from(description[0])] = true;
        let content: Vec<u8> = (0..50).map(|_| dice.pick(&tree.symbols)).collect();
        let frame = literals(&tree, &description, &content);
        campaign.case(&frame, Some(&content), &mut dice);
    }
}

#[test]
#[ignore = "long"]
fn campaign() {
    let (count, seed) = (setting("ZSTD_CASES", 5_000_000), setting("ZSTD_SEED", 1));
    let start = Instant::now();
    let mut campaign = Campaign::new();
    campaign.run(count, seed);
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{:#?}\n{:.0} a second",
        campaign.counts,
        campaign.counts.streams as f64 / seconds
    );
}
