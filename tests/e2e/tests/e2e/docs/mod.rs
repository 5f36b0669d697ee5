//! What the documentation shows works: configurations pass the check, code
//! compiles, sessions run and print what is shown.

pub mod blocks;
mod operations;
mod session;
mod variables;

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use sidegate_harness::{TempDir, repository, run, sidegate};

use blocks::{Block, blocks, book, pages};
use session::Session;

/// Blocks of the book that nobody runs: page, first line, and why. Blocks
/// without a language are no code.
const NOT_RUN: &[(&str, &str, &str)] = &[
    ("debugging.md", "cargo build -p sidegate-server --features system-allocator", "tests/modules/walk.sh builds so"),
    (
        "README.md",
        "make demo   # builds, runs Sidegate on 127.0.0.1:2046, shows requests, and swaps the module while they go through",
        "the tests of the demo run it",
    ),
    (
        "README.md",
        "sidegate run -c config.json       # serve; SIGTERM or SIGINT drains, a second one ends at once",
        "a list of commands",
    ),
    (
        "README.md",
        "kill -HUP \"$PID\"                                            # read the file again; a refused one changes nothing",
        "a list of commands",
    ),
    ("filter-rust.md", "[dependencies]", "so-examples/body-rewrite has the same"),
    ("filter-go-zig.md", "sidegate new-filter greeter --lang go    # or zig", "the tests of new-filter run it"),
    (
        "operations.md",
        "{ \"pid\": 4711, \"listeners\": { \"ingress\": \"127.0.0.1:2046\" }, \"admin\": \"127.0.0.1:34901\", \"metrics\": [] }",
        "an output, which every other test reads",
    ),
    (
        "operations.md",
        "curl -s --unix-socket /run/sidegate.sock http://admin/ready",
        "the tests of the admin interface make such calls",
    ),
    ("start.md", "make demo", "the tests of the demo run it"),
    ("start.md", "[package]", "the crate is a member of this workspace"),
];

/// Blocks that are whole configurations.
pub fn configurations() -> Vec<Block> {
    pages().iter().flat_map(|page| blocks(page)).filter(Block::is_configuration).collect()
}

/// A folder with the certificates and the key that pages name: those of
/// `sidegate cert` and `sidegate keygen`.
fn with_certificates_and_key() -> TempDir {
    let dir = TempDir::new();
    let made = sidegate(["cert".as_ref(), dir.path().as_os_str()]);
    assert_eq!(made.code, Some(0), "{}", made.output());
    let made = sidegate(["keygen".as_ref(), dir.join("release").as_os_str(), "--no-password".as_ref()]);
    assert_eq!(made.code, Some(0), "{}", made.output());
    dir
}

#[test]
fn configurations_in_the_documentation_pass_the_check() {
    let dir = with_certificates_and_key();
    let mut checked = 0;
    for block in configurations() {
        let file = dir.write(format!("{checked}.{}", block.language), &block.content);
        passes_the_check(&block, &file);
        checked += 1;
    }
    assert!(checked > 0, "no configuration found");
}

fn passes_the_check(block: &Block, file: &std::path::Path) {
    let outcome = sidegate(["check".as_ref(), "--no-load".as_ref(), "-c".as_ref(), file.as_os_str()]);
    // Modules named there need not exist here.
    let (missing, problems): (Vec<&str>, Vec<&str>) =
        outcome.stderr.lines().filter(|line| !may_warn(block, line)).partition(|line| line.contains(".so_path: "));
    assert!(problems.is_empty(), "{}:\n{}\n{}", block.place(), problems.join("\n"), block.content);
    let expected = if missing.is_empty() { 0 } else { 1 };
    assert_eq!(outcome.code, Some(expected), "{}:\n{}\n{}", block.place(), outcome.output(), block.content);
}

/// The page on MOSN shows warnings.
fn may_warn(block: &Block, line: &str) -> bool {
    block.page.ends_with("mosn.md") && line.starts_with("sidegate: warning: ")
}

/// A part of a configuration says where it belongs: `<!-- in: /json/pointer -->`.
#[test]
fn parts_of_configurations_pass_the_check_where_they_belong() {
    let dir = with_certificates_and_key();
    for block in book().iter().flat_map(|page| blocks(page)) {
        let Some(pointer) = block.noted("in") else { continue };
        assert_eq!(block.language, "json", "{}: parts are in JSON", block.place());
        let part: Value = serde_json::from_str(&format!("{{{}}}", block.content))
            .or_else(|_| serde_json::from_str(&block.content))
            .unwrap_or_else(|e| panic!("{}: {e}", block.place()));
        let mut config = whole();
        let place = config.pointer_mut(pointer).unwrap_or_else(|| panic!("{}: no {pointer}", block.place()));
        match (place, part) {
            (Value::Object(place), Value::Object(part)) => place.extend(part),
            (Value::Array(place), part) => place.push(part),
            _ => panic!("{}: {pointer} cannot take it", block.place()),
        }
        passes_the_check(&block, &dir.write("config.json", config.to_string()));
    }
}

/// A configuration with something everywhere that parts may refer to.
fn whole() -> Value {
    json!({
        "servers": [{
            "routers": [{
                "router_config_name": "main",
                "virtual_hosts": [{
                    "name": "all", "domains": ["*"],
                    "routers": [{"match": {"prefix": "/"}, "route": {"cluster_name": "backend"}}],
                }],
            }],
            "listeners": [{
                "name": "ingress",
                "address": "127.0.0.1:2046",
                "filter_chains": [{"filters": [{"type": "proxy", "config": {"router_config_name": "main"}}]}],
                "stream_filters": [],
            }],
        }],
        "cluster_manager": {"clusters": [
            {"name": "backend", "hosts": [{"address": "127.0.0.1:8080"}]},
            {"name": "other", "hosts": [{"address": "127.0.0.1:8081"}]},
        ]},
    })
}

#[test]
fn sessions_print_what_is_shown() {
    for page in book() {
        let mut session = Session::new();
        blocks(&page).iter().for_each(|block| session.take(block));
    }
}

#[test]
fn code_in_c_and_cpp_compiles_without_a_warning() {
    const C: &[(&str, &str)] = &[("cc", "-std=c11"), ("c++", "-xc++ -std=c++17")];
    let (mut compiled, mut compiled_cpp) = (0, 0);
    for page in book() {
        let mut session = Session::new();
        for block in blocks(&page) {
            session.take_file(&block);
            let compilers = match &*block.language {
                "c" => C,
                "cpp" => &C[1..],
                _ => continue,
            };
            let file = block.noted("file").unwrap_or_else(|| panic!("{}: no `file:` before it", block.place()));
            for (compiler, language) in compilers {
                let mut command = Command::new(compiler);
                command.args(language.split(' ')).args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]);
                command.arg("-I").arg(repository().join("ffi-api/include")).arg(session.folder().join(file));
                let outcome = run(&mut command);
                assert_eq!(outcome.code, Some(0), "{}: {compiler}:\n{}", block.place(), outcome.output());
            }
            *if compilers == C { &mut compiled } else { &mut compiled_cpp } += 1;
        }
    }
    assert!(compiled > 0 && compiled_cpp > 0, "blocks found: {compiled} in C, {compiled_cpp} in C++");
}

/// Doctests of that crate compile and run them.
#[test]
fn pages_with_rust_are_tested() {
    let tested = std::fs::read_to_string(repository().join("tests/docs/src/lib.rs")).unwrap();
    for page in book() {
        let blocks = blocks(&page);
        let name = page.file_name().unwrap().to_str().unwrap();
        assert_eq!(
            blocks.iter().any(|block| block.language == "rust" && block.noted("plugin").is_none()),
            tested.contains(&format!("/{name}\"")),
            "{name} in tests/docs/src/lib.rs"
        );
    }
}

/// The crate of the first page is built and tested by the workspace.
#[test]
fn the_first_filter_is_the_one_that_is_built() {
    let page = blocks(&repository().join("docs/src/start.md"));
    let shown = page.iter().find(|block| block.noted("file") == Some("src/lib.rs")).expect("a filter on the page");
    let built = std::fs::read_to_string(repository().join("docs/examples/token-auth/src/lib.rs")).unwrap();
    assert_eq!(shown.content.trim_end(), built.trim_end(), "{}", shown.place());
}

/// What a page shows of a file of the repository says so: `<!-- from: PATH -->`.
#[test]
fn parts_of_files_are_as_the_files_have_them() {
    let mut compared = 0;
    for block in book().iter().flat_map(|page| blocks(page)) {
        let Some(path) = block.noted("from") else { continue };
        let file = std::fs::read_to_string(repository().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
        assert!(file.contains(&format!("{}\n", block.content)), "{} is not in {path}", block.place());
        compared += 1;
    }
    assert!(compared > 0, "no part of a file found");
}

#[test]
fn every_block_is_run_or_listed() {
    let mut listed: Vec<_> = NOT_RUN.iter().map(|(page, line, _)| (*page, *line)).collect();
    for block in book().iter().flat_map(|page| blocks(page)) {
        let tested = match &*block.language {
            "" | "text" | "console" | "rust" | "c" | "cpp" => true,
            "json" | "yaml" => block.is_configuration() || block.noted("in").is_some(),
            // Whole programs, which `tests/plugins/run.py` builds and runs.
            _ => block.noted("plugin").is_some(),
        };
        let tested = tested || block.noted("from").is_some();
        let before = listed.len();
        listed.retain(|name| *name != block.name());
        assert!(tested || listed.len() < before, "{}: nobody runs this block: {:?}", block.place(), block.name());
    }
    assert!(listed.is_empty(), "no such blocks: {listed:?}");
}

/// Each has a copy of its own, so that its folder can be copied.
#[test]
fn example_plugins_speak_the_protocol_of_the_proxy() {
    // Declarations alone, whatever their spacing: comments and options are the copy's own.
    let declarations = |file: PathBuf| {
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//") && !line.starts_with("option "));
        lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
    };
    let ours = declarations(repository().join("proto/mosn/plugin.proto"));
    for copy in [
        "go/plugin.proto",
        "java/src/main/protobuf/plugin.proto",
        "node/plugin.proto",
        "python/plugin.proto",
        "rust/proto/plugin.proto",
    ] {
        assert_eq!(declarations(repository().join("plugin-examples").join(copy)), ours, "{copy}");
    }
    let of = |path: &str| declarations(repository().join(path));
    assert_eq!(of("plugin-examples/python/access_log.proto"), of("proto/sidegate/plugin/v1/access_log.proto"));
}

#[test]
fn the_summary_lists_every_page_of_the_book() {
    let summary = std::fs::read_to_string(repository().join("docs/src/SUMMARY.md")).unwrap();
    for page in book().iter().filter(|page| page.parent().is_some_and(|folder| folder.ends_with("docs/src"))) {
        let name = page.file_name().unwrap().to_str().unwrap();
        assert!(name == "SUMMARY.md" || summary.contains(&format!("]({name})")), "{name} is not in SUMMARY.md");
    }
}

#[test]
fn links_between_pages_lead_somewhere() {
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file: PathBuf = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            assert!(file.exists(), "{}: {target}", page.display());
            if !anchor.is_empty() {
                let headings = std::fs::read_to_string(&file).unwrap();
                let mut anchors = headings.lines().filter(|line| line.starts_with('#')).map(anchor_of);
                assert!(anchors.any(|known| known == anchor), "{}: {target}", page.display());
            }
        }
    }
}

/// The anchor that mdBook and others give to a heading.
fn anchor_of(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}
