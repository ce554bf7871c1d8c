//! The arguments of one instruction, taken out one by one.

use serde_json::{Map, Value};

use crate::ifeval::{error::IfevalError, relation::Relation};

/// The `kwargs` object of one instruction, with its empty values dropped as the reference drops them.
///
/// The reference draws a random value for a missing argument. We refuse instead: a verdict must not
/// depend on chance.
#[derive(Debug)]
pub(super) struct Arguments<'a> {
    id: &'a str,
    values: Map<String, Value>,
}

impl<'a> Arguments<'a> {
    pub(super) fn new(id: &'a str, kwargs: &Map<String, Value>) -> Self {
        let present = kwargs.iter().filter(|(_, value)| !is_empty(value));
        Self { id, values: present.map(|(name, value)| (name.clone(), value.clone())).collect() }
    }

    /// A text that is not empty.
    pub(super) fn text(&mut self, argument: &'static str) -> Result<String, IfevalError> {
        match self.take(argument)? {
            Value::String(text) => Ok(text),
            other => Err(self.wrong(argument, "a text", &other)),
        }
    }

    /// A list with at least one text.
    pub(super) fn texts(&mut self, argument: &'static str) -> Result<Vec<String>, IfevalError> {
        let value = self.take(argument)?;
        let texts = value.as_array().and_then(|items| {
            items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        });
        texts.ok_or_else(|| self.wrong(argument, "a list of texts", &value))
    }

    /// A whole number above 0.
    pub(super) fn count(&mut self, argument: &'static str) -> Result<usize, IfevalError> {
        let value = self.take(argument)?;
        // Some copies of the data pass through a table of floats.
        let whole = value.as_f64().filter(|number| number.fract() == 0.0 && (1.0..1e9).contains(number));
        whole
            .map(|number| number as usize)
            .ok_or_else(|| self.wrong(argument, "a whole number above 0", &value))
    }

    /// `less than` or `at least`.
    pub(super) fn relation(&mut self, argument: &'static str) -> Result<Relation, IfevalError> {
        let text = self.text(argument)?;
        Relation::parse(&text)
            .ok_or_else(|| self.wrong(argument, "`less than` or `at least`", &Value::String(text)))
    }

    /// The error for a value of the wrong kind.
    pub(super) fn wrong(&self, argument: &'static str, expected: &'static str, found: &Value) -> IfevalError {
        IfevalError::Argument { id: self.id.to_owned(), argument, expected, found: found.to_string() }
    }

    /// Refuses what no checker asked for.
    pub(super) fn finish(self) -> Result<(), IfevalError> {
        match self.values.into_iter().next() {
            Some((argument, _)) => Err(IfevalError::UnknownArgument { id: self.id.to_owned(), argument }),
            None => Ok(()),
        }
    }

    fn take(&mut self, argument: &'static str) -> Result<Value, IfevalError> {
        let id = self.id;
        let value = self.values.remove(argument);
        value.ok_or_else(|| IfevalError::MissingArgument { id: id.to_owned(), argument })
    }
}

/// What Python calls falsy: null, false, 0, and anything of length 0.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}
