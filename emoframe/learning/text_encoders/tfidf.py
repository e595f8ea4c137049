"""The text encoder `tfidf`: counts of words, weighed; no weights, no network, nothing to train.

Decided here: what was learnt from the training texts lies in the state dict as two tensors, the
words as the bytes of a text, so that a checkpoint holds tensors alone and is loaded without running
anything. Vectors are always computed from these tensors, so that a loaded encoder gives exactly
what the fitted one gave.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Gt, Le
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import nn

from emoframe.core.errors import DataError


class Tfidf(nn.Module):
    """Term frequency times inverse document frequency, each vector of length 1.

    The terms are those that are most frequent in the training texts, single words and runs of
    words, in lower case. A count c weighs 1 + ln c. A text without any of them, such as an empty
    one, becomes the zero vector.

    Args:
        max_features: Width of the vectors, and most terms; the rest stays zero where the training
            texts hold fewer.
        max_words: Longest run of words that is a term.

    Shape:
        N texts -> z_ND (N, max_features)
    """

    idf: torch.Tensor
    terms: torch.Tensor

    def __init__(
        self,
        *,
        max_features: Annotated[int, Gt(0)] = 1024,
        max_words: Annotated[int, Ge(1), Le(5)] = 2,
    ) -> None:
        super().__init__()
        self.out_dim = max_features
        self.max_words = max_words
        self.register_buffer("idf", torch.zeros(max_features))
        self.register_buffer("terms", torch.zeros(0, dtype=torch.uint8))

    def fit(self, texts: Sequence[str]) -> None:
        """Learn the terms and how rare each is.

        Args:
            texts: Those of training, and no others.

        Raises:
            DataError: They hold not one word.
        """
        vectorizer = self._vectorizer(max_features=self.out_dim)
        try:
            vectorizer.fit(texts)
        except ValueError as error:
            raise DataError(
                f"text_encoder tfidf: the {len(texts)} training texts hold not one word of two "
                f"letters or more ({error})"
            ) from error
        self._forget()
        found = "\n".join(vectorizer.get_feature_names_out()).encode()
        self.terms = torch.tensor(list(found), dtype=torch.uint8, device=self.idf.device)
        self.idf.zero_()
        self.idf[: len(vectorizer.idf_)] = torch.from_numpy(vectorizer.idf_)

    def forward(self, texts: Sequence[str]) -> torch.Tensor:
        """Return z_ND.

        Raises:
            DataError: It has seen no training texts yet.
        """
        if not len(texts):
            return torch.zeros(0, self.out_dim, device=self.idf.device)
        counted = self._fitted.transform(texts).toarray()
        z = np.zeros((len(texts), self.out_dim), np.float32)
        z[:, : counted.shape[1]] = counted
        return torch.from_numpy(z).to(self.idf.device)

    @cached_property
    def _fitted(self) -> TfidfVectorizer:
        """The vectorizer that the state says."""
        if not len(self.terms):
            raise DataError(
                "text_encoder tfidf: has not seen the training texts; call fit(texts) first, or "
                "load a state dict of one that has"
            )
        terms = bytes(self.terms.tolist()).decode().split("\n")
        vectorizer = self._vectorizer(vocabulary={term: n for n, term in enumerate(terms)})
        vectorizer.idf_ = self.idf[: len(terms)].cpu().numpy()
        return vectorizer

    def _vectorizer(self, **more: Any) -> TfidfVectorizer:
        return TfidfVectorizer(ngram_range=(1, self.max_words), sublinear_tf=True, **more)

    def _forget(self) -> None:
        """Drop what was computed from an older state."""
        self.__dict__.pop("_fitted", None)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Make room for as many terms as the state holds; torch loads equal shapes only."""
        self._forget()
        kept = state_dict.get(f"{prefix}terms")
        if isinstance(kept, torch.Tensor):
            self.terms = torch.zeros_like(kept, device=self.idf.device)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
