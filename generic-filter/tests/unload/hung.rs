//! Module-control that does not come back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sidegate_api::StreamFilterBuilder;
use sidegate_generic_filter::What;

use crate::kit::{Served, alone, until};
use crate::support::{compile, only, scratch, spec};

#[test]
fn who_asks_a_hanging_thread_is_refused_and_what_comes_late_is_given_back() {
    let _alone = alone();
    let (served, plain) = (Served::new(), compile("leaves", &["-lpthread"]));
    let running = served.reload(&plain, What::Fresh).unwrap();
    served.attach(&running);
    let (trouble, gate) = (compile("trouble", &["-lpthread"]), scratch("gate"));
    let mut spec_of_trouble = spec(&trouble, "");
    spec_of_trouble.config = serde_json::json!({"what": format!("until:{} create:hang", gate.display())});

    let begun = Instant::now();
    let served = &served;
    std::thread::scope(|scope| {
        let builder = Arc::clone(&served.builder);
        let (spec, env) = (spec_of_trouble.clone(), served.next_env());
        let hanging = scope.spawn(move || only(builder.build(&spec, &env)));
        let hangs = format!("{}.hangs", gate.display());
        until(|| std::path::Path::new(&hangs).exists(), || "the hang".to_owned());
        // Somebody who comes meanwhile waits no longer than the first.
        let refusals = [only(served.reload(&plain, What::Fresh)), hanging.join().unwrap()];
        assert!(begun.elapsed() >= Duration::from_secs(9), "a long job is no hang: {:?}", begun.elapsed());
        for refusal in refusals {
            assert_eq!(refusal.kind, "module-control-hung");
            for said in ["module libtrouble", "create_filter_factory", "10 s"] {
                assert!(refusal.message.contains(said), "{said}: {}", refusal.message);
            }
        }
        // Now at once, and for route objects as well; streams go on.
        let begun = Instant::now();
        assert_eq!(only(served.reload(&plain, What::Fresh)).kind, "module-control-hung");
        let Err(refusal) = running.create_route_config(&serde_json::json!("x")) else { panic!("expected a refusal") };
        assert!(refusal.kind == "module-control-hung" || refusal.message.contains("no settings per route"));
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        served.serve(&running);
        assert!(served.builder.modules().iter().any(|module| module.name == "libleaves"));
    });
    std::fs::write(&gate, "").unwrap();
    // The factory that nobody took is destroyed, and its module goes.
    let gone = || served.generations().len() == 1;
    until(gone, || format!("{:?}", served.builder.modules()));
    let next = served.reload(&plain, What::Fresh).unwrap();
    served.detach(&running);
    drop((running, next));
    served.until_gone();
}
