//! All use cases wired to simulated parts under one seed and a virtual clock.
