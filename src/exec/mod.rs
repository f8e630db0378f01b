//! Carries out commands: starts processes, stops them, captures what they print, and leaves nothing behind.
