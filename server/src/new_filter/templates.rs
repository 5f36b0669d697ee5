//! What goes into the folder, by language.

use std::path::Path;

use crate::cli::Language;

/// Headers that go into the folder as they are.
pub(super) fn headers(language: Language) -> &'static [(&'static str, &'static str)] {
    const ALL: [(&str, &str); 3] = [
        ("sidegate.h", include_str!("../../../ffi-api/include/sidegate.h")),
        ("sidegate_test.h", include_str!("../../../ffi-api/include/sidegate_test.h")),
        ("sidegate.hpp", include_str!("../../../ffi-api/include/sidegate.hpp")),
    ];
    match language {
        Language::Rust => &[],
        Language::C | Language::Go | Language::Zig => &ALL[..2],
        Language::Cpp => &ALL,
    }
}

/// A Makefile of a language, and what they have in common.
macro_rules! makefile {
    ($path:literal) => {
        ("Makefile", concat!(include_str!($path), include_str!("templates/all/run.mk.txt")))
    };
}

/// Paths in the folder, and what goes there.
pub(super) fn files(language: Language) -> Vec<(&'static str, &'static str)> {
    const MANIFEST: (&str, &str) = ("manifest.json", include_str!("templates/all/manifest.json.txt"));
    let mut files = vec![
        ("config.yaml", include_str!("templates/all/config.yaml.txt")),
        ("run.sh", include_str!("templates/all/run.sh.txt")),
        ("README.md", include_str!("templates/all/README.md.txt")),
    ];
    match language {
        Language::Rust => files.extend([
            ("Cargo.toml", include_str!("templates/rust/Cargo.toml.txt")),
            ("src/lib.rs", include_str!("templates/rust/lib.rs.txt")),
            MANIFEST,
            makefile!("templates/rust/Makefile.txt"),
            (".gitignore", "/.run.*\n/target\n*.so\n*.so.new\n"),
        ]),
        Language::C => files.extend([
            ("filter.c", include_str!("templates/c/filter.c.txt")),
            ("test.c", include_str!("templates/c/test.c.txt")),
            makefile!("templates/c/Makefile.txt"),
            (".gitignore", "/.run.*\n/.test\n*.so\n*.so.new\n"),
        ]),
        Language::Cpp => files.extend([
            ("filter.cpp", include_str!("templates/cpp/filter.cpp.txt")),
            ("test.cpp", include_str!("templates/cpp/test.cpp.txt")),
            makefile!("templates/c/Makefile.txt"),
            (".gitignore", "/.run.*\n/.test\n*.so\n*.so.new\n"),
        ]),
        Language::Go => files.extend([
            ("go.mod", include_str!("templates/go/go.mod.txt")),
            ("filter.go", include_str!("templates/go/filter.go.txt")),
            ("sidegate.go", include_str!("templates/go/sidegate.go.txt")),
            ("module.c", include_str!("templates/go/module.c.txt")),
            ("filter_test.go", include_str!("templates/go/filter_test.go.txt")),
            ("host_for_tests.go", include_str!("templates/go/host_for_tests.go.txt")),
            makefile!("templates/go/Makefile.txt"),
            (".gitignore", "/.run.*\n/.build\n*.so\n"),
        ]),
        Language::Zig => files.extend([
            ("filter.zig", include_str!("templates/zig/filter.zig.txt")),
            ("sidegate.zig", include_str!("templates/zig/sidegate.zig.txt")),
            ("test.zig", include_str!("templates/zig/test.zig.txt")),
            MANIFEST,
            makefile!("templates/zig/Makefile.txt"),
            (".gitignore", "/.run.*\n/.zig-cache\n*.so\n*.so.o\n"),
        ]),
    }
    files
}

/// How `make run` brings a change into the proxy.
#[derive(Debug, Clone, Copy)]
enum Reload {
    /// While it runs.
    Replace,
    /// By a new process.
    Restart,
}

fn reload(language: Language) -> Reload {
    match language {
        Language::Rust | Language::C | Language::Cpp | Language::Zig => Reload::Replace,
        Language::Go => Reload::Restart,
    }
}

/// What becomes of the module of `language`, or of the proxy, when a source is
/// saved.
pub(super) fn saved(language: Language) -> &'static str {
    match reload(language) {
        Reload::Replace => "replaces it",
        Reload::Restart => "builds it and starts the proxy anew",
    }
}

/// What who writes filters in `language` has to know from the beginning.
pub(super) fn caveat(language: Language, sdk: Option<&Path>) -> &'static str {
    match language {
        Language::Rust if sdk.is_none() => {
            "\nThe crate sidegate-sdk comes from crates.io. Where that does not have it yet: `--sdk DIR`, the folder \
             ffi-api/sdk of a checkout of Sidegate."
        }
        Language::Rust | Language::C | Language::Cpp => "",
        Language::Go => {
            "\nGo's runtime never leaves a process and is there once: the proxy takes one module in Go and no second \
             beside it, and a new build of it needs a restart. The runtime brings threads and signal handlers along. \
             A panic fails one request; one in a goroutine that the filter starts ends the proxy."
        }
        Language::Zig => {
            "\nIn Zig a check that fails ends the proxy: `modules.allow` has to name `panic_abort`, as in config.yaml."
        }
    }
}

/// What stands for `{{...}}` in templates.
pub(super) struct Filler<'a> {
    pub(super) name: &'a str,
    pub(super) sdk: Option<&'a Path>,
    pub(super) language: Language,
}

impl Filler<'_> {
    pub(super) fn fill(&self, template: &str) -> String {
        // As a library's file has it.
        let ident = self.name.replace('-', "_");
        let sdk = match self.sdk {
            Some(folder) => format!("{{ path = {:?} }}", folder.display().to_string()),
            None => format!("{SDK_VERSION:?}"),
        };
        let note = match (self.language, self.sdk) {
            (Language::Rust, None) => RUST_NOTE,
            (Language::Go, _) => GO_NOTE,
            (Language::Zig, _) => ZIG_NOTE,
            _ => "",
        };
        let (reload, watch, reloads) = match reload(self.language) {
            Reload::Replace => ("replace", ", watch: true", "and takes over, and no request is lost."),
            Reload::Restart => ("restart", "", "and the proxy starts\nanew with it; requests meanwhile find nobody."),
        };
        let modules = match self.language {
            Language::Zig => ZIG_MODULES,
            _ => "",
        };
        // For the Makefile that C and C++ share.
        let (compiler, command, standard, source, test, unique) = match self.language {
            Language::Cpp => ("CXX", "c++", "c++17", "filter.cpp", "test.cpp", UNIQUE),
            _ => ("CC", "cc", "c11", "filter.c", "test.c", ""),
        };
        let headers = headers(self.language).iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" ");
        [
            ("{{name}}", self.name),
            ("{{ident}}", &ident),
            ("{{sdk}}", &sdk),
            ("{{note}}", note),
            ("{{reload}}", reload),
            ("{{watch}}", watch),
            ("{{reloads}}", reloads),
            ("{{modules}}", modules),
            ("{{compiler}}", compiler),
            ("{{command}}", command),
            ("{{standard}}", standard),
            ("{{source}}", source),
            ("{{test}}", test),
            ("{{unique}}", unique),
            ("{{headers}}", &headers),
        ]
        .iter()
        .fold(template.to_owned(), |text, (mark, value)| text.replace(mark, value))
    }
}

/// What Cargo asks of the SDK's version.
const SDK_VERSION: &str = "1.1";

/// For the Makefile of a filter in C++.
const UNIQUE: &str = "\
# Else the module cannot be unloaded; clang needs no such option, and knows none.
CHECKS += $(shell $(CXX) -fno-gnu-unique -x c++ -E /dev/null >/dev/null 2>&1 && echo -fno-gnu-unique)
";

/// For the configuration of a filter in Zig.
const ZIG_MODULES: &str = "\
# A check that fails in Zig ends the proxy. Where that is not wanted, build with
# `make MODE=ReleaseFast`, in which nothing is checked, and take this away.
modules: { allow: [panic_abort] }
";

const RUST_NOTE: &str = "
Where crates.io does not have `sidegate-sdk` yet, or another copy is wanted, add to `Cargo.toml`:

```toml
[patch.crates-io]
sidegate-abi = { path = \"/path/to/sidegate/ffi-api/abi\" }
sidegate-sdk = { path = \"/path/to/sidegate/ffi-api/sdk\" }
```
";

const GO_NOTE: &str = "
`filter.go` is the filter, `sidegate.go` and `module.c` are what it stands on. Needs Go 1.21 and a C compiler.

- Go's runtime never leaves a process, and a process holds one: the proxy refuses a second module in Go, and a new build
  of this one until it is started again. Several filters in Go go into one module.
- The runtime has threads of its own and a handler for SIGURG and for faults; faults of other code are handed to the
  proxy's handler. Do not call `signal.Notify`: signals are the proxy's.
- A panic in a hook fails the request. A panic in a goroutine that the filter starts, and what Go calls a fatal error
  (maps written from two goroutines, no memory), end the proxy.
- A hook runs on a worker, and all that worker's requests wait for it; each call from C to Go and back takes its time.
";

const ZIG_NOTE: &str = "
`filter.zig` is the filter, `sidegate.zig` is what it stands on. Written for Zig 0.15; a Zig from PyPI is `make
ZIG=\"python3 -m ziglang\"`.

A check that fails in Zig (an index out of bounds, an overflow, `unreachable`) ends the process. The module says so, and
the proxy takes it only where `modules.allow` names `panic_abort`, as `config.yaml` does. `make MODE=ReleaseFast` leaves
the checks out: the module counts as one in C then, and what a check would have found is undefined behaviour.
";

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn nothing_is_left_to_fill() {
        for &language in Language::value_variants() {
            let filler = Filler { name: "my-filter", sdk: None, language };
            for (path, template) in files(language) {
                let text = filler.fill(template);
                assert!(!text.contains("{{"), "{path}: {text}");
            }
        }
    }
}
