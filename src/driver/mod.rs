//! The one room where clock, journal, executor and core meet.
