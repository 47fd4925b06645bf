//! Scaffolding for the behaviour tests of the whole.
