//! One turn of a conversation, with every field its file had.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::{Map, Value};

/// A chat message in the format of `transformers`: an object with `role`, mostly `content`, and whatever else a template
/// reads (`tool_calls`, `name`, `reasoning_content`, ...).
///
/// Fields keep the order of the file, because a template may print the whole object; absent and null stay different.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    role: String,
    fields: Map<String, Value>,
}

impl Message {
    /// A message of any role with text as its content.
    pub fn new(role: &str, content: &str) -> Self {
        let mut fields = Map::new();
        fields.insert("role".to_owned(), role.into());
        fields.insert("content".to_owned(), content.into());
        Self { role: role.to_owned(), fields }
    }

    /// What the system says before the conversation.
    pub fn system(content: &str) -> Self {
        Self::new("system", content)
    }

    /// What the user says.
    pub fn user(content: &str) -> Self {
        Self::new("user", content)
    }

    /// What the model says.
    pub fn assistant(content: &str) -> Self {
        Self::new("assistant", content)
    }

    /// The same message with one more field, or with that field replaced. `role` keeps its value.
    #[must_use]
    pub fn with(mut self, field: &str, value: Value) -> Self {
        if field != "role" {
            self.fields.insert(field.to_owned(), value);
        }
        self
    }

    /// Who speaks: `system`, `user`, `assistant`, `tool` or what the template knows.
    pub fn role(&self) -> &str {
        &self.role
    }

    /// The text, if the content is text; a list of parts or null is not.
    pub fn content(&self) -> Option<&str> {
        self.fields.get("content").and_then(Value::as_str)
    }

    /// The tool calls as they were given.
    pub fn tool_calls(&self) -> Option<&Value> {
        self.fields.get("tool_calls")
    }

    /// Every field, `role` included, in the order given.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.fields.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = Map::deserialize(deserializer)?;
        match fields.get("role") {
            Some(Value::String(role)) => Ok(Self { role: role.clone(), fields }),
            Some(other) => Err(D::Error::custom(format!("field `role`: expected text, found {other}"))),
            None => Err(D::Error::missing_field("role")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_their_order_and_null_survive_a_round_trip() {
        let text = r#"{"weight":0.5,"content":null,"role":"assistant","tool_calls":[{"id":"a"}]}"#;
        let message: Message = serde_json::from_str(text).unwrap();
        assert_eq!((message.role(), message.content()), ("assistant", None));
        assert!(message.tool_calls().is_some());
        assert_eq!(serde_json::to_string(&message).unwrap(), text);
    }

    #[test]
    fn a_message_without_a_role_is_refused_by_field() {
        let missing = serde_json::from_str::<Message>(r#"{"content":"x"}"#).unwrap_err().to_string();
        assert!(missing.contains("missing field `role`"), "{missing}");
        let wrong = serde_json::from_str::<Message>(r#"{"role":7}"#).unwrap_err().to_string();
        assert!(wrong.contains("field `role`: expected text, found 7"), "{wrong}");
    }
}
