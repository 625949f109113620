//! The format: headers, trailers, members, padding, and each refusal.

use erofs_unpack_core::codec::{Backend, Decoder, Gzip, Status};
use erofs_unpack_core::{At, Code, Error, Limits, Value};

use crate::support::{PLAIN, compress, content, crc32, decode, decode_all, decode_limited, member};

/// "hello" as a last stored block.
const HELLO: [u8; 10] = [1, 5, 0, 0xfa, 0xff, b'h', b'e', b'l', b'l', b'o'];

fn hello() -> Vec<u8> {
    member(&PLAIN, &HELLO, b"hello")
}

/// A header with these optional fields, and with its CRC16 when `crc`.
fn header(extra: Option<&[u8]>, name: Option<&[u8]>, comment: Option<&[u8]>, crc: bool) -> Vec<u8> {
    let flags = u8::from(crc) << 1
        | u8::from(extra.is_some()) << 2
        | u8::from(name.is_some()) << 3
        | u8::from(comment.is_some()) << 4;
    let mut header = vec![0x1f, 0x8b, 8, flags | 1, 0x11, 0x22, 0x33, 0x44, 2, 255];
    if let Some(extra) = extra {
        header.extend(u16::try_from(extra.len()).unwrap().to_le_bytes());
        header.extend(extra);
    }
    for text in [name, comment].into_iter().flatten() {
        header.extend(text);
        header.push(0);
    }
    if crc {
        let crc = crc32(&header) & 0xffff;
        header.extend(u16::try_from(crc).unwrap().to_le_bytes());
    }
    header
}

#[track_caller]
fn refused(blob: &[u8], output: &[u8], expected: Error) {
    let outcome = decode_all(blob);
    assert_eq!(outcome.end, Err(expected));
    assert_eq!(outcome.output, output);
}

#[test]
fn every_combination_of_header_fields_passes() {
    let long = vec![b'x'; 70_000];
    let texts = [None, Some(&b""[..]), Some(b"a name"), Some(&long)];
    for extra in [None, Some(&b""[..]), Some(b"e"), Some(&long[..65_535])] {
        for name in texts {
            for comment in texts {
                for crc in [false, true] {
                    let blob = member(&header(extra, name, comment, crc), &HELLO, b"hello");
                    let outcome = decode_all(&blob);
                    assert_eq!((outcome.id(), &outcome.output[..]), ("ok", &b"hello"[..]));
                }
            }
        }
    }
}

#[test]
fn every_changed_byte_under_a_header_crc_is_noticed() {
    let header = header(Some(b"ex"), Some(b"na"), Some(b"co"), true);
    let crc_at = header.len() as u64 - 2;
    for place in 4..header.len() {
        let mut header = header.clone();
        header[place] ^= 0x10;
        let outcome = decode_all(&member(&header, &HELLO, b"hello"));
        let error = outcome.end.unwrap_err();
        if [10, 11].contains(&place) {
            // A longer extra field swallows the rest.
            assert_eq!(error.code(), Code::GzipTruncated, "byte {place}");
        } else {
            assert_eq!(error.code(), Code::GzipHeaderCrc, "byte {place}");
            // Without its end, a text goes on to a later zero, and the CRC lies after that.
            if ![16, 19].contains(&place) {
                assert_eq!(error.at(), At::Blob(crc_at), "byte {place}");
            }
        }
        assert!(outcome.output.is_empty());
    }
}

#[test]
fn the_header_crc_states_what_it_found() {
    let mut header = header(None, None, None, true);
    let crc = u64::from(header[10]) | u64::from(header[11]) << 8;
    header[11] ^= 0xff;
    refused(
        &member(&header, &HELLO, b"hello"),
        b"",
        Error::new(Code::GzipHeaderCrc, At::Blob(10))
            .found(Value::Hex(crc))
            .expected(Value::Hex(crc ^ 0xff00)),
    );
}

#[test]
fn a_wrong_magic_is_refused_at_the_wrong_byte() {
    refused(
        &[0x28, 0xb5, 0x2f, 0xfd],
        b"",
        Error::new(Code::GzipMagic, At::Blob(0))
            .found(Value::Hex(0x28))
            .expected(Value::Hex(0x1f)),
    );
    refused(
        &[0x1f, 0x9d],
        b"",
        Error::new(Code::GzipMagic, At::Blob(1))
            .found(Value::Hex(0x9d))
            .expected(Value::Hex(0x8b)),
    );
    // Padding is something behind a member, not before the first.
    let zeros = decode_all(&[&[0; 4], &hello()[..]].concat()).end;
    assert_eq!(zeros.unwrap_err().code(), Code::GzipMagic);
}

#[test]
fn a_method_other_than_deflate_is_refused() {
    refused(
        &[0x1f, 0x8b, 7],
        b"",
        Error::new(Code::GzipMethod, At::Blob(2))
            .found(Value::Number(7))
            .expected(Value::Number(8)),
    );
}

#[test]
fn reserved_flags_are_refused() {
    for bit in 5..8 {
        refused(
            &[0x1f, 0x8b, 8, 1 << bit | 9],
            b"",
            Error::new(Code::GzipFlags, At::Blob(3))
                .found(Value::Hex(1 << bit | 9))
                .expected(Value::Hex(9)),
        );
    }
}

#[test]
fn corrupt_deflate_is_refused_at_its_start_behind_what_it_held() {
    // A block of the reserved type behind a whole one.
    let deflate = [&[0, 2, 0, 0xfd, 0xff, b'h', b'i'][..], &[0b111]].concat();
    refused(
        &member(&PLAIN, &deflate, b"hi"),
        b"hi",
        Error::new(Code::GzipDeflate, At::Blob(10)),
    );
    // In the second member.
    let mut blob = hello();
    let start = blob.len() as u64 + 10;
    blob.extend(member(&PLAIN, &deflate, b"hi"));
    refused(
        &blob,
        b"hellohi",
        Error::new(Code::GzipDeflate, At::Blob(start)),
    );
}

#[test]
fn a_wrong_crc_and_a_wrong_size_are_refused() {
    let crc = u64::from(crc32(b"hello"));
    let mut blob = hello();
    blob[20] ^= 1;
    blob[24] ^= 1;
    refused(
        &blob,
        b"hello",
        Error::new(Code::GzipCrc, At::Blob(20))
            .found(Value::Hex(crc))
            .expected(Value::Hex(crc ^ 1)),
    );
    blob[20] ^= 1;
    refused(
        &blob,
        b"hello",
        Error::new(Code::GzipSize, At::Blob(24))
            .found(Value::Number(5))
            .expected(Value::Number(4)),
    );
}

#[test]
fn members_follow_each_other_up_to_the_limit() {
    let blob = hello().repeat(3);
    let outcome = decode_all(&blob);
    assert_eq!((outcome.id(), outcome.output), ("ok", b"hello".repeat(3)));
    let mut limits = Limits::DEFAULT;
    for backend in Backend::ALL {
        limits.frames = 3;
        assert_eq!(decode_limited(*backend, &blob, &limits).end, Ok(()));
        for frames in 0..3 {
            limits.frames = frames;
            let outcome = decode_limited(*backend, &blob, &limits);
            assert_eq!(
                outcome.end,
                Err(Error::new(Code::FrameLimit, At::Blob(frames * 28))
                    .found(Value::AtLeast(frames + 1))
                    .expected(Value::AtMost(frames)))
            );
            assert_eq!(
                outcome.output,
                b"hello".repeat(usize::try_from(frames).unwrap())
            );
        }
    }
}

#[test]
fn zeros_behind_a_member_are_padding_up_to_the_end() {
    for zeros in [0, 1, 2, 511, 100_000] {
        let blob = [hello(), vec![0; zeros]].concat();
        let outcome = decode_all(&blob);
        assert_eq!((outcome.id(), &outcome.output[..]), ("ok", &b"hello"[..]));
    }
    for zeros in [1, 2, 600] {
        let blob = [hello(), vec![0; zeros], hello()].concat();
        refused(
            &blob,
            b"hello",
            Error::new(Code::GzipTrailing, At::Blob(28 + zeros as u64))
                .found(Value::Byte(0x1f))
                .expected(Value::Byte(0)),
        );
    }
}

#[test]
fn other_bytes_behind_a_member_are_refused() {
    refused(
        &[hello(), b"x".to_vec()].concat(),
        b"hello",
        Error::new(Code::GzipTrailing, At::Blob(28))
            .found(Value::Byte(b'x'))
            .expected(Value::Text("a member or zeros")),
    );
    refused(
        &[hello(), vec![0x1f, 0x8c]].concat(),
        b"hello",
        Error::new(Code::GzipTrailing, At::Blob(28))
            .found(Value::Hex(0x1f8c))
            .expected(Value::Hex(0x1f8b)),
    );
    // What starts as a member is judged as one.
    let outcome = decode_all(&[hello(), vec![0x1f, 0x8b, 0]].concat());
    assert_eq!(outcome.id(), "gzip-method");
}

#[test]
fn every_prefix_of_a_blob_is_truncated_unless_it_is_whole() {
    let header = header(Some(b"extra"), Some(b"name"), Some(b"comment"), true);
    let content = content(3, 3000);
    let compressed = compress(&content, 9);
    let deflate = &compressed[10..compressed.len() - 8];
    let first = member(&header, deflate, &content);
    let blob = [first.clone(), hello(), vec![0; 3]].concat();
    for length in 0..=blob.len() {
        let outcome = decode_all(&blob[..length]);
        if length == first.len() || length >= first.len() + 28 {
            assert_eq!(outcome.end, Ok(()), "{length}");
        } else {
            let error = outcome.end.unwrap_err();
            assert_eq!(error.code(), Code::GzipTruncated, "{length}");
            assert_eq!(error.at(), At::Blob(length as u64));
            assert_ne!(error.expected_value(), Value::None);
        }
        let all = [&content[..], b"hello"].concat();
        assert!(all.starts_with(&outcome.output));
    }
}

#[test]
fn done_is_said_behind_a_member_and_nowhere_else() {
    let blob = [hello(), hello(), vec![0; 2]].concat();
    for backend in Backend::ALL {
        let mut gzip = Gzip::with_backend(*backend, &Limits::DEFAULT);
        let step = gzip.decode(&[], &mut [0; 8]).unwrap();
        assert_eq!(step.status, Status::NeedInput);
        for (place, byte) in blob.iter().enumerate() {
            let step = gzip.decode(&[*byte], &mut [0; 8]).unwrap();
            let done = place == 27 || place >= 55;
            assert_eq!(step.status == Status::Done, done, "byte {place}");
            assert_eq!(step.consumed, 1);
        }
        assert_eq!(gzip.members(), 2);
    }
}

#[test]
fn a_full_output_is_told_apart_from_a_missing_input() {
    for backend in Backend::ALL {
        let mut gzip = Gzip::with_backend(*backend, &Limits::DEFAULT);
        let blob = hello();
        let mut output = [0; 3];
        // Up to the third letter: all that is there has been delivered.
        let step = gzip.decode(&blob[..18], &mut output).unwrap();
        assert_eq!(
            (step.consumed, step.produced, step.status),
            (18, 3, Status::NeedInput)
        );
        // One letter more than fits.
        let step = gzip.decode(&blob[18..20], &mut output[..1]).unwrap();
        assert_eq!((step.produced, step.status), (1, Status::NeedOutput));
        let error = gzip.finish().unwrap_err();
        assert_eq!(error.code(), Code::Finished);
        let at = 18 + step.consumed;
        let step = gzip.decode(&blob[at..20], &mut output).unwrap();
        assert_eq!((step.produced, step.status), (1, Status::NeedInput));
        // The trailer needs no output.
        let step = gzip.decode(&blob[20..], &mut []).unwrap();
        assert_eq!((step.consumed, step.status), (8, Status::Done));
        assert_eq!(gzip.finish(), Ok(()));
    }
}

#[test]
fn nothing_goes_on_after_the_end() {
    for backend in Backend::ALL {
        let mut gzip = Gzip::with_backend(*backend, &Limits::DEFAULT);
        gzip.decode(&hello(), &mut [0; 8]).unwrap();
        gzip.finish().unwrap();
        let error = gzip.decode(&hello(), &mut [0; 8]).unwrap_err();
        assert_eq!((error.code(), error.at()), (Code::Finished, At::Blob(28)));
        assert_eq!(gzip.finish(), Err(error));
    }
}

#[test]
fn a_distance_to_before_the_start_is_refused_however_far() {
    // Fixed code, "a", then a match of three bytes at distance 2, 3, 4, 24577.
    for (code, extra, bits) in [(1_u32, 0_u32, 0), (2, 0, 0), (3, 0, 0), (29, 0, 13)] {
        let mut stream = 0b011_u64; // last block, fixed code; bits from the low end
        let mut length = 3;
        let mut put = |value: u64, bits: u32| {
            stream |= value << length;
            length += bits;
        };
        put(u64::from((0x30_u8 + b'a').reverse_bits()), 8);
        put(u64::from(0b000_0001_u8.reverse_bits() >> 1), 7);
        put(u64::from(code.reverse_bits() >> 27), 5);
        put(extra.into(), bits);
        put(0, 7);
        let blob = member(&PLAIN, &stream.to_le_bytes(), b"aaaa");
        let outcome = decode_all(&blob);
        assert_eq!(outcome.id(), "gzip-deflate", "distance code {code}");
        assert_eq!(outcome.output, b"a");
        // Also when the ring still holds an earlier member.
        let blob = [compress(&content(1, 100_000), 6), blob].concat();
        let outcome = decode_all(&blob);
        assert_eq!(outcome.id(), "gzip-deflate", "distance code {code}");
        assert_eq!(outcome.output.len(), 100_001);
    }
}

#[test]
fn the_farthest_distance_is_reached_once_there_is_so_much() {
    let mut content = content(9, 32_768 * 3);
    for place in 32_768..content.len() {
        if place % 32_768 < 20_000 {
            content[place] = content[place - 32_768];
        }
    }
    for level in [1, 6, 9] {
        let outcome = decode_all(&compress(&content, level));
        assert_eq!(outcome.id(), "ok");
        assert!(outcome.output == content);
    }
}

#[test]
fn the_size_is_the_length_modulo_two_to_the_32() {
    // 4 GiB and 5 bytes of zeros; deflate makes a megabyte of each gigabyte. The stream is
    // made while it is read, and only counted.
    let length = (1_u64 << 32) + 5;
    for backend in Backend::ALL {
        let mut source = flate2::read::GzEncoder::new(
            std::io::Read::take(std::io::repeat(0), length),
            flate2::Compression::fast(),
        );
        let mut gzip = Gzip::with_backend(*backend, &Limits::DEFAULT);
        let mut input = vec![0; 1 << 16];
        let mut output = vec![0; 1 << 18];
        let mut total = 0;
        loop {
            let read = std::io::Read::read(&mut source, &mut input).unwrap();
            if read == 0 {
                break;
            }
            let mut rest = &input[..read];
            loop {
                let step = gzip.decode(rest, &mut output).unwrap();
                total += step.produced as u64;
                rest = &rest[step.consumed..];
                if step.status != Status::NeedOutput {
                    break;
                }
            }
        }
        assert_eq!((total, gzip.finish()), (length, Ok(())));
    }
}

#[test]
fn a_decoder_fits_into_a_static() {
    static GZIP: std::sync::Mutex<Gzip> = std::sync::Mutex::new(Gzip::new(&Limits::DEFAULT));
    let mut gzip = GZIP.lock().unwrap();
    let step = gzip.decode(&hello(), &mut [0; 8]).unwrap();
    assert_eq!((step.produced, step.status), (5, Status::Done));
    assert!(size_of::<Gzip>() < 44 << 10, "{}", size_of::<Gzip>());
}

#[test]
fn debug_says_where_it_stands() {
    let gzip = Gzip::with_backend(Backend::Own, &Limits::DEFAULT);
    let text = format!("{gzip:?}");
    assert!(text.contains("Own") && text.contains("Between"), "{text}");
    assert_eq!(decode(Backend::DEFAULT, &hello()).id(), "ok");
}
