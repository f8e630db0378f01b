//! Faults in the files of an environment. In an example `staging` is the environment that is loaded.

use crate::plan::codes::Page;

/// The pages.
pub(super) static PAGES: &[Page] = &[
    Page {
        code: "env::bad-date",
        title: "not a date",
        text: "A date is written `2026-10-01`, a moment `2026-12-20T00:00`. TOML's own dates are not used: write them \
               as text, so that both spellings mean the same.",
        bad: r"# file: environments/catalog.yaml
keys: {TOKEN: {secret: true}}
# file: environments/staging.yaml
secrets: {TOKEN: {from: {env: TOKEN}, rotated-at: last week}}
",
        good: r"# file: environments/catalog.yaml
keys: {TOKEN: {secret: true}}
# file: environments/staging.yaml
secrets: {TOKEN: {from: {env: TOKEN}, rotated-at: 2026-10-01}}
",
    },
    Page {
        code: "env::bad-key",
        title: "not a key that a yes can be signed with",
        text: "An approver's key is the public one that `engine keys new FILE` prints, each person's own. There have to be \
               as many of them as people that must agree.",
        bad: r"# file: environments/catalog.yaml
keys: {}
# file: environments/staging.yaml
policy: {approvals: {keys: {ann: AAAAC3NzaC1lZDI1NTE5AAAA}}}
",
        good: r"# file: environments/catalog.yaml
keys: {}
# file: environments/staging.yaml
policy: {approvals: {keys: {ann: 'ed25519:PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw='}}}
",
    },
    Page {
        code: "env::bad-mode",
        title: "a file mode that is none, or lets others write",
        text: "The mode of a rendered file is octal text, `'0600'` or `'0400'`. Its owner can read it, nobody else can \
               write it.",
        bad: r"# file: environments/catalog.yaml
keys: {}
# file: environments/staging.yaml
files: {app: {template: app.env.j2, to: run/app.env, mode: '0666'}}
",
        good: r"# file: environments/catalog.yaml
keys: {}
# file: environments/staging.yaml
files: {app: {template: app.env.j2, to: run/app.env, mode: '0640'}}
",
    },
    Page {
        code: "env::bad-name",
        title: "not the name of an environment",
        text: "An environment is named by its file below `environments/`, without the ending: `staging`, or \
               `router/staging` in a folder with a catalog of its own. `catalog` and `exceptions` are other files.",
        bad: "",
        good: "",
    },
    Page {
        code: "env::bad-place",
        title: "a place that a file cannot be rendered to",
        text: "Each file has a place of its own, and a path that climbs out of the root is written as an absolute one, so \
               that nobody renders over another project by a typing error.",
        bad: r"# file: environments/catalog.yaml
keys: {}
# file: environments/staging.yaml
files: {app: {template: app.env.j2, to: ../app.env}}
",
        good: r"# file: environments/catalog.yaml
keys: {}
# file: environments/staging.yaml
files: {app: {template: app.env.j2, to: /run/secrets/app.env}}
",
    },
    Page {
        code: "env::bad-policy",
        title: "a policy that cannot hold",
        text: "`parity: {with: …}` names another environment of the same folder.",
        bad: r"# file: environments/catalog.yaml
keys: {}
# file: environments/staging.yaml
policy: {parity: {with: staging}}
",
        good: r"# file: environments/catalog.yaml
keys: {}
# file: environments/staging.yaml
policy: {parity: {with: production}}
",
    },
    Page {
        code: "env::bad-rule",
        title: "a catalog that contradicts itself",
        text: "Defaults, values of `enum`, bounds and patterns must fit the key's type. A secret has no default, for no \
               file may hold its value.",
        bad: r"# file: environments/catalog.yaml
keys: {PORT: {type: int, enum: [http, https], default: 80}}
# file: environments/staging.yaml
values: {}
",
        good: r"# file: environments/catalog.yaml
keys: {PORT: {type: int, enum: [80, 443], default: 80}}
# file: environments/staging.yaml
values: {}
",
    },
    Page {
        code: "env::bad-share",
        title: "not a share in percent",
        text: "A share is a number with at most two digits behind the point, and `%`.",
        bad: r"# file: environments/catalog.yaml
keys: {}
# file: environments/staging.yaml
policy: {parity: {with: production, max-drift: five}}
",
        good: r"# file: environments/catalog.yaml
keys: {}
# file: environments/staging.yaml
policy: {parity: {with: production, max-drift: 2.5%}}
",
    },
    Page {
        code: "env::bad-value",
        title: "a value that the catalog does not allow",
        text: "Each value has the type of its key in the catalog and keeps its `enum`, `pattern`, `min`, `max` and \
               `min-length`. Values are never converted: a port in quotes is text.",
        bad: r"# file: environments/catalog.yaml
keys: {LOG_LEVEL: {enum: [debug, info]}}
# file: environments/staging.yaml
values: {LOG_LEVEL: loud}
",
        good: r"# file: environments/catalog.yaml
keys: {LOG_LEVEL: {enum: [debug, info]}}
# file: environments/staging.yaml
values: {LOG_LEVEL: debug}
",
    },
    Page {
        code: "env::cycle",
        title: "layers that extend each other in a circle",
        text: "`extends` leads from a layer to a weaker one, and ends at a layer that extends nothing.",
        bad: r"# file: environments/catalog.yaml
keys: {}
# file: environments/base.yaml
extends: staging
# file: environments/staging.yaml
extends: base
",
        good: r"# file: environments/catalog.yaml
keys: {}
# file: environments/base.yaml
description: shared
# file: environments/staging.yaml
extends: base
",
    },
    Page {
        code: "env::expired-exception",
        title: "an exception whose last day is over",
        text: "An exception is agreed on until a day. Then the difference ends, or somebody agrees on it anew; it is \
               never forgotten in silence. `engine env check` and `engine env parity` look at the date, a plan does \
               not.",
        bad: "",
        good: "",
    },
    Page {
        code: "env::unused-exception",
        title: "an exception that excuses nothing",
        text: "None of the environments that it names differ in its key. Left standing, it would excuse the next difference, \
               which nobody agreed on. `engine env parity` looks for it.",
        bad: "",
        good: "",
    },
    Page {
        code: "env::unknown-environment",
        title: "an exception for an environment that does not exist",
        text: "The names under `environments` are those of files beside `exceptions.yaml`. One that has no file is a typing \
               error, and the exception would excuse nothing.",
        bad: "",
        good: "",
    },
    Page {
        code: "env::missing",
        title: "a required key without a value",
        text: "A key without `default` is required in every environment; `required-in` names those that need it, an \
               empty list nobody.",
        bad: r"# file: environments/catalog.yaml
keys: {HOST: {}}
# file: environments/staging.yaml
values: {}
",
        good: r"# file: environments/catalog.yaml
keys: {HOST: {required-in: [production]}}
# file: environments/staging.yaml
values: {}
",
    },
    Page {
        code: "env::not-secret",
        title: "a source for a key that is no secret",
        text: "Only a key that the catalog calls `secret: true` has its value elsewhere; any other one stands in `values`, \
               where people can read and compare it.",
        bad: r"# file: environments/catalog.yaml
keys: {HOST: {}}
# file: environments/staging.yaml
secrets: {HOST: {from: {env: HOST}}}
",
        good: r"# file: environments/catalog.yaml
keys: {HOST: {secret: true}}
# file: environments/staging.yaml
secrets: {HOST: {from: {env: HOST}}}
",
    },
    Page {
        code: "env::nothing-to-unset",
        title: "an `unset` that takes nothing away",
        text: "`unset` names keys that a layer below or the catalog's default gives. One that takes nothing away is a typing \
               error, or left over.",
        bad: r"# file: environments/catalog.yaml
keys: {HOST: {required-in: []}, PORT: {type: int, default: 80}}
# file: environments/staging.yaml
unset: [HOST]
",
        good: r"# file: environments/catalog.yaml
keys: {HOST: {required-in: []}, PORT: {type: int, default: 80, required-in: []}}
# file: environments/staging.yaml
unset: [PORT]
",
    },
    Page {
        code: "env::secret-in-file",
        title: "a secret's value in a file",
        text: "A secret is declared and never stored: `secrets` says where its value is. A value that was once in a file \
               under version control is known to everybody who has a copy; change it where it is used.",
        bad: r"# file: environments/catalog.yaml
keys: {TOKEN: {secret: true}}
# file: environments/staging.yaml
values: {TOKEN: hunter2}
",
        good: r"# file: environments/catalog.yaml
keys: {TOKEN: {secret: true}}
# file: environments/staging.yaml
secrets: {TOKEN: {from: {file: /run/secrets/token}}}
",
    },
    Page {
        code: "env::template",
        title: "a template in the files of an environment",
        text: "The files of an environment hold values. Templates are files of their own, below `templates/`.",
        bad: r"# file: environments/catalog.yaml
keys: {TOKEN: {secret: true, rotate-every: '{{ vars.age }}'}}
# file: environments/staging.yaml
secrets: {TOKEN: {from: {env: TOKEN}}}
",
        good: r"# file: environments/catalog.yaml
keys: {TOKEN: {secret: true, rotate-every: 90d}}
# file: environments/staging.yaml
secrets: {TOKEN: {from: {env: TOKEN}}}
",
    },
    Page {
        code: "env::too-deep",
        title: "too many layers",
        text: "MAX_LAYERS bounds `extends`: nobody can say any more where a value comes from.",
        bad: "",
        good: "",
    },
    Page {
        code: "env::unknown-key",
        title: "a key that the catalog does not have",
        text: "The catalog declares every key. One that is not there is a typing error, or has no rule to be held against.",
        bad: r"# file: environments/catalog.yaml
keys: {LOG_LEVEL: {default: info}}
# file: environments/staging.yaml
values: {LOG_LEVLE: debug}
",
        good: r"# file: environments/catalog.yaml
keys: {LOG_LEVEL: {default: info}}
# file: environments/staging.yaml
values: {LOG_LEVEL: debug}
",
    },
    Page {
        code: "env::unreadable",
        title: "a file of an environment that cannot be read",
        text: "`staging` is read from `environments/staging.yaml` (or `.yml`, `.toml`, `.json`), with the catalog beside it and \
               every layer that it extends. There is one file for each name.",
        bad: r"# file: environments/catalog.yaml
keys: {}
# file: environments/staging.yaml
extends: base
",
        good: r"# file: environments/catalog.yaml
keys: {}
# file: environments/base.yaml
values: {}
# file: environments/staging.yaml
extends: base
",
    },
    Page {
        code: "env::no-secret",
        title: "a secret that cannot be had",
        text: "The source that `secrets` declares has no value here: a variable that is not set, a file that is not there, a command that failed. The message says which and why, and never any of the value.",
        bad: "",
        good: "",
    },
    Page {
        code: "env::short-secret",
        title: "a secret that is too short to be masked",
        text: "A value of fewer than 8 bytes stands in too many places by chance: masking it would tear holes into all output, and not masking it would show it. In production it is an error, elsewhere a warning.",
        bad: "",
        good: "",
    },
    Page {
        code: "env::rotation",
        title: "a secret that is too old, or whose age nobody knows",
        text: "`rotate-every` in the catalog bounds the age of a secret, `rotated-at` in the environment says when it was last changed. In production a secret that is overdue or of unknown age is an error, elsewhere a warning. An exception with `waives: rotation` excuses it for at most 14 days.",
        bad: "",
        good: "",
    },
    Page {
        code: "env::checksum",
        title: "a value that is not the checksum it claims to be",
        text: "`checksum-of` names a file or another key, and the value must be its SHA-256 in lower-case hex. It changes only when somebody meant it to.",
        bad: "",
        good: "",
    },
    Page {
        code: "env::port",
        title: "a port that is taken",
        text: "`free-port: true` wants nothing to listen there before the deploy: whoever answers would be taken for what was just started.",
        bad: "",
        good: "",
    },
    Page {
        code: "env::tracked",
        title: "a rendered file that git tracks",
        text: "What is rendered holds secrets, and everybody with a copy of the repository has them. Take the file out, ignore it, and change the secrets.",
        bad: "",
        good: "",
    },
    Page {
        code: "env::template-unreadable",
        title: "a template that cannot be read",
        text: "Templates lie below `templates/` and are named from there. Nothing outside of that folder is read, through `..` and symlinks neither.",
        bad: "",
        good: "",
    },
    Page {
        code: "env::undefined",
        title: "a name that a template uses and nobody gives",
        text: "A template sees each key of its environment by its name, all of them as `env`, and the environment's name as `environment`. A key without a value is undefined: say `{{ KEY | default('…') }}` or give it one.",
        bad: "",
        good: "",
    },
    Page {
        code: "env::bad-template",
        title: "a template that cannot be read as one",
        text: "Templates are minijinja's, in UTF-8 text whose lines end with a newline. A carriage return, a byte order mark or a NUL would be written into the file.",
        bad: "",
        good: "",
    },
    Page {
        code: "env::include",
        title: "an include that leads nowhere",
        text: "An include is named from `templates/`, or from its own file when it begins with `./` or `../`. It stays below `templates/`, and templates do not include each other in a circle.",
        bad: "",
        good: "",
    },
    Page {
        code: "env::too-much",
        title: "a template that does not come to an end",
        text: "FILE_FUEL bounds the steps of a template, MAX_RENDERED_BYTES what it may write.",
        bad: "",
        good: "",
    },
    Page {
        code: "env::secret-misused",
        title: "a secret that is used for something else than writing it out",
        text: "A secret can be written out, whole, with or without one of the filters `dotenv shell json yaml toml`. Joined, compared, cut or counted it would leave traces that nobody can mask, or answer wrongly.",
        bad: "",
        good: "",
    },
    Page {
        code: "env::bad-rendering",
        title: "a file that does not say what was meant",
        text: "What is rendered is parsed back by its `format`, and each key of the environment that stands in it must have its value. Quote values by a filter: `{{ KEY | dotenv }}`.",
        bad: "",
        good: "",
    },
];
