//! Behaviour of the whole, one module per behaviour.
