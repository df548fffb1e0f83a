"""The Hugging Face Hub: examples, weights, finished pictures and the hosted page.

Every part works through `huggingface_hub` and its settings (`HF_ENDPOINT`, `HF_HUB_OFFLINE`,
`HF_HOME`, `HF_TOKEN`). None of them is needed to paint a picture.
"""
