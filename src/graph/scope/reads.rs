//! What a text reads that is only known while the plan runs: what besides its own words decides what becomes of it.

use super::{Facts, Spot, uses};
use crate::base::NodeIx;
use crate::base::limits::MAX_USES_DEPTH;
use crate::graph::model::Graph;
use crate::render::{Error, Name, Scope, Template, Tree, Value};

/// What texts of a stage read. Equal texts that read equal values come to the same for equal shards.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Reads {
    /// Whether what they come to differs from shard to shard.
    pub is_by_shard: bool,
    /// Whether a shard's number, or how many there are, decides, not its items alone.
    pub is_by_place: bool,
    /// Values by name, none where there is nothing of that name; and the templates that give values.
    pub values: Vec<(String, Option<Value>)>,
}

impl Graph {
    /// What `text` of `node` reads.
    ///
    /// # Errors
    /// As [`Graph::text`], but nothing of a shard is asked.
    pub fn reads(&self, node: NodeIx, text: &str, facts: &dyn Facts) -> Result<Reads, Error> {
        let body = &self.nodes[node];
        let spot = Spot { node, shard: 0, frame: body.frame, views: &body.views, depth: 0 };
        let mut reads = Reads::default();
        self.add_reads(spot, text, facts, &mut reads)?;
        Ok(reads)
    }

    fn add_reads(&self, spot: Spot<'_>, text: &str, facts: &dyn Facts, reads: &mut Reads) -> Result<(), Error> {
        if !Template::is_template(text) {
            return Ok(());
        }
        for name in Template::parse(text)?.names() {
            match &*name.path[0] {
                "shard" => {
                    reads.is_by_shard = true;
                    // The name of its file says nothing about what is in it.
                    reads.is_by_place |= !name.path.get(1).is_some_and(|part| matches!(&**part, "item" | "file"));
                }
                "inputs" | "vars" => self.add_given(spot, &name, facts, reads)?,
                _ => {
                    let scope = self.scope(spot, std::slice::from_ref(&name), facts)?;
                    reads.values.push((name.dotted(), scope.value_of(&name)));
                }
            }
        }
        Ok(())
    }

    /// `inputs` and `vars` may have been given by other texts.
    fn add_given(&self, spot: Spot<'_>, name: &Name, facts: &dyn Facts, reads: &mut Reads) -> Result<(), Error> {
        assert!(spot.depth <= 2 * MAX_USES_DEPTH, "late values only read frames around their own");
        let frame = self.frame(spot.frame);
        let (root, map) =
            if *name.path[0] == *"inputs" { ("inputs", &frame.inputs) } else { ("vars", &frame.vars) };
        let mut scope = Scope::new();
        scope.set(root, &Tree::map(map));
        reads.values.push((name.dotted(), scope.value_of(name)));
        let is_read = |late: &str| uses(std::slice::from_ref(name), root, late);
        for late in self.lates(spot.frame).iter().filter(|late| late.root == root && is_read(&late.name)) {
            reads.values.push((format!("{root}.{} is", late.name), Some((&*late.text).into())));
            let inner = Spot { frame: late.frame, views: &late.views, depth: spot.depth + 1, ..spot };
            self.add_reads(inner, &late.text, facts, reads)?;
        }
        Ok(())
    }
}
