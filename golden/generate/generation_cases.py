"""Front-end cases that faults need beside the others: tokenizers whose ranks are not their ids, conversations with braces
and reasoning in calls, and what transformers' generate makes of rows of logits with a checkpoint's generation_config.json.

Not here: sampling by chance (sampler_cases.py), models.
"""

import copy
import json
import random
from pathlib import Path

import numpy as np

from .chat_cases import ANSWER, ASKED, WEATHER, call, model, user
from .front_end import Case

# By the names of the test tokenizer: ids of the published ones lie elsewhere.
STOPS = ["<eos>", "<turn|>", "<|tool_response>"]
SUPPRESSED = ["<image|>", "<audio|>"]
RANKED = "ranked.json"  # a tokenizer file of its own, beside the checkpoint's
TEXT = "The weather in Paris is warm today.\n\nWhat do you hear, and what does the film show?  Say it in two lines,\nplease."
SPACED = "Well , what is this ? It 's a film , he said . Do n't stop !"
CONVERSATIONS = {
    "braces": ("Braces and quotes inside an argument.",
               [user("Run it"), model(tool_calls=[call("run", {"code": "if (x) { y(\"}\"); }", "z": {"a": "{"}})])], None, {}),
    "content-and-call": ("A model's turn that says something and calls a tool.",
                         [ASKED[0], {**ASKED[1], "content": "Let me look."}], [WEATHER], {}),
    "content-call-response": ("The same with its response.",
                              [ASKED[0], {**ASKED[1], "content": "Let me look."}, ANSWER], [WEATHER], {}),
    "reasoning-goes": ("Reasoning of an earlier call is left out unasked.",
                       [ASKED[0], {**ASKED[1], "reasoning": "Ask."}, ANSWER, model("18."), user("And Rome?")], [WEATHER], {}),
}
STEPS, WORDS = 8, 12


def _ranked(folder):
    """A tokenizer with the same tokens whose merges come in another order, some of them across a newline."""
    made = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    merges, vocab = made["model"]["merges"], made["model"]["vocab"]
    random.Random(7).shuffle(merges)
    made["added_tokens"] = [token for token in made["added_tokens"] if token["content"] != "\n"]
    for left, right in (("\n", "p"), (".", "\n")):
        vocab[left + right] = max(vocab.values()) + 1
        merges.insert(0, [left, right])
    (folder / RANKED).write_text(json.dumps(made, ensure_ascii=False), encoding="utf-8")


def _generation_config(folder):
    vocab = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    config = {"bos_token_id": vocab["<bos>"], "pad_token_id": vocab["<pad>"],
              "eos_token_id": [vocab[name] for name in STOPS], "suppress_tokens": [vocab[name] for name in SUPPRESSED],
              "do_sample": True, "temperature": 1.0, "top_k": 64, "top_p": 0.95}
    (folder / "generation_config.json").write_text(json.dumps(config, indent=2) + "\n")


def front_end_checkpoints(folder):
    """Beside what the tokenizer's and the templates' modules wrote."""
    _ranked(Path(folder) / "e")
    _generation_config(Path(folder) / "e")


def _spoken(config, logits):
    """The ids that transformers' generate gives, greedily, for a model that returns these rows of logits."""
    import torch
    from transformers import GenerationMixin, PreTrainedConfig, PreTrainedModel
    from transformers.modeling_outputs import CausalLMOutput

    class Scripted(PreTrainedModel, GenerationMixin):
        config_class = PreTrainedConfig
        _is_stateful = True

        def __init__(self, config):
            super().__init__(config)
            self.nothing = torch.nn.Parameter(torch.zeros(1))

        def forward(self, input_ids, **_):
            row = torch.tensor(logits[min(input_ids.shape[1] - 1, len(logits) - 1)])
            return CausalLMOutput(logits=row.expand(1, input_ids.shape[1], -1))

    config = copy.deepcopy(config)
    config.update(do_sample=False, temperature=None, top_k=None, top_p=None, max_new_tokens=len(logits), use_cache=False)
    start = torch.tensor([[config.bos_token_id]])
    made = Scripted(PreTrainedConfig()).generate(start, attention_mask=torch.ones_like(start), generation_config=config)
    return made[0, 1:].numpy()


def _scripts(vocab):
    """(name, what, which token each step wants most, which next)"""
    words = list(range(vocab["<0x41>"], vocab["<0x41>"] + WORDS))
    for token in STOPS:
        name = token.strip("<|>").replace("_", "-")
        yield f"stops-at-{name}", f"{token} ends a text.", [*words[:4], vocab[token], *words[5:STEPS]], words[::-1]
    yield ("suppresses", "Tokens that must not be said: the next best is.",
           [words[0], vocab["<image|>"], words[2], vocab["<audio|>"], *words[4:STEPS]], words[::-1])


def front_end_cases(folder):
    """Every case."""
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer, GenerationConfig

    place = Path(folder) / "checkpoints" / "e"
    ranked = Tokenizer.from_file(str(place / RANKED)).encode(TEXT).ids
    yield Case("text-ranked", "Merges whose ranks are not in the order of ids, some across a newline.",
               {"checkpoint": "e", "text": TEXT, "options": {"tokenizer": RANKED}}, {"text.ids": np.array(ranked, np.int64)})

    tokenizer = AutoTokenizer.from_pretrained(place)
    ids = tokenizer.encode(SPACED)
    yield Case("text-spaced-marks", "Spaces before punctuation stay.", {"checkpoint": "e", "text": SPACED},
               {"text.ids": np.array(ids, np.int64), "text.decoded": tokenizer.decode(ids, clean_up_tokenization_spaces=False)})
    for name, (what, messages, tools, options) in CONVERSATIONS.items():
        options = {"add_generation_prompt": True, **options}
        rendered = tokenizer.apply_chat_template(copy.deepcopy(messages), tools=tools, tokenize=False, **options)
        request = {"checkpoint": "e", "messages": messages, "options": options, **({"tools": tools} if tools else {})}
        yield Case("chat-e-" + name, what, request, {"text.rendered": rendered})

    config = GenerationConfig.from_pretrained(place)
    vocab = tokenizer.get_vocab()
    stages = {"generation.stop_ids": np.array(config.eos_token_id, np.int64),
              "generation.suppress_ids": np.array(config.suppress_tokens, np.int64),
              "generation.sampling": np.array([config.do_sample, config.temperature, config.top_k, config.top_p], np.float32)}
    for name, what, first, second in _scripts(vocab):
        logits = np.random.default_rng(3).standard_normal((STEPS, len(tokenizer))).astype(np.float32)
        for step in range(STEPS):
            logits[step, second[step]] = 8
            logits[step, first[step]] = 9
        scripted = [{str(i): float(row[i]) for i in np.argsort(-row)[:3]} for row in logits]
        rows = np.full_like(logits, -1)
        for row, given in zip(rows, scripted):
            for i, value in given.items():
                row[int(i)] = value
        yield Case(name, what, {"checkpoint": "e", "logits": scripted},
                   {**stages, "generation.ids": _spoken(config, rows.tolist()).astype(np.int64)})
