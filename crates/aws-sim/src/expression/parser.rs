//! Recursive descent over the tokens; shared by all four expression kinds.

use super::lexer::{Token, syntax, tokens};
use super::{Path, Scope, Step};
use crate::attribute::Attr;

/// Something with a value.
#[derive(Debug, Clone)]
pub enum Operand {
    Path(Path),
    Value(Attr),
    Size(Path),
    IfNotExists(Path, Box<Operand>),
    ListAppend(Box<Operand>, Box<Operand>),
    Plus(Box<Operand>, Box<Operand>),
    Minus(Box<Operand>, Box<Operand>),
}

/// A condition.
#[derive(Debug, Clone)]
pub enum Condition {
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    Not(Box<Condition>),
    /// `=`, `<>`, `<`, `<=`, `>`, `>=`.
    Compare(&'static str, Operand, Operand),
    Between(Operand, Operand, Operand),
    In(Operand, Vec<Operand>),
    Exists(Path, bool),
    AttributeType(Path, Operand),
    BeginsWith(Operand, Operand),
    Contains(Operand, Operand),
}

/// Nesting that no real expression reaches; keeps hostile input off the stack.
const MAX_NESTING: usize = 100;

/// A cursor over tokens. Errors are AWS's sentences without the `Invalid …Expression: ` prefix.
pub struct Parser<'a> {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    scope: &'a Scope,
}

impl<'a> Parser<'a> {
    /// Tokenises `text`.
    pub fn new(text: &str, scope: &'a Scope) -> Result<Self, String> {
        let tokens = tokens(text)?;
        if tokens.is_empty() {
            return Err("The expression can not be empty;".to_owned());
        }
        Ok(Self {
            tokens,
            at: 0,
            depth: 0,
            scope,
        })
    }

    /// Fails unless everything was read.
    pub fn finish(&self) -> Result<(), String> {
        if self.at < self.tokens.len() {
            Err(self.unexpected())
        } else {
            Ok(())
        }
    }

    /// The error for the token at the cursor.
    pub fn unexpected(&self) -> String {
        syntax(
            &self
                .tokens
                .get(self.at)
                .map_or("<EOF>".to_owned(), Token::text),
        )
    }

    /// True and past it if the next token is `symbol`.
    pub fn symbol(&mut self, symbol: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some(Token::Symbol(s)) if *s == symbol);
        self.at += usize::from(found);
        found
    }

    /// True and past it if the next token is this keyword, in any case.
    pub fn keyword(&mut self, keyword: &str) -> bool {
        let found = self.peek_keyword(keyword);
        self.at += usize::from(found);
        found
    }

    /// True if the next token is this keyword.
    pub fn peek_keyword(&self, keyword: &str) -> bool {
        matches!(self.tokens.get(self.at), Some(Token::Word(word)) if word.eq_ignore_ascii_case(keyword))
    }

    /// True if nothing is left.
    pub fn at_end(&self) -> bool {
        self.at >= self.tokens.len()
    }

    fn expect(&mut self, symbol: &str) -> Result<(), String> {
        if self.symbol(symbol) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    fn enter(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > MAX_NESTING {
            return Err("The expression has too many nested operations".to_owned());
        }
        Ok(())
    }

    /// `a OR b AND NOT (c)`.
    pub fn condition(&mut self) -> Result<Condition, String> {
        self.enter()?;
        let mut left = self.conjunction()?;
        while self.keyword("OR") {
            left = Condition::Or(Box::new(left), Box::new(self.conjunction()?));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn conjunction(&mut self) -> Result<Condition, String> {
        let mut left = self.negation()?;
        while self.keyword("AND") {
            left = Condition::And(Box::new(left), Box::new(self.negation()?));
        }
        Ok(left)
    }

    fn negation(&mut self) -> Result<Condition, String> {
        self.enter()?;
        let condition = if self.keyword("NOT") {
            Condition::Not(Box::new(self.negation()?))
        } else if self.symbol("(") {
            let inner = self.condition()?;
            self.expect(")")?;
            inner
        } else {
            self.predicate()?
        };
        self.depth -= 1;
        Ok(condition)
    }

    fn predicate(&mut self) -> Result<Condition, String> {
        if let Some(function) = self.function() {
            return self.function_condition(&function);
        }
        let left = self.operand()?;
        for symbol in ["=", "<>", "<=", ">=", "<", ">"] {
            if self.symbol(symbol) {
                return Ok(Condition::Compare(symbol, left, self.operand()?));
            }
        }
        if self.keyword("BETWEEN") {
            let low = self.operand()?;
            if !self.keyword("AND") {
                return Err(self.unexpected());
            }
            return Ok(Condition::Between(left, low, self.operand()?));
        }
        if self.keyword("IN") {
            self.expect("(")?;
            let mut list = vec![self.operand()?];
            while self.symbol(",") {
                list.push(self.operand()?);
            }
            self.expect(")")?;
            return Ok(Condition::In(left, list));
        }
        Err(self.unexpected())
    }

    /// A condition function's name if the cursor is at `name(`; `size` is an operand.
    fn function(&mut self) -> Option<String> {
        let (Some(Token::Word(word)), Some(Token::Symbol("("))) =
            (self.tokens.get(self.at), self.tokens.get(self.at + 1))
        else {
            return None;
        };
        let word = word.clone();
        if word == "size" || word.starts_with(['#', ':']) {
            return None;
        }
        self.at += 2;
        Some(word)
    }

    fn function_condition(&mut self, function: &str) -> Result<Condition, String> {
        let condition = match function {
            "attribute_exists" => Condition::Exists(self.path()?, true),
            "attribute_not_exists" => Condition::Exists(self.path()?, false),
            "attribute_type" => {
                let path = self.path()?;
                self.expect(",")?;
                Condition::AttributeType(path, self.operand()?)
            }
            "begins_with" | "contains" => {
                let left = self.operand()?;
                self.expect(",")?;
                let right = self.operand()?;
                if function == "contains" {
                    Condition::Contains(left, right)
                } else {
                    Condition::BeginsWith(left, right)
                }
            }
            _ => return Err(format!("Invalid function name; function: {function}")),
        };
        self.expect(")")?;
        Ok(condition)
    }

    /// A path, a value, or `size(path)`.
    pub fn operand(&mut self) -> Result<Operand, String> {
        if let Some(Token::Word(word)) = self.tokens.get(self.at) {
            if word.starts_with(':') {
                let word = word.clone();
                self.at += 1;
                return Ok(Operand::Value(self.scope.value(&word)?));
            }
            if word == "size" && self.tokens.get(self.at + 1) == Some(&Token::Symbol("(")) {
                self.at += 2;
                let path = self.path()?;
                self.expect(")")?;
                return Ok(Operand::Size(path));
            }
        }
        Ok(Operand::Path(self.path()?))
    }

    /// The right side of SET: operands, `if_not_exists`, `list_append`, `+`, `-`.
    pub fn set_value(&mut self) -> Result<Operand, String> {
        let left = self.set_operand()?;
        if self.symbol("+") {
            return Ok(Operand::Plus(Box::new(left), Box::new(self.set_operand()?)));
        }
        if self.symbol("-") {
            return Ok(Operand::Minus(
                Box::new(left),
                Box::new(self.set_operand()?),
            ));
        }
        Ok(left)
    }

    fn set_operand(&mut self) -> Result<Operand, String> {
        self.enter()?;
        let operand = if self.symbol("(") {
            let inner = self.set_value()?;
            self.expect(")")?;
            inner
        } else {
            match self.function().as_deref() {
                Some("if_not_exists") => {
                    let path = self.path()?;
                    self.expect(",")?;
                    let value = self.set_value()?;
                    self.expect(")")?;
                    Operand::IfNotExists(path, Box::new(value))
                }
                Some("list_append") => {
                    let left = self.set_value()?;
                    self.expect(",")?;
                    let right = self.set_value()?;
                    self.expect(")")?;
                    Operand::ListAppend(Box::new(left), Box::new(right))
                }
                Some(other) => return Err(format!("Invalid function name; function: {other}")),
                None => self.operand()?,
            }
        };
        self.depth -= 1;
        Ok(operand)
    }

    /// `a.#b[3].c`.
    pub fn path(&mut self) -> Result<Path, String> {
        let mut path = vec![Step::Name(self.name()?)];
        loop {
            if self.symbol(".") {
                path.push(Step::Name(self.name()?));
            } else if self.symbol("[") {
                let Some(Token::Number(at)) = self.tokens.get(self.at) else {
                    return Err(self.unexpected());
                };
                path.push(Step::Index(*at));
                self.at += 1;
                self.expect("]")?;
            } else {
                return Ok(path);
            }
        }
    }

    fn name(&mut self) -> Result<String, String> {
        match self.tokens.get(self.at) {
            Some(Token::Word(word)) if !word.starts_with(':') => {
                let name = self.scope.name(word)?;
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.unexpected()),
        }
    }
}
