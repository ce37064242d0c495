//! Puts every mutant of a file into it, each behind the question whether it is on.

use std::collections::{HashMap, HashSet};

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{Arm, Attribute, BinOp, Block, Expr, Pat, ReturnType, Signature, Stmt, UnOp, parse_quote};

/// One change of the code.
pub struct Mutant {
    /// What stays the same while other code changes: the file, the function, the change, and which of those that are
    /// alike.
    pub key: String,
    pub file: String,
    pub line: usize,
}

/// The constants of each file, by name.
pub type Constants = HashMap<String, HashSet<String>>;

pub struct Mutator<'a> {
    pub file: &'a str,
    pub constants: &'a Constants,
    /// The keys of those that are left out, because the compiler does not take them.
    pub refused: &'a HashSet<String>,
    /// All that were made, the refused ones too: the number of one is its place.
    pub mutants: &'a mut Vec<Mutant>,
    names: Vec<String>,
    alike: HashMap<String, usize>,
    of_constants: HashMap<String, Option<(u32, u32)>>,
}

impl<'a> Mutator<'a> {
    pub fn new(
        file: &'a str,
        constants: &'a Constants,
        refused: &'a HashSet<String>,
        mutants: &'a mut Vec<Mutant>,
    ) -> Self {
        let (names, alike, of_constants) = Default::default();
        Mutator { file, constants, refused, mutants, names, alike, of_constants }
    }

    /// A new mutant's number; none where it is refused.
    fn number(&mut self, span: Span, change: &str) -> Option<u32> {
        let place: String = self.names.iter().map(|name| format!("{name}: ")).collect();
        let what = format!("{}: {place}{change}", self.file);
        let place = self.alike.entry(what.clone()).or_default();
        *place += 1;
        let key = if *place == 1 { what } else { format!("{what} #{place}") };
        let is_refused = self.refused.contains(&key);
        self.mutants.push(Mutant { key, file: self.file.to_owned(), line: span.start().line });
        (!is_refused).then_some(self.mutants.len() as u32 - 1)
    }

    /// An expression that is `usual` unless one of the others is on. They share what `before` names, which is worked
    /// out once.
    fn choice(&mut self, span: Span, others: Vec<(String, TokenStream)>, usual: TokenStream) -> Option<TokenStream> {
        let numbered: Vec<_> = others.into_iter().map(|(change, other)| (self.number(span, &change), other)).collect();
        let mut made = numbered.into_iter().filter_map(|(number, other)| Some((number?, other))).rev().peekable();
        made.peek()?;
        let last = quote!({ #usual });
        Some(made.fold(last, |rest, (number, other)| quote!(if crate::mutants::on(#number) { #other } else #rest)))
    }

    fn binary(&mut self, expr: &syn::ExprBinary) -> Option<Expr> {
        let (left, op, right) = (&expr.left, &expr.op, &expr.right);
        let span = op.span();
        let sign = op.to_token_stream().to_string();
        let others = |signs: &str, of: &dyn Fn(BinOp) -> TokenStream| {
            let changed =
                |other: &str| (format!("{sign} becomes {other}"), of(syn::parse_str(other).expect("an operator")));
            signs.split(' ').map(changed).collect()
        };
        let signs = match op {
            // Exactly one of the two is asked where the other decides: so neither operand is written twice.
            BinOp::And(_) | BinOp::Or(_) if has_let(left) || has_let(right) => return None,
            BinOp::And(_) => {
                let on = self.number(span, "&& becomes ||")?;
                return Some(
                    parse_quote!((if (#left) != crate::mutants::on(#on) { #right } else { crate::mutants::on(#on) })),
                );
            }
            BinOp::Or(_) => {
                let on = self.number(span, "|| becomes &&")?;
                return Some(
                    parse_quote!((if (#left) == crate::mutants::on(#on) { #right } else { !crate::mutants::on(#on) })),
                );
            }
            BinOp::Eq(_) => "!=",
            BinOp::Ne(_) => "==",
            BinOp::Lt(_) => "== > <=",
            BinOp::Gt(_) => "== < >=",
            BinOp::Le(_) => ">",
            BinOp::Ge(_) => "<",
            BinOp::Add(_) => "- *",
            BinOp::Sub(_) => "+ /",
            BinOp::Mul(_) => "+ /",
            BinOp::Div(_) => "% *",
            BinOp::Rem(_) => "/ +",
            BinOp::Shl(_) => ">>",
            BinOp::Shr(_) => "<<",
            BinOp::BitAnd(_) => "| ^",
            BinOp::BitOr(_) => "& ^",
            BinOp::BitXor(_) => "| &",
            BinOp::AddAssign(_) => "-= *=",
            BinOp::SubAssign(_) => "+= /=",
            BinOp::MulAssign(_) => "+= /=",
            BinOp::DivAssign(_) => "%= *=",
            BinOp::RemAssign(_) => "/= +=",
            BinOp::ShlAssign(_) => ">>=",
            BinOp::ShrAssign(_) => "<<=",
            BinOp::BitAndAssign(_) => "|=",
            BinOp::BitOrAssign(_) => "&=",
            BinOp::BitXorAssign(_) => "|= &=",
            _ => return None,
        };
        Some(match op {
            BinOp::Eq(_) | BinOp::Ne(_) | BinOp::Lt(_) | BinOp::Gt(_) | BinOp::Le(_) | BinOp::Ge(_) => {
                let of = |op: BinOp| quote!(*__left #op *__right);
                let choice = self.choice(span, others(signs, &of), of(*op))?;
                parse_quote!((match (&(#left), &(#right)) { (__left, __right) => #choice }))
            }
            _ if sign.ends_with('=') => {
                let of = |op: BinOp| quote!(#left #op __right);
                let choice = self.choice(span, others(signs, &of), of(*op))?;
                parse_quote!(match #right { __right => #choice })
            }
            _ => {
                let of = |op: BinOp| quote!(__left #op __right);
                let choice = self.choice(span, others(signs, &of), of(*op))?;
                parse_quote!((match (#left, #right) { (__left, __right) => #choice }))
            }
        })
    }

    fn unary(&mut self, expr: &syn::ExprUnary) -> Option<Expr> {
        let (op, operand) = (&expr.op, &expr.expr);
        matches!(op, UnOp::Not(_) | UnOp::Neg(_)).then_some(())?;
        let other = (format!("{} deleted", op.to_token_stream()), quote!(__operand));
        let choice = self.choice(op.span(), vec![other], quote!(#op __operand))?;
        Some(parse_quote!((match #operand { __operand => #choice })))
    }

    fn constant(&mut self, expr: &syn::ExprPath) -> Option<Expr> {
        let name = expr.path.segments.last()?.ident.to_string();
        // All uses in a file are one mutant, whichever function they are in.
        let here = self.constants.get(self.file).is_some_and(|names| names.contains(&name));
        let mut files = self.constants.iter().filter(|(_, names)| names.contains(&name)).map(|(file, _)| file);
        let file = if here { self.file } else { files.next().filter(|_| files.next().is_none())? };
        let what = if here { name.clone() } else { format!("{name} of {file}") };
        let numbers = match self.of_constants.get(&name) {
            Some(numbers) => *numbers,
            None => {
                let names = std::mem::take(&mut self.names);
                let smaller = self.number(expr.span(), &format!("{what} smaller"));
                let larger = self.number(expr.span(), &format!("{what} larger"));
                self.names = names;
                *self.of_constants.entry(name).or_insert(smaller.zip(larger))
            }
        };
        let (smaller, larger) = numbers?;
        Some(parse_quote!(crate::mutants::constant(#expr, #smaller, #larger)))
    }

    fn arms(&mut self, arms: &mut [Arm]) {
        let has_rest = arms.iter().any(|arm| matches!(arm.pat, Pat::Wild(_)) && arm.guard.is_none());
        for arm in arms {
            let pattern = short(&arm.pat);
            let span = arm.pat.span();
            if let Some((_, guard)) = &arm.guard {
                let always = self.number(span, &format!("the guard of {pattern} becomes true"));
                let never = self.number(span, &format!("the guard of {pattern} becomes false"));
                if let (Some(always), Some(never)) = (always, never) {
                    let on: Expr =
                        parse_quote!(crate::mutants::on(#always) || (!crate::mutants::on(#never) && (#guard)));
                    arm.guard = Some((Default::default(), Box::new(on)));
                }
            } else if has_rest
                && !matches!(arm.pat, Pat::Wild(_))
                && let Some(number) = self.number(span, &format!("the arm {pattern} deleted"))
            {
                arm.guard = Some((Default::default(), parse_quote!(!crate::mutants::on(#number))));
            }
        }
    }

    fn function(&mut self, attributes: &[Attribute], signature: &Signature, block: &mut Block) {
        if is_left_out(attributes) || signature.constness.is_some() {
            return;
        }
        self.names.push(signature.ident.to_string());
        let nothing = matches!(signature.output, ReturnType::Default);
        if nothing {
            end_calls(block);
        }
        let old = block.to_token_stream().to_string();
        let is_one_call =
            nothing && block.stmts.len() == 1 && matches!(&block.stmts[0], Stmt::Expr(call, _) if is_call(call));
        self.visit_block_mut(block);
        let mut values = crate::values::of_return(&signature.output);
        // What is the same as before, or calls itself for ever.
        let is_default = signature.ident == "default" && signature.inputs.is_empty();
        values.retain(|value| {
            quote!({ #value }).to_string() != old && !(is_default && value.to_string().starts_with("Default"))
        });
        if is_one_call || block.stmts.is_empty() {
            values.clear();
        }
        for (at, value) in values.iter().enumerate() {
            if let Some(number) = self.number(signature.ident.span(), &format!("the body becomes {value}")) {
                block
                    .stmts
                    .insert(at.min(block.stmts.len()), parse_quote!(if crate::mutants::on(#number) { return #value; }));
            }
        }
        self.names.pop();
    }
}

impl VisitMut for Mutator<'_> {
    fn visit_item_fn_mut(&mut self, item: &mut syn::ItemFn) {
        self.function(&item.attrs, &item.sig, &mut item.block);
    }

    fn visit_impl_item_fn_mut(&mut self, item: &mut syn::ImplItemFn) {
        self.function(&item.attrs, &item.sig, &mut item.block);
    }

    fn visit_trait_item_fn_mut(&mut self, item: &mut syn::TraitItemFn) {
        if let Some(block) = &mut item.default {
            self.function(&item.attrs, &item.sig, block);
        }
    }

    fn visit_item_impl_mut(&mut self, item: &mut syn::ItemImpl) {
        if !is_left_out(&item.attrs) {
            self.names.push(short(&item.self_ty));
            visit_mut::visit_item_impl_mut(self, item);
            self.names.pop();
        }
    }

    fn visit_item_mod_mut(&mut self, item: &mut syn::ItemMod) {
        if !is_left_out(&item.attrs) {
            visit_mut::visit_item_mod_mut(self, item);
        }
    }

    fn visit_block_mut(&mut self, block: &mut Block) {
        let rest = block.stmts.len().saturating_sub(1);
        for stmt in &mut block.stmts[..rest] {
            if let Stmt::Expr(expr, semicolon @ None) = stmt {
                end_call(expr, semicolon);
            }
        }
        let calls: Vec<_> = block.stmts.iter().map(deletion).collect();
        visit_mut::visit_block_mut(self, block);
        for (stmt, call) in block.stmts.iter_mut().zip(calls) {
            if let Some((span, change)) = call
                && let Some(choice) = self.choice(span, vec![(change, quote!())], quote!(#stmt))
            {
                *stmt = Stmt::Expr(parse_quote!(#choice), None);
            }
        }
    }

    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        match expr {
            Expr::ForLoop(each) => end_calls(&mut each.body),
            Expr::While(each) => end_calls(&mut each.body),
            Expr::Loop(each) => end_calls(&mut each.body),
            // A capacity is a hint.
            Expr::Call(call) if short(&call.func).ends_with("with_capacity") => return,
            // A length is worked out by the compiler.
            Expr::Repeat(repeat) => return self.visit_expr_mut(&mut repeat.expr),
            Expr::Const(_) => return,
            _ => {}
        }
        visit_mut::visit_expr_mut(self, expr);
        let changed = match &mut *expr {
            Expr::Binary(binary) => self.binary(binary),
            Expr::Unary(unary) => self.unary(unary),
            Expr::Path(path) => self.constant(path),
            Expr::Match(choice) => {
                self.arms(&mut choice.arms);
                None
            }
            _ => None,
        };
        if let Some(changed) = changed {
            *expr = changed;
        }
    }

    // What the compiler works out, and what is no expression.
    fn visit_item_const_mut(&mut self, _: &mut syn::ItemConst) {}
    fn visit_item_static_mut(&mut self, _: &mut syn::ItemStatic) {}
    fn visit_item_enum_mut(&mut self, _: &mut syn::ItemEnum) {}
    fn visit_impl_item_const_mut(&mut self, _: &mut syn::ImplItemConst) {}
    fn visit_type_mut(&mut self, _: &mut syn::Type) {}
    fn visit_pat_mut(&mut self, _: &mut Pat) {}
    fn visit_attribute_mut(&mut self, _: &mut Attribute) {}
}

/// Names the constants that a file defines, and the files of which it says that they are tests.
#[derive(Default)]
pub struct Names {
    pub constants: HashSet<String>,
    pub tests: Vec<String>,
}

impl<'ast> syn::visit::Visit<'ast> for Names {
    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.constants.insert(item.ident.to_string());
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.constants.insert(item.ident.to_string());
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_left_out(&item.attrs) {
            syn::visit::visit_item_mod(self, item);
        } else if item.content.is_none() {
            self.tests.push(format!("{}.rs", item.ident));
        }
    }
}

/// Tests, and what other systems compile.
fn is_left_out(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let text = attribute.to_token_stream().to_string().replace(' ', "");
        text == "#[test]" || text == "#[cfg(test)]" || text.starts_with("#[cfg(not(target_os")
    })
}

/// What the deletion of a statement is called; none for whatever is no call.
fn deletion(stmt: &Stmt) -> Option<(Span, String)> {
    let Stmt::Expr(call, Some(_)) = stmt else { return None };
    is_call(call).then(|| (call.span(), format!("{} deleted", short(call))))
}

fn is_call(expr: &Expr) -> bool {
    match expr {
        Expr::Call(_) | Expr::MethodCall(_) => true,
        Expr::Try(tried) => is_call(&tried.expr),
        _ => false,
    }
}

/// In the last place of a block whose value is nothing, a call gets its semicolon: so it is a statement like others.
fn end_calls(block: &mut Block) {
    if let Some(Stmt::Expr(expr, semicolon @ None)) = block.stmts.last_mut() {
        end_call(expr, semicolon);
    }
}

fn end_call(expr: &mut Expr, semicolon: &mut Option<syn::Token![;]>) {
    match expr {
        call if is_call(call) => *semicolon = Some(Default::default()),
        Expr::Block(block) => end_calls(&mut block.block),
        Expr::If(choice) => {
            end_calls(&mut choice.then_branch);
            if let Some((_, rest)) = &mut choice.else_branch {
                end_call(rest, semicolon);
            }
        }
        Expr::Match(choice) => {
            for arm in &mut choice.arms {
                if is_call(&arm.body) {
                    let call = &arm.body;
                    *arm.body = parse_quote!({ #call; });
                } else {
                    end_call(&mut arm.body, &mut None);
                }
            }
        }
        _ => {}
    }
}

fn has_let(expr: &Expr) -> bool {
    match expr {
        Expr::Let(_) => true,
        Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

/// The beginning of some code, in one line.
fn short(code: &impl ToTokens) -> String {
    let text = code.to_token_stream().to_string();
    let text = text.replace(" . ", ".").replace(" :: ", "::").replace(" (", "(").replace("& ", "&");
    let cut: String = text.chars().take(48).collect();
    if cut.len() < text.len() { cut + "…" } else { cut }
}
