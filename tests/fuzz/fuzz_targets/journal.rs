#![no_main]

use engine::journal::{Memory, decode_events};

// The first byte says how many events the rest is. Nothing may panic, and what can be read can be written and
// read again.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&count, body)) = bytes.split_first() else { return };
    if let Ok(events) = decode_events(body, u32::from(count)) {
        let mut memory = Memory::new();
        memory.append(events.clone());
        memory.sync();
        let again: Vec<_> = memory.records().into_iter().map(|(_, at, event)| (at, event)).collect();
        assert_eq!(again, events);
    }
});
