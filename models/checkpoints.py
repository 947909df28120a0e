"""Checkpoints: our own safetensors files and the published ones."""

import re

PUBLISHED_NAMES = [
    (r"^trunk\.blocks\.", "dit.dit.dit.blocks."),
    (r"^trunk\.action_embedding\.", "dit.dit.action_encoder.action_embedding."),
    (r"^trunk\.", "dit.dit."),
    (r"^patchify\.", "dit.patchify."),
    (r"^(encoder|decoder)\.blocks\.", r"\1.transformer.blocks."),
    (r"^head\.", "dit.unpatchify."),
    (r"\.modulation\.linear\.", ".adaLN_modulation.1."),
]
"""How our parameter names become the published ones, rule after rule."""


def published_name(name: str) -> str:
    """The published key of one of our parameters."""
    for pattern, replacement in PUBLISHED_NAMES:
        name = re.sub(pattern, replacement, name)
    return name
