"""transformers for emoframe: what this plugin offers, as data; torch is imported on first use."""

from __future__ import annotations

from emoframe import Component, hookimpl

__all__ = ["emoframe_components"]

NEEDS = ("transformers", "torch", "torchvision", "huggingface-hub", "safetensors")
W2S = "https://arxiv.org/abs/2602.08057"


@hookimpl
def emoframe_components() -> list[Component]:
    """Offer the detector `rtdetr` and four frame encoders."""
    return [
        Component(
            kind="detector",
            name="rtdetr",
            target="emoframe_transformers.rtdetr:RtDetr",
            needs=NEEDS,
            example={"weights": "PekingU/rtdetr_v2_r18vd", "conf": 0.5},
            paper="https://arxiv.org/abs/2407.17140 (RT-DETRv2); https://arxiv.org/abs/2304.08069",
            weights_license="Apache-2.0",
        ),
        Component(
            kind="frame_encoder",
            name="dinov2",
            target="emoframe_transformers.dinov2:Dinov2",
            needs=NEEDS,
            example={"weights": "facebook/dinov2-small", "size": 224},
            paper="https://arxiv.org/abs/2304.07193; https://arxiv.org/abs/2309.16588 (registers)",
            weights_license="Apache-2.0",
        ),
        Component(
            kind="frame_encoder",
            name="clip",
            target="emoframe_transformers.clip:Clip",
            needs=NEEDS,
            example={"weights": "openai/clip-vit-large-patch14"},
            paper="https://arxiv.org/abs/2103.00020",
            weights_license="MIT",
        ),
        Component(
            kind="frame_encoder",
            name="xclip",
            target="emoframe_transformers.xclip:XClip",
            needs=NEEDS,
            example={"weights": "microsoft/xclip-base-patch32"},
            paper="https://arxiv.org/abs/2208.02816",
            weights_license="MIT",
        ),
        Component(
            kind="frame_encoder",
            name="patch_binding",
            target="emoframe_transformers.patch_binding:PatchBinding",
            needs=NEEDS,
            example={"weights": "facebook/dinov2-small", "size": 224},
            paper=W2S,
            weights_license="Apache-2.0",
        ),
    ]
