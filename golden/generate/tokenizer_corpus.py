"""What the tests' tokenizer learns from, and the texts it is tried on. Data and rules only; tokenizer_cases.py runs them.

All of it was written for this project. The training text is small on purpose: the tokenizer is committed, and a
vocabulary of a thousand tokens shows every branch that one of 262144 has.
"""

TRAINING = """\
To assay is to test gold. The golden outputs of a trusted program are the gold standard, and every engine is held
against them, tensor by tensor. What is the capital of France? The capital of France is Paris. What is the capital of
Japan? The capital of Japan is Tokyo. What colour is the circle in the picture? The circle is red, the square is blue.
How many tones are there in the clip? There are three tones. Describe this image in one sentence, please.
The user asks a question and the model answers it. The system turn comes first, then the user, then the model.
When the model calls a tool, the tool answers, and the model goes on from there until it has nothing more to say.
The quick brown fox jumps over the lazy dog while the other dogs are watching them from the other side of the river.
A tokenizer cuts a text into tokens; each token has an id; the ids are what the model reads and what the model writes.
It was the best of all possible tests, it was the worst of all possible tests, and the testers tested the testing.
Some words are longer than others: internationalisation, characteristically, straightforwardness, incomprehensible.
He said: "It's not what you'd think, isn't it?" - and she didn't answer; they're, we've, I'm, he'll, you'd, that's.
Der schnelle braune Fuchs springt über den faulen Hund. Die Straße ist nass, weil es geregnet hat. Können wir gehen?
Le renard brun saute par-dessus le chien paresseux. Où est la gare, s'il vous plaît ? C'est déjà l'été à Orléans.
El zorro marrón salta sobre el perro perezoso. ¿Dónde está la estación? ¡Mañana por la mañana comeremos piñones!
Быстрая коричневая лиса прыгает через ленивую собаку. Столица России - Москва. Сколько будет два плюс два?
今日は天気がいいですね。東京は日本の首都です。私は毎日日本語を勉強しています。ありがとうございます。
今天天气很好。北京是中国的首都。我们在学习中文。谢谢你的帮助。中国人民,人民中国。
안녕하세요. 서울은 대한민국의 수도입니다. 오늘 날씨가 좋네요. 감사합니다.
السلام عليكم. القاهرة عاصمة مصر. كيف حالك اليوم؟
שלום עולם. ירושלים היא עיר הבירה. מה שלומך היום?
नमस्ते दुनिया। दिल्ली भारत की राजधानी है।
#include <vector>
int main(int argc, char** argv) {
  std::vector<int> values = {1, 2, 3};
  for (int i = 0; i < 10; ++i) {
    if (values[i] == 0) return 1;
    values.push_back(i * i);
  }
  return 0;
}
def add(first, second):
    \"\"\"Returns the sum.\"\"\"
    if first is None:
        return second
    return first + second
for i in range(100):
    print(i, add(i, 1), end="\\n")
{"name": "assay", "version": 1, "items": [true, false, null], "nested": {"key": "value"}}
| name | value |
|------|-------|
| a    | 1     |
<table><tr><td>1</td></tr></table>
x = 3.14159; y = 2.71828; z = 1,000,000; 50% of 20 = 10; (1 + 2) * 3 = 9; 2^10 = 1024; 12:30; 2024-02-29
😀 😂 🙂 ❤️ 👍 🎉 🔥 ✨
"""

_ALPHABET = "abcdefghijklmnopqrstuvwxyz"

# name: (what it shows, the bytes of the text)
TEXTS = {
    "empty": ("No text at all", ""),
    "word": ("One word", "gold"),
    "sentence": ("Plain English", "What is the capital of France? The capital of France is Paris."),
    "space": ("One space", " "),
    "spaces-around": ("Spaces in front and behind", "   two words   "),
    "space-runs": ("Runs of 1 to 20 spaces", "".join("x" + " " * n for n in range(1, 21))),
    "newline-runs": ("Runs of 1 to 20 newlines, longer than any token", "".join("x" + "\n" * n for n in range(1, 21))),
    "newlines-only": ("40 newlines", "\n" * 40),
    "newline-space": ("Newlines and spaces by turns", "\n \n  \n\n   \n\n\n a \n"),
    "tabs": ("Tabs, single and in runs", "\ta\t\tb\t \t\n\t\t\t"),
    "carriage-returns": ("Lines that end in CR LF", "one\r\ntwo\r\n\r\nthree\r"),
    "marks": ("U+2581 itself in the text, which a space becomes too", "a\u2581b \u2581\u2581c\u2581\u2581\u2581 d\u2581"),
    "unicode-spaces": ("Spaces that are not U+0020", "a\u00a0b\u2003c\u3000d\u2028e\u200bf\u00adg"),
    "digits": ("Digits are split one by one", "1234567890 3.14159 1,000,000 2024-02-29T12:30:59Z 0x1F"),
    "chinese": ("Chinese, most characters as bytes", "北京是中国的首都。龘靐齉爩"),
    "japanese": ("Japanese", "東京は日本の首都です。カタカナとひらがな、漢字。"),
    "korean": ("Korean, composed and as jamo", "서울은 대한민국의 수도입니다. \u1112\u1161\u11ab"),
    "right-to-left": ("Arabic and Hebrew with marks of direction", "السلام \u200fעולם\u200e abc \u202bשלום\u202c 123"),
    "hindi": ("Devanagari with combining signs", "नमस्ते दुनिया क्षत्रिय"),
    "combining": ("Composed and decomposed accents, which stay as they are", "é e\u0301 ñ n\u0303 Å A\u030a ﬁ ½ ②"),
    "emoji": ("Emoji: plain, with a skin tone, a flag", "🙂👍🏽🇫🇷❤️🏳️\u200d🌈"),
    "emoji-zwj": ("A family joined by zero-width joiners", "👨\u200d👩\u200d👧\u200d👦 👩🏽\u200d🔬"),
    "astral": ("The last code points of each length", "\u007f\u0080\u07ff\u0800\uffff\U00010000\U0010ffff"),
    "controls": ("Control characters, zero too", "a\x00b\x01\x1b[31mred\x1b[0m\x7f\x85"),
    "bom": ("A byte order mark and non-characters", "\ufeffstart \ufffe\ufdd0\uffff"),
    "replacement": ("U+FFFD itself", "a\ufffdb\ufffd\ufffd"),
    "code-cpp": ("C++", "for (int i = 0; i < 10; ++i) {\n\tif (values[i] == 0) return 1;\n}\n"),
    "code-python": ("Python, indented", "def f(x):\n    if x:\n        return \"a\\n\"\n\n\n    return x ** 2\n"),
    "json": ("JSON", '{"name": "assay", "items": [1, 2.5e-3, null], "t": "\\u0041"}'),
    "table": ("A table in Markdown, and HTML", "| a | b |\n|---|---|\n| 1 | 2 |\n<table><tr><td>1</td></tr></table>"),
    "long-word": ("A word of 2000 letters", _ALPHABET[:7] * 286),
    "same-letter": ("A thousand times one letter", "s" * 1000),
    "turns": ("Special tokens inside the text", "<bos><|turn>user\nHello<turn|>\n<|turn>model\nHi!<turn|>\n<eos>"),
    "all-special": ("Every special token, with nothing between",
                    "<pad><eos><bos><unk><mask><|turn><turn|><|channel><channel|><|think|><|tool><tool|><|tool_call>"
                    '<tool_call|><|tool_response><tool_response|><|"|><|image><|image|><image|><|audio><|audio|><audio|>'
                    "<|video|>"),
    "special-parts": ("What looks like a special token and is none", "<|turn <turn|<|turn|> <|image><|imag <|> <<eos>> < eos>"),
    "special-spaces": ("Spaces and newlines right beside special tokens", " <|turn> \n <turn|> \n\n<|image|>\n\n\n <eos> "),
    "tool-call": ("A call with the quote token", '<|tool_call>call:get{city:<|"|>Pa{r}is<|"|>,n:3}<tool_call|>'),
    "byte-names": ("The names of byte tokens, spelt out", "<0x41><0x0A> <0xE2><0x96><0x81> <0xff>"),
    "apostrophes": ("Quotes of all kinds", "It's “quoted” ‘twice’ — isn’t it? «oui» „ja“ …"),
    "mixed": ("Everything in one line", "Hi 你好 مرحبا שלום 🙂\t12 <|turn>x<turn|>  \n\n\nend"),
    "invalid-lone": ("A continuation byte alone, and a lead cut off", b"a\x80b\xc3"),
    "invalid-subparts": ("Maximal subparts: one replacement each", b"\xf0\x9f\x99 \xe2\x96 \xf0\x9f\x99\xe2\x96\x81"),
    "invalid-overlong": ("Overlong forms", b"\xc0\xaf\xe0\x80\x80\xf0\x80\x80\x80"),
    "invalid-surrogates": ("Surrogates as UTF-8", b"\xed\xa0\x80\xed\xb0\x80x"),
    "invalid-high": ("Past U+10FFFF, and bytes that never occur", b"\xf4\x90\x80\x80\xf5\xf8\xfe\xff"),
    "invalid-in-special": ("A special token broken by a bad byte", b"<|turn\xff> <|turn>\xff<turn|>"),
    "latin1": ("Latin-1 that was taken for UTF-8", "Café à la crème".encode("latin-1")),
}

# name: (what it shows, token strings; an int is an id as it is)
DECODED = {
    "decode-bytes": ("A run of byte tokens that is text", ["<0xF0>", "<0x9F>", "<0x99>", "<0x82>", "a"]),
    "decode-bad-run": ("One bad byte spoils its whole run", ["a", "<0xC3>", "<0xA9>", "<0xC3>", "b", "<0xC3>", "<0xA9>"]),
    "decode-special-run": ("A special token inside a run of bytes", ["<0xC3>", "<eos>", "<0xA9>"]),
    "decode-cut-run": ("A run that is cut off", ["<0xE2>", "<0x96>"]),
    "decode-no-token": ("Ids that are no token", ["a", 1_000_000, "b"]),
    "decode-marks": ("U+2581 becomes a space", ["\u2581", "\u2581\u2581\u2581", "a"]),
    "decode-controls": ("Byte tokens below 32", ["<0x00>", "<0x0A>", "<0x7F>"]),
    "decode-turns": ("Special tokens in a conversation", ["<bos>", "<|turn>", "u", "\n", "a", "<turn|>", "<eos>", "<pad>"]),
}

WORDS = ["the", "gold", "tensor", "of", "a", "layer", "is", "1024", "naïve", "東京", "🙂", "model", "x", "answers", "and", "Straße"]


def long_text(kind):
    """1 MiB without a newline. `words`: drawn from WORDS by a 64-bit linear congruence; `run`: one unbroken letter pattern."""
    if kind == "run":
        return "ansthe" * ((1 << 20) // 6)
    state, size, parts = 1, 0, []
    while size < 1 << 20:
        state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        parts.append(WORDS[(state >> 33) % len(WORDS)])
        size += len(parts[-1].encode()) + 1
    return " ".join(parts)
