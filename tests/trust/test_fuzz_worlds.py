"""Whatever is in a file of objects: a world of finite numbers, or one sentence."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from agents.errors import InputError
from agents.instances import FORMAT, VERSION
from agents.world import World, table
from tests.experiments.small import objects
from tests.trust.malformed import (
    DAMAGES,
    TURNS,
    Arrays,
    Turn,
    accepted,
    amounts,
    as_npz,
    damaged,
    go_through,
    mostly_archives,
    turned,
)

N, D = 40, 6
FEATURES = objects(N, D)
FRAME = pd.DataFrame(FEATURES.round(3), columns=[f"size{i}" for i in range(D)]).assign(
    label=["owl", "cat"] * (N // 2), image_ids=np.arange(N) // 2
)
CSV = FRAME.to_csv(index=False).encode()

PLAIN: Arrays = {
    "features": FEATURES,
    "feature_names": np.array([f"size{i}" for i in range(D)]),
    "labels": np.arange(N) % 2,
    "category_names": np.array(["owl", "cat"]),
    "image_ids": np.arange(N) // 2,
    "embedding": objects(N, 4)[:, ::-1].copy(),
}

FOUND: Arrays = {
    "features": FEATURES.astype(np.float32),
    "labels": np.arange(N) % 2,
    "category_names": np.array(["owl", "cat"]),
    "image_ids": np.arange(N) // 2,
    "object_ids": np.arange(N) + 100,
    "boxes": np.tile(np.array([1, 2, 30, 40], dtype=np.float32), (N, 1)),
    "thumbnails": np.zeros((N, 4, 4, 3), dtype=np.uint8),
    "source": np.array(json.dumps({"format": FORMAT, "version": VERSION, "preset": "mini"})),
}


def check_world(path: Path, written: bytes) -> World | None:
    path.write_bytes(written)
    world = accepted(lambda: table(path, seed=0, probe=10), InputError)
    if world is None:
        return None
    n, d = world.features.shape
    assert world.features.dtype == np.float32
    assert np.isfinite(world.features).all()
    assert world.features[world.train].any()
    assert np.isfinite(world.mean).all()
    assert np.isfinite(world.scale).all()
    assert (world.scale > 0).all()
    np.testing.assert_allclose(world.features[world.train].mean(axis=0), 0, atol=1e-4)
    assert sorted([*world.train, *world.held_out]) == list(range(n))
    assert np.isin(world.probe, world.train).all()
    assert len(world.feature_names) == d
    if world.labels is not None:
        assert world.labels.shape == (n,)
        assert ((world.labels >= 0) & (world.labels < len(world.label_names))).all()
    if world.groups is not None:
        assert not set(world.groups[world.train]) & set(world.groups[world.held_out])
    if world.embedding is not None:
        assert len(world.embedding) == n
        assert np.isfinite(world.embedding).all()
    if world.instances is not None:
        assert len(set(world.instances.object_ids.tolist())) == n
        assert np.isfinite(world.instances.boxes).all()
    return world


@amounts()
def test_a_csv_table_is_a_world_or_one_sentence(cases: int, tmp_path: Path) -> None:
    path = tmp_path / "world.csv"
    assert check_world(path, CSV) is not None
    cells = CSV.decode().splitlines()

    def told(where: int, scrap: str, twice: bool) -> bytes:
        """A table with another value in one cell, or one row's instead of another's."""
        rows = [line.split(",") for line in cells]
        row = rows[where % len(rows)]
        row[where // 7 % len(row)] = scrap
        return "\n".join(",".join(row) for row in (rows + rows[-3:] if twice else rows)).encode("utf-8", "replace")

    odd = st.sampled_from(
        ["", " ", "nan", "inf", "-1e999", "1e300", "1e-320", "0x10", "1_0", "True", "NA", "x", '"', "٣"]
    )
    damages = DAMAGES.map(lambda damages: damaged(CSV, damages))
    ways = st.one_of(
        damages, damages, st.builds(told, st.integers(0, 10_000), odd | st.text(max_size=6), st.booleans()),
        TURNS.map(lambda turns: as_table(turns).to_csv(index=False).encode("utf-8", "replace")),
        st.binary(max_size=300),
        st.text(alphabet='a1,.-\n"; e', max_size=200).map(str.encode),
    )  # fmt: skip
    go_through(ways, lambda written: check_world(path, written), cases)


def as_table(turns: list[Turn]) -> pd.DataFrame:
    """A table to whose columns things are done."""
    columns: dict[str, Any] = {}
    for name, column in turned({str(name): FRAME[name].to_numpy() for name in FRAME}, turns).items():
        flat = column.reshape(-1)
        flat = flat.astype(flat.dtype.newbyteorder("="))  # pandas has no other
        columns[name] = pd.Series(flat.tolist() if flat.dtype.kind in "Vc" else flat).iloc[:N]
    return pd.DataFrame(columns)


def as_parquet(turns: list[Turn]) -> bytes:
    buffer = io.BytesIO()
    try:
        as_table(turns).to_parquet(buffer)
    except (ValueError, TypeError, NotImplementedError):  # what cannot be written cannot be read
        return b""
    return buffer.getvalue()


@amounts()
def test_a_parquet_table_is_a_world_or_one_sentence(cases: int, tmp_path: Path) -> None:
    path = tmp_path / "world.parquet"
    whole = as_parquet([])
    assert check_world(path, whole) is not None
    ways = st.one_of(TURNS.map(as_parquet), DAMAGES.map(lambda damages: damaged(whole, damages)))
    go_through(ways, lambda written: check_world(path, written), cases)


@amounts()
def test_an_archive_is_a_world_or_one_sentence(cases: int, tmp_path: Path) -> None:
    path = tmp_path / "world.npz"
    assert check_world(path, as_npz(PLAIN)) is not None
    go_through(mostly_archives(PLAIN), lambda written: check_world(path, written), cases)


@amounts()
def test_a_file_of_objects_in_images_is_a_world_or_one_sentence(cases: int, tmp_path: Path) -> None:
    path = tmp_path / "world.npz"
    world = check_world(path, as_npz(FOUND))
    assert world is not None
    assert world.instances is not None
    go_through(mostly_archives(FOUND, texts=("source",)), lambda written: check_world(path, written), cases)
