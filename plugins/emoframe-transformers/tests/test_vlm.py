"""What `transformers_vlm` promises: pictures, times and words reach the model; nothing leaves.

The models are of the real classes, tiny and never trained, with a tokenizer made on the spot:
what they write is noise, and what they are given can be read back.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from emoframe_transformers.hub import library
from emoframe_transformers.vlm import TransformersVlm

from emoframe.core.errors import ComponentError
from emoframe.label import label
from emoframe.labelling import CallError, Clip, Prompt, Question, Show
from emoframe.perception.mp4 import encode
from emoframe.records import Frames
from emoframe.testing import check_component, check_part
from emoframe.weak_labels.answers.parse import parse
from emoframe.weak_labels.prompt import build_prompt
from emoframe.weak_labels.settings import WeakLabels

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif c['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% else %}{{ c['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = (
    "<|im_start|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
KINDS = ("qwen2_5_vl", "qwen3_vl")
SCHEMA = {"type": "object", "properties": {"mood": {"type": "string"}}}
PROMPT = Prompt("p", "You look closely.", "What do you see?", SCHEMA, ("win", "loss"))
Weights = Callable[..., str]


def tokenizer() -> Any:
    """Make a tokenizer of Qwen's class that knows all bytes, and some words of a prompt."""
    from tokenizers import pre_tokenizers

    bytewise = {char: n for n, char in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    made = library().Qwen2TokenizerFast(
        vocab=bytewise, merges=[], eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    prompt = build_prompt(WeakLabels(), ("win", "loss"))
    made = made.train_new_from_iterator([prompt.system, prompt.text], 700, show_progress=False)
    made.add_special_tokens({"additional_special_tokens": [*SPECIAL]})
    return made


def tiny(kind: str, length: int) -> tuple[Any, Any]:
    """Make a model and its processor."""
    import torch

    tf, words = library(), tokenizer()
    number = words.convert_tokens_to_ids
    ends = {"eos_token_id": number("<|im_end|>"), "pad_token_id": number("<|endoftext|>")}
    text: dict[str, Any] = {
        "vocab_size": len(words), "hidden_size": 32, "intermediate_size": 32,
        "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
        "max_position_embeddings": length, **ends,
        "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e4},
    }  # fmt: skip
    vision = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2,
        "out_hidden_size": 32,
    }  # fmt: skip
    shared = {
        "image_token_id": number("<|image_pad|>"),
        "video_token_id": number("<|video_pad|>"),
        "vision_start_token_id": number("<|vision_start|>"),
    }
    torch.manual_seed(0)
    if kind == "qwen2_5_vl":
        vision["fullatt_block_indexes"] = [1]
        config = tf.Qwen2_5_VLConfig(
            text_config=text, vision_config=vision, tie_word_embeddings=True, **shared
        )
        model = tf.Qwen2_5_VLForConditionalGeneration(config)
        parts = tf.Qwen2VLImageProcessor(), words, tf.Qwen2VLVideoProcessor()
        processor = tf.Qwen2_5_VLProcessor(*parts, chat_template=TEMPLATE)
    else:
        text |= {
            "head_dim": 16,
            "rope_parameters": text["rope_parameters"] | {"mrope_interleaved": True},
        }
        vision |= {"deepstack_visual_indexes": [0], "num_position_embeddings": 64}
        shared["vision_end_token_id"] = number("<|vision_end|>")
        config = tf.Qwen3VLConfig(text_config=text, vision_config=vision, **shared)
        model = tf.Qwen3VLForConditionalGeneration(config)
        pixels = {"shortest_edge": 65536, "longest_edge": 16777216}  # as published
        parts = (
            tf.Qwen2VLImageProcessor(patch_size=16, size=pixels),
            words,
            tf.Qwen3VLVideoProcessor(),
        )
        processor = tf.Qwen3VLProcessor(*parts, chat_template=TEMPLATE)
    model.generation_config.update(**ends, do_sample=True, temperature=0.01, top_k=1, top_p=0.001)
    return model, processor


@pytest.fixture(scope="module")
def vlm(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """Folder of a tiny model, made when it is first asked for."""
    folders: dict[tuple[str, int, str], Path] = {}

    def folder(kind: str = "qwen3_vl", length: int = 8192, shard: str = "5GB") -> str:
        key = kind, length, shard
        if key not in folders:
            folders[key] = tmp_path_factory.mktemp(kind)
            model, processor = tiny(kind, length)
            model.save_pretrained(folders[key], max_shard_size=shard)
            processor.save_pretrained(folders[key])
        return str(folders[key])

    return folder


def clip(count: int = 20, size: tuple[int, int] = (96, 72), at: np.ndarray | None = None) -> Clip:
    """Make a clip of 5 fps; each picture is brighter than the one before."""
    rgb = np.stack([np.full((size[1], size[0], 3), 12 * n, np.uint8) for n in range(count)])
    time_s = np.arange(count) / 5 if at is None else at

    def frames(most: int) -> Frames:
        chosen = np.linspace(0, count - 1, min(most, count)).round().astype(int)
        return Frames(rgb[chosen], time_s[chosen], chosen)

    return Clip("a" * 64, None, float(time_s[-1]) + 0.2, 5.0, size, frames)


def labeler(weights: str, **params: Any) -> TransformersVlm:
    return TransformersVlm(
        **{
            "weights": weights,
            "frames": 6,
            "precision": "float32",
            "max_output_tokens": 8,
            **params,
        }
    )


def given(part: TransformersVlm, question: Question) -> tuple[str, dict[str, Any]]:
    """Ask, and return what the model was given: the words, vision tokens counted, and the rest."""
    model, processor = part._loaded
    seen: dict[str, Any] = {}
    generate = model.generate

    def spy(**kwargs: Any) -> Any:
        seen.update(kwargs)
        return generate(**kwargs)

    model.generate = spy
    part.ask(question)
    model.generate = generate
    text = processor.tokenizer.decode(seen["input_ids"][0])
    return re.sub(r"(<\|(?:image|video)_pad\|>)+", lambda m: f"[{m[0].count('pad')}]", text), seen


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_times_and_words_reach_the_model_in_order(vlm: Weights, kind: str) -> None:
    text, seen = given(labeler(vlm(kind)), Question(clip(), PROMPT))
    tokens = [int(grid.prod()) // 4 for grid in seen["image_grid_thw"]]
    assert len(tokens) == 6
    assert [int(n) for n in re.findall(r"\[(\d+)]", text)] == tokens
    times = re.findall(r"Picture (\d) of 6, at (\S+) s:\n<\|vision_start\|>\[", text)
    assert times == [
        (str(n + 1), t) for n, t in enumerate(("0.00", "0.80", "1.60", "2.20", "3.00", "3.80"))
    ]
    assert text.startswith("<|im_start|>system\nYou look closely.<|im_end|>\n<|im_start|>user\n")
    assert "6 pictures out of a silent video of 4.00 seconds" in text
    assert text.endswith("\nWhat do you see?<|im_end|>\n<|im_start|>assistant\n")
    light = [float(p.mean()) for p in seen["pixel_values"].split([4 * n for n in tokens])]
    assert light == sorted(light)
    assert len(set(light)) == 6


@pytest.mark.parametrize("uneven", [False, True])
def test_a_video_has_its_true_times_for_qwen3(vlm: Weights, uneven: bool) -> None:
    at = np.array([0, 0.5, 1, 4, 7.5, 9]) if uneven else np.arange(6) / 5
    text, seen = given(labeler(vlm("qwen3_vl"), send="video"), Question(clip(6, at=at), PROMPT))
    told = [float(time_s) for time_s in re.findall(r"<([\d.]+) seconds>", text)]
    assert told == pytest.approx(at.reshape(3, 2).mean(1), abs=0.051)
    grid = seen["video_grid_thw"][0]
    assert grid[0] == 3
    assert [int(n) for n in re.findall(r"\[(\d+)]", text)] == [int(grid[1:].prod()) // 4] * 3


@pytest.mark.parametrize("count", [6, 5])
def test_a_video_has_its_true_pace_for_qwen2(vlm: Weights, count: int) -> None:
    part = labeler(vlm("qwen2_5_vl"), send="video", frames=count)
    text, seen = given(part, Question(clip(), PROMPT))
    assert seen["second_per_grid_ts"].tolist() == pytest.approx([2 * 4.0 / count])
    tokens = int(seen["video_grid_thw"][0].prod()) // 4
    assert f"<|vision_start|>[{tokens}]<|vision_end|>" in text


@pytest.mark.parametrize("kind", KINDS)
def test_a_video_of_one_picture_is_a_picture(vlm: Weights, kind: str) -> None:
    text, _ = given(labeler(vlm(kind), send="video", frames=1), Question(clip(), PROMPT))
    assert "Picture 1 of 1, at 0.00 s" in text


def test_pictures_per_second_are_taken_up_to_a_limit(vlm: Weights) -> None:
    for fps, most, pictures in ((0.5, 6, 2), (3.0, 6, 6), (0.01, 6, 1), (1.1, 6, 5)):
        part = labeler(vlm(), fps=fps, frames=most)
        text, _ = given(part, Question(clip(), PROMPT))
        assert text.count("Picture ") == pictures


def test_pictures_are_scaled_down_to_the_side(vlm: Weights) -> None:
    wide = Question(clip(3, (512, 256)), PROMPT)
    _, large = given(labeler(vlm(), side=512), wide)
    _, small = given(labeler(vlm(), side=384), wide)
    assert large["image_grid_thw"][0].tolist() == [1, 16, 32]
    assert small["image_grid_thw"][0].tolist() == [1, 12, 24]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("send", ["frames", "video"])
def test_it_keeps_the_contract_of_its_kind(vlm: Weights, kind: str, send: str) -> None:
    check_component("vlm_labeler", "transformers_vlm")
    check_part("vlm_labeler", labeler(vlm(kind, 40000), send=send))


@pytest.mark.parametrize("kind", KINDS)
def test_what_an_untrained_model_writes_is_kept_and_unparsable(vlm: Weights, kind: str) -> None:
    part = labeler(vlm(kind))
    reply = part.ask(Question(clip(), PROMPT))
    assert reply.text
    assert (reply.finish, reply.reason) == ("length", "max_output_tokens")
    assert reply.usage.output == 8
    assert reply.model == Path(vlm(kind)).name
    status, reason, label = parse(reply, PROMPT, 4.0)
    assert (status, label) == ("unparsable", None)
    assert reason
    assert not part.uploads
    assert not part.model


def test_an_answer_that_ends_by_itself_has_stopped(vlm: Weights) -> None:
    part, question = labeler(vlm(), max_output_tokens=1), Question(clip(), PROMPT)
    model, processor = part._loaded
    first = processor.tokenizer.encode(part.ask(question).text)[0]
    model.generation_config.eos_token_id = [first]
    part.max_output_tokens = 8
    reply = part.ask(question)
    assert (reply.usage.output, reply.reason) == (1, "")
    assert reply.finish in ("stop", "empty")


def test_a_thought_is_no_part_of_the_answer(vlm: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    part = labeler(vlm())
    words = part._loaded[1].tokenizer
    monkeypatch.setattr(words, "decode", lambda *_, **__: "<think>\nso {}\n</think>\n\n{}")
    reply = part.ask(Question(clip(), PROMPT))
    assert (reply.text.strip(), reply.thoughts) == ("{}", "so {}")


def test_a_greedy_answer_is_the_same_each_time(vlm: Weights) -> None:
    question = Question(clip(), PROMPT)
    one, other = labeler(vlm()), labeler(vlm())
    first = one.ask(question)
    assert one.ask(question) == first
    assert other.ask(replace(question, sample=3)) == first


def test_samples_differ_and_each_comes_again_in_any_order(vlm: Weights) -> None:
    import torch

    questions = [Question(clip(), PROMPT, sample) for sample in range(3)]
    one, other = (labeler(vlm(), temperature=1.0) for _ in range(2))
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    texts = [one.ask(question).text for question in questions]
    assert torch.equal(torch.rand(1), expected)  # nobody else's randomness is touched
    assert len(set(texts)) == 3
    assert [other.ask(question).text for question in reversed(questions)] == texts[::-1]
    assert labeler(vlm(), temperature=1.0, seed=1).ask(questions[0]).text != texts[0]


def test_nothing_is_asked_of_any_network(vlm: Weights, no_network: list[object]) -> None:
    for kind in KINDS:
        part = labeler(vlm(kind))
        assert part.fingerprint()
        assert part.ask(Question(clip(), PROMPT)).text
    assert not no_network


def test_one_call_at_a_time(vlm: Weights) -> None:
    part, now, most = labeler(vlm()), 0, 0
    model, lock = part._loaded[0], threading.Lock()
    generate = model.generate

    def spy(**kwargs: Any) -> Any:
        nonlocal now, most
        with lock:
            now, most = now + 1, max(most, now + 1)
        try:
            return generate(**kwargs)
        finally:
            with lock:
                now -= 1

    model.generate = spy
    with ThreadPoolExecutor(4) as pool:
        texts = list(pool.map(lambda _: part.ask(Question(clip(), PROMPT)).text, range(4)))
    assert most == 1
    assert len(set(texts)) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("send", ["frames", "video"])
@pytest.mark.parametrize("size", [(96, 72), (400, 30), (320, 240)])
def test_a_question_costs_at_most_what_was_said(
    vlm: Weights, kind: str, send: str, size: tuple[int, int]
) -> None:
    part = labeler(vlm(kind), send=send, max_output_tokens=1)
    question = Question(clip(6, size), PROMPT)
    bound, usage = part.tokens(question), part.ask(question).usage
    assert usage.input <= bound.input
    one = replace(question, prompt=replace(PROMPT, show=Show(frames="one")))
    assert part.tokens(one).input < bound.input


def test_what_is_too_long_is_refused_before_it_is_computed(vlm: Weights) -> None:
    with pytest.raises(CallError, match="give fewer frames") as caught:
        labeler(vlm(length=256)).ask(Question(clip(), PROMPT))
    assert (caught.value.status, caught.value.retry) == ("refused", False)


@pytest.mark.parametrize("memory", ["cuda", "cpu"])
def test_too_little_memory_is_a_sentence(vlm: Weights, memory: str) -> None:
    import torch

    part = labeler(vlm())
    model = part._loaded[0]
    generate, error = model.generate, torch.OutOfMemoryError("CUDA out of memory. Tried ...")
    if memory == "cpu":
        error = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")

    def full(**_: Any) -> Any:
        raise error

    model.generate = full
    with pytest.raises(CallError, match="6 pictures .* need more memory than 'cpu' has free"):
        part.ask(Question(clip(), PROMPT))
    model.generate = generate
    assert part.ask(Question(clip(), PROMPT)).text


def test_weights_in_several_files_are_one_model(vlm: Weights, tmp_path: Path) -> None:
    whole, split = vlm(), vlm(shard="40KB")
    question = Question(clip(), PROMPT)
    assert not Path(split, "model.safetensors").exists()
    assert labeler(split).ask(question).text == labeler(whole).ask(question).text
    found = labeler(split).fingerprint()
    parts = sorted(path.name for path in Path(split).glob("model-*.safetensors"))
    assert len(parts) > 1
    assert set(parts) <= set(found)
    assert {"config.json", "tokenizer.json", "chat_template.jinja"} <= set(found)


def test_a_checkpoint_that_lacks_something_is_a_sentence(vlm: Weights, tmp_path: Path) -> None:
    split = vlm(shard="40KB")
    part = next(path.name for path in Path(split).glob("model-*.safetensors"))
    for lacking, said in (
        (part, f"no {part}"),
        ("tokenizer.json", "no tokenizer.json"),
        ("chat_template.jinja", "no chat template"),
        ("config.json", "no config.json"),
        ("processor_config.json", "cannot be used"),
    ):
        folder = tmp_path / lacking
        shutil.copytree(split, folder)
        (folder / lacking).unlink()
        with pytest.raises(ComponentError, match=said) as caught:
            labeler(str(folder)).ask(Question(clip(), PROMPT))
        assert "vlm_labeler transformers_vlm" in str(caught.value)


def test_an_index_that_leads_out_of_its_folder_is_refused(vlm: Weights, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    shutil.copytree(vlm(shard="40KB"), folder)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"w": "../../secret.safetensors"}}))
    with pytest.raises(ComponentError, match="which is no file's name"):
        labeler(str(folder)).fingerprint()


def test_a_model_of_another_family_is_a_sentence(weights: Callable[[str], str]) -> None:
    with pytest.raises(ComponentError, match="of type 'clip'; it takes 'qwen2_vl' or"):
        labeler(weights("clip")).checkpoint.load("float32", "cpu")


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_it_works_in_half_precision(vlm: Weights, precision: str) -> None:
    import torch

    part = labeler(vlm(), precision=precision)
    assert part.ask(Question(clip(), PROMPT)).text
    assert part._loaded[0].dtype == getattr(torch, precision)


def test_a_store_of_labels_is_made_without_any_network(
    vlm: Weights, tmp_path: Path, no_network: list[object]
) -> None:
    rows = ["video,label,split,subject"]
    for n in range(3):
        pictures = [(np.full((48, 64, 3), 60 * n + t, np.uint8), t / 5) for t in range(5)]
        encode(pictures, tmp_path / f"{n}.mp4")
        rows.append(f"{n}.mp4,{('win', 'loss')[n % 2]},train,s{n}")
    (tmp_path / "videos.csv").write_text("\n".join(rows))
    node = {"type": "transformers_vlm", "frames": 2, "max_output_tokens": 4}
    statuses: list[dict[str, int]] = []
    for weights in (vlm(length=40000), str(shutil.copytree(vlm(length=40000), tmp_path / "w"))):
        config = {
            "dataset": {"type": "manifest", "path": str(tmp_path / "videos.csv")},
            "weak_labels": {
                "store": str(tmp_path / "labels.sqlite"),
                "vlm_labeler": node | {"weights": weights, "precision": "float32"},
            },
        }
        (tmp_path / "label.yaml").write_text(json.dumps(config))
        found = label(tmp_path / "label.yaml")
        statuses.append(dict(found.statuses))
    assert statuses == [{"unparsable": 3}] * 2
    assert found.summary.calls == 0  # the same weights elsewhere give the answers that are there
    assert not no_network


def test_its_memory_is_given_back(vlm: Weights) -> None:
    part = labeler(vlm())
    first = part.ask(Question(clip(), PROMPT))
    part.close()
    assert "_loaded" not in vars(part)
    part.close()
    assert part.ask(Question(clip(), PROMPT)) == first
