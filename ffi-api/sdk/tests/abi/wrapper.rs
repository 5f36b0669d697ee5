//! `sidegate.hpp` and the host in memory for C and C++, `sidegate_test.h`.

use std::process::Command;

use crate::header::{compilers, Compiler};
use crate::{ffi_api, run, TempDir};

fn cxx() -> impl Iterator<Item = Compiler> {
    compilers().into_iter().filter(|compiler| compiler.program.ends_with("++"))
}

#[test]
fn the_wrapper_does_what_it_says_in_every_standard_from_cxx17_on() {
    let source = std::fs::read_to_string(ffi_api().join("../tests/abi/cpp/wrapper_test.cpp")).unwrap();
    for compiler in cxx() {
        for standard in ["-std=c++17", "-std=c++20"] {
            let dir = TempDir::new();
            let test = compiler.compile(&source, &[standard, "-g", "-pthread"], &dir, "wrapper_test");
            run(&mut Command::new(test));
        }
    }
}

#[test]
fn the_host_in_memory_catches_what_is_kept_too_long() {
    const KEEPS: &str = r#"
        #include "sidegate_test.h"
        #include "sidegate.hpp"
        struct Keeps : sidegate::Filter {
            sidegate::Status on_request_headers(sidegate::Stream &stream) override {
                const std::string_view kept = stream.request().get("x").value();
                if (stream.path() == "/changed") stream.request().set("x", "2");
                if (kept != "1") std::abort();
                return sidegate::Status::Continue;
            }
        };
        SIDEGATE_CPP_MODULE("keeps", "1.0.0", sidegate::filter<Keeps>("keeps"))
        int main(int, char **arguments) {
            sidegate_test *test = sidegate_test_start(nullptr, "{}");
            sidegate_test_run(sidegate_test_request(test, "GET", arguments[1], "x: 1"));
            sidegate_test_end(test);
        }
    "#;
    let dir = TempDir::new();
    let Some(compiler) = cxx().find(|compiler| compiler.program == "c++") else { return };
    let test = compiler.compile(KEEPS, &["-g", "-fsanitize=address", "-pthread"], &dir, "keeps");
    let ended = |target: &str| Command::new(&test).arg(target).output().unwrap();
    let well = ended("/");
    assert!(well.status.success(), "{}", String::from_utf8_lossy(&well.stderr));
    let caught = ended("/changed");
    assert!(!caught.status.success());
    let said = String::from_utf8_lossy(&caught.stderr).into_owned();
    assert!(said.contains("heap-use-after-free"), "{said}");
}

/// A module with this body of a filter.
fn module(body: &str) -> String {
    format!(
        "#include \"sidegate.hpp\"\nstruct Mine : sidegate::Filter {{ {body} }};\n\
         SIDEGATE_CPP_MODULE(\"mine\", \"1.0.0\", sidegate::filter<Mine>(\"mine\"))\n"
    )
}

#[test]
fn filters_that_nobody_would_call_do_not_compile() {
    const HOOK: &str = "sidegate::Status on_request_headers(sidegate::Stream &) override \
                        { return sidegate::Status::Continue; }";
    for compiler in cxx() {
        let tried = |body: &str, options: &[&str]| {
            let dir = TempDir::new();
            let input = dir.file("source.cpp");
            std::fs::write(&input, module(body)).unwrap();
            let output = Command::new(compiler.program)
                .args(["-std=c++17", "-fsyntax-only", "-I"])
                .arg(ffi_api().join("include"))
                .args(options)
                .arg(&input)
                .output()
                .unwrap();
            String::from_utf8_lossy(&output.stderr).into_owned()
        };
        assert_eq!(tried(HOOK, &[]), "", "{}", compiler.program);
        for (body, options, said) in [
            ("", &[][..], "a filter overrides at least one hook"),
            ("sidegate::Status on_headers(sidegate::Stream &) override;", &[], "override"),
            (&format!("struct Config {{}}; {HOOK}"), &[], "Config needs a constructor from std::string_view"),
            (HOOK, &["-fno-exceptions"], "compile without -fno-exceptions"),
        ] {
            let found = tried(body, options);
            assert!(found.contains(said), "{}: {body}: {found}", compiler.program);
        }
    }
}

#[test]
fn the_host_in_memory_is_clean_in_c_and_cxx() {
    const MODULE: &str = r#"
        #include "sidegate_test.h"
        static uint32_t mark(void *filter, const sidegate_hook_v1 *hook) SIDEGATE_NOEXCEPT {
            (void)filter;
            sidegate_host->header_set(hook->stream, SIDEGATE_MAP_REQUEST, sidegate_str("x-mark"), sidegate_str("1"));
            return SIDEGATE_STATUS_CONTINUE;
        }
        SIDEGATE_FILTER(marks, "marks", SIDEGATE_ON_REQUEST_HEADERS(mark, SIDEGATE_IN_BEFORE_ROUTE))
        SIDEGATE_MODULE("marks", "1.0.0", marks)
        int main(void) {
            sidegate_test *test = sidegate_test_start(NULL, "{}");
            sidegate_stream *stream = sidegate_test_request(test, "GET", "/", "user: admin\n");
            sidegate_test_answer(stream, 404, "server: x\n");
            sidegate_test_run(stream);
            SIDEGATE_EXPECT(stream->status == 404 && stream->reached);
            SIDEGATE_EXPECT_TEXT(sidegate_test_header(stream, SIDEGATE_MAP_REQUEST, "x-mark"), "1");
            SIDEGATE_EXPECT_TEXT(sidegate_test_header(stream, SIDEGATE_MAP_RESPONSE, "Server"), "x");
            sidegate_test_end(test);
            return 0;
        }
"#;
    for compiler in compilers() {
        let dir = TempDir::new();
        let test = compiler.compile(MODULE, &["-pthread"], &dir, "test");
        run(&mut Command::new(test));
    }
}
