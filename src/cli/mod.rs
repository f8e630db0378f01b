//! The command line: one file for each command, one mapping to exit codes.
