//! A strict JSON reader that keeps positions.

use super::{Key, MAX_DEPTH, Node, NodeValue, Position, SyntaxError, too_deep};

pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let mut reader = Reader { text, at: 0, position: Position::START };
    reader.skip_blanks();
    let root = reader.value(0)?;
    reader.skip_blanks();
    match reader.peek() {
        None => Ok(root),
        Some(_) => Err(reader.expected("the end of the file")),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    position: Position,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Steps over one character; the position counts characters, not bytes.
    fn step(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.at += c.len_utf8();
        if c == '\n' {
            self.position = Position::new(self.position.line.saturating_add(1), 1);
        } else {
            self.position.column = self.position.column.saturating_add(1);
        }
        Some(c)
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.step();
        }
    }

    fn expected(&self, expected: &str) -> SyntaxError {
        self.expected_at(self.position, expected)
    }

    fn expected_at(&self, position: Position, expected: &str) -> SyntaxError {
        let found = match self.rest().chars().next() {
            None => "the end of the file".to_owned(),
            Some('/') if self.rest().starts_with("//") || self.rest().starts_with("/*") => {
                "a comment, which JSON does not have".to_owned()
            }
            Some(c) => format!("{c:?}"),
        };
        SyntaxError { position, expected: expected.to_owned(), found }
    }

    fn value(&mut self, depth: usize) -> Result<Node, SyntaxError> {
        if depth > MAX_DEPTH {
            return Err(too_deep(self.position));
        }
        let position = self.position;
        let value = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => NodeValue::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => NodeValue::Number(self.number()?),
            Some(b't') => self.word("true", NodeValue::Bool(true))?,
            Some(b'f') => self.word("false", NodeValue::Bool(false))?,
            Some(b'n') => self.word("null", NodeValue::Null)?,
            _ => return Err(self.expected("a value")),
        };
        Ok(Node { value, position })
    }

    fn object(&mut self, depth: usize) -> Result<NodeValue, SyntaxError> {
        let mut entries = Vec::new();
        self.step();
        self.skip_blanks();
        if self.peek() == Some(b'}') {
            self.step();
            return Ok(NodeValue::Object(entries));
        }
        loop {
            let position = self.position;
            if self.peek() != Some(b'"') {
                let expected = match (entries.is_empty(), self.peek()) {
                    (true, _) => "a key in double quotes or '}'",
                    (false, Some(b'}')) => "a key in double quotes (a comma may not stand last)",
                    (false, _) => "a key in double quotes",
                };
                return Err(self.expected(expected));
            }
            let key = Key { text: self.string()?, position };
            self.skip_blanks();
            if self.peek() != Some(b':') {
                return Err(self.expected("':' after the key"));
            }
            self.step();
            self.skip_blanks();
            entries.push((key, self.value(depth + 1)?));
            self.skip_blanks();
            match self.peek() {
                Some(b',') => self.step(),
                Some(b'}') => {
                    self.step();
                    return Ok(NodeValue::Object(entries));
                }
                _ => return Err(self.expected("',' or '}'")),
            };
            self.skip_blanks();
        }
    }

    fn array(&mut self, depth: usize) -> Result<NodeValue, SyntaxError> {
        let mut elements = Vec::new();
        self.step();
        self.skip_blanks();
        if self.peek() == Some(b']') {
            self.step();
            return Ok(NodeValue::Array(elements));
        }
        loop {
            elements.push(self.value(depth + 1)?);
            self.skip_blanks();
            match self.peek() {
                Some(b',') => self.step(),
                Some(b']') => {
                    self.step();
                    return Ok(NodeValue::Array(elements));
                }
                _ => return Err(self.expected("',' or ']'")),
            };
            self.skip_blanks();
            if self.peek() == Some(b']') {
                return Err(self.expected("a value (a comma may not stand last)"));
            }
        }
    }

    fn word(&mut self, word: &str, value: NodeValue) -> Result<NodeValue, SyntaxError> {
        if !self.rest().starts_with(word) {
            return Err(self.expected(&format!("a value (`{word}`?)")));
        }
        for _ in 0..word.len() {
            self.step();
        }
        Ok(value)
    }

    fn number(&mut self) -> Result<String, SyntaxError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.step();
        }
        if self.peek() == Some(b'0') {
            self.step();
            if matches!(self.peek(), Some(b'0'..=b'9')) {
                return Err(self.expected("a number without leading zeros"));
            }
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.step();
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.step();
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.step();
            }
            self.digits()?;
        }
        Ok(self.text.get(start..self.at).unwrap_or_default().to_owned())
    }

    fn digits(&mut self) -> Result<(), SyntaxError> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.expected("a digit"));
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.step();
        }
        Ok(())
    }

    fn string(&mut self) -> Result<String, SyntaxError> {
        let mut text = String::new();
        self.step();
        loop {
            let before = self.position;
            match self.peek() {
                None => return Err(self.expected("'\"' at the end of the string")),
                Some(0..=0x1f) => {
                    return Err(self.expected("no raw control character in a string (write it as \\uXXXX)"));
                }
                Some(b'"') => {
                    self.step();
                    return Ok(text);
                }
                Some(b'\\') => {
                    self.step();
                    text.push(self.escape(before)?);
                }
                Some(_) => text.extend(self.step()),
            }
        }
    }

    /// The character after a backslash; `start` is the backslash's position.
    fn escape(&mut self, start: Position) -> Result<char, SyntaxError> {
        let plain = match self.peek() {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(start),
            _ => return Err(self.expected("one of \" \\ / b f n r t u after a backslash")),
        };
        self.step();
        Ok(plain)
    }

    fn unicode(&mut self, start: Position) -> Result<char, SyntaxError> {
        let first = self.four_digits()?;
        let mut code = first;
        if (0xd800..0xdc00).contains(&first) && self.rest().starts_with("\\u") {
            self.step();
            let second = self.four_digits()?;
            if (0xdc00..0xe000).contains(&second) {
                code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            }
        }
        char::from_u32(code).ok_or_else(|| SyntaxError {
            position: start,
            expected: "a Unicode character".to_owned(),
            found: "half of a surrogate pair".to_owned(),
        })
    }

    fn four_digits(&mut self) -> Result<u32, SyntaxError> {
        self.step();
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|b| char::from(b).to_digit(16));
            let Some(digit) = digit else { return Err(self.expected("four hexadecimal digits after \\u")) };
            code = code * 16 + digit;
            self.step();
        }
        Ok(code)
    }
}
