//! What a configuration takes over from the one before.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::support::{BASE, FakeBuilder, env, registry, varied};
use super::values::FULL;
use crate::{Config, ConfigErrors, ConfigFile, FilterCache, FilterPlace, LoadMode};

/// One process that reads its configuration again and again.
struct Process {
    registry: sidegate_api::Registry,
    builder: Arc<FakeBuilder>,
    env: crate::LoadEnv,
}

impl Process {
    fn new() -> Process {
        let (registry, builder) = registry();
        Process { registry, builder, env: env() }
    }

    fn resolve(&self, text: &str, before: Option<&Config>) -> Result<Config, ConfigErrors> {
        let file = ConfigFile::parse(Path::new("c.yaml"), text)?;
        file.resolve(&self.registry, &self.env, LoadMode::Load, before.map(|before| &before.filters_cache))
    }

    fn builds(&self) -> usize {
        self.builder.builds.load(Ordering::Relaxed)
    }
}

fn place(listener: &str, filter: &str, nth: usize) -> FilterPlace {
    FilterPlace { listener: listener.into(), filter: filter.into(), nth }
}

fn is_same(a: &Config, b: &Config, place: &FilterPlace) -> bool {
    let factory = |config: &FilterCache| config.factory(place).cloned().unwrap();
    Arc::ptr_eq(&factory(&a.filters_cache), &factory(&b.filters_cache))
}

const DEMO: &str = "    - type: demo\n      config: {User: admin}\n";

#[test]
fn what_says_the_same_is_taken_over_wherever_it_stands() {
    let process = Process::new();
    let with = |chain: &str| varied(DEMO, chain);
    let first = process
        .resolve(
            &with("    - {type: demo, name: a, config: {b: '1', c: '2'}}\n    - {type: demo, name: d}\n    - {type: demo, name: d}\n"),
            None,
        )
        .unwrap();
    assert_eq!((process.builds(), first.successions.len()), (3, 0));
    // Another order of keys and of entries, a comment, other routes.
    let text = with(
        "    - {type: demo, name: d}\n    # here\n    - {config: {c: '2', b: '1'}, type: demo, name: a}\n    - {type: demo, name: d, config: {x: y}}\n",
    );
    let second = process.resolve(&text.replace("prefix: /", "prefix: /a"), Some(&first)).unwrap();
    assert_eq!(process.builds(), 4);
    assert!(is_same(&first, &second, &place("l", "a", 0)));
    assert!(is_same(&first, &second, &place("l", "d", 0)));
    assert!(!is_same(&first, &second, &place("l", "d", 1)));
    let [succession] = &second.successions[..] else { panic!("{:?}", second.successions) };
    assert_eq!(succession.place, place("l", "d", 1));
    let factory = |config: &Config, place: &FilterPlace| config.filters_cache.factory(place).cloned().unwrap();
    assert!(Arc::ptr_eq(&succession.predecessor, &factory(&first, &succession.place)));
    assert!(Arc::ptr_eq(&succession.factory, &factory(&second, &succession.place)));
    // What the listener is given is what was taken over.
    let names = second.listeners[0].filters.iter().map(|entry| &*entry.name);
    assert_eq!(names.collect::<Vec<_>>(), ["d", "a", "d"]);
    for (entry, place) in second.listeners[0].filters.iter().zip([place("l", "d", 0), place("l", "a", 0)]) {
        assert!(Arc::ptr_eq(&entry.factory, &factory(&first, &place)));
    }
}

#[test]
fn another_listener_type_or_number_of_workers_is_no_successor() {
    let mut process = Process::new();
    let first = process.resolve(BASE, None).unwrap();
    let renamed = process.resolve(&varied("name: l\n", "name: m\n"), Some(&first)).unwrap();
    assert_eq!((process.builds(), renamed.successions.len()), (2, 0));
    let module = "    - {type: x, name: demo, so_config: {so_path: /a.so}}\n";
    let other = process.resolve(&varied(DEMO, module), Some(&first)).unwrap();
    assert_eq!((process.builds(), other.successions.len()), (3, 0));
    let filter = "    - {type: x, name: demo, so_config: {so_path: /a.so, filter: b}}\n";
    assert!(process.resolve(&varied(DEMO, filter), Some(&other)).unwrap().successions.is_empty());
    let pinned = format!("    - {{type: x, name: demo, so_config: {{so_path: /a.so, sha256: '{:064}'}}}}\n", 1);
    assert_eq!(process.resolve(&varied(DEMO, &pinned), Some(&other)).unwrap().successions.len(), 1);
    let builds = process.builds();
    process.env.workers = 2;
    process.resolve(BASE, Some(&first)).unwrap();
    assert_eq!(process.builds(), builds + 1);
}

#[test]
fn files_behind_an_entry_count_and_so_does_who_asks_for_a_new_one() {
    let process = Process::new();
    let first = process.resolve(BASE, None).unwrap();
    *process.builder.behind.lock().unwrap() = b"other".to_vec();
    let second = process.resolve(BASE, Some(&first)).unwrap();
    assert_eq!((process.builds(), second.successions.len()), (2, 1));
    let third = process.resolve(BASE, Some(&second)).unwrap();
    assert_eq!((process.builds(), third.successions.len()), (2, 0));
    process.builder.renews.store(true, Ordering::Relaxed);
    let fourth = process.resolve(BASE, Some(&third)).unwrap();
    assert_eq!((process.builds(), fourth.successions.len()), (3, 1));
    assert!(first.watched.contains(&PathBuf::from("/behind")));
}

#[test]
fn a_mistake_elsewhere_makes_nothing_that_is_there_already() {
    let process = Process::new();
    let first = process.resolve(BASE, None).unwrap();
    let wrong = BASE.replace("cluster_name: c", "cluster_name: d");
    assert!(process.resolve(&wrong, Some(&first)).is_err());
    assert_eq!(process.builds(), 1);
    let and_refused = wrong.replace("User: admin", "refuse: me");
    let errors = process.resolve(&and_refused, Some(&first)).unwrap_err();
    assert_eq!((process.builds(), errors.errors.len()), (2, 2));
}

#[test]
fn regular_expressions_of_what_goes_on_are_paid_for_each_time() {
    let process = Process::new();
    let first = process.resolve(&varied("User: admin", "regex: '[a-z]{60000}'"), None).unwrap();
    let left = first.filters_cache.regexes().left();
    assert!(left < sidegate_api::RegexBudget::TOTAL - (1 << 20), "{left}");
    let mut before = first;
    for _ in 0..200 {
        let next = process.resolve(&varied("User: admin", "regex: '[a-z]{60000}'"), Some(&before)).unwrap();
        assert_eq!(next.filters_cache.regexes().left(), left);
        before = next;
    }
    assert_eq!(process.builds(), 1);
    // Many more beside it are too many, as they would be at a start.
    let more = |count: usize| {
        let filter = |n| format!("    - {{type: demo, name: f{n}, config: {{regex: '[a-z]{{60000}}'}}}}\n");
        let all: String = (0..count).map(filter).collect();
        varied(DEMO, &format!("    - type: demo\n      config: {{regex: '[a-z]{{60000}}'}}\n{all}"))
    };
    let at_start = Process::new().resolve(&more(100), None).unwrap_err().errors.len();
    assert_eq!(process.resolve(&more(100), Some(&before)).unwrap_err().errors.len(), at_start);
}

#[test]
fn the_digest_is_of_all_files_that_were_read() {
    let dir = std::env::temp_dir().join(format!("sidegate-config-digest-{}", std::process::id()));
    let main = dir.join("main.yaml");
    std::fs::create_dir_all(dir.join("clusters")).unwrap();
    let text =
        BASE.split("cluster_manager:").next().unwrap().to_owned() + "cluster_manager: {clusters_configs: clusters}\n";
    std::fs::write(&main, &text).unwrap();
    let cluster = dir.join("clusters/c.yaml");
    std::fs::write(&cluster, "{name: c, hosts: [{address: '127.0.0.1:1'}]}").unwrap();
    let first = ConfigFile::read(&main).unwrap();
    assert_eq!(first.files(), [main.clone(), cluster.clone()]);
    assert_eq!(ConfigFile::read(&main).unwrap().digest(), first.digest());
    std::fs::write(&cluster, "{name: c, hosts: [{address: '127.0.0.1:2'}]}").unwrap();
    let second = ConfigFile::read(&main).unwrap();
    assert_ne!(second.digest(), first.digest());
    // What was read is what is resolved, whatever the file says by now.
    std::fs::write(&cluster, "{}").unwrap();
    let config = second.resolve(&registry().0, &env(), LoadMode::NoLoad, None).unwrap();
    assert_eq!(config.clusters[0].hosts[0].address.to_string(), "127.0.0.1:2");
    assert_eq!(config.watched, [PathBuf::from("/behind"), cluster, main]);
    assert_eq!(config.watched_directories, [dir.join("clusters")]);
    assert_eq!(ConfigFile::parse(Path::new("c.yaml"), BASE).unwrap().files(), [] as [PathBuf; 0]);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn what_was_read_before_says_the_same_again() {
    let process = Process::new();
    for text in [BASE, FULL] {
        let first = process.resolve(text, None).unwrap();
        let second = process.resolve(text, Some(&first)).unwrap();
        assert_eq!(second.warnings, first.warnings);
        assert_eq!(second.clusters, first.clusters);
        let routes = |config: &Config| config.routers.iter().map(|r| format!("{:?}", r.routes())).collect::<Vec<_>>();
        assert_eq!(routes(&second), routes(&first));
    }
    // A route that stays, to a cluster that goes.
    let first = process.resolve(BASE, None).unwrap();
    let gone = process.resolve(&varied("  - name: c\n", "  - name: d\n"), Some(&first)).unwrap_err();
    assert!(gone.to_string().contains("cluster \"c\" is not defined"), "{gone}");
    let cluster = "  - name: c\n    hosts:\n    - address: 127.0.0.1:8080\n";
    let twice = process.resolve(&varied(cluster, &cluster.repeat(2)), Some(&first)).unwrap_err();
    assert!(twice.to_string().contains("cluster name \"c\" is given twice"), "{twice}");
}
