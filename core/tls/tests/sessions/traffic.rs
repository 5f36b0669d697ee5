//! Bytes after the handshake.

use std::io::{self, IoSlice};

use sidegate_tls::{Failure, Reason, Received, Scratch};

use crate::support::{
    Ca, Full, Pair, Request, World, carry, contexts, deliver, outgoing, read, receive, serving, take, transfer,
    trusting, write,
};

fn open() -> Pair {
    let (ca, world) = (Ca::new("ca"), World::default());
    let contexts = contexts(vec![world.server(&serving(&ca.issue(Request::default()))).unwrap()]);
    Pair::open(&world.client(&trusting(&ca)).unwrap(), &contexts, "a.test").unwrap()
}

#[test]
fn both_ways() {
    let mut pair = open();
    for round in 0..3_u8 {
        write(&mut pair.client, &[round; 100]);
        write(&mut pair.server, &[round + 100; 20_000]);
        assert!(carry(&mut pair.client, &mut pair.server).unwrap());
        assert!(pair.server.has_plaintext());
        assert_eq!(read(&mut pair.server), [round; 100]);
        assert!(!pair.server.has_plaintext());
        assert_eq!(transfer(&mut pair.server, &mut pair.client), [round + 100; 20_000]);
        assert_eq!((pair.client.held(), pair.server.held()), (0, 0), "what is idle holds nothing");
    }
}

#[test]
fn slices_become_one_stream() {
    let mut pair = open();
    let slices = [IoSlice::new(b"head "), IoSlice::new(b""), IoSlice::new(b"body")];
    assert_eq!(take(&mut pair.server, &slices), 9);
    let wire = outgoing(&mut pair.server);
    // Tickets went with the handshake: this is one record.
    assert_eq!(wire.len(), 5 + 9 + 1 + 16);
    deliver(&mut pair.client, &wire).unwrap();
    assert_eq!(read(&mut pair.client), b"head body");
}

#[test]
fn a_write_takes_no_more_than_four_records() {
    let mut pair = open();
    let much: Vec<u8> = (0..1 << 20).map(|place: u32| (place / 7) as u8).collect();
    let mut got = Vec::new();
    while got.len() < much.len() {
        let count = take(&mut pair.server, &[IoSlice::new(&much[got.len()..])]);
        assert_eq!(count, 64 * 1024);
        // While it waits no more is taken.
        assert_eq!(take(&mut pair.server, &[IoSlice::new(&much)]), 0);
        assert!(pair.server.held() > count);
        got.extend(transfer(&mut pair.server, &mut pair.client));
    }
    assert!(got == much);
    assert_eq!((pair.server.held(), pair.client.held()), (0, 0));
}

#[test]
fn slices_of_any_size_are_one_stream() {
    let mut pair = open();
    let bytes: Vec<u8> = (0..200_000_u32).map(|place| (place / 3) as u8).collect();
    for sizes in [&[1, 16_383, 16_384, 16_385][..], &[0, 5, 0, 40_000, 1, 2, 16_384], &[16_384, 1], &[10, 70_000]] {
        let (mut slices, mut start) = (Vec::new(), 0);
        for size in sizes {
            slices.push(IoSlice::new(&bytes[start..start + size]));
            start += size;
        }
        let count = take(&mut pair.server, &slices);
        assert_eq!(count, start.min(64 * 1024), "{sizes:?}");
        let got = transfer(&mut pair.server, &mut pair.client);
        assert!(got == bytes[..count], "{sizes:?}");
    }
}

#[test]
fn bytes_that_the_connection_does_not_take_come_first() {
    let mut pair = open();
    let mut narrow = Narrow { wire: Vec::new(), room: 10 };
    let mut scratch = Scratch::default();
    assert_eq!(pair.server.write(&[IoSlice::new(&[1; 1000])], &mut narrow, &mut scratch).unwrap(), 1000);
    assert!(pair.server.wants_send());
    narrow.room = 100;
    assert_eq!(pair.server.send(&mut narrow).unwrap(), 100);
    narrow.room = usize::MAX;
    pair.server.send(&mut narrow).unwrap();
    assert!(!pair.server.wants_send());
    pair.server.write(&[IoSlice::new(&[2; 10])], &mut narrow, &mut scratch).unwrap();
    deliver(&mut pair.client, &narrow.wire).unwrap();
    let got = [read(&mut pair.client), read(&mut pair.client)].concat();
    assert_eq!(got, [vec![1; 1000], vec![2; 10]].concat());
}

/// Takes so many bytes.
struct Narrow {
    wire: Vec<u8>,
    room: usize,
}

impl io::Write for Narrow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.room);
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.room -= count;
        self.wire.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn nothing_is_taken_before_the_handshake_is_over() {
    let (ca, world) = (Ca::new("ca"), World::default());
    let contexts = contexts(vec![world.server(&serving(&ca.issue(Request::default()))).unwrap()]);
    let mut pair = Pair::new(&world.client(&trusting(&ca)).unwrap(), &contexts, "a.test");
    assert_eq!(take(&mut pair.client, &[IoSlice::new(b"early")]), 0);
    assert_eq!(take(&mut pair.server, &[IoSlice::new(b"early")]), 0);
    assert!(pair.client.agreed().is_none());
    pair.settle().unwrap();
    assert_eq!(take(&mut pair.client, &[IoSlice::new(b"now")]), 3);
}

#[test]
fn plaintext_waits_for_small_readers() {
    let mut pair = open();
    let mut scratch = Scratch::default();
    write(&mut pair.client, b"abcdef");
    let mut wire = outgoing(&mut pair.client);
    write(&mut pair.client, b"gh");
    wire.extend(outgoing(&mut pair.client));
    let mut four = [0; 4];
    assert_eq!(pair.server.read(&mut wire.as_slice(), &mut scratch, &mut four).unwrap(), Received::Data(4));
    assert!(pair.server.has_plaintext() && pair.server.has_news());
    assert_eq!(pair.server.read(&mut Full, &mut scratch, &mut []).unwrap(), Received::Nothing);
    assert_eq!(pair.server.read(&mut Full, &mut scratch, &mut four).unwrap(), Received::Data(2));
    assert_eq!(&four[..2], b"ef");
    // The other record has been there all the time.
    assert!(!pair.server.has_plaintext() && pair.server.has_news());
    assert_eq!(pair.server.read(&mut Full, &mut scratch, &mut four).unwrap(), Received::Data(2));
    assert_eq!(&four[..2], b"gh");
    assert!(!pair.server.has_news());
    let nothing = pair.server.read(&mut Full, &mut scratch, &mut four).unwrap_err();
    assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
    assert_eq!(pair.server.held(), 0);
}

#[test]
fn a_session_that_has_not_been_read_still_writes() {
    let mut pair = open();
    let mut scratch = Scratch::default();
    let mut wire = Vec::new();
    for part in 0..5_u8 {
        write(&mut pair.client, &[part; 100]);
        wire.extend(outgoing(&mut pair.client));
    }
    // The end of the last record is on its way.
    let (there, later) = wire.split_at(wire.len() - 3);
    deliver(&mut pair.server, there).unwrap();
    write(&mut pair.server, b"answer");
    assert_eq!(transfer(&mut pair.server, &mut pair.client), b"answer");
    let (mut later, mut got, mut room) = (later, Vec::new(), [0; 70]);
    while pair.server.has_news() || !later.is_empty() {
        match pair.server.read(&mut later, &mut scratch, &mut room).unwrap() {
            Received::Data(count) => got.extend_from_slice(&room[..count]),
            other => panic!("{other:?}"),
        }
    }
    let expected: Vec<u8> = (0..5).flat_map(|part| [part; 100]).collect();
    assert_eq!(got, expected);
}

#[test]
fn an_announced_end_is_one() {
    let mut pair = open();
    write(&mut pair.client, b"last");
    let mut wire = outgoing(&mut pair.client);
    pair.client.close();
    wire.extend(outgoing(&mut pair.client));
    deliver(&mut pair.server, &wire).unwrap();
    assert_eq!(read(&mut pair.server), b"last");
    for _ in 0..2 {
        assert_eq!(receive(&mut pair.server, &mut io::empty()).unwrap(), Received::End);
        assert!(pair.server.has_news());
    }
    // The other way goes on.
    write(&mut pair.server, b"answer");
    assert!(carry(&mut pair.server, &mut pair.client).unwrap());
    assert_eq!(read(&mut pair.client), b"answer");
    pair.server.close();
    assert!(carry(&mut pair.server, &mut pair.client).unwrap());
    assert_eq!(receive(&mut pair.client, &mut Full).unwrap(), Received::End);
}

#[test]
fn what_comes_after_the_end_is_ignored() {
    let mut pair = open();
    pair.client.close();
    let mut wire = outgoing(&mut pair.client);
    wire.extend_from_slice(b"\x17\x03\x03\x00\x20 and then some");
    assert_eq!(receive(&mut pair.server, &mut wire.as_slice()).unwrap(), Received::End);
    assert_eq!(pair.server.held(), 0);
}

#[test]
fn an_end_that_nobody_announced_is_a_cut() {
    let mut pair = open();
    write(&mut pair.client, b"first half");
    pair.settle().unwrap();
    assert_eq!(read(&mut pair.server), b"first half");
    // It stays one.
    for _ in 0..2 {
        let error = receive(&mut pair.server, &mut io::empty()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(Failure::within(&error).unwrap().reason, Reason::Truncated);
    }
}

#[test]
fn a_cut_in_a_record_is_a_cut() {
    let mut pair = open();
    write(&mut pair.client, &[1; 1000]);
    let wire = outgoing(&mut pair.client);
    deliver(&mut pair.server, &wire[..wire.len() - 1]).unwrap();
    assert!(!pair.server.has_plaintext());
    let error = receive(&mut pair.server, &mut io::empty()).unwrap_err();
    assert_eq!(Failure::within(&error).unwrap().reason, Reason::Truncated);
}

#[test]
fn plaintext_in_front_of_a_bad_record_is_read_first() {
    let mut pair = open();
    write(&mut pair.client, b"good");
    let mut wire = outgoing(&mut pair.client);
    write(&mut pair.client, b"bad");
    let mut bad = outgoing(&mut pair.client);
    bad[7] ^= 1;
    wire.extend(bad);
    let (mut scratch, mut room) = (Scratch::default(), [0; 4096]);
    assert_eq!(pair.server.read(&mut wire.as_slice(), &mut scratch, &mut room).unwrap(), Received::Data(4));
    let error = pair.server.read(&mut Full, &mut scratch, &mut room).unwrap_err();
    assert_eq!(Failure::within(&error).unwrap().reason, Reason::Protocol);
    assert!(pair.server.wants_send());
}
