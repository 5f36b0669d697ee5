//! What modules in general may do.

use super::{Object, Shape, own};

pub(crate) static MODULES: Object = Object::new(
    "modules",
    "What is permitted to the modules of this configuration.",
    &[own(
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
    )],
);
