//! Files of `engine supervise`.

use super::super::Page;

/// The pages.
pub(super) const PAGES: &[Page] = &[Page {
    code: "service::template",
    title: "a template in a service's file",
    text: "A service is started again long after somebody ran a plan, so its file holds values. What differs from place to \
           place is rendered into a file of variables and read with `env-file`.",
    bad: "version: 1\nname: shop\nrun: [./shop, --port, '{{ vars.port }}']\n",
    good: "version: 1\nname: shop\nenv-file: run/shop.env\nrun: 'exec ./shop --port \"$PORT\"'\n",
}];
