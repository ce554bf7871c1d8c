"""Writes text.json and the small model folders in text/: token ids and rendered chats by transformers.

    python text.py            # rewrites the fixtures beside this file
    python text.py --check    # recomputes and compares, writes nothing
    python text.py --data DIR # also renders the real Qwen2.5 template in DIR/tokenizers/qwen2.5 (default RAZOR_DATA)

Needs transformers and tokenizers. The two tokenizers are trained here on the text below; the templates are our own, in
the styles that model families use. Of the real template only a digest and the length of each result is kept. Without
DIR, `--check` leaves that part out and writing is refused.
"""

import argparse
import datetime
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

import jinja2
import tokenizers
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer
from transformers.utils import chat_template_utils

HERE = Path(__file__).parent
FIXTURE = HERE / "text.json"
FOLDERS = HERE / "text"
NOW = 1709215445  # 2024-02-29 14:04:05 UTC

CORPUS = [
    "A model learns a new task and may forget an old one; we measure how much it forgets.",
    "The prompt asks, the completion answers, and only the answer is trained.",
    "What is 12 + 30? The answer is 42. What is 7 * 8? The answer is 56.",
    "Every token of the completion counts, every token of the prompt is masked.",
    "she said: \"that's what they'll answer\", and then she stopped\n\nthe end of the answer\n",
    "def add(left, right):\n    return left + right\n\n    # the answer of the model\n",
    "Ein Modell vergisst, was es nicht mehr \u00fcbt; die Antwort z\u00e4hlt. \u00c7a va, d\u00e9j\u00e0 vu.",
] * 4

TEXTS = [
    "",
    " ",
    "the answer",
    " the  answer\n\n\nis 42 ",
    "The completion answers what the prompt asks.",
    "unseen WORDS, unseen $ymbols; 3.14159e-2\ttab",
    "na\u00efve \u00fcber \u00e9t\u00e9 e\u0301t\u00e9",
    "\u6a21\u578b\u5fd8\u8bb0\u4e86 \U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 \u0645\u0631\u062d\u0628\u0627",
    "\u0000\u0001 control \u200b zero width \ufeff bom",
    "<|im_start|>user\nhi<|im_end|>\n",
    "a<|im_end|>b <|im_end|> c",
    "<s>already begun</s> and on",
    "<|im_start",
    "<tool>plain added</tool>",
    "that's they'll WE'VE",
    "line\r\nline\rline",
]

# --- model folders -----------------------------------------------------------------------------------------------


def dump(folder, name, value):
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1) + "\n"
    (folder / name).write_text(text, encoding="utf-8")


def byte_level(folder):
    """Byte-level BPE in the style of Qwen: no beginning token, two stop ids, a template in its own file."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=420, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer.add_tokens([AddedToken("<tool>", normalized=False)])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    ids = {token: tokenizer.token_to_id(token) for token in ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]}
    n = tokenizer.get_vocab_size()
    entry = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        # One token more than tokenizer.json has.
        "added_tokens_decoder": {str(n): {"content": "</tool>", **entry, "special": False}},
        "eos_token": "<|im_end|>",
        "pad_token": {"__type": "AddedToken", "content": "<|endoftext|>", **entry},
        "bos_token": None,
    }
    dump(folder, "tokenizer_config.json", config)
    # Not read, as the configuration lists added tokens by id.
    dump(folder, "special_tokens_map.json", {"eos_token": "<|endoftext|>", "bos_token": "<|endoftext|>"})
    dump(folder, "generation_config.json", {"eos_token_id": [ids["<|im_end|>"], ids["<|endoftext|>"]]})
    dump(folder, "chat_template.jinja", CHATML)


def byte_fallback(folder):
    """BPE in the style of SentencePiece: marks for spaces, bytes for unknown characters, beginning and end tokens."""
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=pieces, show_progress=False, max_token_length=8)
    tokenizer.train_from_iterator(CORPUS, trainer)
    written = json.loads(tokenizer.to_str())
    written["added_tokens"] = [
        {"id": idx, "content": piece, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
         "special": True} for idx, piece in enumerate(pieces[:3])
    ]
    tokenizer = Tokenizer.from_str(json.dumps(written))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.enable_truncation(4)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        # Neither is read beside tokenizer.json.
        "add_bos_token": False,
        "add_eos_token": True,
        # The map of special tokens wins, as no added token is listed by id here.
        "bos_token": {"__type": "AddedToken", "content": "<unk>", "lstrip": False, "normalized": False,
                      "rstrip": False, "single_word": False},
        "image_token": "<image>",
        "chat_template": [
            {"name": "default", "template": LLAMA_2},
            {"name": "tool_use", "template": MISTRAL},
        ],
    }
    dump(folder, "tokenizer_config.json", config)
    dump(folder, "special_tokens_map.json", {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "unk_token": "<unk>"})
    dump(folder, "config.json", {"eos_token_id": 2, "vocab_size": 420})


# --- templates of our own ----------------------------------------------------------------------------------------

CHATML = """{%- for message in messages -%}
    {{- '<|im_start|>' ~ message['role'] ~ '\\n' ~ message['content'] ~ '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""

LLAMA_2 = """{%- if messages[0]['role'] == 'system' -%}
    {%- set preamble = '<<SYS>>\\n' + messages[0]['content'].strip() + '\\n<</SYS>>\\n\\n' -%}
    {%- set turns = messages[1:] -%}
{%- else -%}
    {%- set preamble = '' -%}
    {%- set turns = messages -%}
{%- endif -%}
{%- for message in turns -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{- raise_exception('roles must alternate: user, assistant, user, ...; got ' + message['role']) -}}
    {%- endif -%}
    {%- if message['role'] == 'user' -%}
        {{- bos_token + '[INST] ' + (preamble if loop.first else '') + message['content'] + ' [/INST]' -}}
    {%- else -%}
        {{- message['content'] + eos_token -}}
    {%- endif -%}
{%- endfor -%}
"""

LLAMA_3 = """{{- bos_token }}
{%- if not date_string is defined %}
    {%- set date_string = strftime_now("%d %b %Y") %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|header|>system<|/header|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Tools: " + (tools | map(attribute='function') | map(attribute='name') | join(', ')) + "\\n" }}
{%- endif %}
{{- "Today: " + date_string + "\\n\\n" + system_message + eos_token }}
{#- every turn has a header #}
{%- for message in messages %}
    {%- if message.role == 'ipython' or message.role == "tool" %}
        {{- "<|header|>ipython<|/header|>\\n\\n" }}
        {%- if message.content is mapping or (message.content is iterable and message.content is not string) %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- eos_token }}
        {%- continue %}
    {%- endif %}
    {%- if 'tool_calls' in message and message.tool_calls %}
        {%- if not message.tool_calls | length == 1 %}
            {{- raise_exception("one tool call at a time") }}
        {%- endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- '<|header|>assistant<|/header|>\\n\\n' -}}
        {{- '{"name": "' + call.name + '", "parameters": ' }}
        {{- call.arguments | tojson }}
        {{- "}" + eos_token }}
    {%- else %}
        {{- '<|header|>' + message['role'] + '<|/header|>\\n\\n' + message['content'] | trim + eos_token }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|header|>assistant<|/header|>\\n\\n' }}
{%- endif %}
"""

MISTRAL = """{%- set ns = namespace(user=0, last_user=-1) %}
{%- for message in messages | rejectattr('role', 'equalto', 'system') %}
    {%- if message.role == 'user' %}
        {%- set ns.user = ns.user + 1 %}
    {%- endif %}
{%- endfor %}
{%- for message in messages[::-1] %}
    {%- if message.role == 'user' %}
        {%- set ns.last_user = messages | length - 1 - loop.index0 %}
        {%- break %}
    {%- endif %}
{%- endfor %}
{%- macro show(tool_calls) %}
[TOOL_CALLS] [
    {%- for call in tool_calls %}
        {%- set out = call.function | tojson %}
        {{- out[:-1] }}
        {%- if not call.id is defined or call.id | length != 9 %}
            {{- raise_exception("tool call ids have 9 characters") }}
        {%- endif %}
        {{- ', "id": "' + call.id + '"}' }}
        {{- ", " if not loop.last else "]" + eos_token }}
    {%- endfor %}
{%- endmacro %}
{{- bos_token }}
{%- for message in messages %}
    {%- if loop.index0 == ns.last_user and tools %}
        {{- "[AVAILABLE_TOOLS] [" }}
        {%- for tool in tools %}
            {%- set tool = tool.function %}
            {{- '{"type": "function", "function": {' }}
            {%- for key, val in tool.items() if key != "return" %}
                {%- if val is string %}
                    {{- '"' + key + '": "' + val + '"' }}
                {%- else %}
                    {{- '"' + key + '": ' + val | tojson }}
                {%- endif %}
                {%- if not loop.last %}
                    {{- ", " }}
                {%- endif %}
            {%- endfor %}
            {{- "}}" }}
            {{- ", " if not loop.last else "]" }}
        {%- endfor %}
        {{- "[/AVAILABLE_TOOLS]" }}
    {%- endif %}
    {%- if message.role == "user" %}
        {{- "[INST] " + message.content.replace('\\r\\n', '\\n') + "[/INST]" }}
    {%- elif message.get('tool_calls') %}
        {{- show(message.tool_calls) }}
    {%- elif message.role == "assistant" %}
        {%- generation %}
        {%- set said = message.content.split('</think>')[-1].lstrip() %}
        {{- " " + said.rstrip() + eos_token }}
        {%- endgeneration %}
    {%- elif message["role"] in ["tool", "tool_results"] %}
        {{- '[TOOL_RESULTS] {"content": ' + message.content | string + ', "name": ' + message.name | default('none') | tojson + "}[/TOOL_RESULTS]" }}
    {%- else %}
        {{- "[SYSTEM_PROMPT] " ~ message.content ~ "[/SYSTEM_PROMPT]" }}
    {%- endif %}
{%- endfor %}
{{- "\\n# " ~ ns.user ~ " user turns, last at " ~ ns.last_user }}
"""

# White space control, JSON options, values printed as Python prints them, and string methods.
TRICKS = """{# a comment line is removed #}
{% for message in messages %}
  {% if loop.first %}
first: {{ message.role | upper }}
  {% elif not loop.last %}
    {{ loop.index }}/{{ loop.length }} {{ message.role.title() }} after {{ loop.previtem.role }}
  {% else %}
last: {{ message['role'].capitalize() }} ({{ loop.revindex }})
  {% endif %}
  {{ message.reasoning_content | default('no thoughts', true) }}|{{ message.thinking is defined }}
{% endfor %}
{{ messages | tojson(indent=2) }}
{{ messages[0] | tojson(sort_keys=true, separators=(',', ':')) }}
{{ messages[0].content | tojson(ensure_ascii=true) }}
{{ messages | tojson(indent=0) }}
{{ messages | map(attribute='role') | list }} {{ true }} {{ none }} {{ 1.0 }} {{ 1e22 }} {{ 7 // 2 }} {{ 7 / 2 }} {{ 2 ** 3 }}
{{ 'a,b,,c'.split(',') }} {{ 'a b  c'.split() }} {{ 'abc'[::-1] }} {{ 'abc'[-2:] }} {{ ' x '.strip() ~ '.' }}
{{ 'x'.startswith(('x', 'y')) }} {{ 'x' in 'axe' }} {{ 'ab' is sequence }} {{ {} is sequence }} {{ nothing is iterable }}
{%- set items = namespace(seen=[], n=0) %}
{%- for message in messages if message.role != 'system' %}
    {%- set items.seen = items.seen + [message.role] %}
    {%- set items.n = items.n + message.content | length %}
{%- endfor %}

{{ items.seen | unique | list }} {{ items.n }} {{ (messages | selectattr('role', 'equalto', 'user') | list | last).content | length }}
{{ {'a': 1, 'b': [1.5, 'x', none, {'k': "it's"}]} }} {{ dict(a=1, b='two')['b'] }} {{ [1, 2] | first }} {{ {'z': 1}.keys() | list }}
{% set block %}
inside {{ bos_token }}
{% endset %}
{{ block | indent(4, first=true) }}{{ '%s-%05.2f' | format('f', 3.14159) }} {{ 'nested "quotes"' | replace('"', "'") }}
{{ messages | map(attribute='content') | list }} {{ [1e-05, (1,), {'far': 1e16}] }}
{{ messages[-1].content | e }} {{ messages[-1].content.title() }} {{ messages[-1].content.rsplit(' ', 1) }} {{ ' a  b '.rsplit() }} {{ ' a  b c '.rsplit(none, 1) }}
{{ 'prefix-x'.removeprefix('prefix-') ~ 'x.txt'.removesuffix('.txt') }}
{{ 'a\n\nb\n' | indent }}|{{ 'a\r\nb' | indent('> ', true) }}|{{ 'a\n\nb' | indent(width=2, blank=true) }}|
{{ 'yes' if documents else 'no documents' }} {{ documents[0].title if documents }}{{ custom | default('-') }}
{%- for a, b in [(1, 'x'), (2, 'y')] %} {{ a }}{{ b }}{% endfor +%}

  {%+ if add_generation_prompt %}keep the blanks{% endif %}   
end
"""

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Weather of a \"city\" & its <surroundings>, in \u00b0C",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string", "enum": ["Z\u00fcrich", "\u6771\u4eac"]}, "days": {"type": "integer", "default": 3}},
                "required": ["city"],
            },
        },
    },
    {
        "type": "function",
        "function": {"name": "add", "description": "Adds", "parameters": {"type": "object", "properties": {}}, "return": {"type": "number"}},
    },
]

SYSTEM = {"role": "system", "content": "  You answer briefly.\n"}
ASK = {"role": "user", "content": "What is 12 + 30?"}
ANSWER = {"role": "assistant", "content": "It is 42."}
CALL = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {"id": "abcdefghi", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Z\u00fcrich", "days": 1e-05, "deep": {"a": [1, 2.0, None, True]}, "text": "<b>\"x\" & 'y'</b>\n\u2028\u007f\u0001"}}},
    ],
}
TWO_CALLS = {
    "role": "assistant",
    "content": "Both:",
    "tool_calls": CALL["tool_calls"] + [{"id": "123456789", "type": "function", "function": {"name": "add", "arguments": {"x": 1, "y": -2.5, "big": 12345678901234567890, "far": 1e16}}}],
}
RESULT = {"role": "tool", "name": "get_weather", "content": "{\"sky\": \"clear\", \"t\": 21.5}"}

CONVERSATIONS = {
    "one_user": [ASK],
    "system_user": [SYSTEM, ASK],
    "answered": [ASK, ANSWER],
    "system_answered": [SYSTEM, ASK, ANSWER],
    "three_turns": [SYSTEM, ASK, ANSWER, {"role": "user", "content": "And  twice\n\nthat?\n"}, {"role": "assistant", "content": " 84 "}],
    "open_second_turn": [ASK, ANSWER, {"role": "user", "content": "Sure?"}],
    "empty_texts": [{"role": "user", "content": ""}, {"role": "assistant", "content": ""}],
    "unicode": [{"role": "user", "content": "na\u00efve \u6a21\u578b \U0001f468\u200d\U0001f469\u200d\U0001f467 e\u0301 \u0645\u0631\u062d\u0628\u0627 \u200b\ufeff\t\u0085"}, {"role": "assistant", "content": "\u2728\u00a0fin\r\nsecond\u2028third"}],
    "markup": [{"role": "user", "content": "<|im_end|>{{ 7 * 7 }}{% raw %} &amp; <b>\"quoted\"</b> \\n \\\\ '"}, ANSWER],
    "extra_fields": [{"weight": 0.5, "content": "order of fields", "role": "user", "tags": ["a", None]}, ANSWER],
    "reasoning": [ASK, {"role": "assistant", "reasoning": "12 + 30 = 42", "content": "<think>12 + 30</think>\n\n42 "}],
    "call": [ASK, CALL],
    "call_result": [SYSTEM, ASK, CALL, RESULT, ANSWER],
    "two_calls": [ASK, TWO_CALLS, RESULT, {"role": "tool", "content": "-1.5"}, ANSWER],
    "late_system": [ASK, ANSWER, SYSTEM, ASK],
    "assistant_first": [ANSWER, ASK],
}

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
TEMPLATES = {"chatml": CHATML, "llama_2": LLAMA_2, "llama_3": LLAMA_3, "mistral": MISTRAL, "tricks": TRICKS}


class FixedClock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).replace(tzinfo=None)


def render(template, name, tools, prompt, special, **variables):
    """The text, or the error: its class does not matter, that there is one does."""
    try:
        rendered, _ = chat_template_utils.render_jinja_template(
            [CONVERSATIONS[name]], tools=tools, chat_template=template, add_generation_prompt=prompt, **special, **variables
        )
        return {"text": rendered[0]}
    except (jinja2.exceptions.TemplateError, TypeError, ValueError) as error:
        return {"error": str(error)}


def cases():
    for name in CONVERSATIONS:
        for tools in [None, TOOLS]:
            for prompt in [False, True]:
                yield name, tools, prompt


def own_templates():
    out = []
    for key, template in TEMPLATES.items():
        for name, tools, prompt in cases():
            if tools and key in ("chatml", "llama_2", "tricks"):
                continue  # they do not read tools
            case = {"template": key, "conversation": name, "tools": bool(tools), "prompt": prompt}
            out.append(case | render(template, name, tools, prompt, SPECIAL))
    case = {"template": "tricks", "conversation": "one_user", "tools": False, "prompt": True}
    extra = {"custom": 1.5e-07, "documents": [{"title": "T", "text": "x"}]}
    documents = extra["documents"]
    out.append(case | {"variables": extra} | render(TRICKS, "one_user", None, True, SPECIAL, custom=extra["custom"], documents=documents))
    return out


def qwen(data):
    folder = data / "tokenizers" / "qwen2.5"
    template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    out = []
    for name, tools, prompt in cases():
        got = render(template, name, tools, prompt, tokenizer.special_tokens_map)
        if "text" in got:
            whole = tokenizer.apply_chat_template(CONVERSATIONS[name], tools=tools, add_generation_prompt=prompt, tokenize=False)
            assert whole == got["text"], name
            ids = tokenizer(whole, add_special_tokens=False).input_ids
            data_ = whole.encode()
            packed = b"".join(value.to_bytes(4, "little") for value in ids)
            got = {"sha256": hashlib.sha256(data_).hexdigest(), "n_bytes": len(data_), "n_tokens": len(ids), "ids_sha256": hashlib.sha256(packed).hexdigest()}
        out.append({"conversation": name, "tools": bool(tools), "prompt": prompt} | got)
    return out


def encodings(folder):
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    tokenizer._tokenizer.no_truncation()
    out = {"n_tokens": len(tokenizer), "eos": tokenizer.eos_token_id, "pad": tokenizer.pad_token_id, "bos": tokenizer.bos_token_id, "special_tokens": tokenizer.special_tokens_map}
    out["cases"] = []
    for text in TEXTS:
        bare = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        full = tokenizer(text).input_ids
        out["cases"].append({
            "text": text,
            "ids": bare.input_ids,
            "offsets": [list(pair) for pair in bare.offset_mapping],
            "with_special": full,
            "decoded": tokenizer.decode(full),
            "decoded_without_special": tokenizer.decode(full, skip_special_tokens=True),
        })
    return out


def with_flags(folder, add_bos, add_eos):
    """The ids of two texts with other flags in the same folder."""
    with tempfile.TemporaryDirectory() as other:
        for path in folder.iterdir():
            (Path(other) / path.name).write_bytes(path.read_bytes())
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        for name, flag in [("add_bos_token", add_bos), ("add_eos_token", add_eos)]:
            config.pop(name, None)
            if flag is not None:
                config[name] = flag
        dump(Path(other), "tokenizer_config.json", config)
        tokenizer = AutoTokenizer.from_pretrained(other)
        ids = [tokenizer(text).input_ids for text in ["the answer", "<s>"]]
        return {"add_bos_token": add_bos, "add_eos_token": add_eos, "ids": ids}


def build(folders, data):
    chat_template_utils.datetime = FixedClock
    byte_level(folders / "byte_level")
    byte_fallback(folders / "byte_fallback")
    flags = [(None, None), (True, True), (False, True), (True, None), (False, None), (None, True), (None, False)]
    golden = {
        "made_by": {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__, "jinja2": jinja2.__version__},
        "now": NOW,
        "special_tokens": SPECIAL,
        "tools": TOOLS,
        "conversations": CONVERSATIONS,
        "templates": TEMPLATES,
        "rendered": own_templates(),
        "encodings": {name: encodings(folders / name) for name in ["byte_level", "byte_fallback"]},
        "flags": {name: [with_flags(folders / name, *pair) for pair in flags] for name in ["byte_fallback", "byte_level"]},
    }
    if data:
        golden["qwen2.5"] = qwen(data)
    return golden


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="recompute and compare only")
    parser.add_argument("--data", type=Path, default=os.environ.get("RAZOR_DATA"), help="folder with tokenizers/qwen2.5")
    args = parser.parse_args()
    data = Path(args.data) if args.data else None
    if not args.check:
        if not data:
            sys.exit("writing needs --data, or the part on the real template would be lost")
        golden = build(FOLDERS, data)
        FIXTURE.write_text(json.dumps(golden, ensure_ascii=True, separators=(",", ":")) + "\n", encoding="utf-8")
        return
    with tempfile.TemporaryDirectory() as fresh:
        golden = json.loads(json.dumps(build(Path(fresh), data)))
        kept = json.loads(FIXTURE.read_text(encoding="utf-8"))
        differing = [key for key in kept if key != "made_by" and key in golden and golden[key] != kept[key]]
        for path in sorted(path for path in Path(fresh).rglob("*") if path.is_file()):
            ours = FOLDERS / path.relative_to(fresh)
            if not ours.exists() or ours.read_bytes() != path.read_bytes():
                differing.append(str(ours.relative_to(HERE)))
    if differing:
        sys.exit(f"differs: {', '.join(differing)}")
    print("the same" + ("" if data else "; the real template was left out (no --data)"))


if __name__ == "__main__":
    main()
