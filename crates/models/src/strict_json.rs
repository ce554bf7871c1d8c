//! JSON whose objects name every key once: `serde_json` takes the last of two equal keys without a word.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Longest name that a message repeats; a file can make names of any length.
const SHOWN: usize = 120;

/// The entries of an object in the order of the file; a repeated key is an error.
pub(crate) struct UniqueMap<V>(pub(crate) Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for UniqueMap<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(UniqueMapVisitor(PhantomData))
    }
}

struct UniqueMapVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for UniqueMapVisitor<V> {
    type Value = UniqueMap<V>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut entries, mut seen) = (Vec::new(), HashSet::new());
        while let Some(key) = map.next_key::<String>()? {
            check_unique(&mut seen, &key)?;
            let value = map.next_value().map_err(|error| within(&key, &error))?;
            entries.push((key, value));
        }
        Ok(UniqueMap(entries))
    }
}

/// Any JSON value, no object in it with a repeated key.
pub(crate) struct UniqueValue(pub(crate) Value);

impl<'de> Deserialize<'de> for UniqueValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueValueVisitor).map(Self)
    }
}

struct UniqueValueVisitor;

impl<'de> Visitor<'de> for UniqueValueVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number that is not finite"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(UniqueValue(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        let UniqueMap(entries) = UniqueMapVisitor::<UniqueValue>(PhantomData).visit_map(map)?;
        Ok(Value::Object(
            entries.into_iter().map(|(key, UniqueValue(value))| (key, value)).collect::<Map<_, _>>(),
        ))
    }
}

/// Errors when `key` was seen before.
pub(crate) fn check_unique<E: Error>(seen: &mut HashSet<String>, key: &str) -> Result<(), E> {
    match seen.insert(key.to_owned()) {
        true => Ok(()),
        false => Err(E::custom(format!("`{}` stands there twice", shown(key)))),
    }
}

/// `error` with the key it belongs to.
pub(crate) fn within<E: Error>(key: &str, error: &E) -> E {
    E::custom(format!("`{}`: {error}", shown(key)))
}

/// `name` cut to a length that fits a message, control characters escaped.
pub(crate) fn shown(name: &str) -> String {
    let cut: String = name.chars().take(SHOWN).flat_map(escaped).collect();
    if name.chars().nth(SHOWN).is_some() { format!("{cut}...") } else { cut }
}

fn escaped(symbol: char) -> Vec<char> {
    if symbol.is_control() { symbol.escape_default().collect() } else { vec![symbol] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Value, String> {
        serde_json::from_str::<UniqueValue>(text).map(|value| value.0).map_err(|error| error.to_string())
    }

    #[test]
    fn a_repeated_key_is_named_at_any_depth() {
        assert!(parsed(r#"{"a": 1, "b": 2, "a": 3}"#).unwrap_err().contains("`a` stands there twice"));
        let nested = parsed(r#"{"outer": [{"x": 1, "x": 1}]}"#).unwrap_err();
        assert!(nested.contains("`outer`") && nested.contains("`x` stands there twice"), "{nested}");
    }

    #[test]
    fn values_are_those_of_serde_json() {
        let text = r#"{"z": [null, true, -3, 18446744073709551615, 0.1, "s\u0041"], "a": {"b": {}}}"#;
        assert_eq!(parsed(text).unwrap(), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn nesting_without_end_is_an_error() {
        assert!(parsed(&"[".repeat(100_000)).unwrap_err().contains("recursion limit"));
    }

    #[test]
    fn long_and_unprintable_names_are_cut_and_escaped() {
        assert_eq!(shown("a\u{1b}[2J"), "a\\u{1b}[2J");
        assert_eq!(shown(&"n".repeat(1_000)).len(), SHOWN + 3);
    }
}
