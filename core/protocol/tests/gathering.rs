//! Chunks that arrive together come out together, as what they are apart.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

mod common;

use common::fields;
use common::mutation::{SEEDS, edits, mutate};
use proptest::collection::vec;
use proptest::prelude::*;
use sidegate_api::Headers;
use sidegate_protocol::http1::{BodyDecoder, BodyError, BodyLength, BodyStep, Limits};

/// How a body is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    ChunkByChunk,
    Gathered,
}

/// What came of a body.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    body: Vec<u8>,
    trailers: Vec<(String, String)>,
    /// Bytes that the body took; `None` while more are wanted.
    end: Result<Option<usize>, BodyError>,
}

/// Reads `input`, which arrives in pieces that end at `cuts` (ascending), in a
/// buffer as a connection does; says also in how many pieces the data came.
fn read(input: &[u8], cuts: &[usize], limits: &Limits, way: Way) -> (Outcome, usize) {
    let mut decoder = BodyDecoder::new(BodyLength::Chunked, limits);
    let (mut body, mut trailers, mut pieces) = (Vec::new(), Headers::new(), 0);
    let (mut buffer, mut arrived) = (Vec::new(), 0);
    let mut ends = cuts.iter().copied().filter(|&cut| cut < input.len()).chain([input.len()]);
    let end = loop {
        match decoder.decode(&buffer, &mut trailers) {
            Ok(BodyStep::Data { start, end }) => {
                assert!(end > start, "empty data");
                pieces += 1;
                buffer.drain(..start);
                let mut data = end - start;
                if way == Way::Gathered && decoder.is_between_chunks() {
                    let gathered = decoder.gather(&mut buffer, data);
                    buffer.drain(gathered.data..gathered.consumed);
                    data = gathered.data;
                }
                body.extend(buffer.drain(..data));
            }
            Ok(BodyStep::NeedMore { consumed }) => {
                buffer.drain(..consumed);
                match ends.next() {
                    Some(end) => {
                        buffer.extend_from_slice(&input[arrived..end]);
                        arrived = end;
                    }
                    None => break Ok(None),
                }
            }
            Ok(BodyStep::End { consumed }) => {
                buffer.drain(..consumed);
                break Ok(Some(arrived - buffer.len()));
            }
            Err(error) => break Err(error),
        }
    };
    (Outcome { body, trailers: fields(&trailers), end }, pieces)
}

fn check(input: &[u8], cuts: Vec<usize>, limits: &Limits) {
    let mut cuts = cuts;
    cuts.sort_unstable();
    cuts.dedup();
    cuts.retain(|&cut| cut > 0 && cut < input.len());
    let (apart, _) = read(input, &cuts, limits, Way::ChunkByChunk);
    let (together, pieces) = read(input, &cuts, limits, Way::Gathered);
    assert_eq!(together, apart, "{:?} cut at {cuts:?}", String::from_utf8_lossy(input));
    assert!(pieces <= cuts.len() + 1, "{pieces} pieces of {} reads", cuts.len() + 1);
}

#[test]
fn chunks_of_one_read_are_one_piece() {
    let mut input = Vec::new();
    for number in 0..1000_u32 {
        input.extend_from_slice(format!("1\r\n{}\r\n", number % 10).as_bytes());
    }
    input.extend_from_slice(b"0\r\nx: y\r\n\r\nGET /next");
    let (got, pieces) = read(&input, &[], &Limits::default(), Way::Gathered);
    assert_eq!(pieces, 1);
    assert_eq!(got.body.len(), 1000);
    assert!(got.body.iter().enumerate().all(|(index, &byte)| usize::from(byte - b'0') == index % 10));
    assert_eq!(got.end, Ok(Some(input.len() - "GET /next".len())));
    assert_eq!(got.trailers, [("x".to_owned(), "y".to_owned())]);
}

#[test]
fn bounds_hold_over_chunks_that_come_together() {
    let limits = Limits { max_body: Some(3), max_chunk_extension_bytes: 4, ..Limits::default() };
    let read = |input: &[u8]| read(input, &[], &limits, Way::Gathered).0;
    let over = read(b"1\r\na\r\n1\r\nb\r\n2\r\ncd\r\n0\r\n\r\n");
    assert_eq!((over.body.as_slice(), over.end.unwrap_err().details), (&b"ab"[..], "body_too_large"));
    let long = read(b"1\r\na\r\n1;abcd\r\nb\r\n0\r\n\r\n");
    assert_eq!((long.body.as_slice(), long.end.unwrap_err().details), (&b"a"[..], "chunk_extension_too_long"));
    let bad = read(b"1\r\na\r\n1\r\nbX1\r\nc\r\n0\r\n\r\n");
    assert_eq!((bad.body.as_slice(), bad.end.unwrap_err().details), (&b"ab"[..], "chunk_end_invalid"));
}

#[test]
fn extensions_of_all_chunks_stay_bounded() {
    let limits = Limits { max_chunk_extension_bytes: 4, ..Limits::default() };
    let input = b"1;abc\r\nx\r\n".repeat(100);
    let (got, pieces) = read(&input, &[], &limits, Way::Gathered);
    assert_eq!((got.end.unwrap_err().details, pieces), ("chunk_extensions_too_long", 1));
    assert_eq!(got.body.len(), 21);
}

proptest! {
    #[test]
    fn any_chunks_in_any_reads_are_what_they_are_apart(
        chunks in vec((vec(any::<u8>(), 1..20), "(;[a-z]{1,3}(=[a-z]{1,3})?)?", 0..3_usize), 0..40),
        trailers in vec(("x-[a-z]{1,4}", "[a-z]{0,4}"), 0..3),
        cuts in vec(0..1500_usize, 0..20),
        max_body in proptest::option::of(0..300_u64),
        max_chunk_extension_bytes in 2..8_usize,
    ) {
        let mut input = Vec::new();
        for (data, extension, zeros) in &chunks {
            input.extend_from_slice(format!("{:0zeros$x}{extension}\r\n", data.len(), zeros = zeros * 5).as_bytes());
            input.extend_from_slice(data);
            input.extend_from_slice(b"\r\n");
        }
        input.extend_from_slice(b"0\r\n");
        for (name, value) in &trailers {
            input.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        input.extend_from_slice(b"\r\nbehind");
        let limits = Limits { max_body, max_chunk_extension_bytes, ..Limits::default() };
        check(&input, cuts, &limits);
    }

    #[test]
    fn broken_chunks_fail_as_they_do_apart(
        seed in 3..SEEDS.len(),
        times in 1..4_usize,
        edits in edits(),
        cuts in vec(0..400_usize, 0..12),
    ) {
        // Of the response the body only.
        let seed = SEEDS[seed].split(|&b| b == b'\n').skip_while(|line| !line.first().is_some_and(u8::is_ascii_hexdigit));
        let body = seed.collect::<Vec<_>>().join(&b'\n');
        let whole = body.repeat(times);
        let limits = Limits { max_body: Some(64), ..Limits::default() };
        check(&mutate(&whole, &edits), cuts, &limits);
    }
}
