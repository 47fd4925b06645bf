//! Applies the schema.
