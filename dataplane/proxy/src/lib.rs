//! The session: accept, read, route, filter, dial, relay, record.
