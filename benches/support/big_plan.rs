//! Writes the big plan of the benches: stages with an argv, three needs, two variables and a timeout, about
//! 200 bytes each, the same in all three formats.

use std::fmt::Write as _;

/// The formats a plan can be written in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// YAML, as a person writes it.
    Yaml,
    /// TOML, one header for each stage.
    Toml,
    /// JSON, as a program writes it.
    Json,
}

impl Format {
    /// By the ending of a file's name.
    pub(crate) fn parse(ending: &str) -> Option<Self> {
        match ending {
            "yaml" => Some(Self::Yaml),
            "toml" => Some(Self::Toml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// How far before a stage those stand that it needs.
pub(crate) const NEEDS: [usize; 3] = [1, 7, 100];

/// A plan of `stages` stages; each needs up to three of those before it.
pub(crate) fn write(format: Format, stages: usize) -> String {
    let mut out = String::with_capacity(stages * 210);
    out.push_str(match format {
        Format::Yaml => "version: 1\nname: big\nstages:\n",
        Format::Toml => "version = 1\nname = \"big\"\n",
        Format::Json => "{\"version\": 1, \"name\": \"big\", \"stages\": {\n",
    });
    for stage in 0..stages {
        write_stage(&mut out, format, stage);
        if format == Format::Json {
            out.push_str(if stage + 1 == stages { "\n}}\n" } else { ",\n" });
        }
    }
    out
}

fn write_stage(out: &mut String, format: Format, stage: usize) {
    let needs: Vec<String> = NEEDS
        .iter()
        .filter_map(|back| stage.checked_sub(*back))
        .map(|need| format!("\"stage-{need:06}\""))
        .collect();
    let needs = needs.join(", ");
    let _ = match format {
        Format::Yaml => write!(
            out,
            "  stage-{stage:06}:\n    needs: [{needs}]\n    run: [\"./work\", \"--stage\", \"{stage:06}\"]\n    \
             env: {{SERVICE: service-{}, REGION: eu-central-{}}}\n    timeout: 15m\n",
            stage % 97,
            stage % 3
        ),
        Format::Toml => write!(
            out,
            "[stages.stage-{stage:06}]\nneeds = [{needs}]\nrun = [\"./work\", \"--stage\", \"{stage:06}\"]\n\
             env = {{SERVICE = \"service-{}\", REGION = \"eu-central-{}\"}}\ntimeout = \"15m\"\n",
            stage % 97,
            stage % 3
        ),
        Format::Json => write!(
            out,
            "\"stage-{stage:06}\": {{\"needs\": [{needs}], \"run\": [\"./work\", \"--stage\", \"{stage:06}\"], \
             \"env\": {{\"SERVICE\": \"service-{}\", \"REGION\": \"eu-central-{}\"}}, \"timeout\": \"15m\"}}",
            stage % 97,
            stage % 3
        ),
    };
}
