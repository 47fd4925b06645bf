//! Closes what we opened, until flat.
