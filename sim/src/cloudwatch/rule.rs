//! The rule of a composite alarm, such as `ALARM("door") AND NOT OK(motion)`: pure.

use super::model::StateValue;

/// How deep a rule may nest before it is refused.
const DEEPEST: usize = 100;

/// A parsed rule.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// `TRUE` or `FALSE`.
    Constant(bool),
    /// Whether an alarm, by name or ARN, is in a state.
    Is(StateValue, String),
    /// The opposite.
    Not(Box<Rule>),
    /// Both.
    And(Box<Rule>, Box<Rule>),
    /// One of them.
    Or(Box<Rule>, Box<Rule>),
}

impl Rule {
    /// Parses a rule.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { rest: text, depth: 0 };
        let rule = parser.or()?;
        match parser.rest.trim_start() {
            "" => Ok(rule),
            rest => Err(format!("unexpected \"{rest}\"")),
        }
    }

    /// What it comes to.
    pub fn holds(&self, state: &impl Fn(&str) -> Option<StateValue>) -> bool {
        match self {
            Self::Constant(value) => *value,
            Self::Is(value, alarm) => state(alarm) == Some(*value),
            Self::Not(rule) => !rule.holds(state),
            Self::And(a, b) => a.holds(state) && b.holds(state),
            Self::Or(a, b) => a.holds(state) || b.holds(state),
        }
    }

    /// The alarms that it names, each once, in the order of the text.
    pub fn children(&self) -> Vec<&str> {
        let mut found = vec![];
        self.collect(&mut found);
        found
    }

    fn collect<'a>(&'a self, found: &mut Vec<&'a str>) {
        match self {
            Self::Constant(_) => {}
            Self::Is(_, alarm) => {
                if !found.contains(&alarm.as_str()) {
                    found.push(alarm);
                }
            }
            Self::Not(rule) => rule.collect(found),
            Self::And(a, b) | Self::Or(a, b) => {
                a.collect(found);
                b.collect(found);
            }
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn or(&mut self) -> Result<Rule, String> {
        let mut rule = self.and()?;
        while self.word("OR") {
            rule = Rule::Or(Box::new(rule), Box::new(self.and()?));
        }
        Ok(rule)
    }

    fn and(&mut self) -> Result<Rule, String> {
        let mut rule = self.not()?;
        while self.word("AND") {
            rule = Rule::And(Box::new(rule), Box::new(self.not()?));
        }
        Ok(rule)
    }

    fn not(&mut self) -> Result<Rule, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("it nests too deep".into());
        }
        let rule = if self.word("NOT") {
            Rule::Not(Box::new(self.not()?))
        } else {
            self.atom()?
        };
        self.depth -= 1;
        Ok(rule)
    }

    fn atom(&mut self) -> Result<Rule, String> {
        if self.sign('(') {
            let rule = self.or()?;
            self.close()?;
            return Ok(rule);
        }
        if self.word("TRUE") {
            return Ok(Rule::Constant(true));
        }
        if self.word("FALSE") {
            return Ok(Rule::Constant(false));
        }
        for value in [StateValue::Ok, StateValue::Alarm, StateValue::InsufficientData] {
            if self.word(value.as_str()) {
                if !self.sign('(') {
                    return Err(format!("{} needs an alarm in parentheses", value.as_str()));
                }
                let name = self.name()?;
                self.close()?;
                return Ok(Rule::Is(value, name));
            }
        }
        Err(format!("\"{}\" is not an expression", self.rest.trim_start()))
    }

    fn name(&mut self) -> Result<String, String> {
        self.rest = self.rest.trim_start();
        let name = match self.rest.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let inner = &self.rest[1..];
                let end = inner.find(quote).ok_or("a quote is not closed")?;
                self.rest = &inner[end + 1..];
                &inner[..end]
            }
            _ => {
                let end = self.rest.find(')').ok_or("a parenthesis is not closed")?;
                let name = self.rest[..end].trim_end();
                self.rest = &self.rest[end..];
                name
            }
        };
        if name.is_empty() {
            Err("an alarm's name is empty".into())
        } else {
            Ok(name.to_owned())
        }
    }

    /// Takes a word, if it is next.
    fn word(&mut self, word: &str) -> bool {
        let rest = self.rest.trim_start();
        let next = rest
            .find(|c: char| !c.is_ascii_alphabetic() && c != '_')
            .unwrap_or(rest.len());
        let found = &rest[..next] == word;
        if found {
            self.rest = &rest[next..];
        }
        found
    }

    fn sign(&mut self, sign: char) -> bool {
        match self.rest.trim_start().strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn close(&mut self) -> Result<(), String> {
        if self.sign(')') {
            Ok(())
        } else {
            Err(format!("\")\" is missing before \"{}\"", self.rest))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn state(alarm: &str) -> Option<StateValue> {
        match alarm {
            "a" => Some(StateValue::Alarm),
            "o k" => Some(StateValue::Ok),
            "i" => Some(StateValue::InsufficientData),
            _ => None,
        }
    }

    #[test]
    fn rules_hold_or_not() {
        let cases = [
            ("ALARM(a)", true),
            ("ALARM(\"a\")", true),
            ("OK(a)", false),
            ("ALARM('o k') OR OK(\"o k\")", true),
            ("OK( o k )", true),
            ("NOT ALARM(a)", false),
            ("INSUFFICIENT_DATA(i) AND NOT OK(a)", true),
            ("ALARM(gone)", false),
            // AND binds tighter than OR, NOT tighter than both.
            ("TRUE OR FALSE AND FALSE", true),
            ("(TRUE OR FALSE) AND FALSE", false),
            ("NOT FALSE AND FALSE", false),
            ("NOT (FALSE AND FALSE)", true),
            ("NOT NOT TRUE", true),
        ];
        for (text, expected) in cases {
            assert_eq!(Rule::parse(text).unwrap().holds(&state), expected, "{text}");
        }
        assert_eq!(
            Rule::parse("ALARM(b) AND (OK(a) OR ALARM(b))")
                .unwrap()
                .children(),
            ["b", "a"]
        );
    }

    #[test]
    fn what_is_no_rule() {
        let deep = "(".repeat(100_000);
        for text in [
            "",
            "ALARM",
            "ALARM()",
            "ALARM(a",
            "ALARM(\"a)",
            "ALARM(a) OK(b)",
            "a AND b",
            "NOT",
            "TRUE OR",
            &deep,
        ] {
            assert!(Rule::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_the_parser_fail_otherwise(text in "[ ()\"'A-Zaé_]{0,60}") {
            let _ = Rule::parse(&text);
        }
    }
}
