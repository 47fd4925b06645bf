//! What must not compile: the ways around the risk gate, and secrets that print.

#[test]
fn the_ways_around_the_gate_do_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
