//! Limits: written out, or computed by a template over inputs, vars and the matrix.

use super::Builder;
use super::context::{Context, Site};
use super::eval::Eval;
use crate::base::{Span, limits};
use crate::graph::model::{LockRule, Settings};
use crate::plan::model::{AllowFailed, Rate, Setting, Size};
use crate::plan::tree::Tree;
use crate::plan::{Diagnostic, Place};
use crate::render::{Kinds, Value};

/// What a [`Setting`] can be read as.
pub(super) trait Limit: Clone {
    /// The value as a limit; the error says what was expected.
    fn read(value: &Value) -> Result<Self, String>;
}

impl Limit for u32 {
    fn read(value: &Value) -> Result<Self, String> {
        let number = whole(value)?;
        Self::try_from(number)
            .map_err(|_| format!("expected a whole number from 0 to {}, not {number}", Self::MAX))
    }
}

/// Any whole number, also as text.
fn whole(value: &Value) -> Result<i128, String> {
    let number = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
    let number = number.or_else(|| value.as_str()?.parse().ok());
    number.ok_or_else(|| format!("expected a whole number from 0, not {}", said(value)))
}

/// A number as it is, anything else by its kind.
fn said(value: &Value) -> String {
    if value.is_number() { value.to_string() } else { crate::render::noun(value).to_owned() }
}

impl Limit for Span {
    fn read(value: &Value) -> Result<Self, String> {
        let text = value.as_str().unwrap_or_default();
        Self::parse(text).ok_or_else(|| {
            if Self::is_too_long(text) {
                return Self::too_long(format_args!("`{text}`"));
            }
            "expected a duration like `90s` or `1h30m`".to_owned()
        })
    }
}

impl Limit for Size {
    fn read(value: &Value) -> Result<Self, String> {
        if value.as_str() == Some("auto") {
            return Ok(Self::Auto);
        }
        let items = u32::read(value).ok().filter(|&items| (1..=limits::MAX_SHARDS).contains(&u64::from(items)));
        items.map(Self::Items).ok_or_else(|| {
            let (most, found) = (limits::MAX_SHARDS, said(value));
            format!("expected a whole number from 1 to {most}, or `auto`, not {found}")
        })
    }
}

impl Limit for Rate {
    fn read(value: &Value) -> Result<Self, String> {
        let rate = value.as_str().and_then(Self::parse);
        rate.ok_or_else(|| "expected a rate like `200/s`, `30/m` or `5/10s`".to_owned())
    }
}

impl Limit for AllowFailed {
    fn read(value: &Value) -> Result<Self, String> {
        let count = value.as_u64().and_then(|count| u32::try_from(count).ok()).map(Self::Items);
        let read = count.or_else(|| value.as_str().and_then(Self::parse));
        read.ok_or_else(|| "expected a number of items, or a share of them like `1%`".to_owned())
    }
}

impl Builder<'_> {
    /// The value of `setting`; `None` when it is wrong (and reported) or not known yet.
    pub(super) fn setting<T: Limit>(&mut self, setting: &Setting<T>, cx: &Context) -> Option<T> {
        match setting {
            Setting::Value(value) => Some(value.value.clone()),
            Setting::Template(tree) => self.computed::<T, T>(tree, cx, T::read),
        }
    }

    /// What `read` makes of the value of `tree`, which is to be a limit of the kind `T`.
    fn computed<T: Limit, R>(
        &mut self,
        tree: &Tree,
        cx: &Context,
        read: fn(&Value) -> Result<R, String>,
    ) -> Option<R> {
        let read = match self.value(tree, cx, Site::default()) {
            Eval::Known(value) => read(&value).map(Some),
            Eval::Late(kinds) | Eval::Unknown(kinds) => may_limit::<T>(kinds).map(|()| None),
            Eval::Failed => Ok(None),
        };
        read.unwrap_or_else(|message| {
            self.error("plan::wrong-type", tree.at, message);
            None
        })
    }

    /// An optional setting.
    pub(super) fn maybe<T: Limit>(&mut self, setting: Option<&Setting<T>>, cx: &Context) -> Option<T> {
        setting.and_then(|setting| self.setting(setting, cx))
    }

    /// A setting from `least` to `most`.
    pub(super) fn bounded(
        &mut self,
        setting: &Setting<u32>,
        cx: &Context,
        (least, most): (u32, u32),
        what: &str,
    ) -> Option<u32> {
        let value = match setting {
            Setting::Value(value) => i128::from(value.value),
            Setting::Template(tree) => self.computed::<u32, i128>(tree, cx, whole)?,
        };
        let fits = u32::try_from(value).ok().filter(|value| (least..=most).contains(value));
        if fits.is_none() {
            let found = Diagnostic::out_of_range(place(setting), what, (least, most), value);
            self.report.push(found);
        }
        fits
    }

    /// Limits of the run.
    pub(super) fn settings(&mut self, cx: &Context) -> Settings {
        let plan = &self.loaded.plan;
        let declared = plan
            .max_parallel
            .as_ref()
            .and_then(|setting| self.bounded(setting, cx, (1, limits::MAX_PARALLEL), "`max-parallel`"));
        let jobs = self.request.jobs.map(|jobs| jobs.clamp(1, limits::MAX_PARALLEL));
        let budget = plan.finally.as_ref().and_then(|finally| finally.budget.as_ref());
        Settings {
            is_part: false,
            max_parallel: jobs.or(declared).unwrap_or(self.request.processors.clamp(1, limits::MAX_PARALLEL)),
            timeout: self.maybe(plan.timeout.as_ref(), cx),
            finally_budget: self.maybe(budget, cx),
            lock: plan.lock.as_ref().and_then(|lock| {
                let wait = self.maybe(lock.wait.as_ref(), cx);
                let name = self.string(&lock.name, cx)?;
                if name.is_empty() {
                    self.error("plan::wrong-type", lock.name.at, "a lock needs a name");
                    return None;
                }
                Some(LockRule { name, on_busy: lock.on_busy, wait })
            }),
            heal_depth: plan
                .heal_depth
                .as_ref()
                .and_then(|depth| self.bounded(depth, cx, (1, limits::MAX_HEAL_DEPTH), "`heal-depth`")),
            environment: self.deployed(),
            freezes: self.freezes(),
        }
    }

    /// A text that must be known now.
    pub(super) fn string(&mut self, tree: &Tree, cx: &Context) -> Option<String> {
        match self.value(tree, cx, Site::default()) {
            Eval::Known(value) => {
                self.check_form(tree, Kinds::of(&value));
                crate::render::text_of(&value)
            }
            // In `check` the name shows what it is made of.
            Eval::Unknown(kinds) => {
                self.check_form(tree, kinds);
                tree.as_str().map(str::to_owned)
            }
            Eval::Late(_) | Eval::Failed => None,
        }
    }

    /// Pools of the plan.
    pub(super) fn plan_pools(&mut self, cx: &Context) {
        for (name, capacity) in &self.loaded.plan.pools {
            let capacity = self.bounded(capacity, cx, (1, u32::MAX), "the capacity of a pool").unwrap_or(1);
            self.push_pool(name.value.to_string(), capacity);
        }
    }
}

/// Whether a value of these kinds may be a limit.
fn may_limit<T: Limit>(kinds: Kinds) -> Result<(), String> {
    let example = |kind| match kind {
        Kinds::NUMBER => Value::from(1),
        Kinds::BOOL => Value::from(true),
        Kinds::LIST => Value::Array(Vec::new()),
        Kinds::MAP => Value::Object(serde_json::Map::new()),
        _ => Value::Null,
    };
    // Which text is a limit depends on the text; of every other kind one value tells for all.
    if kinds.may_be(Kinds::TEXT) {
        return Ok(());
    }
    let mut wrong = Ok(());
    for kind in kinds.each() {
        match T::read(&example(kind)) {
            Ok(_) => return Ok(()),
            Err(message) => wrong = wrong.and(Err(message)),
        }
    }
    wrong
}

/// Where a setting is written.
pub(super) const fn place<T>(setting: &Setting<T>) -> Place {
    match setting {
        Setting::Value(value) => value.at,
        Setting::Template(tree) => tree.at,
    }
}
