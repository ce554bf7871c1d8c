//! Which texts Python's `json.loads` reads.
//!
//! A checker of its own, because `serde_json` refuses some: `NaN` and the infinities, numbers that do not
//! fit, lone surrogates, and nesting beyond 128. Values are not built, so depth costs one byte a level.
//! (At about a thousand levels Python fails with an error that the reference does not catch; we go on.)

/// Python refuses to read a whole number with more digits.
const MAX_INTEGER_DIGITS: usize = 4300;

/// Whether `text` is one JSON value in Python's reading.
pub(super) fn is_json(text: &str) -> bool {
    Scanner { rest: text.as_bytes() }.document().is_some()
}

/// What remains to be read. Every method returns `None` where the text is not JSON.
struct Scanner<'a> {
    rest: &'a [u8],
}

impl Scanner<'_> {
    fn document(&mut self) -> Option<()> {
        let mut closers = Vec::new();
        loop {
            self.space();
            if self.opens(&mut closers)? {
                continue;
            }
            // A value has ended: leave every collection that ends with it.
            loop {
                self.space();
                let Some(&closer) = closers.last() else { return self.rest.is_empty().then_some(()) };
                if self.eat(&[closer]) {
                    closers.pop();
                } else if self.eat(b",") {
                    if closer == b'}' {
                        self.key()?;
                    }
                    break;
                } else {
                    return None;
                }
            }
        }
    }

    /// Reads a scalar or an empty collection (false), or the start of a collection up to its first value (true).
    fn opens(&mut self, closers: &mut Vec<u8>) -> Option<bool> {
        let closer = match self.rest.first()? {
            b'[' => b']',
            b'{' => b'}',
            _ => return self.scalar().map(|()| false),
        };
        self.rest = &self.rest[1..];
        self.space();
        if self.eat(&[closer]) {
            return Some(false);
        }
        if closer == b'}' {
            self.key()?;
        }
        closers.push(closer);
        Some(true)
    }

    fn key(&mut self) -> Option<()> {
        self.space();
        self.string()?;
        self.space();
        self.eat(b":").then_some(())
    }

    fn scalar(&mut self) -> Option<()> {
        const WORDS: [&[u8]; 6] = [b"null", b"true", b"false", b"NaN", b"Infinity", b"-Infinity"];
        if self.rest.first() == Some(&b'"') {
            return self.string();
        }
        if WORDS.iter().any(|word| self.eat(word)) {
            return Some(());
        }
        self.number()
    }

    fn string(&mut self) -> Option<()> {
        self.eat(b"\"").then_some(())?;
        loop {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            match byte {
                b'"' => return Some(()),
                b'\\' => self.escape()?,
                0..0x20 => return None,
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        if byte == b'u' {
            let digits = self.rest.get(..4)?;
            self.rest = &self.rest[4..];
            return digits.iter().all(u8::is_ascii_hexdigit).then_some(());
        }
        b"\"\\/bfnrt".contains(&byte).then_some(())
    }

    fn number(&mut self) -> Option<()> {
        self.eat(b"-");
        let zero = self.eat(b"0");
        let digits = if zero { 1 } else { self.digits() };
        if digits == 0 {
            return None;
        }
        let mut whole = true;
        if self.rest.first() == Some(&b'.') {
            self.rest = &self.rest[1..];
            whole = false;
            (self.digits() > 0).then_some(())?;
        }
        if self.eat(b"e") || self.eat(b"E") {
            whole = false;
            let _sign = self.eat(b"+") || self.eat(b"-");
            (self.digits() > 0).then_some(())?;
        }
        (!whole || digits <= MAX_INTEGER_DIGITS).then_some(())
    }

    fn digits(&mut self) -> usize {
        let count = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.rest = &self.rest[count..];
        count
    }

    fn space(&mut self) {
        let count = self.rest.iter().take_while(|byte| b" \t\n\r".contains(byte)).count();
        self.rest = &self.rest[count..];
    }

    fn eat(&mut self, expected: &[u8]) -> bool {
        let found = self.rest.starts_with(expected);
        if found {
            self.rest = &self.rest[expected.len()..];
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_that_python_reads_is_json() {
        for text in [
            "0",
            "-0.5e+3",
            "1e999",
            "NaN",
            "-Infinity",
            "\"\\ud800 \\n é\"",
            "[]",
            "{ }",
            " [1 , {\"a\":[null]}]\n",
            "{\"a\": 1, \"a\": {\"b\": true}, \"c\": []}",
        ] {
            assert!(is_json(text), "{text}");
        }
        assert!(is_json(&format!("{}{}", "[".repeat(500), "]".repeat(500))));
    }

    #[test]
    fn what_python_refuses_is_not_json() {
        for text in [
            "",
            "01",
            "1.",
            ".5",
            "+1",
            "-",
            "1e",
            "nan",
            "[1,]",
            "{\"a\":1,}",
            "{a: 1}",
            "{\"a\" 1}",
            "[1",
            "1]",
            "[1}",
            "\"\n\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "'a'",
            "{} {}",
            "\"a",
            "{\"a\"}",
            "[,]",
            "\u{feff}1",
        ] {
            assert!(!is_json(text), "{text}");
        }
        assert!(is_json(&"1".repeat(4300)) && !is_json(&"1".repeat(4301)));
    }
}
