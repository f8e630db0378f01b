//! Graphs of stages that do nothing, written for the engine and for its peers.

use std::fmt::Write as _;

/// Stages by number, each with those before it that it needs.
pub(crate) struct Shape(Vec<Vec<usize>>);

impl Shape {
    /// `count` stages that need nothing.
    pub(crate) fn wide(count: usize) -> Self {
        Self(vec![Vec::new(); count])
    }

    /// One after another.
    pub(crate) fn chain(count: usize) -> Self {
        Self((0..count).map(|stage| stage.checked_sub(1).into_iter().collect()).collect())
    }

    /// Layers of `breadth`; each stage needs one to three random ones of the layer before its own.
    pub(crate) fn layered(count: usize, breadth: usize) -> Self {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
        let needs = |stage: usize, dice: &mut Dice| {
            let Some(first) = (stage / breadth).checked_sub(1).map(|layer| layer * breadth) else {
                return Vec::new();
            };
            let mut needs: Vec<usize> = (0..=dice.below(3)).map(|_| first + dice.below(breadth)).collect();
            needs.sort_unstable();
            needs.dedup();
            needs
        };
        Self((0..count).map(|stage| needs(stage, &mut dice)).collect())
    }

    /// How many stages.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// What each stage needs, in order.
    pub(crate) fn needs(&self) -> impl Iterator<Item = &[usize]> {
        self.0.iter().map(Vec::as_slice)
    }

    /// As a plan, in JSON.
    pub(crate) fn plan(&self) -> String {
        let mut out = String::from("{\"version\": 1, \"name\": \"bench\", \"stages\": {\n");
        for (stage, needs) in self.0.iter().enumerate() {
            let needs: Vec<String> = needs.iter().map(|need| format!("\"s{need}\"")).collect();
            let comma = if stage + 1 == self.len() { "" } else { "," };
            let needs = needs.join(", ");
            let _ = writeln!(out, "\"s{stage}\": {{\"needs\": [{needs}], \"run\": [\"true\"]}}{comma}");
        }
        out.push_str("}}\n");
        out
    }

    /// As a `build.ninja`. Ninja gives every command to `/bin/sh`; there is no way around it.
    pub(crate) fn ninja(&self) -> String {
        let mut out = String::from("rule run\n  command = true\n  description = $out\n");
        for (stage, needs) in self.0.iter().enumerate() {
            let _ = write!(out, "build s{stage}: run");
            for need in needs {
                let _ = write!(out, " s{need}");
            }
            out.push('\n');
        }
        out
    }

    /// As a `Makefile`. A recipe without shell syntax is executed by make itself, without a shell.
    pub(crate) fn make(&self) -> String {
        let mut out = String::from(".PHONY: all");
        (0..self.len()).for_each(|stage| {
            let _ = write!(out, " s{stage}");
        });
        out.push_str("\nall:");
        (0..self.len()).for_each(|stage| {
            let _ = write!(out, " s{stage}");
        });
        out.push('\n');
        for (stage, needs) in self.0.iter().enumerate() {
            let _ = write!(out, "s{stage}:");
            for need in needs {
                let _ = write!(out, " s{need}");
            }
            out.push_str("\n\t@true\n");
        }
        out
    }
}

/// Numbers that look random and are the same every time (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize;
        high % limit
    }
}
