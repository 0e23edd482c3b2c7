"""How high objects stand on the dimensions of a view: the sums that most of a tick is spent on.

A view has at most eight dimensions, and processors add up eight numbers side by side: one lane for each dimension. Left
to itself the compiler would add up one after the other, or, if allowed to choose, as this machine can; so the loop is
spelled out. Every sum goes from the first sensor to the last, each product rounded before it is added, so that it is
the same on every machine, and the same here and in `along`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic
from numpy.typing import NDArray

from agents.kernels.threads import jit

LANES = 8
"""Dimensions side by side, empty ones too."""

FOUR = 4
"""Objects at a time: each sum has to wait for its own last addition, but not for the others'."""

LINE = 64
"""Bytes that are fetched from memory at a time."""

# Kernels take whole arrays and places in them: a view of a row is an object to Numba, whose users are counted, which
# takes longer than what is done with the row.

_tools: Any = cgutils  # which has no types
_INDEX, _FLOAT, _EIGHT = ir.IntType(64), ir.FloatType(), ir.VectorType(ir.FloatType(), LANES)


def _number(value: int) -> Any:
    return ir.Constant(_INDEX, value)


def _shuffled(builder: ir.IRBuilder, first: Any, second: Any, places: list[int]) -> Any:
    return builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(ir.IntType(32), len(places)), places))


def _eight_at(builder: ir.IRBuilder, data: Any, place: Any) -> Any:
    return builder.bitcast(builder.gep(data, [place]), _EIGHT.as_pointer())


def _check(**arrays: tuple[Any, Any]) -> None:
    """Refuse to compile for arrays that are not of the type, row by row, that the loop reads."""
    for name, (given, wanted) in arrays.items():
        if given.dtype != wanted or given.layout != "C":
            raise TypingError(f"{name} is {given}, but kernels read {wanted} that lie row by row")


def _array(context: Any, builder: ir.IRBuilder, signature: Any, values: Any, place: int) -> Any:
    return context.make_array(signature.args[place])(context, builder, values[place])


def _four_in_lanes(
    typing_context: Any,
    features: Any,
    objects: Any,
    i: Any,
    c: Any,
    sensor: Any,
    row: Any,
    weights: Any,
    out: Any,
    at: Any,
) -> Any:
    """Write to ``out [n, LANES]``, from row ``at`` on, how high ``objects[i, c : c + FOUR]`` stand.

    They are sensed by ``sensor[row]`` and weighed by ``weights [m, LANES]``.
    Objects beyond the last one of ``objects[i]`` are that one again.
    """

    def build(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> Any:
        table, things, senses, weighs, result = (
            _array(context, builder, signature, values, place) for place in (0, 1, 4, 6, 7)
        )
        width = builder.extract_value(table.shape, 1)
        n_objects, n_sensors = builder.extract_value(things.shape, 1), builder.extract_value(senses.shape, 1)
        last = builder.sub(n_objects, _number(1))
        rows = []
        for place in range(FOUR):
            wanted = builder.add(values[3], _number(place))
            within = builder.select(builder.icmp_signed("<", wanted, last), wanted, last)
            place_of = builder.add(builder.mul(values[2], n_objects), within)
            thing = builder.zext(builder.load(builder.gep(things.data, [place_of])), _INDEX)
            rows.append(builder.gep(table.data, [builder.mul(thing, width)]))
        sums = [_tools.alloca_once_value(builder, ir.Constant(_EIGHT, [0.0] * LANES)) for _ in rows]
        own = builder.gep(senses.data, [builder.mul(values[5], n_sensors)])
        with _tools.for_range(builder, n_sensors, intp=_INDEX) as loop:
            sensed = builder.zext(builder.load(builder.gep(own, [loop.index])), _INDEX)
            place_of = builder.mul(loop.index, _number(LANES))
            weight = builder.load(_eight_at(builder, weighs.data, place_of), align=4)
            for start, total in zip(rows, sums, strict=True):
                x = builder.load(builder.gep(start, [sensed]))
                nowhere = ir.Constant(_EIGHT, ir.Undefined)
                x = builder.insert_element(nowhere, x, ir.Constant(ir.IntType(32), 0))
                product = builder.fmul(_shuffled(builder, x, nowhere, [0] * LANES), weight)
                builder.store(builder.fadd(builder.load(total), product), total)
        for place, total in enumerate(sums):
            target = builder.mul(builder.add(values[8], _number(place)), _number(LANES))
            builder.store(builder.load(total), _eight_at(builder, result.data, target), align=4)
        return context.get_dummy_value()

    single, whole, intp = types.float32, types.int32, types.intp
    _check(features=(features, single), objects=(objects, whole), sensor=(sensor, whole))
    _check(weights=(weights, single), out=(out, single))
    return types.void(features, objects, intp, intp, sensor, intp, weights, out, intp), build


def _eight_by_eight(typing_context: Any, loading: Any, row: Any, j: Any, weights: Any) -> Any:
    """Write ``loading[row, :LANES, j : j + LANES]``, columns for rows, to ``weights[j : j + LANES]``."""

    def build(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> Any:
        source, target = (_array(context, builder, signature, values, place) for place in (0, 3))
        n_slots, m = (builder.extract_value(source.shape, axis) for axis in (1, 2))
        first = builder.mul(builder.mul(values[1], n_slots), m)
        lines = []
        for slot in range(LANES):
            place = builder.add(builder.add(first, builder.mul(_number(slot), m)), values[2])
            lines.append(builder.load(_eight_at(builder, source.data, place), align=4))
        # Pairs, then fours, then eights change places.
        for step, (low, high) in enumerate(
            (
                ([0, 8, 1, 9, 4, 12, 5, 13], [2, 10, 3, 11, 6, 14, 7, 15]),
                ([0, 1, 8, 9, 4, 5, 12, 13], [2, 3, 10, 11, 6, 7, 14, 15]),
                ([0, 1, 2, 3, 8, 9, 10, 11], [4, 5, 6, 7, 12, 13, 14, 15]),
            )
        ):
            apart, turned = 1 << step, list(lines)
            for one in range(LANES):
                if one & apart:
                    continue
                pair = lines[one], lines[one | apart]
                turned[one], turned[one | apart] = (_shuffled(builder, *pair, places) for places in (low, high))
            lines = turned
        # Now line b2 b1 b0 (in bits) holds column b2 b0 b1.
        for line, column in zip(lines, (0, 2, 1, 3, 4, 6, 5, 7), strict=True):
            place = builder.mul(builder.add(values[2], _number(column)), _number(LANES))
            builder.store(line, _eight_at(builder, target.data, place), align=4)
        return context.get_dummy_value()

    _check(loading=(loading, types.float32), weights=(weights, types.float32))
    return types.void(loading, types.intp, types.intp, weights), build


def _moments(typing_context: Any, levels: Any, at: Any, n: Any, others: Any, out: Any) -> Any:
    """Write to ``out [3, LANES]`` the means of ``levels[at : at + n]``, [., LANES], and of what deviates from them two
    sums: of squares, and of products with ``others [n]``, float64.
    """

    def build(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> Any:
        source, beside, result = (_array(context, builder, signature, values, place) for place in (0, 3, 4))
        double = ir.VectorType(ir.DoubleType(), LANES)
        mean, squares, products = (
            _tools.alloca_once_value(builder, ir.Constant(double, [0.0] * LANES)) for _ in range(3)
        )

        def everywhere(x: Any) -> Any:
            nowhere = ir.Constant(double, ir.Undefined)
            first = builder.insert_element(nowhere, x, ir.Constant(ir.IntType(32), 0))
            return _shuffled(builder, first, nowhere, [0] * LANES)

        def level(g: Any) -> Any:
            place = builder.mul(builder.add(values[1], g), _number(LANES))
            return builder.fpext(builder.load(_eight_at(builder, source.data, place), align=4), double)

        def add(total: Any, x: Any) -> None:
            builder.store(builder.fadd(builder.load(total), x), total)

        with _tools.for_range(builder, values[2], intp=_INDEX) as loop:
            add(mean, level(loop.index))
        number = everywhere(builder.sitofp(values[2], ir.DoubleType()))
        means = builder.fdiv(builder.load(mean), number)
        with _tools.for_range(builder, values[2], intp=_INDEX) as loop:
            off = builder.fsub(level(loop.index), means)
            add(squares, builder.fmul(off, off))
            other = everywhere(builder.load(builder.gep(beside.data, [loop.index])))
            add(products, builder.fmul(other, off))
        for place, x in enumerate((means, builder.load(squares), builder.load(products))):
            target = builder.gep(result.data, [_number(place * LANES)])
            builder.store(x, builder.bitcast(target, double.as_pointer()), align=8)
        return context.get_dummy_value()

    _check(levels=(levels, types.float32), others=(others, types.float64), out=(out, types.float64))
    return types.void(levels, types.intp, types.intp, others, out), build


def _fetch(typing_context: Any, array: Any, row: Any, n: Any) -> Any:
    """Have the first ``n`` numbers of ``array[row]`` fetched, which will be needed soon; nobody waits for them."""

    def build(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> Any:
        source, number = _array(context, builder, signature, values, 0), ir.IntType(32)
        place = builder.mul(values[1], builder.extract_value(source.strides, 0))
        start = builder.gep(builder.bitcast(source.data, ir.IntType(8).as_pointer()), [place])
        kinds = ir.FunctionType(ir.VoidType(), [start.type, number, number, number])
        prefetch = _tools.get_or_insert_function(builder.module, kinds, "llvm.prefetch.p0")
        size = builder.mul(values[2], source.itemsize)
        with _tools.for_range_slice(builder, _number(0), size, _number(LINE), _INDEX) as (index, _):
            to_read_soon = [ir.Constant(number, value) for value in (0, 3, 1)]
            builder.call(prefetch, [builder.gep(start, [index]), *to_read_soon])
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp), build


fetch: Any = intrinsic(_fetch)
moments: Any = intrinsic(_moments)
_levels_of_four: Any = intrinsic(_four_in_lanes)
_turned_block: Any = intrinsic(_eight_by_eight)


@jit
def side_by_side(loading: NDArray[np.float32], row: int, weights: NDArray[np.float32]) -> None:
    """Write ``loading[row]``, of S slots and m sensors, to ``weights [m, LANES]``; lanes from S on stay as they are."""
    n_slots, m = loading.shape[1:]
    start = 0
    if n_slots == LANES:
        start = m - m % LANES
        for j in range(0, start, LANES):
            _turned_block(loading, row, j, weights)
    for j in range(start, m):
        for s in range(n_slots):
            weights[j, s] = loading[row, s, j]


@jit
def in_view(
    features: NDArray[np.float32],
    objects: NDArray[np.int32],
    i: int,
    sensor: NDArray[np.int32],
    row: int,
    weights: NDArray[np.float32],
    out: NDArray[np.float32],
    at: int,
) -> None:
    """Write how high ``objects[i]`` stand on all dimensions at once to ``out [., LANES]``, from row ``at`` on.

    ``weights [m, LANES]`` are those of ``row``, `side_by_side`. Up to three rows more are written to.
    """
    for c in range(0, objects.shape[1], FOUR):
        _levels_of_four(features, objects, i, c, sensor, row, weights, out, at + c)


@jit
def room_for(n_objects: int) -> NDArray[np.float32]:
    """An array that `in_view` can write the levels of so many objects to."""
    return np.empty((n_objects + FOUR - 1, LANES), np.float32)


@jit
def along(
    features: NDArray[np.float32],
    objects: NDArray[np.int32],
    i: int,
    n: int,
    sensor: NDArray[np.int32],
    row: int,
    loading: NDArray[np.float32],
    slot: int,
    out: NDArray[np.float32],
    k: int,
    at: int,
) -> None:
    """Write how high ``objects[i, :n]`` stand on the dimension in ``slot`` of ``row`` to ``out[k, at : at + n]``."""
    m = sensor.shape[1]
    for c in range(0, n, FOUR):
        # Of fewer than four the last one again.
        c1, c2, c3 = min(c + 1, n - 1), min(c + 2, n - 1), min(c + 3, n - 1)
        o0, o1 = np.uintp(objects[i, c]), np.uintp(objects[i, c1])
        o2, o3 = np.uintp(objects[i, c2]), np.uintp(objects[i, c3])
        h0 = h1 = h2 = h3 = np.float32(0)
        for j in range(m):
            sensed, weight = np.uintp(sensor[row, j]), loading[row, slot, j]
            h0 += features[o0, sensed] * weight
            h1 += features[o1, sensed] * weight
            h2 += features[o2, sensed] * weight
            h3 += features[o3, sensed] * weight
        out[k, at + c], out[k, at + c1], out[k, at + c2], out[k, at + c3] = h0, h1, h2, h3
