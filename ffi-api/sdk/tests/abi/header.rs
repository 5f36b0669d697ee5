//! `sidegate.h` is the same ABI, and clean in C and C++.

use std::path::PathBuf;
use std::process::Command;

use crate::layout::{numbers, text, types};
use crate::{ffi_api, run, TempDir};

pub struct Compiler {
    pub program: &'static str,
    language: &'static [&'static str],
}

const C: &[&str] = &["-x", "c", "-std=c11", "-Wshadow"];
const CXX: &[&str] = &["-x", "c++", "-std=c++17", "-Wshadow", "-Wcast-qual"];

/// `cc`, and of the others those that are here.
pub fn compilers() -> Vec<Compiler> {
    let known = [("cc", C), ("clang", C), ("c++", CXX), ("clang++", CXX)];
    let here = |program: &str| {
        let found = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
        if !found {
            println!("no {program} here: the header is not checked with it");
        }
        found
    };
    let known = known.into_iter().map(|(program, language)| Compiler { program, language });
    known.filter(|compiler| compiler.program == "cc" || here(compiler.program)).collect()
}

impl Compiler {
    pub fn compile(&self, source: &str, arguments: &[&str], dir: &TempDir, output: &str) -> PathBuf {
        let (input, output) = (dir.file("source.c"), dir.file(output));
        std::fs::write(&input, source).unwrap();
        run(Command::new(self.program)
            .args(self.language)
            .args(["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"])
            .args(arguments)
            .arg("-I")
            .arg(ffi_api().join("include"))
            .arg(&input)
            .arg("-o")
            .arg(&output));
        output
    }
}

fn header() -> String {
    std::fs::read_to_string(ffi_api().join("include/sidegate.h")).unwrap()
}

#[test]
fn the_header_has_the_layout_and_numbers_of_the_tables() {
    let mut program = String::from(
        "#include <stdio.h>\n#include \"sidegate.h\"\n#ifdef __cplusplus\n#define ALIGN alignof\n#else\n\
         #define ALIGN _Alignof\n#endif\nint main(void) {\n",
    );
    for table in types() {
        let name = &table.name;
        program += &format!("printf(\"type {name} size %zu align %zu\\n\", sizeof({name}), (size_t)ALIGN({name}));\n");
        for field in table.fields {
            let field = field.name;
            program += &format!(
                "printf(\"  {field} at %zu size %zu\\n\", offsetof({name}, {field}), sizeof((({name} *)0)->{field}));\n"
            );
        }
    }
    for (name, _) in numbers() {
        program += &format!("printf(\"number {name} %llu\\n\", (unsigned long long){name});\n");
    }
    program += "return 0;\n}\n";
    for compiler in compilers() {
        let dir = TempDir::new();
        let printed = run(&mut Command::new(compiler.compile(&program, &[], &dir, "layout")));
        assert_eq!(printed, text(&types(), &numbers()), "{}", compiler.program);
    }
}

#[test]
fn the_header_names_no_other_numbers() {
    let known: Vec<String> = numbers().into_iter().map(|(name, _)| name).collect();
    let mut seen = 0;
    for line in header().lines() {
        let mut words = line.split_whitespace();
        if words.next() != Some("#define") {
            continue;
        }
        let (Some(name), Some(value)) = (words.next(), words.next()) else { continue };
        if value.starts_with("UINT") || value.starts_with(|c: char| c.is_ascii_digit()) {
            assert!(known.iter().any(|known| known == name), "{name} is not in numbers.rs");
            seen += 1;
        }
    }
    assert_eq!(seen, known.len());
}

#[test]
fn the_header_stays_readable() {
    let header = header();
    assert!(header.lines().count() < 1100);
    for (number, line) in header.lines().enumerate() {
        assert!(line.chars().count() <= 120, "line {} is too long", number + 1);
    }
}

/// A whole module: every macro and helper once.
const MODULE: &str = r#"
#include "sidegate.h"

SIDEGATE_MODULE_RECORD("tiny", "1.2.3")

static const sidegate_host_v1 *host;

static void destroy(void *object) SIDEGATE_NOEXCEPT { (void)object; }

static uint32_t create_filter(void *factory, uint32_t worker, void *state, void **filter) SIDEGATE_NOEXCEPT {
    (void)worker;
    (void)state;
    *filter = factory;
    return SIDEGATE_OK;
}

static uint32_t on_request_headers(void *filter, const sidegate_hook_v1 *hook) SIDEGATE_NOEXCEPT {
    sidegate_slice value;
    (void)filter;
    if (host->header_get(hook->stream, SIDEGATE_MAP_REQUEST, sidegate_str("x"), &value) == SIDEGATE_OK &&
        sidegate_slice_eq(value, sidegate_bytes("y", 1)) && sidegate_slice_eq_nocase(value, sidegate_str("Y")))
        return SIDEGATE_STATUS_CONTINUE;
    return sidegate_reply_text(host, hook->stream, 403, "no\n");
}

static const sidegate_factory_table_v1 factory_table = {sizeof(factory_table), destroy, create_filter, 0, 0, 0, 0, 0, 0};
static const sidegate_filter_table_v1 filter_table = {
    sizeof(filter_table), destroy, on_request_headers, 0, 0, 0, 0, 0, 0, 0};

SIDEGATE_EXPORT uint32_t sidegate_create_filter_factory_v1(const sidegate_create_args_v1 *args,
                                                           sidegate_create_result_v1 *result) SIDEGATE_NOEXCEPT {
    if (!sidegate_host_ok(args->host) || !SIDEGATE_HAS(args->host, fault))
        return sidegate_error(args->error, "a.b", "this host is too old");
    host = args->host;
    result->factory_table = &factory_table;
    result->filter_table = &filter_table;
    result->interests.phases = 1U << SIDEGATE_PHASE_BEFORE_ROUTE;
    return SIDEGATE_OK;
}
"#;

#[test]
fn a_module_compiles_without_warning_and_carries_its_record() {
    for compiler in compilers() {
        let dir = TempDir::new();
        let module = compiler.compile(MODULE, &["-shared", "-fPIC", "-O2", "-fvisibility=hidden"], &dir, "libtiny.so");
        let record = crate::record::find(&std::fs::read(module).unwrap());
        assert_eq!((record.name.as_str(), record.version.as_str()), ("tiny", "1.2.3"), "{}", compiler.program);
        assert_eq!(record.sdk, "sidegate.h");
        assert!(record.compiler.starts_with("gcc ") || record.compiler.starts_with("clang "), "{}", record.compiler);
        assert_eq!(record.panic, sidegate_abi::PANIC_NONE);
    }
}

/// Every standard that the header promises, with every compiler that is here.
fn with_standards(test: impl Fn(&str, &str, bool)) {
    let c = ["-std=c11", "-std=c17"];
    let cxx = ["-std=c++11", "-std=c++14", "-std=c++17", "-std=c++20"];
    for compiler in compilers() {
        let is_cxx = compiler.language[1] == "c++";
        for standard in if is_cxx { &cxx[..] } else { &c[..] } {
            test(compiler.program, standard, is_cxx);
        }
    }
}

/// Compiles `source` with warnings as errors and says what the compiler said.
fn try_compile(program: &str, standard: &str, source: &str) -> Result<(), String> {
    let dir = TempDir::new();
    let input = dir.file(if standard.starts_with("-std=c++") { "source.cpp" } else { "source.c" });
    std::fs::write(&input, source).unwrap();
    let output = Command::new(program)
        .args([standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-I"])
        .arg(ffi_api().join("include"))
        .arg(&input)
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// A module of the macros, with what the author forgets in place of `HERE`.
const BARE: &str = r#"
#include "sidegate.h"
typedef struct object { int nothing; } object;
static uint32_t mark(void *filter, const sidegate_hook_v1 *hook) HOOK {
    (void)filter;
    return sidegate_waive_body(sidegate_host, hook->stream, SIDEGATE_BODY_RESPONSE);
}
static void complete(void *filter, const sidegate_hook_v1 *hook, const sidegate_completion_v1 *how) COMPLETE {
    (void)filter; (void)hook; (void)how;
}
static uint32_t configure(void *made, const sidegate_create_args_v1 *args) CONFIGURE {
    (void)made; (void)args;
    return SIDEGATE_OK;
}
static uint32_t begin(void *made, void *config, void *worker) BEGIN {
    (void)made; (void)config; (void)worker;
    return SIDEGATE_OK;
}
static void end(void *made) END { (void)made; }
SIDEGATE_FILTER(bare, "bare", SIDEGATE_ON_REQUEST_HEADERS(mark, SIDEGATE_IN_BEFORE_ROUTE),
                SIDEGATE_ON_COMPLETE(complete), SIDEGATE_CONFIG(object, configure, NULL),
                SIDEGATE_STREAM(object, begin, end))
SIDEGATE_MODULE("bare", "1.0.0", bare)
"#;

const MARKS: [&str; 5] = ["HOOK", "COMPLETE", "CONFIGURE", "BEGIN", "END"];

/// [`BARE`] with every mark but `forgotten` in place.
fn module_without(forgotten: &str) -> String {
    let with = |mark: &str| if mark == forgotten { "" } else { "SIDEGATE_NOEXCEPT" };
    MARKS
        .iter()
        .fold(BARE.to_owned(), |text, mark| text.replace(&format!(") {mark} {{"), &format!(") {} {{", with(mark))))
}

#[test]
fn every_standard_from_c11_and_cxx11_on_compiles_it_without_a_warning() {
    with_standards(|program, standard, _| {
        for module in [MODULE, &module_without("nothing")] {
            if let Err(said) = try_compile(program, standard, module) {
                panic!("{program} {standard}: {said}");
            }
        }
    });
}

#[test]
fn a_function_that_may_throw_does_not_compile_from_cxx17_on() {
    with_standards(|program, standard, is_cxx| {
        let refused = is_cxx && !["-std=c++11", "-std=c++14"].contains(&standard);
        for mark in MARKS {
            let tried = try_compile(program, standard, &module_without(mark));
            assert_eq!(tried.is_err(), refused, "{program} {standard}, {mark}: {tried:?}");
        }
    });
}
