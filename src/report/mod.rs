//! Observers: they read durable records, live or old, and tell people and machines what happened.
