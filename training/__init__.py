"""Transcripts to adapters: conversations -> examples -> recipe -> packaging, sync, each step runnable by itself.

May import `configs` and `retrieval`, never `service`; torch and transformers are imported inside functions only.
Service and training meet in an adapter folder with its `manifest.json` (read by `configs.adapter_manifest`).
`training.voice` is free of torch and may be imported from anywhere.
Start reading at `recipes/sft.py`, which runs from top to bottom.
"""
