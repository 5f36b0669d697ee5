//! Bodies that are sent again arrive as they were sent, wherever the attempts
//! before broke off.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use sidegate_api::BodyInterest;
use sidegate_router::{RetryOn, RetryPolicy, RouteAction};

use crate::kit::{Origin, Script, Setup, ok};

/// What a host does to one attempt.
#[derive(Debug, Clone, Copy)]
struct Failure {
    /// Bytes behind the head that it reads first.
    reads: usize,
    answers: bool,
}

/// Numbers that are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// A connection takes one request, so that each attempt takes one of the plan.
fn planned(plan: Arc<Mutex<VecDeque<Failure>>>) -> Origin {
    Origin::raw(move |mut conn, _, _| {
        let failure = plan.lock().unwrap().pop_front();
        let Some(Failure { reads, answers }) = failure else {
            let Ok(request) = conn.try_message(true) else { return };
            conn.send(ok(&request.body).replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n"));
            return;
        };
        if conn.try_head().is_ok() && conn.text(reads).is_ok() && answers {
            conn.send("HTTP/1.1 503 x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").end_writing();
            // Until the proxy has given up on it: a reset would be another failure.
            conn.rest();
        }
    })
}

#[test]
fn a_body_arrives_whole_wherever_attempts_break_off() {
    let plan = Arc::new(Mutex::new(VecDeque::<Failure>::new()));
    // As many hosts as attempts, so that none waits for its turn.
    let origins: Vec<_> = (0..4).map(|_| planned(plan.clone())).collect();
    let hosts: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    let mut numbers = Numbers(7);
    for interest in [BodyInterest::None, BodyInterest::Stream, BodyInterest::Whole] {
        let mut setup = Setup::new(&hosts, vec![Script::new("a").request_body(interest)]);
        if let RouteAction::Forward(forward) = &mut setup.routes[0].action {
            forward.retry = RetryPolicy { on: RetryOn::Failures, retries: 3, ..RetryPolicy::default() };
        }
        let rig = setup.start();
        for round in 0..40 {
            let length = [0, 1, 100, 20_000, 65_536][numbers.below(5)];
            let body: String = (0..length).map(|at| char::from(b'a' + (at * 7 % 23) as u8)).collect();
            let failures = (0..numbers.below(4))
                .map(|_| Failure { reads: numbers.below(length + 1), answers: numbers.below(2) == 0 });
            *plan.lock().unwrap() = failures.collect();
            let shown = format!("{interest:?} {round} {length} {:?}", plan.lock().unwrap());
            let chunked = numbers.below(2) == 0;
            let mut client = rig.connect();
            let mut writer = client.stream.try_clone().unwrap();
            let pieces = 1 + numbers.below(length / 4 + 1);
            let text = body.clone();
            let writing = std::thread::spawn(move || {
                use std::io::Write;
                let framing =
                    if chunked { "transfer-encoding: chunked".into() } else { format!("content-length: {length}") };
                write!(writer, "PUT / HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n").unwrap();
                for piece in text.as_bytes().chunks(pieces.max(length / 50 + 1)) {
                    if chunked {
                        write!(writer, "{:x}\r\n", piece.len()).unwrap();
                    }
                    writer.write_all(piece).unwrap();
                    if chunked {
                        writer.write_all(b"\r\n").unwrap();
                    }
                }
                if chunked {
                    writer.write_all(b"0\r\n\r\n").unwrap();
                }
            });
            let reply = client.response();
            writing.join().unwrap();
            assert_eq!(reply.status(), 200, "{shown}");
            assert!(reply.body == body, "{shown}: {} bytes", reply.body.len());
            assert!(plan.lock().unwrap().is_empty(), "{shown}");
        }
    }
}
