//! First line: messages as JSON, or else a fixed conversation. The rest: a chat template.
#![no_main]

use libfuzzer_sys::fuzz_target;
use razor_data::{ChatOptions, ChatTemplate, Message};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (messages, source) = text.split_once('\n').unwrap_or(("", &text));
    let messages: Vec<Message> = serde_json::from_str(messages).unwrap_or_else(|_| {
        vec![Message::system("be brief"), Message::user(" hi\n"), Message::assistant("ho")]
    });
    let Ok(template) = ChatTemplate::new(source) else { return };
    for add_generation_prompt in [false, true] {
        let options = ChatOptions::default();
        let first = template.render(&messages, add_generation_prompt, &options);
        let second = template.render(&messages, add_generation_prompt, &options);
        assert_eq!(first.ok(), second.ok(), "rendering depends on nothing else");
    }
});
