//! A project with the repository's plans, and the place that they deploy to. What they started ends with it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;

use crate::support::{Live, Output, PATIENCE, Project};

pub(crate) struct Lab {
    pub(crate) project: Project,
    /// What every engine of this lab finds in its environment.
    pub(crate) env: Vec<(&'static str, String)>,
}

impl Lab {
    /// A project with these folders of the repository. The user postgres can enter it.
    pub(crate) fn new(folders: &[&str]) -> Self {
        let lab = Self { project: Project::new(), env: Vec::new() };
        for folder in folders {
            lab.project.bring(folder);
        }
        fs::set_permissions(lab.project.path(""), fs::Permissions::from_mode(0o711)).expect("mode bits");
        lab
    }

    /// The folder that is deployed to.
    pub(crate) fn place(&self, path: &str) -> PathBuf {
        self.project.path("place").join(path)
    }

    /// The engine with this lab's environment and place; `args` are a verb and a plan, and what else is wanted.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.project.command(args);
        command.envs(self.env.iter().map(|(key, value)| (*key, value)));
        command.env("ENGINE_INPUT_PLACE", self.project.path("place"));
        command
    }

    pub(crate) fn engine(&self, args: &[&str]) -> Output {
        Live::start(self.command(args)).end()
    }

    /// Runs a program of the project; it must succeed. Answers with what it printed.
    #[track_caller]
    pub(crate) fn tool(&self, program: &str, args: &[&str]) -> String {
        let program = if program.contains('/') { self.project.path(program) } else { program.into() };
        let mut command = Command::new(&program);
        command.args(args).current_dir(self.project.path("")).stdin(Stdio::null());
        command.envs(self.env.iter().map(|(key, value)| (*key, value)));
        let output = command.output().expect("it starts");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{} {args:?}\n{said}", program.display());
        said
    }

    /// The status of a GET and the version that answered, as `200 v1`.
    #[track_caller]
    pub(crate) fn get(&self, url: &str) -> String {
        self.tool(
            "curl",
            &["-s", "--max-time", "20", "-o", "/dev/null", "-w", "%{http_code} %header{x-version}", url],
        )
    }

    /// The stages of a run as its status tells them.
    #[track_caller]
    pub(crate) fn stages(&self, run: &str) -> Vec<serde_json::Value> {
        let status = self.engine(&["status", run, "--json"]).expect(0).stdout;
        let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
        status["stages"].as_array().expect("stages").clone()
    }

    #[track_caller]
    pub(crate) fn stage(&self, run: &str, id: &str) -> serde_json::Value {
        let stages = self.stages(run);
        stages.iter().find(|stage| stage["id"] == id).unwrap_or_else(|| panic!("no `{id}` in {stages:?}")).clone()
    }

    /// Two FIFOs: shell that says into the first that it is here and waits for the second.
    pub(crate) fn barrier(&self) -> String {
        for fifo in ["reached", "go"] {
            let path = self.project.path(fifo);
            let _absent = fs::remove_file(&path);
            self.tool("mkfifo", &[path.to_str().expect("text")]);
        }
        format!("echo here > {0}/reached; read _ < {0}/go", self.project.path("").display())
    }

    /// Waits until something stands at the barrier.
    #[track_caller]
    pub(crate) fn wait_at_barrier(&self) {
        let (sender, reached) = channel();
        let fifo = self.project.path("reached");
        std::thread::spawn(move || sender.send(fs::read_to_string(fifo)));
        assert_eq!(reached.recv_timeout(PATIENCE).expect("it gets there").expect("a line"), "here\n");
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Also after a failed test; when the plan's own end has been run, there is nothing left to do.
        let ended = Command::new("plans/lib/runit")
            .args(["down".as_ref(), self.project.path("place").as_os_str()])
            .current_dir(self.project.path(""))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status();
        assert!(std::thread::panicking() || ended.is_ok_and(|status| status.success()), "the lab does not end");
    }
}
