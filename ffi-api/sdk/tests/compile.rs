//! What must not compile: every way in which a safe module could reach memory
//! that is gone, or another thread's. The files in `ui/` say why.

#[test]
fn misuse_does_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
    cases.pass("tests/ui/ok/*.rs");
}
