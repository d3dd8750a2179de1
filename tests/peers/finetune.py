"""Fine-tunes a small language model on the chats of `routewright finetune-data`, and says whether it routes better than guessing.

    pip install mlx mlx-lm            # Apple silicon; on Linux also mlx-cpu
    routewright finetune-data --out data/finetune
    python tests/peers/finetune.py data/finetune --model mlx-community/Qwen3-4B-4bit --out models/finetuned    # a folder works too
    python tests/peers/finetune.py data/finetune --tiny           # a tiny random model made on the spot: tests files and loop

Training: LoRA on all attention layers (the tiny model: everything), loss on the answer's tokens alone, each chat times its weight.
Judging: of the paths that the system message names, the one whose tokens are most probable; on valid.jsonl, each chat times its weight.
The result is one JSON line: accuracy of the model before and after, of always answering the most frequent path, and the loss.
LM Studio loads the folder that `--out` names. Deterministic for a seed on one machine.
"""

import argparse
import json
import pathlib
import tempfile
import time

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm import load
from mlx_lm.tuner.utils import linear_to_lora_layers
from mlx_lm.utils import save, save_config


def read(place):
    """Chats of a file: messages and weight."""
    chats = [json.loads(line) for line in place.read_text().splitlines()]
    return [(chat["messages"], float(chat.get("weight", 1.0))) for chat in chats]


def paths_of(chats):
    """The paths that the system message names."""
    return chats[0][0][0]["content"].rsplit(": ", 1)[1].rstrip(".").split(", ")


TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def tiny_model(folder, chats, seed):
    """Writes a random Llama of some hundred thousand weights, with a tokenizer trained on the chats, as Hugging Face lays models out."""
    from mlx_lm.models.llama import Model, ModelArgs
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=2_000, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator((message["content"] for messages, _ in chats for message in messages), trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|end|>")
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)
    config = {
        "model_type": "llama", "hidden_size": 96, "num_hidden_layers": 2, "intermediate_size": 192, "num_attention_heads": 4,
        "rms_norm_eps": 1e-5, "vocab_size": tokenizer.get_vocab_size(), "num_key_value_heads": 4, "tie_word_embeddings": True,
    }
    mx.random.seed(seed)
    model = Model(ModelArgs.from_dict(config))
    mx.eval(model.parameters())
    mx.save_safetensors(str(folder / "model.safetensors"), dict(tree_flatten(model.parameters())), metadata={"format": "mlx"})
    save_config(config, folder / "config.json")


def encoded(tokenizer, messages, answer):
    """Tokens of a chat that ends with an answer, and how many of them are the question."""
    prompt = tokenizer.apply_chat_template(messages[:2], tokenize=False, add_generation_prompt=True)
    head = tokenizer.encode(prompt, add_special_tokens=False)
    tail = tokenizer.encode(answer, add_special_tokens=False) + [tokenizer.eos_token_id]
    return head + tail, len(head)


def batch_of(rows):
    """Tokens, mask of the answers' tokens, weights; padded to the longest."""
    longest = max(len(tokens) for tokens, _, _ in rows)
    tokens, mask = np.zeros((len(rows), longest), np.int32), np.zeros((len(rows), longest), np.float32)
    for row, (own, head, _) in enumerate(rows):
        tokens[row, : len(own)] = own
        mask[row, head : len(own)] = 1.0
    return mx.array(tokens), mx.array(mask), mx.array([weight for _, _, weight in rows])


def log_probabilities(model, tokens, mask):
    """Logarithm of the probability of every row's answer, and its number of tokens."""
    logits = model(tokens[:, :-1]).astype(mx.float32)
    of_tokens = -nn.losses.cross_entropy(logits, tokens[:, 1:], reduction="none")
    return (of_tokens * mask[:, 1:]).sum(axis=1), mask[:, 1:].sum(axis=1)


def judge(model, tokenizer, chats, paths, size):
    """Weighted share of chats whose answer is the model's most probable path, and the mean loss of the right answers, in nats per chat."""
    rows = [encoded(tokenizer, messages, path) + (weight,) for messages, weight in chats for path in paths]
    scores = []
    for start in range(0, len(rows), size):
        tokens, mask, _ = batch_of(rows[start : start + size])
        found, _ = log_probabilities(model, tokens, mask)
        scores.extend(np.array(found).tolist())
    scores = np.array(scores).reshape(len(chats), len(paths))
    truth = np.array([paths.index(messages[2]["content"]) for messages, _ in chats])
    weights = np.array([weight for _, weight in chats])
    hits = scores.argmax(axis=1) == truth
    return float(np.average(hits, weights=weights)), float(np.average(-scores[np.arange(len(chats)), truth], weights=weights))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, help="folder with train.jsonl and valid.jsonl")
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--model", help="folder or name of a model that mlx-lm loads")
    group.add_argument("--tiny", action="store_true", help="a tiny random model, made on the spot")
    parser.add_argument("--out", type=pathlib.Path, help="folder for the fine-tuned model, adapters merged")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, help="learning rate: 1e-5 with adapters, 2e-3 for the tiny model")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    train, valid = read(asked.folder / "train.jsonl"), read(asked.folder / "valid.jsonl")
    paths = paths_of(train)
    made = tempfile.TemporaryDirectory()
    place = made.name if asked.tiny else asked.model
    if asked.tiny:
        tiny_model(pathlib.Path(place), train, asked.seed)
    model, tokenizer, config = load(place, return_config=True)
    mx.random.seed(asked.seed)
    if not asked.tiny:
        model.freeze()
        linear_to_lora_layers(model, len(model.layers), {"rank": asked.rank, "scale": 20.0, "dropout": 0.0})
    rows = [encoded(tokenizer, messages, messages[2]["content"]) + (weight,) for messages, weight in train]
    before = judge(model, tokenizer, valid, paths, asked.batch)

    def loss(model, tokens, mask, weights):
        found, lengths = log_probabilities(model, tokens, mask)
        return -(weights * found / lengths).sum() / weights.sum()

    optimizer = optim.AdamW(learning_rate=asked.rate or (2e-3 if asked.tiny else 1e-5))
    step = nn.value_and_grad(model, loss)
    order, losses, started = np.random.default_rng(asked.seed), [], time.process_time()
    model.train()
    for _ in range(asked.steps):
        chosen = order.choice(len(rows), min(asked.batch, len(rows)), replace=False)
        value, gradients = step(model, *batch_of([rows[row] for row in chosen]))
        optimizer.update(model, gradients)
        mx.eval(model.parameters(), optimizer.state)
        losses.append(value.item())
    model.eval()
    seconds = time.process_time() - started
    after = judge(model, tokenizer, valid, paths, asked.batch)
    totals = {path: sum(weight for messages, weight in train if messages[2]["content"] == path) for path in paths}
    most = max(paths, key=totals.get)
    frequent = sum(weight for messages, weight in valid if messages[2]["content"] == most) / sum(weight for _, weight in valid)
    if asked.out:
        merged = [(name, module.fuse()) for name, module in model.named_modules() if hasattr(module, "fuse")]
        if merged:
            model.update_modules(tree_unflatten(merged))
        save(asked.out, place, model, tokenizer, config, donate_model=False)
    made.cleanup()
    print(json.dumps({
        "train": len(train), "valid": len(valid), "weights": sum(value.size for _, value in tree_flatten(model.parameters())),
        "steps": asked.steps, "cpu_seconds": round(seconds, 1),
        "loss_first": round(float(np.mean(losses[:20])), 4), "loss_last": round(float(np.mean(losses[-20:])), 4),
        "accuracy_before": round(before[0], 4), "accuracy_after": round(after[0], 4), "accuracy_most_frequent": round(frequent, 4),
        "valid_loss_before": round(before[1], 4), "valid_loss_after": round(after[1], 4),
    }))


if __name__ == "__main__":
    main()
