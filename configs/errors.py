"""What can go wrong with a deployment's files.

ConfigError            the operator's fault: a file, key or variable is missing, misspelt or out of range
└── AdapterInvalid     an adapter folder that is not whole, not ours or not for this base
"""

from __future__ import annotations


class ConfigError(Exception):
    """Root of everything that reading a deployment raises; the message names the key or file and the cure."""


class AdapterInvalid(ConfigError):
    """An adapter folder that cannot be served: not whole, changed after packaging, or made for something else."""
