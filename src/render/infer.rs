//! What an expression may give, by the kinds of its names alone.
//!
//! `check` has no value for a required input, and `needs` has none before the run. Refused here is only what fails
//! whatever the values are: a division by zero, an index out of range or a text that is no number is for the
//! evaluation to tell, and so is all that stands behind an `and`, `or` or `if` and may never be reached.

use std::ops::Range;

use minijinja::machinery::ast::{self, BinOpKind, CallArg, CompareOpKind, UnaryOpKind};
use minijinja::machinery::{Span, parse_expr};

use super::engine::translate;
use super::error::{Error, Fault};
use super::kinds::Kinds;

/// What `source` may give when each name, by its parts, is what `of` says.
///
/// # Errors
/// The first part that fails whatever the values are.
pub(super) fn infer(source: &str, of: &dyn Fn(&[&str]) -> Kinds) -> Result<Kinds, Error> {
    let tree = parse_expr(source).map_err(|error| translate(&error, source.len()))?;
    Walk { whole: source.len(), of }.expr(&tree)
}

struct Walk<'a> {
    whole: usize,
    of: &'a dyn Fn(&[&str]) -> Kinds,
}

impl Walk<'_> {
    fn expr(&self, expr: &ast::Expr<'_>) -> Result<Kinds, Error> {
        match expr {
            ast::Expr::Var(_) | ast::Expr::GetAttr(_) | ast::Expr::GetItem(_) => self.read(expr),
            ast::Expr::Const(it) => Ok(Kinds::inside(&it.value)),
            ast::Expr::Slice(it) => self.slice(it),
            ast::Expr::UnaryOp(it) => self.unary(it),
            ast::Expr::BinOp(it) => self.binary(it),
            ast::Expr::Compare(it) => self.compare(it),
            ast::Expr::IfExpr(it) => self.choice(it),
            ast::Expr::Filter(it) => self.filter(it),
            ast::Expr::Test(it) => {
                self.expr(&it.expr)?;
                self.args(&it.args)?;
                Ok(Kinds::BOOL)
            }
            ast::Expr::List(it) => self.all(&it.items, Kinds::LIST),
            ast::Expr::Tuple(it) => self.all(&it.items, Kinds::LIST),
            ast::Expr::Map(it) => self.all(&it.keys, Kinds::MAP).and_then(|kinds| self.all(&it.values, kinds)),
            ast::Expr::Call(_) => Ok(Kinds::ANY),
        }
    }

    /// A name, or a part of something else, which may be anything.
    fn read(&self, expr: &ast::Expr<'_>) -> Result<Kinds, Error> {
        if let Some(path) = path(expr) {
            return Ok((self.of)(&path));
        }
        match expr {
            ast::Expr::GetAttr(it) => {
                self.expr(&it.expr)?;
            }
            ast::Expr::GetItem(it) => {
                self.expr(&it.expr)?;
                self.expr(&it.subscript_expr)?;
            }
            _ => {}
        }
        Ok(Kinds::ANY)
    }

    fn all(&self, items: &[ast::Expr<'_>], kinds: Kinds) -> Result<Kinds, Error> {
        items.iter().try_for_each(|item| self.expr(item).map(drop))?;
        Ok(kinds)
    }

    /// What the arguments may be, together.
    fn args(&self, args: &[CallArg<'_>]) -> Result<Kinds, Error> {
        args.iter().try_fold(Kinds::NOTHING, |all, arg| match arg {
            CallArg::Pos(it) => self.expr(it).map(|kinds| all.or(kinds)),
            CallArg::Kwarg(_, it) | CallArg::PosSplat(it) | CallArg::KwargSplat(it) => {
                self.expr(it).map(|_| Kinds::ANY)
            }
        })
    }

    fn slice(&self, it: &ast::Spanned<ast::Slice<'_>>) -> Result<Kinds, Error> {
        let kinds = self.expr(&it.expr)?;
        for bound in [&it.start, &it.stop, &it.step].into_iter().flatten() {
            self.expr(bound)?;
        }
        let taken = Kinds::TEXT.or(Kinds::LIST).or(Kinds::NONE);
        self.taken("a slice", kinds, taken, it.span())?;
        Ok(if kinds == Kinds::TEXT { kinds } else { Kinds::TEXT.or(Kinds::LIST) })
    }

    fn unary(&self, it: &ast::Spanned<ast::UnaryOp<'_>>) -> Result<Kinds, Error> {
        let kinds = self.expr(&it.expr)?;
        match it.op {
            UnaryOpKind::Not => Ok(Kinds::BOOL),
            UnaryOpKind::Neg => self.taken("`-`", kinds, Kinds::NUMBER, it.span()).map(|()| Kinds::NUMBER),
        }
    }

    fn binary(&self, it: &ast::Spanned<ast::BinOp<'_>>) -> Result<Kinds, Error> {
        let left = self.expr(&it.left)?;
        let right = self.expr(&it.right);
        if matches!(it.op, BinOpKind::ScAnd | BinOpKind::ScOr) {
            // Without the right side, which may never be reached, it is what the left side is.
            return Ok(right.map_or(left, |right| left.or(right)));
        }
        let right = right?;
        if let BinOpKind::In = it.op {
            return self.held(right, it.span());
        }
        let pairs = left.each().flat_map(|left| right.each().map(move |right| (left, right)));
        let given = pairs.fold(Kinds::NOTHING, |all, (left, right)| all.or(joined(it.op, left, right)));
        if given != Kinds::NOTHING || left.is_any() || right.is_any() {
            return Ok(if given == Kinds::NOTHING { Kinds::ANY } else { given });
        }
        let (sign, left, right) = (sign(it.op), left.word(), right.word());
        let message = format!("tried to use {sign} operator on unsupported types {left} and {right}");
        Err(Error::new(Fault::Type, self.range(it.span()), message))
    }

    fn compare(&self, it: &ast::Spanned<ast::Compare<'_>>) -> Result<Kinds, Error> {
        self.expr(&it.expr)?;
        for (at, step) in it.ops.iter().enumerate() {
            let right = match self.expr(&step.expr) {
                // The first comparison of a chain may be its last.
                Err(_) if at > 0 => return Ok(Kinds::BOOL),
                right => right?,
            };
            if at == 0 && matches!(step.op, CompareOpKind::In | CompareOpKind::NotIn) {
                self.held(right, it.span())?;
            }
        }
        Ok(Kinds::BOOL)
    }

    /// `… in right`
    fn held(&self, right: Kinds, span: Span) -> Result<Kinds, Error> {
        self.taken("`in`", right, Kinds::TEXT.or(Kinds::LIST).or(Kinds::MAP), span).map(|()| Kinds::BOOL)
    }

    /// `a if test else b`: one of them will do.
    fn choice(&self, it: &ast::Spanned<ast::IfExpr<'_>>) -> Result<Kinds, Error> {
        self.expr(&it.test_expr)?;
        let left = self.expr(&it.true_expr);
        let right = it.false_expr.as_ref().map_or(Ok(Kinds::ANY), |other| self.expr(other));
        match (left, right) {
            (Ok(left), Ok(right)) => Ok(left.or(right)),
            (Ok(kinds), Err(_)) | (Err(_), Ok(kinds)) => Ok(kinds),
            (Err(error), Err(_)) => Err(error),
        }
    }

    fn filter(&self, it: &ast::Spanned<ast::Filter<'_>>) -> Result<Kinds, Error> {
        let subject = it.expr.as_ref().map_or(Ok(Kinds::ANY), |expr| self.expr(expr))?;
        let args = self.args(&it.args)?;
        if it.name == "default" {
            return Ok(subject.but(Kinds::NONE).or(args));
        }
        let has_args = !it.args.is_empty();
        self.taken(&format!("`{}`", it.name), subject, takes(it.name, has_args), it.span())?;
        Ok(gives(it.name, has_args, subject))
    }

    /// Refuses what is of no kind that `what` takes.
    fn taken(&self, what: &str, kinds: Kinds, takes: Kinds, span: Span) -> Result<(), Error> {
        if kinds.may_be(takes) {
            return Ok(());
        }
        let message = format!("{what} takes {}, and this is {}", takes.noun(), kinds.noun());
        Err(Error::new(Fault::Type, self.range(span), message))
    }

    fn range(&self, span: Span) -> Range<usize> {
        let range = span.start_offset as usize..span.end_offset as usize;
        if range.start < range.end && range.end <= self.whole { range } else { 0..self.whole }
    }
}

/// The parts of a name: `a.b['c']`.
fn path<'e>(expr: &'e ast::Expr<'_>) -> Option<Vec<&'e str>> {
    let (inner, part) = match expr {
        ast::Expr::Var(it) => return Some(vec![it.id]),
        ast::Expr::GetAttr(it) => (&it.expr, it.name),
        ast::Expr::GetItem(it) => match &it.subscript_expr {
            ast::Expr::Const(key) => (&it.expr, key.value.as_str()?),
            _ => return None,
        },
        _ => return None,
    };
    let mut parts = path(inner)?;
    parts.push(part);
    Some(parts)
}

/// What an operator makes of two single kinds; nothing when it always fails.
fn joined(op: BinOpKind, left: Kinds, right: Kinds) -> Kinds {
    let counts = |kind: Kinds| Kinds::NUMBER.or(Kinds::BOOL).may_be(kind);
    match op {
        BinOpKind::Concat => Kinds::TEXT,
        BinOpKind::Eq | BinOpKind::Ne | BinOpKind::Lt | BinOpKind::Lte | BinOpKind::Gt | BinOpKind::Gte => {
            Kinds::BOOL
        }
        BinOpKind::Add if left == right && Kinds::TEXT.or(Kinds::LIST).may_be(left) => left,
        BinOpKind::Mul if counts(right) && Kinds::TEXT.or(Kinds::LIST).may_be(left) => left,
        BinOpKind::Mul if counts(left) && Kinds::TEXT.or(Kinds::LIST).may_be(right) => right,
        _ if counts(left) && counts(right) => Kinds::NUMBER,
        _ => Kinds::NOTHING,
    }
}

const fn sign(op: BinOpKind) -> &'static str {
    match op {
        BinOpKind::Sub => "-",
        BinOpKind::Mul => "*",
        BinOpKind::Div => "/",
        BinOpKind::FloorDiv => "//",
        BinOpKind::Rem => "%",
        BinOpKind::Pow => "**",
        _ => "+",
    }
}

/// What a filter may be applied to.
fn takes(filter: &str, has_args: bool) -> Kinds {
    match filter {
        "abs" | "round" => Kinds::NUMBER,
        "first" | "length" => Kinds::TEXT.or(Kinds::LIST).or(Kinds::MAP),
        "last" => Kinds::TEXT.or(Kinds::LIST),
        "split" => Kinds::TEXT,
        "int" | "float" if !has_args => Kinds::PLAIN.or(Kinds::NONE),
        "join" | "list" | "max" | "min" | "reverse" | "sort" | "sum" | "unique" => {
            Kinds::TEXT.or(Kinds::LIST).or(Kinds::MAP).or(Kinds::NONE)
        }
        _ => Kinds::ANY,
    }
}

/// What a filter makes of it.
fn gives(filter: &str, has_args: bool, subject: Kinds) -> Kinds {
    match filter {
        "abs" | "length" | "round" => Kinds::NUMBER,
        "int" | "float" if !has_args => Kinds::NUMBER,
        "bool" => Kinds::BOOL,
        "join" | "lower" | "replace" | "string" | "title" | "tojson" | "trim" | "upper" => Kinds::TEXT,
        "list" | "sort" | "split" | "unique" => Kinds::LIST,
        "reverse" if subject == Kinds::TEXT || subject == Kinds::LIST => subject,
        _ => Kinds::ANY,
    }
}

#[cfg(test)]
mod tests;
