"""`tfidf` knows what its training texts taught and nothing else; the contract finds what breaks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import nn

from emoframe.core.errors import DataError
from emoframe.learning.text_encoders.tfidf import Tfidf
from emoframe.testing import check_part

TEXTS = ["She smiles and nods.", "He rubs his eyes and nods, and nods.", "Lächeln überall."]


def test_it_gives_what_scikit_learn_gives() -> None:
    part = Tfidf(max_features=200)
    part.fit(TEXTS)
    peer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=200).fit(TEXTS)
    new = ["She rubs and nods and nods.", "nothing of that"]
    expected = torch.from_numpy(peer.transform(new).toarray()).float()
    z = part(new)
    assert z.shape == (2, 200)
    torch.testing.assert_close(z[:, : expected.shape[1]], expected, atol=1e-6, rtol=1e-5)
    assert not z[:, expected.shape[1] :].any()
    assert not z[1].any()


def test_what_it_learnt_is_in_the_state_as_tensors(tmp_path: Path) -> None:
    one, other, third = Tfidf(max_features=8), Tfidf(max_features=8), Tfidf(max_features=8)
    one.fit(TEXTS)
    torch.save(one.state_dict(), tmp_path / "state.pth")
    other.fit(["some other words"])
    for part in (other, third):
        part.load_state_dict(torch.load(tmp_path / "state.pth", weights_only=True))
        assert torch.equal(part(TEXTS), one(TEXTS))
    with pytest.raises(RuntimeError, match="idf"):
        Tfidf(max_features=9).load_state_dict(one.state_dict())


def test_it_may_be_fitted_anew() -> None:
    part = Tfidf(max_features=8)
    part.fit(TEXTS)
    part.fit(["cats", "dogs"])
    assert part(["cats and dogs and nods"]).count_nonzero() == 2


def test_unfitted_use_and_texts_without_a_word_are_sentences() -> None:
    with pytest.raises(DataError, match=r"has not seen the training texts; call fit"):
        Tfidf()(["x"])
    for texts in ([], ["", " "], ["a b c"]):
        with pytest.raises(DataError, match=rf"the {len(texts)} training texts hold not one word"):
            Tfidf().fit(texts)


class Encoder(nn.Module):
    """A text encoder by the lengths of texts, to be broken in one way."""

    out_dim = 3

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 3)

    def lengths(self, texts: Sequence[str]) -> torch.Tensor:
        return torch.tensor([[len(text) / 5000, text.count("h") / 500] for text in texts])

    def forward(self, texts: Sequence[str]) -> torch.Tensor:
        return self.layer(self.lengths(texts))


class Neighbours(Encoder):
    def forward(self, texts: Sequence[str]) -> torch.Tensor:
        return super().forward(texts) + self.layer(self.lengths(texts)[:1])


class Narrow(Encoder):
    out_dim = 4


class Deaf(Encoder):
    def forward(self, texts: Sequence[str]) -> torch.Tensor:
        return super().forward(["x" for _ in texts])


class Detached(Encoder):
    def forward(self, texts: Sequence[str]) -> torch.Tensor:
        return super().forward(texts).detach()


class Forgetful(Encoder):
    def fit(self, texts: Sequence[str]) -> None:
        self.seen = len(texts)

    def forward(self, texts: Sequence[str]) -> torch.Tensor:
        return super().forward(texts) * getattr(self, "seen", 1)


class Nowhere(Encoder):
    def forward(self, texts: Sequence[str]) -> torch.Tensor:
        return super().forward(texts) / (self.lengths(texts)[:, :1] > 0)


def test_an_encoder_that_keeps_its_contract_passes() -> None:
    check_part("text_encoder", Encoder().eval())


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (Neighbours, "the order of the texts must change nothing"),
        (Narrow, "out_dim promises"),
        (Deaf, "gives different texts the same vector"),
        (Detached, "2 parameters to train, and its result carries no gradient"),
        (Forgetful, "the state dict must restore it"),
        (Nowhere, "gives NaN or infinity"),
    ],
)
def test_an_encoder_that_breaks_it_is_found(broken: type[Any], says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        check_part("text_encoder", broken().eval())
