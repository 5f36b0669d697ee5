//! What modules in general may do.

use super::{Object, Shape, own};

pub(crate) static MODULES: Object = Object::new(
    "modules",
    "Where the modules of this configuration are, and what is permitted to them.",
    &[
        own(
            "directories",
            Shape::Array(&Shape::Name),
            "none",
            "Folders whose `.so` files `so_config.module` may name: `guard` is `guard.so` in one of them. Looked up as \
         `so_path` is. Hidden files and folders in them are passed over; a name that two of them have is an error. A \
         folder that everybody may write to, or that is another user's, is refused unless `writable_directory` is \
         allowed.",
        ),
        own(
            "allow",
            Shape::Array(&Shape::Words(&[
                "executable_stack",
                "foreign_libraries",
                "overlapping_segments",
                "panic_abort",
                "run_path",
                "text_relocations",
                "writable_code",
                "writable_directory",
            ])),
            "nothing",
            "What a module is refused for unless it is named here. `executable_stack`: `PT_GNU_STACK` that is executable or \
         missing, which makes every stack of the process executable. `foreign_libraries`: libraries beyond libc, libm, \
         libgcc and libstdc++, which neither digest nor check covers. `overlapping_segments`: segments that share a \
         page. `panic_abort`: Rust modules built with `panic = \"abort\"`. `run_path`: `DT_RPATH`, `DT_RUNPATH`. \
         `text_relocations`: `DT_TEXTREL`. `writable_code`: memory that is writable and executable. \
         `writable_directory`: without `sha256`, a folder on the way to the file that everybody may write to, and that \
         is neither sticky nor mounted read-only.",
        ),
        own(
            "trusted_keys",
            Shape::Array(&Shape::Name),
            "none",
            "Public keys of minisign whose signatures are believed: the line that begins with `RW`, or the name of a key's \
         file. With any of them, a file `NAME.so.minisig` beside a module is checked before any code of the module runs; \
         a wrong one is refused.",
        ),
        own("require_signature", Shape::Bool, "`false`", "Refuse modules without a signature by a trusted key."),
        own(
            "revoked_keys",
            Shape::Array(&Shape::Name),
            "none",
            "Keys that are not believed any more, by their numbers (16 hexadecimal digits), as keys or as files.",
        ),
        own(
            "revoked_sha256",
            Shape::Array(&Shape::Pattern("^[0-9A-Fa-f]{64}$")),
            "none",
            "Digests of files that are refused, signed or not.",
        ),
        own(
            "allow_needed",
            Shape::Array(&Shape::Name),
            "none",
            "Libraries beyond those of the system that modules may need, such as `libz.so.1`. `foreign_libraries` allows \
         all.",
        ),
        own("max_size", Shape::Integer(1, 1 << 32), "268435456", "Bytes that a module's file may have."),
        own(
            "only_directories",
            Shape::Bool,
            "`false`",
            "Refuse modules whose files, links followed, are in none of `directories`.",
        ),
    ],
);
