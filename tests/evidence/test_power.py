"""What could be detected is known before anything is run, and is what simulation finds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import emoframe
from emoframe.cli.app import build_app
from emoframe.core.errors import DataError
from emoframe.evidence import sizes
from emoframe.evidence.power import detectable, detectable_from, interval_half, power_table
from emoframe.evidence.sizes import Cohort, broken_stick
from emoframe.evidence.stats import NotMeasurableError, accuracy_interval, paired_error
from emoframe.records import Prediction

MIGA = broken_stick(104, 35)


def gaps(
    by: tuple[int, ...], delta: float, discordance: float, icc: float, runs: int
) -> np.ndarray:
    """Differences by item: two items of a subject are copies of one draw with chance icc."""
    generator, group = np.random.default_rng(0), np.repeat(np.arange(len(by)), by)
    share = [(discordance - delta) / 2, 1 - discordance, (discordance + delta) / 2]
    own = generator.choice([-1.0, 0.0, 1.0], (runs, len(group)), p=share)
    shared = generator.choice([-1.0, 0.0, 1.0], (runs, len(by)), p=share)[:, group]
    return np.where(generator.random(own.shape) < np.sqrt(icc), shared, own)


@pytest.mark.parametrize(("discordance", "icc"), [(0.2, 0.0), (0.2, 0.1), (0.3, 0.3)])
@pytest.mark.parametrize("by", [MIGA, (3,) * 35, broken_stick(245, 37)])
def test_the_formula_is_what_simulated_studies_find(
    by: tuple[int, ...], discordance: float, icc: float
) -> None:
    delta = detectable(by, 0.6, discordance, icc)
    found = gaps(by, delta, discordance, icc, 1000)
    sums = np.add.reduceat(found, np.cumsum([0, *by[:-1]]), axis=1)
    signs = np.random.default_rng(1).choice([-1.0, 1.0], (2000, len(by)))
    flipped = np.abs(sums @ signs.T) >= np.abs(sums.sum(1))[:, None] - 1e-9
    assert 0.7 < np.mean((1 + flipped.sum(1)) / 2001 <= 0.05) < 0.88
    subjects = Cohort("", by, "").subjects
    measured = [detectable_from(gap, subjects) for gap in found[:100]]
    assert np.mean(measured) == pytest.approx(delta, rel=0.15)


def test_the_ladder_of_six_videos_could_not_be_detected() -> None:
    assert 104 * detectable(MIGA, 0.63, 0.1) > 6


def test_more_people_more_alike_and_more_seeds_count_as_they_should() -> None:
    base = detectable(MIGA, 0.6)
    assert detectable(broken_stick(208, 70), 0.6) < base
    assert detectable(MIGA, 0.6, icc=0.3) > base
    assert detectable(MIGA, 0.6, discordance=0.1) < base
    assert detectable(MIGA, 0.6, seeds=5) < base
    assert detectable(MIGA, 0.6, seeds=5, repeated=1.0) == base
    assert detectable(MIGA, 0.6, power=0.9) > base


def test_the_measured_one_is_by_the_standard_error_of_the_difference() -> None:
    gap = gaps(MIGA, 0.1, 0.2, 0.1, 1)[0]
    error, clusters, _ = paired_error(gap, Cohort("", MIGA, "").subjects)
    assert 20 < clusters < 35
    found = detectable_from(gap, Cohort("", MIGA, "").subjects)
    assert found == pytest.approx(2.92 * error, rel=0.02)  # t of about 24 degrees of freedom
    assert detectable_from(np.zeros(104)) > 0
    for of, subjects in ((np.ones(1), ["a"]), (np.ones(9), ["a"] * 9), (np.ones(0), None)):
        with pytest.raises(NotMeasurableError):
            detectable_from(of, subjects)


def test_what_cannot_be_is_a_sentence() -> None:
    with pytest.raises(NotMeasurableError, match="two subjects at least, not 1"):
        detectable([20], 0.7)
    with pytest.raises(NotMeasurableError, match="is at most 10.0"):
        detectable([4] * 5, 0.7, 0.1)
    with pytest.raises(NotMeasurableError, match="differs in at most 10% of the items"):
        detectable(MIGA, 0.95, 0.2)
    with pytest.raises(DataError, match=r"icc: must be in \[0, 1\], got 2"):
        detectable(MIGA, 0.7, icc=2)
    with pytest.raises(DataError, match="at least one seed"):
        detectable(MIGA, 0.7, seeds=0)
    with pytest.raises(DataError, match="no items"):
        power_table([])


def test_the_width_of_the_interval_is_what_intervals_have() -> None:
    generator = np.random.default_rng(0)
    subjects = Cohort("", MIGA, "").subjects
    skill = generator.beta(0.7 * 9, 0.3 * 9, (300, 35)).repeat(MIGA, 1)  # icc 0.1
    right = (generator.random(skill.shape) < skill).astype(float)
    widths = [one.high - one.low for one in (accuracy_interval(r, subjects) for r in right)]
    assert np.mean(widths) / 2 == pytest.approx(interval_half(MIGA, 0.7, 0.1), rel=0.05)


def test_a_stick_breaks_into_all_items() -> None:
    for items, subjects in ((104, 35), (255, 37), (7, 7), (1000, 3), (5, 1)):
        parts = broken_stick(items, subjects)
        assert sum(parts) == items and len(parts) == subjects and min(parts) >= 1
        assert list(parts) == sorted(parts, reverse=True)
    for items, subjects in ((3, 4), (3, 0)):
        with pytest.raises(DataError, match="each has at least one"):
            broken_stick(items, subjects)


def test_every_shipped_protocol_has_the_published_numbers() -> None:
    found = {
        name: [(one.items, len(one.sizes)) for one in sizes.of_protocol(name)]
        for name in sizes.names()
    }
    assert found["miga_emotion"] == [(255, 37), (104, 35)]
    assert found["micro_gesture"] == [(13936, 37), (4563, 35)]
    assert found["subject_fold"][0] == (359, 72)
    assert [items for items, _ in found["cvpr2021_emotion"]] == [102, 100]
    assert all("assumed" in one.source for name in found for one in sizes.of_protocol(name))
    with pytest.raises(DataError, match="no shipped protocol; there are cvpr2021_emotion"):
        sizes.of_protocol("mega")


def test_subjects_are_counted_where_they_are_known() -> None:
    items = [Prediction(f"i{n}", np.array([0.5, 0.5]), 0, "ab"[n > 2]) for n in range(5)]
    assert sizes.counted("val", items) == Cohort("val", (3, 2), "counted")
    unknown = sizes.counted("val", [*items, Prediction("x", np.array([0.5, 0.5]), 0)])
    assert unknown.sizes == (1,) * 6 and "unknown" in unknown.source


def test_a_data_set_is_judged_out_of_fold_and_on_test() -> None:
    dataset = emoframe.build("dataset", "planted", train=24, test=6, videos_per_subject=2)
    found = {one.name: one.sizes for one in sizes.of_dataset(dataset)}
    assert found == {"train, out of fold": (2,) * 12, "test": (2,) * 3}


def test_the_command_prints_protocols_configs_and_runs(finished: Path) -> None:
    def rows(*args: str) -> list[dict[str, object]]:
        done = CliRunner().invoke(build_app(), ["power", *args, "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    miga = rows("miga_emotion")
    assert [row["items"] for row in miga] == [255] * 3 + [104] * 3
    assert [row["discordant (assumed)"] for row in miga[:3]] == [0.1, 0.2, 0.3]
    assert miga[3]["videos"] == 11 and "points" in str(miga[3]["detectable"])
    assert rows("imigue:miga_emotion") == miga
    of_config = rows("quickstart", "dataset.train=24", "dataset.test=6", "--seeds", "3")
    assert {row["judged on"] for row in of_config} == {"train, out of fold", "test"}
    assert rows(str(finished))[0]["subjects"]


def test_a_table_says_by_what_it_comes_about() -> None:
    table = power_table([Cohort("test", (20, 20), "counted")], seeds=3)
    assert "70% of the items" in table.attrs["caption"]
    assert "3 seeds" in table.attrs["caption"]
    assert "fewer than six subjects" in table.attrs["caption"]
    assert str(table.iloc[0]["detectable"]).startswith("none: ")
