//! Kill switch, flatten now, reconcile now.
