//! Asks the broker, without a database, whether something of ours is open; starts flatten.
