"""Conversations and what transformers' apply_chat_template renders of them, with our two templates (templates/).

Front-end goldens take the written ones with a tokenizer's ids; `python -m generate.chat_cases FILE` writes these and a few
hundred drawn ones as JSON, the test data of model/chat. Not here: media files (media.py), the tokenizer.
"""

import copy
import json
import random
import sys
from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"
OF = {"e": "e.jinja", "large": "large.jinja", "unified": "large.jinja"}  # the 12B has the large models'
DRAWN = 240


def user(content):
    return {"role": "user", "content": content}


def model(content=None, **more):
    return {"role": "assistant", "content": content, **more}


def text(words):
    return {"type": "text", "text": words}


def call(name, arguments, ident=None):
    made = {"type": "function", "function": {"name": name, "arguments": arguments}}
    return made if ident is None else {"id": ident, **made}


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a place.",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {"type": "string", "description": "City, country"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                "days": {"type": "integer", "nullable": True, "description": 'How many: "1" to 7'},
            },
            "required": ["location"],
        },
    },
}
NESTED = {
    "type": "function",
    "function": {
        "name": "book",
        "description": "",
        "parameters": {
            "type": "object",
            "properties": {
                "stops": {
                    "type": "array",
                    "description": "In order",
                    "items": {
                        "type": "object",
                        "properties": {"city": {"type": "string"}, "Nights": {"type": "integer"}},
                        "required": ["city"],
                        "additionalProperties": False,
                    },
                },
                "traveller": {
                    "type": "object",
                    "properties": {
                        "name": {"type": "string"},
                        "contact": {"type": "object", "properties": {"mail": {"type": "string", "nullable": True}}},
                    },
                    "required": ["name", "contact"],
                },
                "loose": {"type": "object", "width": {"type": "number"}, "Height": {"type": ["number", "null"]}},
                "tags": {"type": "array", "items": {"type": ["string", "null"], "maxLength": 9, "default": None}},
                "bare": {},
                "matrix": {"type": "array", "items": {"type": "array", "items": {"type": "number", "minimum": 0.5}}},
            },
            "required": ["stops", "traveller"],
        },
        "response": {"type": "object", "description": "A receipt"},
    },
}
PLAIN = {"type": "function", "function": {"name": "now", "description": "The time."}}

ASKED = [user("How warm is it in Paris?"), model(tool_calls=[call("get_weather", {"location": "Paris", "days": 1}, "c1")])]
ANSWER = {"role": "tool", "tool_call_id": "c1", "name": "get_weather", "content": "18 °C"}

# name: what, messages, then tools and options where there are some. No two keys that differ in case alone: the goldens'
# requests are written with sorted keys, and a template leaves such keys as they come (the drawn ones have them).
WRITTEN = {
    "turn": ("One turn.", [user("What is the capital of France?")]),
    "turn-thinking": ("One turn with thinking on.", [user("Name three primes.")], None, {"enable_thinking": True}),
    "no-prompt": ("Without the model's turn opened.", [user("Hi"), model("Hello!")], None,
                  {"add_generation_prompt": False}),
    "turns": ("Several turns; white space around contents goes.",
              [user("  One?\n"), model("\tOne. "), user("Two?"), model("Two.\n\n"), user("\u3000Three?\u00a0")]),
    "system": ("A system turn first.", [{"role": "system", "content": " Be brief. "}, user("Hi")]),
    "developer-thinking": ("A developer's turn is the system turn; thinking on.",
                           [{"role": "developer", "content": "Be brief."}, user("Hi")], None,
                           {"enable_thinking": True}),
    "system-parts": ("A system turn in parts.",
                     [{"role": "system", "content": [text("Be brief. "), text(" Be kind.")]}, user([text("Hi")])]),
    "system-later": ("A second system turn stays where it is.",
                     [{"role": "system", "content": "A"}, user("B"), {"role": "system", "content": "C"}, user("D")]),
    "parts": ("Text parts join without anything between.", [user([text("One "), text(" two"), text("")])]),
    "image": ("An image before its question.", [user([{"type": "image"}, text("What is this?")])]),
    "media": ("An image, a sound and a film among texts.",
              [user([text("See "), {"type": "image"}, text(" hear "), {"type": "audio"}, text(" watch "),
                     {"type": "video"}, text(" say.")])]),
    "media-turns": ("Images in several turns, OpenAI's names too.",
                    [user([{"type": "image"}, {"type": "image_url", "image_url": {"url": "a"}}, text("Which?")]),
                     model("The first."), user([{"type": "input_audio"}, text("And this?")])]),
    "thoughts-stripped": ("What the model thought in earlier turns is left out.",
                          [user("2+2?"), model("<|channel>thought\nadd them\n<channel|>4 "), user("3+3?"),
                           model("a<|channel>x<channel|>b<|channel>unclosed")]),
    "thoughts-kept": ("Reasoning after the last user stays, earlier reasoning goes.",
                      [user("2+2?"), model("4", reasoning_content="easy"), user("3+3?"),
                       model("6", reasoning="easy as well")], None, {"add_generation_prompt": False}),
    "model-goes-on": ("Two assistant messages are one turn.", [user("Go"), model("One,"), model("two."), user("More")]),
    "role-model": ("The role may be called model.", [user("Hi"), {"role": "model", "content": "Hello"}, user("Bye")]),
    "empty": ("Contents that are empty or null.", [user(""), model(None), user([]), model("")]),
    "tokens-in-text": ("Special tokens and quotes in a text stay as they are.",
                       [user('Say "<|turn>" and <|"|> and {{ x }} and {% y %}.')]),
    "unicode": ("Many scripts.", [user("日本語 Ελληνικά עברית 👩‍👩‍👧 a\u0301"), model("é\u2028è"), user("ß")]),
    "tools": ("Declared tools.", [user("Weather in Paris?")], [WEATHER, PLAIN]),
    "tools-nested": ("Nested schemas: arrays, objects, types in lists, a response.",
                     [{"role": "system", "content": "Book trips."}, user("Go")], [NESTED, WEATHER],
                     {"enable_thinking": True}),
    "tool-call": ("A call that waits for its response.", ASKED, [WEATHER]),
    "tool-response": ("A call and its response; the model goes on.", [*ASKED, ANSWER], [WEATHER]),
    "tool-response-thinking": ("A call and its response with thinking on: the channel opens again.",
                               [ASKED[0], {**ASKED[1], "reasoning": "I need the weather."}, ANSWER], [WEATHER],
                               {"enable_thinking": True}),
    "tool-round": ("A call, its response and the answer, then another question.",
                   [*ASKED, ANSWER, model("18 degrees."), user("And Rome?")], [WEATHER]),
    "tool-preserved": ("Reasoning of earlier calls kept.",
                       [ASKED[0], {**ASKED[1], "reasoning": "Ask."}, ANSWER, model("18."), user("And Rome?")],
                       [WEATHER], {"preserve_thinking": True}),
    "tool-two-calls": ("Two calls in one message, answered by id in another order.",
                       [user("Paris and Rome?"),
                        model("Both:", tool_calls=[call("get_weather", {"location": "Paris"}, "a"),
                                                   call("now", {}, "b")]),
                        {"role": "tool", "tool_call_id": "b", "content": "noon"},
                        {"role": "tool", "tool_call_id": "a", "content": [text("18"), text(" °C"), {"type": "image"}]},
                        {"role": "tool", "tool_call_id": "?", "content": "who asked?"}, model("Done.")], [WEATHER, PLAIN]),
    "tool-values": ("Every kind of JSON value as an argument.",
                    [user("Go"), model(tool_calls=[call("f", {
                        "text": 'a "b"', "b": True, "C": False, "null": None, "int": -3, "real": 1.0,
                        "small": 1e-7, "large": 1e22, "list": [1, [], ["x"], {"k": [None]}],
                        "object": {"z": 1, "A": {"b": "c"}, "é": {}}, "": "", "ключ": "Ж", "Замок": "ж"})])]),
    "tool-native": ("Responses beside the calls, as Gemma has them.",
                    [user("Go"), model(tool_calls=[call("f", {})], tool_responses=[
                        {"name": "f", "response": {"ok": True, "List": [1.5]}}, {"response": "plain"},
                        {"name": "g", "response": None}])]),
}


def render(checkpoint, messages, tools=None, options=None):
    """What apply_chat_template gives with a template, <bos> as the tokenizers have it."""
    from transformers.utils.chat_template_utils import render_jinja_template

    source = (TEMPLATES / OF[checkpoint]).read_text(encoding="utf-8")
    wanted = {"add_generation_prompt": True, **(options or {})}
    return render_jinja_template([copy.deepcopy(messages)], tools, chat_template=source, bos_token="<bos>", **wanted)[0][0]


def written():
    """(name, what, messages, tools, options)"""
    for name, (what, messages, *more) in WRITTEN.items():
        yield name, what, messages, more[0] if more else None, more[1] if len(more) > 1 else {}


class Draw:
    """Random conversations, most of them well formed; the same for one seed."""

    WORDS = ["Hello", " lead", "trail \n", "東京", "👋", "<|channel>thought\nx\n<channel|>", "<channel|>", '<|"|>', "it's",
             "{}", "\u3000", "", "Ünï", "\t", "\u2028", "é", "[1]"]
    KEYS = ["a", "B", "b", "A", "zed", "Name", "city", "_x", "é", "Ж", "ж", "東", "type", "properties", "items", "required"]
    NUMBERS = [0, -1, 7, 2**63, -(2**70), -0.0, 1.5, 1e16, 123456789.125, 1e-5, 5e-324, True, False, None]
    TYPES = ["string", "integer", "number", "boolean", "array", "object", "OBJECT", ["string", "null"], None]

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.one = self.random.choice

    def chance(self, share):
        return self.random.random() < share

    def words(self):
        return "".join(self.one(self.WORDS) for _ in range(self.random.randint(0, 3)))

    def value(self, depth=0):
        kind = self.random.random()
        if depth > 2 or kind < 0.4:
            return self.words()
        if kind < 0.6:
            return self.one(self.NUMBERS)
        return [self.value(depth + 1) for _ in range(self.random.randint(0, 2))] if kind < 0.8 else self.object(depth + 1)

    def object(self, depth=0):
        return {self.one(self.KEYS): self.value(depth + 1) for _ in range(self.random.randint(0, 3))}

    def schema(self, depth=0):
        made = {"type": self.one(self.TYPES)}
        if made["type"] is None:
            made = {}
        if self.chance(0.5):
            made["description"] = self.words()
        if self.chance(0.2):
            made["nullable"] = self.chance(0.7)
        if self.chance(0.2):
            made["enum"] = [self.value(2) for _ in range(self.random.randint(0, 3))]
        if made.get("type") == "array" and self.chance(0.9):
            made["items"] = self.one([self.schema(depth + 1) if depth < 2 else {}, {"type": ["string", "null"]}, {}])
        if made.get("type") in ("object", "OBJECT"):
            if self.chance(0.7):
                made["properties"] = self.properties(depth + 1)
            if self.chance(0.5):
                made["required"] = ["a"] * self.random.randint(0, 2)
            if self.chance(0.3):
                made["additionalProperties"] = False
        return made

    def properties(self, depth):
        return {self.one(self.KEYS): self.schema(depth) for _ in range(self.random.randint(0, 3))} if depth < 3 else {}

    def tool(self):
        wants = {"type": "object", "properties": self.properties(0), "required": ["a"] * self.random.randint(0, 2)}
        made = {"name": self.one(["f", "get_weather"]), "description": self.words(), "parameters": wants}
        if self.chance(0.2):
            made["response"] = {"type": self.one(["object", "string"]), "description": self.words()}
        return {"type": "function", "function": made}

    def part(self):
        media = [{"type": "image"}, {"type": "audio"}, {"type": "video"}, {"type": "image_url", "image_url": {"url": "x"}},
                 {"type": "file"}]
        return text(self.words()) if self.chance(0.6) else self.one(media)

    def content(self):
        kind = self.random.random()
        return self.words() if kind < 0.5 else None if kind < 0.6 else [self.part() for _ in range(self.random.randint(0, 3))]

    def message(self, role):
        made = {"role": role, "content": self.content()}
        if role == "assistant" and self.chance(0.4):
            made["tool_calls"] = [call("f" if self.chance(0.5) else "g", self.object(), self.one(["c0", "c1", None]))
                                  for _ in range(self.random.randint(0, 2))]
        if role == "assistant" and self.chance(0.1):
            made["tool_responses"] = [{"name": "f", "response": self.value()}]
        if role == "assistant" and self.chance(0.3):
            made[self.one(["reasoning", "reasoning_content", "thinking"])] = self.words()
        if role == "tool":
            made.update(content=self.one([self.words(), [text(self.words()), {"type": "image"}], self.one(self.NUMBERS)]),
                        tool_call_id=self.one(["c0", "c1", "?"]))
        return made

    def conversation(self):
        messages = [self.message("system")] if self.chance(0.3) else []
        for _ in range(self.random.randint(1, 6)):
            messages.append(self.message(self.random.choices(["user", "assistant", "tool", "model"], [4, 5, 3, 0.3])[0]))
        tools = [self.tool() for _ in range(self.random.randint(0, 2))] if self.chance(0.4) else None
        options = {"add_generation_prompt": self.chance(0.7), "enable_thinking": self.chance(0.4),
                   "preserve_thinking": self.chance(0.2)}
        return messages, tools, options


def front_end_checkpoints(folder):
    """chat_template.jinja of each checkpoint."""
    for name, file in OF.items():
        (Path(folder) / name).mkdir(parents=True, exist_ok=True)
        (Path(folder) / name / "chat_template.jinja").write_bytes((TEMPLATES / file).read_bytes())


def front_end_cases(folder):
    """The written conversations with both templates: the text, its ids, and what those decode to."""
    import numpy as np
    from transformers import AutoTokenizer

    from .front_end import Case

    for checkpoint in ("e", "large"):
        place = Path(folder) / "checkpoints" / checkpoint
        if not (place / "tokenizer.json").exists():
            continue
        tokenizer = AutoTokenizer.from_pretrained(place)
        for name, what, messages, tools, options in written():
            wanted = {"add_generation_prompt": True, **options}
            rendered = tokenizer.apply_chat_template(copy.deepcopy(messages), tools=tools, tokenize=False, **wanted)
            assert rendered == render(checkpoint, messages, tools, options), name
            ids = tokenizer.apply_chat_template(copy.deepcopy(messages), tools=tools, return_dict=False, **wanted)
            request = {"checkpoint": checkpoint, "messages": messages, "options": wanted}
            if tools is not None:
                request["tools"] = tools
            yield Case(f"chat-{checkpoint}-{name}", what, request, {
                "text.rendered": rendered, "text.ids": np.asarray(ids, dtype=np.int64),
                "text.decoded": tokenizer.decode(ids, clean_up_tokenization_spaces=False)})


def test_data():
    """The JSON of tests/model/chat_cases.json."""
    cases = []
    for name, _, messages, tools, options in written():
        for checkpoint in ("e", "large"):
            cases.append((name, checkpoint, messages, tools, {"add_generation_prompt": True, **options}))
    draw = Draw(4)
    for i in range(DRAWN):
        cases.append((f"drawn-{i}", "e" if i % 2 else "large", *draw.conversation()))
    made = []
    for name, checkpoint, messages, tools, options in cases:
        one = {"name": name, "template": OF[checkpoint], "options": options,
               "messages": json.dumps(messages, ensure_ascii=False),  # as text: a reader may round its numbers
               "tools": "" if tools is None else json.dumps(tools, ensure_ascii=False)}
        made.append({**one, "text": render(checkpoint, messages, tools, options)})
    return made


if __name__ == "__main__":
    lines = [json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in test_data()]
    Path(sys.argv[1]).write_text("[" + ",\n".join(lines) + "]\n", encoding="utf-8")
