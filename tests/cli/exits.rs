//! Every exit code.

use crate::support::Project;

#[test]
fn success_is_zero() {
    let project = Project::with_plan("version: 1\nname: tiny\nstages:\n  one: {run: [\"true\"]}\n");
    project.engine(&["run", "plan.yaml"]).expect(0);
}
