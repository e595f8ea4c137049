"""The inputs of a planted item, each generated when somebody asks for it and not before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, overload

from emoframe.records import Features, Input, Keypoints


@dataclass(frozen=True)
class PlantedInputs(Mapping[str, Input]):
    """Inputs by name; nothing is kept, so that asking twice generates twice.

    Attributes:
        keypoints: Generates the keypoints.
        frames: Generates the frame features.
        text: Generates the rationale.
    """

    keypoints: Callable[[], Keypoints]
    frames: Callable[[], Features]
    text: Callable[[], str]

    @overload
    def __getitem__(self, name: Literal["keypoints"], /) -> Keypoints: ...
    @overload
    def __getitem__(self, name: Literal["frames"], /) -> Features: ...
    @overload
    def __getitem__(self, name: Literal["text"], /) -> str: ...
    @overload
    def __getitem__(self, name: str, /) -> Input: ...
    def __getitem__(self, name: str, /) -> Input:
        return vars(self)[name]()

    def __contains__(self, name: object) -> bool:
        """Whether there is such an input, without generating it."""
        return name in vars(self)

    def __iter__(self) -> Iterator[str]:
        return iter(vars(self))

    def __len__(self) -> int:
        """Number of inputs."""
        return len(vars(self))
