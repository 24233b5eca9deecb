"""What a deployment says: YAML files beside the typed models that read them.

`configs.load.load_config` reads `service.yaml`, `brands/*.yaml` and the environment; `configs.training.read_recipe`
reads one recipe; `configs.adapter_manifest.read_adapter` reads an adapter folder; `configs.home` names the state
folder. Imports nothing of ours, and no web or model library. Start reading in `configs.load`.
"""
