//! The grammar of metric math.

/// How deep an expression may nest before it is refused.
const DEEPEST: usize = 64;

/// An operator between two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `^`
    Power,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `AND`, `&&`
    And,
    /// `OR`, `||`
    Or,
}

/// Operators in the order in which they bind, loosest first, longer spellings before their beginnings.
const LEVELS: [&[(&str, Operator)]; 6] = [
    &[("OR", Operator::Or), ("||", Operator::Or)],
    &[("AND", Operator::And), ("&&", Operator::And)],
    &[
        ("<=", Operator::LessOrEqual),
        (">=", Operator::GreaterOrEqual),
        ("==", Operator::Equal),
        ("!=", Operator::NotEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[("*", Operator::Multiply), ("/", Operator::Divide)],
    &[("^", Operator::Power)],
];

/// The functions that the simulator knows, with their numbers of arguments; AWS has more.
const FUNCTIONS: [(&str, &[usize]); 15] = [
    ("METRICS", &[0]),
    ("ABS", &[1]),
    ("CEIL", &[1]),
    ("FLOOR", &[1]),
    ("SUM", &[1]),
    ("AVG", &[1]),
    ("MIN", &[1]),
    ("MAX", &[1]),
    ("PERIOD", &[1]),
    ("DIFF", &[1]),
    ("RATE", &[1]),
    ("FILL", &[2]),
    ("IF", &[2, 3]),
    // Options of FILL.
    ("REPEAT", &[0]),
    ("LINEAR", &[0]),
];

/// A parsed expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// A number.
    Number(f64),
    /// The value of another query.
    Name(String),
    /// The opposite sign.
    Negative(Box<Expression>),
    /// Two operands.
    Pair(Operator, Box<Expression>, Box<Expression>),
    /// A function, by its name in capitals, or its option such as `REPEAT` without arguments.
    Call(String, Vec<Expression>),
    /// `[a, b]`.
    List(Vec<Expression>),
}

impl Expression {
    /// The queries that it names.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Number(_) => vec![],
            Self::Name(name) => vec![name],
            Self::Negative(inner) => inner.names(),
            Self::Pair(_, a, b) => [a.names(), b.names()].concat(),
            Self::Call(_, arguments) | Self::List(arguments) => {
                arguments.iter().flat_map(Self::names).collect()
            }
        }
    }
}

/// Parses an expression.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<Expression, String> {
    let mut parser = Parser {
        rest: text.trim_start(),
        depth: 0,
    };
    let expression = parser.level(0)?;
    if parser.rest.is_empty() {
        Ok(expression)
    } else {
        Err(format!("unexpected \"{}\"", parser.rest))
    }
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

impl Parser<'_> {
    fn level(&mut self, level: usize) -> Result<Expression, String> {
        let Some(operators) = LEVELS.get(level) else {
            return self.sign();
        };
        let mut left = self.level(level + 1)?;
        while let Some(operator) = self.operator(operators) {
            let right = self.level(level + 1)?;
            left = Expression::Pair(operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn operator(&mut self, operators: &[(&str, Operator)]) -> Option<Operator> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        operators.iter().find_map(|(spelling, operator)| {
            let rest = self.rest.strip_prefix(spelling)?;
            let word = spelling.starts_with(is_name);
            if word && rest.starts_with(is_name) {
                return None;
            }
            self.rest = rest.trim_start();
            Some(*operator)
        })
    }

    fn sign(&mut self) -> Result<Expression, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("it nests too deep".into());
        }
        let expression = if self.take("-") {
            Expression::Negative(Box::new(self.sign()?))
        } else {
            self.atom()?
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn atom(&mut self) -> Result<Expression, String> {
        if self.take("(") {
            let inner = self.level(0)?;
            return if self.take(")") {
                Ok(inner)
            } else {
                Err("\")\" is missing".into())
            };
        }
        if self.take("[") {
            return Ok(Expression::List(self.arguments("]")?));
        }
        let end = |allowed: fn(char) -> bool| self.rest.find(|c| !allowed(c)).unwrap_or(self.rest.len());
        let number = end(|c| c.is_ascii_digit() || c == '.');
        if number > 0 {
            let value = self
                .word(number)
                .parse()
                .map_err(|_| "a number is malformed".to_owned())?;
            return Ok(Expression::Number(value));
        }
        let name = end(|c| c.is_ascii_alphanumeric() || c == '_');
        let word = self.word(name).to_owned();
        match word.chars().next() {
            Some(first) if first.is_ascii_lowercase() => Ok(Expression::Name(word)),
            Some(first) if first.is_ascii_uppercase() => {
                let arguments = if self.take("(") {
                    self.arguments(")")?
                } else {
                    vec![]
                };
                let number = arguments.len();
                match FUNCTIONS.iter().find(|(name, _)| *name == word) {
                    None => Err(format!("{word} is not known or not simulated")),
                    Some((_, numbers)) if !numbers.contains(&number) => {
                        Err(format!("{word} does not take {number} arguments"))
                    }
                    Some(_) => Ok(Expression::Call(word, arguments)),
                }
            }
            _ => Err(format!("\"{}\" is not an expression", self.rest)),
        }
    }

    fn arguments(&mut self, close: &str) -> Result<Vec<Expression>, String> {
        let mut arguments = vec![];
        if self.take(close) {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.level(0)?);
            if self.take(close) {
                return Ok(arguments);
            }
            if !self.take(",") {
                return Err(format!("\"{close}\" is missing"));
            }
        }
    }

    fn take(&mut self, sign: &str) -> bool {
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn word(&mut self, length: usize) -> &str {
        let (word, rest) = self.rest.split_at(length);
        self.rest = rest.trim_start();
        word
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_expression() {
        let deep = "(".repeat(100_000);
        for text in [
            "",
            "m +",
            "m1 m2",
            "(m",
            "SUM(m",
            "[a, ",
            "1.2.3",
            "_a",
            "a ANDY b",
            "\"x\"",
            "ANOMALY_DETECTION_BAND(a)",
            "SUM(a, b)",
            &deep,
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_in_it() {
        assert_eq!(
            parse("IF(a > 0 AND b_1 < 2, -c^2, SUM([d, a]))").unwrap().names(),
            ["a", "b_1", "c", "d", "a"]
        );
        assert!(parse("METRICS()").unwrap().names().is_empty());
    }

    proptest! {
        #[test]
        fn nothing_makes_the_parser_fail_otherwise(text in "[a-cA-Z0-9 .,()\\[\\]<>=!&|+*/^é-]{0,40}") {
            let _ = parse(&text);
        }
    }
}
