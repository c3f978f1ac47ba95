//! The control thread: configuration sources, DNS, admin interface, publish.
