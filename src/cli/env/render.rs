//! `engine env render`

use std::fmt::Write as _;

use serde_json::json;

use super::args::{RenderArgs, StageArgs};
use super::{count, document, findings, has_errors, open, put_outputs, tell};
use crate::cli::exit::Exit;
use crate::cli::fault::{Answer, Fault};
use crate::cli::print;
use crate::cli::settings::Settings;
use crate::driver::environments::check;
use crate::driver::environments::drift;
use crate::driver::environments::place::{self, Piece};
use crate::driver::environments::render::{self, Batch, Targets};
use crate::driver::environments::store::{self, Manifest, Occasion, SecretRecord, Store};
use crate::driver::environments::{Opened, sources};
use crate::driver::ports;
use crate::plan::{Diagnostic, Report};

/// Lines round a difference that are shown.
pub(super) const CONTEXT: usize = 1;

/// Everything that a rendering made, not yet written.
pub(super) struct Rendering {
    pub(super) opened: Opened,
    pub(super) batch: Batch,
    pub(super) store: Store,
    pub(super) before: Option<Manifest>,
    pub(super) key: store::Key,
    pub(super) secrets: Vec<SecretRecord>,
    pub(super) warnings: Vec<Diagnostic>,
}

/// Opens, checks and renders an environment; whatever is wrong is told, and nothing is written.
pub(super) fn make(
    name: &str,
    targets: &Targets,
    (stage, as_json): (&StageArgs, bool),
    settings: &Settings,
) -> Result<Rendering, Fault> {
    let mut opened = open(&[name], stage, as_json, settings)?;
    let environment = opened.environments[0].clone();
    let mut report = Report::default();
    for one in [&opened.faults[..], &opened.broken[..]].concat() {
        report.push(one);
    }
    let files =
        render::select(&environment, &settings.root, targets).map_err(|why| Fault::new(Exit::Usage, why))?;
    if files.is_empty() {
        let message = format!("`{name}` has no files to render");
        return Err(Fault::new(Exit::Invalid, message).help("declare them: `files: {app: {template: …, to: …}}`"));
    }
    let values = check::fetch(&environment, &sources(&settings.root), &mut report);
    check::secrets(&environment, &values, &mut report);
    check::checksums(&environment, &values, &settings.root, &mut report);
    if report.has_errors() {
        tell(&report.sorted(), &opened.sources, as_json, settings);
        return Err(Fault::told(Exit::Environment));
    }
    let store = Store::new(&settings.state_dir, &environment.name);
    let key = store.key()?;
    let secrets = store::secret_records(&environment, &values, &key);
    let batch = render::render(&environment, &settings.root, &files, values, (&mut opened.sources, &mut report));
    let found = report.sorted();
    if has_errors(&found) {
        tell(&found, &opened.sources, as_json, settings);
        return Err(Fault::told(Exit::Invalid));
    }
    let before = store.latest()?;
    Ok(Rendering { opened, batch, store, before, key, secrets, warnings: found })
}

/// Renders, shows what changes, and puts the files in place.
pub(super) fn run(args: &RenderArgs, settings: &Settings) -> Answer {
    let targets = Targets { only: args.file.clone(), to: args.to.as_ref().map(|to| settings.cwd.join(to)) };
    let made = make(&args.name, &targets, (&args.stage, args.json), settings)?;
    let _locked = if args.dry_run { None } else { Some(made.store.lock()?) };
    // Read again under the lock: another rendering may have ended meanwhile, and numbers only grow.
    let before = if args.dry_run { made.before.clone() } else { made.store.latest()? };
    let occasion = Occasion {
        before: before.as_ref().map_or(0, |manifest| manifest.number),
        at: jiff::Timestamp::from_millisecond(ports::wall_ms()).unwrap_or_default().to_string(),
        run: std::env::var("ENGINE_RUN_ID").ok(),
    };
    let environment = &made.opened.environments[0];
    let manifest =
        store::manifest(environment, &made.opened.sources, &made.batch, made.secrets.clone(), &made.key, occasion);
    let differences = differences(&made, before.as_ref());
    if !args.dry_run {
        let pieces: Vec<Piece<'_>> = made
            .batch
            .files
            .iter()
            .map(|one| Piece {
                to: one.to.clone(),
                bytes: one.rendered.sealed.expose(),
                mode: one.rule.mode,
                require_tmpfs: one.rule.require_tmpfs,
            })
            .collect();
        place::put(&pieces)?;
        made.store.keep(&manifest, &made.batch)?;
    }
    put_outputs(
        &args.stage,
        &[
            ("number", manifest.number.to_string()),
            ("redacted_sha256", manifest.redacted_sha256.clone()),
            ("manifest", made.store.manifest_path().display().to_string()),
        ],
    )?;
    if args.json {
        let mut out = document(&[
            ("ok", json!(true)),
            ("written", json!(!args.dry_run)),
            ("manifest", serde_json::to_value(&manifest).expect("a manifest is plain data")),
        ]);
        out["diff"] = differences.iter().map(|(name, text)| json!({"file": name, "text": text})).collect();
        out["findings"] = findings(&made.warnings, &made.opened.sources);
        print::json(&out);
        return Ok(Exit::Success);
    }
    tell(&made.warnings, &made.opened.sources, false, settings);
    if !settings.quiet {
        print::out(&as_text(&manifest, &differences, args.dry_run));
    }
    Ok(Exit::Success)
}

/// The redacted difference of each file from its last rendering; a file that is equal is left out.
pub(super) fn differences(made: &Rendering, before: Option<&Manifest>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for one in &made.batch.files {
        let name = &one.rule.name.value;
        let old = before.and_then(|_| made.store.twin(name)).unwrap_or_default();
        let text = drift::text(&old, &one.rendered.redacted, CONTEXT);
        if !text.is_empty() {
            found.push((name.to_string(), text));
        }
    }
    let changed = drift::changed_secrets(before, &made.secrets);
    if !changed.is_empty() {
        let lines: Vec<String> = changed.iter().map(|key| format!("~{key}=***\n")).collect();
        let text = lines.concat();
        found.push(("secrets".to_owned(), text));
    }
    found
}

fn as_text(manifest: &Manifest, differences: &[(String, String)], dry_run: bool) -> String {
    let mut out = String::new();
    for (name, text) in differences {
        let _ = writeln!(out, "{name}:");
        for line in text.lines() {
            let _ = writeln!(out, "  {line}");
        }
    }
    let verb = if dry_run { "would write" } else { "wrote" };
    for file in &manifest.files {
        let _ = writeln!(out, "{verb} {} (mode {}, from {})", file.path, file.mode, file.template);
    }
    let keys = count(manifest.keys.len(), "key");
    let _ = writeln!(
        out,
        "{} number {}: {keys}, {} secret, redacted sha256 {}",
        manifest.environment,
        manifest.number,
        manifest.secrets.len(),
        manifest.redacted_sha256
    );
    out
}
