//! Every input of the attack table gets the verdict it has to get, whole and
//! byte by byte.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

mod common;

use common::attacks::{self, Want};
use common::{Refusal, request};
use sidegate_protocol::http1::Limits;

fn limits() -> Limits {
    Limits { max_body: Some(1_000_000), ..Limits::default() }
}

#[test]
fn each_attack_gets_its_verdict() {
    let mut wrong = Vec::new();
    for attack in attacks::requests() {
        let got = request(&attack.input, &[], &limits());
        let right = match (attack.want, &got) {
            (Want::Refused(status, details), Err(refusal)) => *refusal == Refusal::Refused(status, details),
            (Want::Taken(authority, target), Ok(message)) => {
                message.authority == authority && message.target == target && message.consumed == attack.input.len()
            }
            _ => false,
        };
        if !right {
            wrong.push(format!("{}: wanted {:?}, got {got:?}", attack.name, attack.want));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn dripping_bytes_change_no_verdict() {
    for attack in attacks::requests().into_iter().filter(|attack| attack.input.len() < 4096) {
        let cuts: Vec<usize> = (0..attack.input.len()).collect();
        let (whole, dripped) = (request(&attack.input, &[], &limits()), request(&attack.input, &cuts, &limits()));
        match (&whole, &dripped) {
            // A fault in the first bytes may show before a worse one arrives.
            (Err(Refusal::Refused(..)), Err(Refusal::Refused(..))) => {}
            _ => assert_eq!(whole, dripped, "{}", attack.name),
        }
    }
}
