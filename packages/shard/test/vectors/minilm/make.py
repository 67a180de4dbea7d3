"""Golden vectors of all-MiniLM-L6-v2, made without any code of this repository.

  python3 make.py <folder with model.safetensors and tokenizer.json> > golden.json

Needs the packages numpy and tokenizers. Tokens are those of the tokenizers library; the encoder below is BERT
as its paper defines it (Devlin et al., 2018), in 64-bit floats, with the mean over all tokens and a length of 1
(the model's own modules.json).
"""

import base64
import json
import math
import struct
import sys

import numpy
import tokenizers

HEADS = 12
EPSILON = 1e-12
LIMIT = 256

SENTENCES = [
    "Small machines that trust each other can do the work of a large one.",
    "The harbour was quiet, and every lamp along the quay was lit before six.",
    "She measured the shelf twice, wrote 84.5 cm on her palm, and lost the pencil.",
    "A kettle needs about two minutes; patience needs a little longer.",
    "When the river froze, the post came by sledge and the news came late.",
]

TEXTS = [
    "a",
    "",
    "   \t\n  ",
    "A peer-to-peer network has no centre, so nobody can switch it off.",
    "Élodie a goûté la crème brûlée à Besançon, puis le café glacé.",
    "Die Straße nach Übersee führt über Zwölfaxing; ẞ, ß und ſ sind auch da.",
    "我们把一个模型分给许多台机器，每台机器只算几层。",
    "今日は雨なので、図書館でコーヒーを飲みながら本を読みます。先生に𠮟られた。",
    "الشبكة لا مركز لها، وكل جهاز يساعد الآخر.",
    "Сеть без центра: каждый узел помогает соседям, и никто не главный.",
    "우리는 서로를 믿는 작은 기계들입니다.",
    "हर मशीन थोड़ा काम करती है और सब मिलकर उत्तर देती हैं।",
    "Shipping it tonight \U0001f680\U0001f680 fingers crossed \U0001f91e\U0001f3fd and \U0001f468\u200d\U0001f469\u200d\U0001f467 are waiting",
    "The o\ufb03ce \ufb02oor has \ufb01ve o\ufb00-white \ufb01les",
    "\uff26\uff35\uff2c\uff2c \uff37\uff29\uff24\uff34\uff28 and half width \uff76\uff80\uff76\uff85",
    "zero\u200bwidth, soft\u00adhyphen, joiner\u2060here, mark\ufeffthere",
    "x" * 150,
    "one [SEP] two [CLS] three [PAD] four [MASK] five [UNK]",
    "e\u0301 is e and an accent; \u0041\u030a and \u00c5 and \u212b are three ways to write one letter, as ΟΔΟΣ ends in σ",
    "f(x) = {a: [1, 2.5e-3], 'b': \"c\\n\"}; // https://example.org/?q=%20&r=#top",
    "control \u0000 \u0007 and \ufffd replaced",
    " ".join(SENTENCES[i % 5] for i in range(9)),
    " ".join(f"{i} {SENTENCES[(i * 2) % 5]}" for i in range(12)),
    "word " * (LIMIT - 2),
]

# More tokens than the usual limit: for an encoder that is told to take 512.
LONG_TEXT = "word " * 100 + " ".join(SENTENCES[i % 5] for i in range(24))


def read_safetensors(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = file.read()
    return {
        name: numpy.frombuffer(data[slice(*entry["data_offsets"])], "<f4").reshape(entry["shape"]).astype("f8")
        for name, entry in header.items()
        if entry.get("dtype") == "F32"
    }


def normalise(x, weights, name):
    centred = x - x.mean(-1, keepdims=True)
    scale = numpy.sqrt((centred**2).mean(-1, keepdims=True) + EPSILON)
    return centred / scale * weights[name + ".weight"] + weights[name + ".bias"]


def linear(x, weights, name):
    return x @ weights[name + ".weight"].T + weights[name + ".bias"]


error_function = numpy.vectorize(math.erf)


def encode(ids, weights):
    x = (
        weights["embeddings.word_embeddings.weight"][ids]
        + weights["embeddings.position_embeddings.weight"][: len(ids)]
        + weights["embeddings.token_type_embeddings.weight"][0]
    )
    x = normalise(x, weights, "embeddings.LayerNorm")
    width = x.shape[1] // HEADS
    layer = 0
    while f"encoder.layer.{layer}.attention.self.query.weight" in weights:
        at = f"encoder.layer.{layer}."
        q, k, v = (linear(x, weights, at + "attention.self." + part) for part in ("query", "key", "value"))
        heads = []
        for head in range(HEADS):
            part = slice(head * width, (head + 1) * width)
            scores = q[:, part] @ k[:, part].T / math.sqrt(width)
            scores = numpy.exp(scores - scores.max(-1, keepdims=True))
            heads.append(scores / scores.sum(-1, keepdims=True) @ v[:, part])
        mixed = linear(numpy.concatenate(heads, -1), weights, at + "attention.output.dense")
        x = normalise(x + mixed, weights, at + "attention.output.LayerNorm")
        inner = linear(x, weights, at + "intermediate.dense")
        inner = inner * 0.5 * (1 + error_function(inner / math.sqrt(2)))
        x = normalise(x + linear(inner, weights, at + "output.dense"), weights, at + "output.LayerNorm")
        layer += 1
    mean = x.mean(0)
    return mean / numpy.linalg.norm(mean)


folder = sys.argv[1]
weights = read_safetensors(f"{folder}/model.safetensors")
tokenizer = tokenizers.Tokenizer.from_file(f"{folder}/tokenizer.json")
tokenizer.no_truncation()
tokenizer.no_padding()


def entry(text):
    ids = tokenizer.encode(text).ids
    vector = encode(ids, weights).astype("<f4").tobytes()
    return {"text": text, "ids": ids, "vector": base64.b64encode(vector).decode()}


result = {"texts": [entry(text) for text in TEXTS], "long": entry(LONG_TEXT)}
assert len(TEXTS) == 24 and max(len(each["ids"]) for each in result["texts"]) == LIMIT
assert LIMIT < len(result["long"]["ids"]) <= 512
# One text a line.
lines = ",\n".join(json.dumps(each) for each in result["texts"])
print(f'{{"texts": [\n{lines}\n],\n"long": {json.dumps(result["long"])}}}')
