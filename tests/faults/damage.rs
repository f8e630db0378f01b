//! Files of a finished run, altered and cut. Whatever cannot be trusted is named with file and offset (exit 8),
//! and what a crash may have left is taken up again; a wrong success is never told.
//!
//! Every bit and every length with `ENGINE_LONG=1`, otherwise a sample of [`SAMPLE`] each, spread evenly.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::support::{Output, Project, copy};

/// Bits and lengths in a default run.
const SAMPLE: usize = 40;

/// A finished run, the files that are its truth, and what a fresh copy of its folder is made from.
struct Finished {
    project: Project,
    run: String,
}

impl Finished {
    /// The run fails at its last stage, so that a resume has something to do.
    fn new() -> Self {
        let project = Project::with_plan(
            "version: 1
name: whole
stages:
  build: {run: [sh, -c, 'echo build >> ran; echo \"x=1\" >> \"$ENGINE_OUTPUT\"'], outputs: {x: string}}
  check: {needs: [build], run: [sh, -c, 'echo check >> ran']}
  ship: {needs: [check], run: [sh, -c, 'test -e mended && echo ship >> ran']}
",
        );
        let run = "whole".to_owned();
        project.engine(&["run", "plan.yaml", "--run-id", &run, "--no-input"]).expect(1);
        project.write("mended", "");
        fs::rename(project.path(".engine"), project.path("whole")).expect("a folder");
        fs::rename(project.path("ran"), project.path("ran.whole")).expect("a file");
        let finished = Self { project, run };
        finished.restore();
        finished
    }

    fn dir(&self) -> PathBuf {
        self.project.path(".engine").join("runs").join(&self.run)
    }

    /// Makes everything as it was when the run had failed.
    fn restore(&self) {
        let _ = fs::remove_dir_all(self.project.path(".engine"));
        copy(&self.project.path("whole"), &self.project.path(".engine"));
        fs::copy(self.project.path("ran.whole"), self.project.path("ran")).expect("a file");
    }

    /// The journal and every file of the snapshot, from the run's folder.
    fn truth(&self) -> Vec<PathBuf> {
        let mut files = vec![PathBuf::from("journal")];
        let mut folders = vec![PathBuf::from("plan")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(self.dir().join(&folder)).expect("a folder") {
                let entry = entry.expect("an entry");
                let path = folder.join(entry.file_name());
                if entry.path().is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files.sort();
        files
    }

    fn verify(&self) -> Output {
        self.project.engine(&["verify", &self.run])
    }

    fn resume(&self) -> Output {
        self.project.engine(&["resume", &self.run, "--no-input"])
    }

    /// A resume that succeeds did each thing once, whatever it had to do again.
    fn is_well_done(&self) -> bool {
        let ran = self.project.read("ran");
        ["build", "check", "ship"].iter().all(|stage| ran.lines().any(|line| line == *stage))
    }
}

/// All of `0..count`, or a sample spread evenly with both ends.
fn chosen(count: usize) -> Vec<usize> {
    if std::env::var_os("ENGINE_LONG").is_some() || count <= SAMPLE {
        return (0..count).collect();
    }
    (0..SAMPLE).map(|at| at * (count - 1) / (SAMPLE - 1)).collect()
}

/// The byte that a message names, if it names this file.
fn named_offset(answer: &Output, file: &Path) -> Option<u64> {
    let text = format!("{}{}", answer.stdout, answer.stderr);
    let at = text.find(&*file.to_string_lossy())?;
    let rest = text[at..].split_once("damaged at byte ")?.1;
    rest.split(|char: char| !char.is_ascii_digit()).next()?.parse().ok()
}

#[test]
fn every_flipped_bit_of_journal_and_plan_is_named_with_file_and_offset() {
    let finished = Finished::new();
    let mut bits = Vec::new();
    for file in finished.truth() {
        let length = fs::read(finished.dir().join(&file)).expect("a file").len();
        bits.extend((0..length * 8).map(|bit| (file.clone(), bit)));
    }
    let tried = chosen(bits.len());
    writeln!(std::io::stderr(), "{} of {} bits", tried.len(), bits.len()).expect("somebody reads");
    for at in tried {
        let (file, bit) = &bits[at];
        let path = finished.dir().join(file);
        let mut bytes = fs::read(&path).expect("a file");
        let good = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &bytes).expect("a file");
        for answer in [finished.verify(), finished.resume()] {
            assert_eq!(answer.status, 8, "bit {bit} of {file:?}: {}{}", answer.stdout, answer.stderr);
            let offset = named_offset(&answer, &path);
            let is_near = offset.is_some_and(|offset| offset <= (bit / 8) as u64);
            assert!(is_near, "bit {bit} of {file:?} is named as {offset:?}: {}{}", answer.stdout, answer.stderr);
        }
        fs::write(&path, &good).expect("a file");
    }
    finished.verify().expect(0);
    assert_eq!(finished.project.read("ran"), "build\ncheck\n", "nothing ran");
    finished.resume().expect(0);
    assert!(finished.is_well_done(), "what was mended goes on");
}

/// Cuts the journal to every length. With `head` as it was, acknowledged bytes are missing: damage. With a
/// `head` that is missing too, as a power cut may leave both, the run goes on from what is there.
fn cut(finished: &Finished, has_head: bool) {
    let journal = finished.dir().join("journal");
    let whole = fs::read(&journal).expect("a journal").len();
    for length in chosen(whole) {
        finished.restore();
        let file = fs::OpenOptions::new().write(true).open(&journal).expect("a journal");
        file.set_len(length as u64).expect("a cut");
        if !has_head {
            fs::remove_file(finished.dir().join("head")).expect("a file");
        }
        let verified = finished.verify();
        let answer = finished.resume();
        let words = format!("cut to {length} of {whole}: {}{}", answer.stdout, answer.stderr);
        match answer.status {
            8 => {
                assert_eq!(verified.status, 8, "{words}");
                assert!(named_offset(&answer, &journal).is_some_and(|at| at <= length as u64), "{words}");
                assert_eq!(finished.project.read("ran"), "build\ncheck\n", "{words}");
            }
            0 => {
                assert!(!has_head, "what was acknowledged is missing: {words}");
                assert_eq!(verified.status, 0, "{words}{}", verified.stderr);
                assert!(finished.is_well_done(), "{words}");
                finished.verify().expect(0);
            }
            _ => panic!("status {}: {words}", answer.status),
        }
    }
}

#[test]
fn a_journal_cut_before_head_is_damage_at_every_length() {
    cut(&Finished::new(), true);
}

#[test]
fn a_journal_cut_without_head_is_taken_up_or_named_at_every_length() {
    cut(&Finished::new(), false);
}

/// Beyond `head`, where a power cut leaves half a frame, any rubbish is cut off and the run goes on.
#[test]
fn a_torn_tail_behind_head_is_cut_and_told() {
    let finished = Finished::new();
    let journal = finished.dir().join("journal");
    let whole = fs::read(&journal).expect("a journal");
    // The beginning of a frame, as a torn write leaves it: the first one's, which follows the file's header.
    let frame = &whole[16..];
    for length in chosen(frame.len().min(400)) {
        finished.restore();
        let mut torn = whole.clone();
        torn.extend_from_slice(&frame[..=length]);
        fs::write(&journal, &torn).expect("a journal");
        let answer = finished.resume();
        let words = format!("{} bytes more: {}{}", length + 1, answer.stdout, answer.stderr);
        assert_eq!(answer.status, 0, "{words}");
        assert!(answer.stderr.contains(&format!("the last {} bytes of the journal", length + 1)), "{words}");
        assert_eq!(finished.project.read("ran"), "build\ncheck\nship\n", "{words}");
        finished.verify().expect(0);
    }
}
