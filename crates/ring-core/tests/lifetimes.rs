//! Programs that must not compile: a packet that outlives its block, a block that outlives its
//! capture.

#[test]
fn nothing_outlives_what_it_borrows_from() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
