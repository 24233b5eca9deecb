"""The engine and its adapters: vLLM started or reached, spared when it fails, each voice loaded and proven."""
