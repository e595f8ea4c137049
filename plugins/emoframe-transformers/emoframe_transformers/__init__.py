"""transformers for emoframe: what this plugin offers, as data; torch is imported on first use."""

from __future__ import annotations

from emoframe import Component, hookimpl

__all__ = ["emoframe_components"]

NEEDS = ("transformers", "torch", "torchvision", "huggingface-hub", "safetensors")
W2S = "https://arxiv.org/abs/2602.08057"

COMPONENTS = (
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
        kind="vlm_labeler",
        name="transformers_vlm",
        target="emoframe_transformers.vlm:TransformersVlm",
        needs=(*NEEDS, "pillow"),
        example={"weights": "Qwen/Qwen2.5-VL-3B-Instruct", "frames": 8},
        paper="https://arxiv.org/abs/2502.13923 (Qwen2.5-VL); https://arxiv.org/abs/2511.21631",
        weights_license="those of the weights that are given: Apache-2.0 for Qwen2.5-VL-7B and "
        "Qwen3-VL, for research only for Qwen2.5-VL-3B",
    ),
    Component(
        kind="text_encoder",
        name="bert",
        target="emoframe_transformers.bert:Bert",
        needs=(*NEEDS, "peft"),
        example={"weights": "google-bert/bert-base-uncased", "tune": "frozen"},
        paper="https://arxiv.org/abs/1810.04805; https://arxiv.org/abs/2106.09685 (LoRA)",
        weights_license="Apache-2.0 for BERT; that of the weights that are given",
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
)
"""A detector, a labeler, a text encoder and four frame encoders."""


@hookimpl
def emoframe_components() -> list[Component]:
    """Offer all of them."""
    return list(COMPONENTS)
