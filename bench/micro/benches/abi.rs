//! Nanoseconds of each call across the module ABI, beside the same in plain
//! Rust. `cargo bench -p sidegate-micro`.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark that cannot run has no result")]

mod support;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime};
use sidegate_api::{EndOfStream, FilterCx, ReceiverPhase, Status, StreamFilter, Variable};
use sidegate_generic_filter::{GenericFilter, Policy};

use support::{Made, NoRoutes, Scratch, Setup, compile, cx, stream};

/// How often a filter of `operations.c` makes its call in one hook.
const TIMES: u64 = 1000;

/// What a hook costs that does nothing.
struct Nothing;

impl StreamFilter for Nothing {
    fn on_request_headers(&mut self, _: &mut FilterCx<'_>, _: ReceiverPhase, _: EndOfStream) -> Status {
        Status::Continue
    }
}

/// Runs a filter's hook on one stream, again and again.
fn hook(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, filter: &mut dyn StreamFilter) {
    let mut stream = stream();
    group.bench_function(name, |bencher| {
        bencher.iter(|| run(black_box(&mut *filter), &mut stream));
    });
}

/// The same for a filter of `operations.c`, counted by calls and not by hooks.
fn operation(group: &mut BenchmarkGroup<'_, WallTime>, filter: &mut dyn StreamFilter) {
    let mut stream = stream();
    group.bench_function("module", |bencher| {
        bencher.iter_custom(|calls| {
            let hooks = calls.div_ceil(TIMES);
            let begin = Instant::now();
            for _ in 0..hooks {
                run(black_box(&mut *filter), &mut stream);
            }
            begin.elapsed().mul_f64(calls as f64 / (hooks * TIMES) as f64)
        });
    });
}

fn run(filter: &mut dyn StreamFilter, stream: &mut sidegate_api::StreamState) {
    let mut cx: FilterCx<'_> = cx(stream, &NoRoutes);
    let status = filter.on_request_headers(&mut cx, ReceiverPhase::BeforeRoute, EndOfStream::End);
    assert!(matches!(status, Status::Continue), "{status:?}");
}

fn abi(criterion: &mut Criterion) {
    let scratch = Scratch::new();
    let operations = compile(&scratch, "bench/micro/operations.c", &[]);
    let setup = Setup::new(GenericFilter::new(Policy::default()).unwrap());
    let made = |name: &str| Made::new(setup.module(&operations, name, serde_json::json!({})));

    let mut group = criterion.benchmark_group("hook call");
    hook(&mut group, "module", made("nothing").get());
    hook(&mut group, "Rust trait", &mut Nothing);
    group.finish();

    let auth = compile(&scratch, "so-examples/auth-c/auth.c", &["-Iso-examples/auth-c"]);
    let user = serde_json::json!({"User": "admin"});
    let mut group = criterion.benchmark_group("header check");
    hook(&mut group, "C module", Made::new(setup.module(&auth, "", user.clone())).get());
    if let Some(auth) = support::rust_auth() {
        hook(&mut group, "Rust module", Made::new(setup.module(&auth, "", user.clone())).get());
    }
    hook(&mut group, "built in", Made::new(setup.demo(user)).get());
    group.finish();

    let mut group = criterion.benchmark_group("get a header, the 20th");
    operation(&mut group, made("get").get());
    let headers = stream().request.headers;
    group.bench_function("Rust", |bencher| bencher.iter(|| headers.get(black_box(b"user")).unwrap().len()));
    group.finish();

    let mut group = criterion.benchmark_group("set a header");
    operation(&mut group, made("set").get());
    let mut headers = stream().request.headers;
    group.bench_function("Rust", |bencher| {
        bencher.iter(|| headers.set(black_box(b"x-set"), black_box(b"sixteen bytes ok")).unwrap());
    });
    group.finish();

    let mut group = criterion.benchmark_group("visit 20 headers");
    operation(&mut group, made("visit").get());
    let headers = stream().request.headers;
    group.bench_function("Rust", |bencher| {
        bencher.iter(|| black_box(&headers).iter().map(|(name, value)| name.len() + value.len()).sum::<usize>());
    });
    group.finish();

    let mut group = criterion.benchmark_group("read a variable");
    operation(&mut group, made("variable").get());
    let state = stream();
    group.bench_function("Rust", |bencher| {
        bencher.iter(|| assert!(black_box(Variable::Path).get(black_box(&state)).is_some()));
    });
    group.finish();

    let mut group = criterion.benchmark_group("count a metric");
    operation(&mut group, made("metric").get());
    let counter = setup.env.metrics.counter("plain_total", &[]).unwrap();
    group.bench_function("Rust", |bencher| bencher.iter(|| black_box(&counter).inc()));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = abi
}
criterion_main!(benches);
