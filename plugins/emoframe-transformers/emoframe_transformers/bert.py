"""The text encoder `bert`: any BERT-like model, frozen, fine-tuned, or with LoRA adapters (W2S-27).

Decided here:
    * A text that is too long is cut by the model's own tokenizer into chunks that overlap; the
      vector of a text is the plain mean over its chunks.
    * Frozen weights are no part of the module: they are in no checkpoint and no optimizer, and load
      on the first call. The state holds their hash instead, and other weights are refused. Each
      text is encoded by itself, once in a process, and kept, so that a vector depends on nothing
      but its text, an epoch costs nothing, and a resumed training sees the very same numbers.
    * Weights that are trained load when the part is built, since the optimizer has to know them,
      and are in the checkpoint whole, those under LoRA adapters included.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt
from torch import nn

from emoframe import ComponentError, file_hash
from emoframe_transformers.checkpoint import Checkpoint
from emoframe_transformers.hub import CONFIG, WEIGHTS, library

PART = "text_encoder bert"
CLASSES = {
    "albert": "AlbertModel",
    "bert": "BertModel",
    "camembert": "CamembertModel",
    "deberta": "DebertaModel",
    "deberta-v2": "DebertaV2Model",
    "distilbert": "DistilBertModel",
    "electra": "ElectraModel",
    "ernie": "ErnieModel",
    "modernbert": "ModernBertModel",
    "mpnet": "MPNetModel",
    "nomic_bert": "NomicBertModel",
    "roberta": "RobertaModel",
    "xlm-roberta": "XLMRobertaModel",
}
"""Encoders that read both ways and begin with a token for the whole text."""
POOLED = {
    "albert", "bert", "camembert", "ernie", "mpnet", "nomic_bert", "roberta", "xlm-roberta",
}  # fmt: skip
"""Those with a layer over the first token, which many checkpoints lack and nothing here reads."""
SHIFTED = {"camembert", "mpnet", "roberta", "xlm-roberta"}
"""Those whose first two positions are of padding."""
TOKENIZER = "tokenizer.json"
BESIDE = ("tokenizer_config.json", "special_tokens_map.json")
READ = ("input_ids", "attention_mask")
ADAPTER = "text"
Tune = Literal["frozen", "full", "lora"]


class TextCheckpoint(Checkpoint):
    """A checkpoint with what turns words into numbers."""

    def __init__(self, weights: str) -> None:
        super().__init__(PART, weights, CLASSES)
        self.files.needed = (CONFIG, WEIGHTS, TOKENIZER, *BESIDE)

    def fingerprint(self) -> dict[str, str]:
        """Return the sha256 of each file that decides the vectors.

        Raises:
            ComponentError: A file is not here and cannot be downloaded.
        """
        found = [self.files.find(CONFIG), *self._weights(), self.files.find(TOKENIZER)]
        return {file.name: file_hash(file) for file in found}

    def encoder(self) -> Any:
        """Load the model in single precision, without the layer that classifiers put on top.

        Raises:
            ComponentError: The weights are not here, or cannot be used.
        """
        bare = {"add_pooling_layer": False} if self.config.model_type in POOLED else {}
        return self.load("float32", "cpu", **bare)

    def tokenizer(self) -> Any:
        """Load the tokenizer.

        Raises:
            ComponentError: Its files are not here, or cannot be used.
        """
        folder = self.files.find(TOKENIZER).parent
        for name in BESIDE:
            self._fetched(name)
        return self.attempt(
            lambda: library().AutoTokenizer.from_pretrained(folder, local_files_only=True)
        )

    def longest(self) -> int:
        """Return how many tokens the model can take at once."""
        config = self.config
        places = getattr(config, "max_position_embeddings", None) or 2**31
        return places - 2 * (config.model_type in SHIFTED)

    def _fetched(self, name: str) -> Path | None:
        try:
            return self.files.look_for(name)
        except ComponentError:  # no hub is reached, and a checkpoint works without it
            return None


@functools.lru_cache(maxsize=8)
def _vectors(sha256: bytes, *settings: object) -> dict[str, torch.Tensor]:  # noqa: ARG001
    """Return where the vectors of texts are kept, for weights and what else decides them."""
    return {}


class Bert(nn.Module):
    """One vector per text by a BERT-like model; long texts in chunks that overlap.

    A chunk is summed up by its first token or by the mean over its tokens, a text by the mean over
    its chunks. Source: https://arxiv.org/abs/1810.04805, https://arxiv.org/abs/2106.09685 (LoRA).

    Args:
        weights: Folder of a checkpoint, or published name.
        tune: `frozen` trains nothing and costs nothing after the first epoch; `full` trains every
            weight, best at a learning rate of about 2e-5; `lora` trains small adapters only.
        pooling: What a chunk is summed up by: `cls`, its first token, or the `mean` of its tokens.
        max_tokens: Longest chunk in tokens, those that the model adds included.
        stride: Tokens that two neighbouring chunks share.
        batch: Chunks computed together.
        rank: Rank of the LoRA adapters.
        alpha: Their scale: what they add is multiplied by alpha / rank.
        adapters: Names of the linear layers that get adapters, such as `q_lin` in DistilBERT.

    Shape:
        N texts -> z_ND (N, D), D the hidden size of the weights
    """

    weights_sha256: torch.Tensor

    def __init__(
        self,
        *,
        weights: str = "google-bert/bert-base-uncased",
        tune: Tune = "frozen",
        pooling: Literal["cls", "mean"] = "cls",
        max_tokens: Annotated[int, Ge(8)] = 512,
        stride: Annotated[int, Ge(0)] = 128,
        batch: Annotated[int, Ge(1)] = 16,
        rank: Annotated[int, Ge(1)] = 8,
        alpha: Annotated[float, Gt(0)] = 16.0,
        adapters: tuple[str, ...] = ("query", "value"),
    ) -> None:
        super().__init__()
        if stride > max_tokens // 2:
            raise ComponentError(
                f"{PART}: stride={stride} is more than half of max_tokens={max_tokens}, so that "
                "most of a text would be read several times; set it lower"
            )
        self.checkpoint = TextCheckpoint(weights)
        self.tune: Tune = tune
        self.pooling: str = pooling
        self.max_tokens, self.stride, self.batch = max_tokens, stride, batch
        self.register_buffer("weights_sha256", torch.zeros(32, dtype=torch.uint8))
        if tune != "frozen":
            encoder = self.checkpoint.encoder()
            self.encoder: Any = self._adapted(encoder, rank, alpha, adapters, tune)

    @property
    def out_dim(self) -> int:
        """D, from the config of the weights."""
        return self.checkpoint.config.hidden_size

    def forward(self, texts: Sequence[str]) -> torch.Tensor:
        """Return z_ND.

        Raises:
            ComponentError: The weights are not here, cannot be used, or are not those that the
                state dict was saved with.
        """
        self._check_weights()
        if not len(texts):
            return torch.zeros(0, self.out_dim, device=self.weights_sha256.device)
        if self.tune != "frozen":
            return self._encoded(self.encoder, texts)
        kept = _vectors(bytes(self._sha256.tolist()), self.pooling, self.max_tokens, self.stride)
        found = [self._frozen(text, kept) for text in texts]
        return torch.stack(found).to(self.weights_sha256.device)

    def chunks(self, texts: Sequence[str]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Cut texts into chunks of at most `max_tokens` tokens.

        Returns:
            What the model takes, a row per chunk, padded; and the number of each chunk's text.
        """
        cut = self._tokenizer(
            list(texts),
            truncation=True,
            max_length=self.max_tokens,
            stride=self.stride,
            padding=True,
            return_overflowing_tokens=True,
            return_tensors="pt",
        )
        # which of two sentences a token is of, some models do not take, and there is one here
        return {name: cut[name] for name in READ}, cut["overflow_to_sample_mapping"]

    def _frozen(self, text: str, kept: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the vector of one text, computed once, whatever texts come with it."""
        if text not in kept:
            device = self.weights_sha256.device
            with torch.no_grad(), torch.autocast(device.type, enabled=False):
                kept[text] = self._encoded(self._aside[0].to(device), [text])[0].cpu()
        return kept[text]

    @functools.cached_property
    def _aside(self) -> tuple[Any]:
        """The frozen model, in a tuple, where torch does not see that it is a module."""
        return (self.checkpoint.encoder().requires_grad_(requires_grad=False),)

    def _encoded(self, encoder: Any, texts: Sequence[str]) -> torch.Tensor:
        """Return the mean over the chunks of each text, (N, D)."""
        tokens, whose = self.chunks(texts)
        device = self.weights_sha256.device
        vectors = []
        for start in range(0, len(whose), self.batch):
            part = {name: rows[start : start + self.batch] for name, rows in tokens.items()}
            part = {name: rows.to(device) for name, rows in part.items()}
            hidden = encoder(**part).last_hidden_state
            mask = part["attention_mask"][..., None].to(hidden)
            mean = (hidden * mask).sum(1) / mask.sum(1)
            vectors.append(hidden[:, 0] if self.pooling == "cls" else mean)
        whose = whose.to(device)
        summed = vectors[0].new_zeros(len(texts), vectors[0].shape[1])
        summed = summed.index_add(0, whose, torch.cat(vectors))
        return summed / whose.bincount(minlength=len(texts))[:, None]

    @functools.cached_property
    def _tokenizer(self) -> Any:
        longest = self.checkpoint.longest()
        if self.max_tokens > longest:
            raise ComponentError(
                f"{PART}: max_tokens={self.max_tokens} is more than the weights "
                f"{self.checkpoint.files.weights!r} can take, which is {longest}; set it lower"
            )
        return self.checkpoint.tokenizer()

    @functools.cached_property
    def _sha256(self) -> torch.Tensor:
        """What the files here hash to."""
        told = json.dumps(self.checkpoint.fingerprint(), sort_keys=True)
        return torch.tensor(list(hashlib.sha256(told.encode()).digest()), dtype=torch.uint8)

    def _check_weights(self) -> None:
        """Refuse files that are not those of the state; take them into it where it has none."""
        own = self._sha256.to(self.weights_sha256.device)
        if not self.weights_sha256.any():
            self.weights_sha256.copy_(own)
        elif not torch.equal(own, self.weights_sha256):
            raise ComponentError(
                f"{PART}: the weights {self.checkpoint.files.weights!r} are others than those that "
                "this run was trained with; put those back, or train again"
            )

    def _adapted(
        self, encoder: nn.Module, rank: int, alpha: float, adapters: Sequence[str], tune: Tune
    ) -> nn.Module:
        """Return what is to be trained: the model itself, or with adapters put into it."""
        if tune == "full":
            return encoder
        try:
            peft: Any = importlib.import_module("peft")
        except ImportError as error:
            raise ComponentError(
                f"{PART}: tune=lora needs peft ({error}); pip install peft"
            ) from error
        settings = peft.LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(adapters))
        return self.checkpoint.attempt(
            lambda: peft.inject_adapter_in_model(settings, encoder, ADAPTER)
        )
