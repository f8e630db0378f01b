use engine::plan::error::{Report, github, json, sarif, text};
use engine::plan::source::{File, Sources};

/// Reads the bytes and renders whatever was found: nothing may panic, every place lies inside the file, and a
/// file without a tree has an error.
pub fn read(ending: &str, bytes: &[u8]) {
    let Ok(content) = std::str::from_utf8(bytes) else { return };
    let mut sources = Sources::default();
    let file = sources.add(File { path: format!("plan.{ending}"), text: content.into() });
    let mut report = Report::default();
    let tree = engine::plan::read(&sources, file, &mut report);
    assert!(tree.is_some() || report.has_errors());
    let found = report.sorted();
    for one in &found {
        assert!(content.get(one.at.start as usize..one.at.end as usize).is_some(), "{one:?}");
    }
    let _ = (text(&found, &sources, true), json(&found, &sources), sarif(&found, &sources), github(&found, &sources));
}
