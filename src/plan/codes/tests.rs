//! The table against the sources, and the examples against the loader.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::plan::Report;
use crate::plan::environment::tests::load_staging;
use crate::plan::load::tests::{load_text, respelled};
use crate::plan::source::{File, Sources};

/// Loads an example.
fn load_example(text: &str) -> Vec<String> {
    let (first, text) = match text.strip_prefix("# file: ").and_then(|rest| rest.split_once('\n')) {
        Some((first, rest)) => (first, rest),
        None => ("plan.yaml", text),
    };
    load_text(first, text).1.into_iter().map(|one| format!("{}: {}", one.code, one.message)).collect()
}

#[test]
fn every_good_example_is_right_and_every_bad_one_has_its_fault() {
    let mut faults = Vec::new();
    let of_plan = |page: &&Page| !pages::is_of_environment(page) && !pages::is_of_service(page);
    for page in all().iter().filter(of_plan) {
        let good = load_example(page.good);
        if !good.is_empty() {
            faults.push(format!("{}: the good example has {good:?}", page.code));
        }
        if page.bad.is_empty() {
            continue;
        }
        let bad = load_example(page.bad);
        let wanted = format!("{}: ", page.code);
        let fits =
            if pages::is_of_graph(page) { bad.is_empty() } else { bad.iter().any(|one| one.starts_with(&wanted)) };
        if !fits {
            faults.push(format!("{}: the bad example has {bad:?}", page.code));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_example_of_an_environment_is_what_its_page_says() {
    let codes = |text: &str| -> Vec<_> { load_staging(text).into_iter().map(|found| found.code).collect() };
    let mut tried = 0;
    for page in all().iter().filter(|page| pages::is_of_environment(page) && !page.bad.is_empty()) {
        assert_eq!(codes(page.good), [""; 0], "{}", page.code);
        assert!(codes(page.bad).contains(&page.code), "{}: {:?}", page.code, load_staging(page.bad));
        tried += 1;
    }
    assert!(tried > 10);
}

#[test]
fn every_example_of_a_service_is_what_its_page_says() {
    let codes = |text: &str| -> Vec<_> {
        let (mut sources, mut report) = (Sources::default(), Report::default());
        let file = sources.add(File { path: "service.yaml".to_owned(), text: text.into() });
        let read = crate::plan::service::read(&sources, file, &mut report);
        let found: Vec<_> = report.sorted().into_iter().map(|one| one.code).collect();
        assert_eq!(read.is_some(), found.is_empty());
        found
    };
    for page in all().iter().filter(|page| pages::is_of_service(page)) {
        assert_eq!(codes(page.good), [""; 0], "{}", page.code);
        assert_eq!(codes(page.bad), [page.code]);
    }
}

#[test]
fn toml_and_json_have_the_faults_that_yaml_has() {
    let mut tried = 0;
    let of_reader =
        |page: &&Page| pages::is_of_reader(page) || pages::is_of_environment(page) || pages::is_of_service(page);
    for page in all().iter().filter(|page| !page.bad.is_empty() && !of_reader(page)) {
        let wanted = load_example(page.bad);
        for ending in ["toml", "json"] {
            let Some(other) = respelled(page.bad, ending) else { continue };
            let (_, found) = load_text(&format!("plan.{ending}"), &other);
            let found: Vec<_> = found.iter().map(|one| format!("{}: {}", one.code, one.message)).collect();
            tried += 1;
            assert_eq!(found, wanted, "{}:\n{other}", page.code);
        }
    }
    assert!(tried > 90, "only {tried} plans were tried");
}

#[test]
fn pages_are_sorted_unique_and_found() {
    assert!(all().windows(2).all(|two| two[0].code < two[1].code), "sorted and unique");
    for one in all() {
        assert_eq!(page(one.code), Some(one));
        assert!(!one.title.is_empty() && one.text.ends_with('.'), "{}", one.code);
    }
    assert_eq!(page("plan::no-such-code"), None);
}

/// Every `"plan::…"` of the sources, tests left out.
fn used(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("the sources are there") {
        let path = entry.expect("a readable folder").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if path.is_dir() && name != "tests" && !path.ends_with("plan/codes") {
            used(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") && name != "tests.rs" {
            let text = std::fs::read_to_string(&path).expect("sources are text");
            let built = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            let codes = built.split('"').filter(|part| {
                ["plan::", "env::", "service::"].iter().any(|room| part.strip_prefix(room).is_some_and(is_code))
            });
            found.extend(codes.map(str::to_owned));
        }
    }
}

fn is_code(tail: &str) -> bool {
    !tail.is_empty() && tail.bytes().all(|c| c.is_ascii_lowercase() || c == b'-')
}

#[test]
fn every_code_of_the_sources_has_a_page() {
    let mut found = BTreeSet::new();
    used(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 40, "the scan has found the sources: {found:?}");
    let missing: Vec<_> = found.iter().filter(|code| page(code).is_none()).collect();
    assert!(missing.is_empty(), "add a page in src/plan/codes/pages for {missing:?}");
    let unused: Vec<_> = all()
        .iter()
        .filter(|page| !pages::is_of_graph(page) && !found.contains(page.code))
        .map(|page| page.code)
        .collect();
    assert!(unused.is_empty(), "nothing reports {unused:?} any more");
}
