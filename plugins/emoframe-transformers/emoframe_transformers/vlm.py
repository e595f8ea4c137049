"""The labeler `transformers_vlm`: a model of the Qwen-VL family on this machine.

Decided here: nothing leaves the machine, and no code of a checkpoint is run; the model is greedy
unless a temperature is given, and then sampling is a function of seed, clip, prompt and sample
alone, not of the order of calls; it samples from all tokens, since Qwen's own settings leave one
(`top_k: 1`) and all answers would be the same; one call at a time, because a call fills the device
by itself, and two would need the memory of two without being faster.
"""

from __future__ import annotations

import hashlib
import importlib
import math
import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Le

from emoframe import ComponentError, file_hash
from emoframe.labelling import CallError, Finish, Reply, Usage
from emoframe_transformers.checkpoint import Checkpoint, Precision
from emoframe_transformers.hub import library
from emoframe_transformers.talk import Send, most_tokens, talk

if TYPE_CHECKING:
    from emoframe.labelling import Clip, Question
    from emoframe.records import Frames

PART = "vlm_labeler transformers_vlm"
CLASSES = {
    "qwen2_vl": "Qwen2VLForConditionalGeneration",
    "qwen2_5_vl": "Qwen2_5_VLForConditionalGeneration",
    "qwen3_vl": "Qwen3VLForConditionalGeneration",
    "qwen3_vl_moe": "Qwen3VLMoeForConditionalGeneration",
}
TOKENIZER = "tokenizer.json"
OF_PROCESSOR = (
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja",
    "chat_template.json", "preprocessor_config.json", "video_preprocessor_config.json",
    "processor_config.json", "generation_config.json",
)  # fmt: skip
"""Files that decide how words and pictures become numbers; a checkpoint has some of them."""
END_OF_THOUGHT = "</think>"


class VlmCheckpoint(Checkpoint):
    """A checkpoint with what turns words and pictures into numbers."""

    def fingerprint(self) -> dict[str, str]:
        """Return the sha256 of each file that decides what the model says.

        Raises:
            ComponentError: A file is not here and cannot be downloaded.
        """
        return super().fingerprint() | {file.name: file_hash(file) for file in self._processing()}

    def processing(self) -> Any:
        """Load the processor of words and pictures.

        Raises:
            ComponentError: Its files are not here, or cannot be used.
        """
        folder = self._processing()[0].parent
        made = self.attempt(
            lambda: library().AutoProcessor.from_pretrained(folder, local_files_only=True)
        )
        if not getattr(made, "chat_template", None):
            raise ComponentError(
                f"{self.part}: the weights {self.files.weights!r} have no chat template, which "
                "says how a question is put; take a model that was trained to follow instructions, "
                "mostly called ...-Instruct, with all of its files"
            )
        return made

    def _processing(self) -> list[Path]:
        """Return the files of the processor, fetched if need be."""
        found = [self.files.find(TOKENIZER)]
        for name in OF_PROCESSOR:
            try:
                file = self.files.look_for(name)
            except ComponentError:  # no hub is reached, and most checkpoints lack some of these
                continue
            found += [file] if file else []
        return found


class TransformersVlm:
    """Asks a model of the Qwen-VL family on this machine: Qwen2-VL, Qwen2.5-VL or Qwen3-VL.

    A clip is shown as pictures, each after its time in words, or as a video with the times of its
    pictures in the model's own way: Qwen3-VL reads them as words, Qwen2.5-VL as positions.

    Source: https://arxiv.org/abs/2502.13923 (Qwen2.5-VL), https://arxiv.org/abs/2511.21631.

    Args:
        weights: Folder of a checkpoint, or published name.
        send: What is shown: `frames`, single pictures, or a `video` of them, which takes half the
            tokens and shows movement.
        frames: Most pictures.
        fps: Pictures per second of the clip, at most `frames`; null takes `frames` of any clip.
        side: Longest side of a picture in pixels; a token is 28 or 32 pixels wide.
        max_output_tokens: Most tokens of an answer.
        temperature: 0 takes the likeliest token each time; above, answers differ by sample.
        top_p: Share of the likeliest tokens that are sampled from.
        seed: Of the sampling.
        precision: Number format of the computation.
        device: Where it computes: `cpu`, `cuda:0`, ...
    """

    not_in_key = ("weights",)

    uploads = False
    simulated = False
    reads_keypoints = False
    reads_video = True
    model = ""

    def __init__(
        self,
        *,
        weights: str = "Qwen/Qwen2.5-VL-7B-Instruct",
        send: Send = "frames",
        frames: Annotated[int, Ge(1)] = 32,
        fps: Annotated[float, Gt(0)] | None = None,
        side: Annotated[int, Ge(56)] = 640,
        max_output_tokens: Annotated[int, Ge(1)] = 4096,
        temperature: Annotated[float, Ge(0), Le(2)] = 0.0,
        top_p: Annotated[float, Gt(0), Le(1)] = 1.0,
        seed: int = 0,
        precision: Precision = "bfloat16",
        device: str = "cpu",
    ) -> None:
        self.weights = weights
        self.send: Send = send
        self.frames, self.fps, self.side = frames, fps, side
        self.max_output_tokens = max_output_tokens
        self.temperature, self.top_p, self.seed = temperature, top_p, seed
        self.precision: Precision = precision
        self.device = device
        self.checkpoint = VlmCheckpoint(PART, weights, CLASSES)
        self._lock = threading.Lock()

    def ask(self, question: Question) -> Reply:
        """Put one question; one thread at a time.

        Raises:
            CallError: The clip is too long for the model, or needs more memory than there is.
            ComponentError: The weights are not here or cannot be used.
        """
        shown = question.clip.frames(self._count(question.clip))
        with self._lock:
            model, processor = self._loaded
            inputs = self._inputs(processor, question, shown)
            self._fits(inputs["input_ids"].shape[1])
            try:
                return self._answer(model, processor, inputs, _seed(self.seed, question))
            except (RuntimeError, MemoryError) as error:
                if "memory" not in f"{type(error).__name__} {error}".lower():
                    raise
                error.__traceback__ = None  # it holds on to what filled the memory
        importlib.import_module("torch").cuda.empty_cache()
        raise CallError(
            f"{PART}: {len(shown)} pictures of at most {self.side} pixels and an answer of "
            f"{self.max_output_tokens} tokens need more memory than {self.device!r} has free; give "
            "fewer frames, a smaller side, a smaller model or a lower precision"
        )

    def tokens(self, question: Question) -> Usage:
        """Return the most tokens that the question can cost, without loading anything."""
        one = question.prompt.show.frames == "one"
        count = 1 if one else self._count(question.clip)
        return Usage(most_tokens(question, count, self.side), self.max_output_tokens)

    def fingerprint(self) -> dict[str, str]:
        """Return the sha256 of each file of the weights, fetched if need be.

        Raises:
            ComponentError: A file is not here and cannot be downloaded.
        """
        return self.checkpoint.fingerprint()

    def close(self) -> None:
        """Give the memory of the model back; it is loaded anew when it is asked again."""
        with self._lock:
            if self.__dict__.pop("_loaded", None):
                importlib.import_module("torch").cuda.empty_cache()

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        processor = self.checkpoint.processing()
        return self.checkpoint.load(self.precision, self.device), processor

    def _count(self, clip: Clip) -> int:
        if self.fps is None:
            return self.frames
        return min(self.frames, max(1, math.ceil(clip.duration_s * self.fps)))

    def _inputs(self, processor: Any, question: Question, shown: Frames) -> Any:
        """Turn a question into numbers, in the model's own form of a talk."""
        messages, settings = talk(question, shown, self.side, self.send)
        return processor.apply_chat_template(
            messages,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs=settings,
        ).to(self.device)

    def _fits(self, length: int) -> None:
        most = self.checkpoint.config.get_text_config().max_position_embeddings
        if length + self.max_output_tokens > most:
            raise CallError(
                f"{PART}: the question takes {length} tokens and its answer up to "
                f"{self.max_output_tokens}, and the model {most} in all; give fewer frames, a "
                "smaller side or a smaller max_output_tokens",
                status="refused",
            )

    def _answer(self, model: Any, processor: Any, inputs: Any, seed: int) -> Reply:
        torch = importlib.import_module("torch")
        sampling: dict[str, Any] = {"do_sample": False}
        if self.temperature > 0:
            sampling = {"do_sample": True, "temperature": self.temperature}
            sampling |= {"top_p": self.top_p, "top_k": 0}
        cuda = [torch.device(self.device)] if self.device.startswith("cuda") else []
        with torch.inference_mode(), torch.random.fork_rng(cuda):
            torch.manual_seed(seed)
            tokens = model.generate(**inputs, max_new_tokens=self.max_output_tokens, **sampling)[0]
        asked = inputs["input_ids"].shape[1]
        answer = tokens[asked:].tolist()
        ends = model.generation_config.eos_token_id
        ended = bool(answer) and answer[-1] in (ends if isinstance(ends, list) else [ends])
        written = processor.tokenizer.decode(answer, skip_special_tokens=True)
        thoughts, _, text = written.rpartition(END_OF_THOUGHT)
        finish: Finish = "length" if not ended else "stop" if text.strip() else "empty"
        return Reply(
            text,
            finish,
            "" if ended else "max_output_tokens",
            Usage(asked, len(answer)),
            Path(self.weights).name if Path(self.weights).is_dir() else self.weights,
            thoughts=thoughts.removeprefix("<think>").strip(),
        )


def _seed(seed: int, question: Question) -> int:
    """Mix what tells an answer from all others into one number."""
    told = f"{seed} {question.clip.key} {question.prompt.hash} {question.sample}"
    return int.from_bytes(hashlib.sha256(told.encode()).digest()[:7])
