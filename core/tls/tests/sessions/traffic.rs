//! Bytes after the handshake.

use std::io::{self, IoSlice};

use sidegate_tls::{Reason, Received};

use crate::support::{
    Ca, Pair, Request, World, carry, contexts, deliver, outgoing, read, serving, transfer, trusting, write,
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
        pair.client.rest();
        pair.server.rest();
    }
}

#[test]
fn slices_become_one_stream() {
    let mut pair = open();
    let slices = [IoSlice::new(b"head "), IoSlice::new(b""), IoSlice::new(b"body")];
    assert_eq!(pair.server.write(&slices), 9);
    let wire = outgoing(&mut pair.server);
    // Tickets went with the handshake: this is one record.
    assert_eq!(wire.len(), 5 + 9 + 1 + 16);
    deliver(&mut pair.client, &wire).unwrap();
    assert_eq!(read(&mut pair.client), b"head body");
}

#[test]
fn a_write_takes_no_more_than_there_is_room_for() {
    let mut pair = open();
    let much = vec![7; 1 << 20];
    let mut sent = 0;
    loop {
        let count = pair.server.write(&[IoSlice::new(&much)]);
        if count == 0 {
            break;
        }
        sent += count;
    }
    assert!((16 * 1024..=128 * 1024).contains(&sent), "{sent}");
    let mut wire = Vec::new();
    assert!(pair.server.send(&mut wire).unwrap() > sent);
    assert!(!pair.server.wants_send());
    assert!(pair.server.write(&[IoSlice::new(&much)]) > 0);
}

#[test]
fn nothing_is_taken_before_the_handshake_is_over() {
    let (ca, world) = (Ca::new("ca"), World::default());
    let contexts = contexts(vec![world.server(&serving(&ca.issue(Request::default()))).unwrap()]);
    let mut pair = Pair::new(&world.client(&trusting(&ca)).unwrap(), &contexts, "a.test");
    assert_eq!(pair.client.write(&[IoSlice::new(b"early")]), 0);
    assert_eq!(pair.server.write(&[IoSlice::new(b"early")]), 0);
    assert!(pair.client.agreed().is_none());
    pair.settle().unwrap();
    assert_eq!(pair.client.write(&[IoSlice::new(b"now")]), 3);
}

#[test]
fn plaintext_waits_for_small_readers() {
    let mut pair = open();
    write(&mut pair.client, b"abcdef");
    pair.settle().unwrap();
    let mut four = [0; 4];
    assert_eq!(pair.server.read(&mut four), Ok(Received::Data(4)));
    assert!(pair.server.has_plaintext());
    let refused = pair.server.receive(&mut &b"more"[..]).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
    assert_eq!(pair.server.read(&mut four), Ok(Received::Data(2)));
    assert_eq!(pair.server.read(&mut four), Ok(Received::Nothing));
    assert_eq!(pair.server.read(&mut []), Ok(Received::Nothing));
}

#[test]
fn an_announced_end_is_one() {
    let mut pair = open();
    write(&mut pair.client, b"last");
    pair.client.close();
    pair.settle().unwrap();
    assert_eq!(read(&mut pair.server), b"last");
    let mut room = [0; 8];
    assert_eq!(pair.server.read(&mut room), Ok(Received::End));
    assert_eq!(pair.server.receive(&mut io::empty()).unwrap(), 0);
    assert_eq!(pair.server.read(&mut room), Ok(Received::End));
    // The other way goes on.
    write(&mut pair.server, b"answer");
    assert!(carry(&mut pair.server, &mut pair.client).unwrap());
    assert_eq!(read(&mut pair.client), b"answer");
}

#[test]
fn an_end_that_nobody_announced_is_a_cut() {
    let mut pair = open();
    write(&mut pair.client, b"first half");
    pair.settle().unwrap();
    let mut room = [0; 64];
    assert_eq!(pair.server.read(&mut room), Ok(Received::Data(10)));
    assert_eq!(pair.server.receive(&mut io::empty()).unwrap(), 0);
    let failure = pair.server.read(&mut room).unwrap_err();
    assert_eq!(failure.reason, Reason::Truncated);
    // It stays one.
    assert_eq!(pair.server.read(&mut room).unwrap_err().reason, Reason::Truncated);
    assert_eq!(io::Error::from(failure).kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_cut_in_a_record_is_a_cut() {
    let mut pair = open();
    write(&mut pair.client, &[1; 1000]);
    let wire = outgoing(&mut pair.client);
    deliver(&mut pair.server, &wire[..wire.len() - 1]).unwrap();
    assert!(!pair.server.has_plaintext());
    assert_eq!(pair.server.receive(&mut io::empty()).unwrap(), 0);
    assert_eq!(pair.server.read(&mut [0; 8]).unwrap_err().reason, Reason::Truncated);
}

#[test]
fn both_sides_derive_the_same_keys() {
    let pair = open();
    let key: [u8; 32] = pair.client.export(b"label", Some(b"context")).unwrap();
    assert_eq!(pair.server.export(b"label", Some(b"context")), Some(key));
    assert_ne!(pair.server.export(b"label", Some(b"other")), Some(key));
}
