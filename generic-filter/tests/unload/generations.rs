//! Generations beside each other: their numbers, states, limits, and the way
//! back.

use sidegate_api::{GenerationState, StreamFilterBuilder, WorkerIndex};
use sidegate_generic_filter::{What, Wish};

use crate::kit::{Holds, Served, alone, until};
use crate::support::{compile, only, spec};

use GenerationState::{Current, Draining, Loading, Unmapped};

fn module() -> std::path::PathBuf {
    compile("leaves", &["-lpthread"])
}

/// Takes `next` into use in the place of `before`.
fn follow(served: &Served, before: crate::kit::Factory, next: &crate::kit::Factory) {
    served.attach(next);
    served.detach(&before);
}

#[test]
fn new_streams_take_the_new_generation_and_old_ones_keep_theirs() {
    let _alone = alone();
    let (served, file) = (Served::new(), module());
    let first = served.reload(&file, What::Fresh).unwrap();
    assert_eq!(served.states(), [(1, Loading)]);
    served.attach(&first);
    served.serve(&first);
    assert_eq!(served.states(), [(1, Current)]);
    // A stream of the first, held on its worker.
    let (give, held) = std::sync::mpsc::channel::<()>();
    let (ready, is_ready) = std::sync::mpsc::channel();
    let of_stream = first.clone();
    let stream = std::thread::scope(|scope| {
        let stream = scope.spawn(|| {
            served.workers.on(1, move || {
                let filter = of_stream.create_filter(WorkerIndex(1)).unwrap();
                drop(of_stream);
                ready.send(()).unwrap();
                held.recv().unwrap();
                drop(filter);
            });
        });
        is_ready.recv().unwrap();
        let second = served.reload(&file, What::Fresh).unwrap();
        assert_eq!(served.states(), [(1, Current), (2, Loading)]);
        let of_worker = second.clone();
        served.workers.on(0, move || of_worker.attach_worker(WorkerIndex(0)).unwrap());
        let of_worker = first.clone();
        served.workers.on(0, move || of_worker.detach_worker(WorkerIndex(0)));
        drop(first);
        let generations = served.generations();
        assert_eq!((generations[0].state, generations[0].streams), (Draining, 1));
        assert_eq!(generations[0].resume_handles, 2, "one of each worker's first stream");
        assert_eq!(generations[0].threads, 1);
        assert_eq!((generations[1].state, generations[1].threads), (Current, 1));
        let shown = served.builder.modules();
        assert_eq!((shown.len(), shown[0].generation, shown[0].streams), (1, 2, 1));
        give.send(()).unwrap();
        stream.join().unwrap();
        second
    });
    until(|| served.states() == [(1, Unmapped), (2, Current)], || format!("{:?}", served.states()));
    let gone = &served.generations()[0];
    assert_eq!((gone.streams, gone.resume_handles, gone.threads, &gone.reason), (0, 0, 0, &None));
    drop(stream);
    served.until_gone();
}

#[test]
fn at_most_eight_generations_live_and_the_next_is_told_who_holds_them() {
    let _alone = alone();
    let (served, file) = (Served::new(), module());
    let mut all = Vec::new();
    for number in 1..=8 {
        let factory = served.reload(&file, What::Fresh).unwrap();
        served.attach(&factory);
        assert_eq!(factory.module().unwrap().generation, number);
        all.push(factory);
    }
    served.serve(&all[2]);
    let refusal = only(served.reload(&file, What::Fresh));
    assert_eq!(refusal.kind, "too_many_generations");
    for said in
        ["at most 8", "generation 3 (draining)", "filter `libleaves`", "2 resume handles", "1 threads of its own"]
    {
        assert!(refusal.message.contains(said), "{said}: {}", refusal.message);
    }
    // One that goes makes room, however long its thread takes.
    let third = all.remove(2);
    served.detach(&third);
    drop(third);
    let next = served.reload(&file, What::Fresh).unwrap();
    assert_eq!(next.module().unwrap().generation, 9, "no number is used twice");
    drop((all, next));
    served.until_gone();
}

#[test]
fn all_entries_of_one_wish_share_its_generation_and_others_share_what_is_loaded() {
    let _alone = alone();
    let (served, file) = (Served::new(), module());
    let (spec, env) = (spec(&file, ""), served.next_env());
    let number = |factory: &crate::kit::Factory| factory.module().unwrap().generation;
    let plain: Vec<_> = (0..2).map(|_| served.builder.build(&spec, &env).unwrap()).collect();
    let wish = Wish { module: spec.name.clone(), what: What::Fresh };
    let (wishing, env) = (served.builder.wishing(wish), served.next_env());
    assert!(wishing.renews(&spec));
    let wished: Vec<_> = (0..2).map(|_| wishing.build(&spec, &env).unwrap()).collect();
    let other = Wish { module: "another".to_owned(), what: What::Fresh };
    let other = served.builder.wishing(other);
    assert!(!other.renews(&spec));
    let beside = other.build(&spec, &served.next_env()).unwrap();
    let numbers: Vec<_> = plain.iter().chain(&wished).map(number).collect();
    assert_eq!((numbers, number(&beside)), (vec![1, 1, 2, 2], 2));
    drop((plain, wished, beside, wishing, other));
    served.until_gone();
}

#[test]
fn there_is_a_way_back_to_the_last_two_former_bytes() {
    let _alone = alone();
    let (served, file) = (Served::new(), module());
    let mut digests = Vec::new();
    let mut running: Option<crate::kit::Factory> = None;
    for build in 0..4 {
        let id = format!("-Wl,--build-id=0x{build:040x}");
        let other = compile("leaves", &["-lpthread", &id]);
        std::fs::remove_file(&file).unwrap();
        std::fs::copy(other, &file).unwrap();
        let next = served.reload(&file, What::Fresh).unwrap();
        digests.push(digest(&next));
        match running.take() {
            Some(before) => follow(&served, before, &next),
            None => served.attach(&next),
        }
        running = Some(next);
        until(
            || served.generations().iter().all(|g| matches!(g.state, Current | Unmapped)),
            || format!("{:?}", served.generations()),
        );
    }
    let holds = Holds::settled();
    // The file is gone, and two former generations are not.
    std::fs::remove_file(&file).unwrap();
    let refusal = only(served.reload(&file, What::Former(digests[0])));
    assert_eq!(refusal.kind, "no_former_generation");
    for wanted in [2, 1, 3] {
        let next = served.reload(&file, What::Former(digests[wanted])).unwrap();
        assert_eq!(digest(&next), digests[wanted]);
        follow(&served, running.take().unwrap(), &next);
        served.serve(&next);
        running = Some(next);
        until(
            || served.generations().iter().all(|g| matches!(g.state, Current | Unmapped)),
            || format!("{:?}", served.generations()),
        );
    }
    holds.again();
    drop(running);
    served.until_gone();
}

fn digest(factory: &crate::kit::Factory) -> [u8; 32] {
    let text = factory.module().unwrap().sha256;
    std::array::from_fn(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).unwrap())
}
