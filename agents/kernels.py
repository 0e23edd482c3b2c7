"""The compiled inner loops of the tick: what large societies spend their time on, without temporaries.

Each does what a plain NumPy form elsewhere, named in its docstring, does in whole arrays; tests hold the two against
each other. They differ in the last digits of levels, which are summed here in an order of its own, the same on every
machine. Nothing is drawn here: random numbers come in, whole arrays of them.

A kernel works on a range of agents or pairs, each of whom writes only to what is its own. So ranges can be done in any
order and in any number of threads, with the same result. The threads are plain ones that live as long as one call: they
take ranges as they get done with the last, which on a busy machine loses less than equal shares, they need no compiling
of their own, and they leave nothing behind that would keep a process from forking.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from agents.population import EXEMPLAR, NEUTRAL, NOTHING, RAW
from agents.superiority import AS_EXPECTED, LEVEL

if TYPE_CHECKING:
    from agents.meeting import Meeting
    from agents.population import Population

RANGE, LEAST = 8192, 1024
"""Agents or pairs that a thread does at a time, at most; and of how many it is worth while to give it some."""

LANES = 8
"""Products that are added up side by side."""

AHEAD = 16
"""Pairs whose hearers are looked up at once, wherever they are; one at a time, each would be waited for."""

_tools: Any = cgutils  # which has no types

# No "fastmath": the order of a sum, and whether a product is rounded before it is added, would hang on the machine.
_jit = numba.njit(cache=True, nogil=True, error_model="numpy")


def shared_out(kernel: Callable[..., None], n: int, *arguments: Any) -> None:
    """Call ``kernel(start, stop, *arguments)`` on ranges that make up 0 to n, in as many threads as Numba may have.

    That is NUMBA_NUM_THREADS where it is set, else as many as the process may use processors.
    """
    settings: Any = numba.config
    threads = min(settings.NUMBA_NUM_THREADS, -(-n // LEAST))
    if threads <= 1:
        kernel(0, n, *arguments)
        return
    size = min(-(-n // (4 * threads)), RANGE)
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(kernel, i, min(i + size, n), *arguments) for i in range(0, n, size)]:
            done.result()


def in_order(rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """The places [n] of ``rows [n]`` in ascending order.

    Agents meet in random order. Whoever goes through them by their rows reads memory from one end to the other, which
    takes a third of the time off.
    """
    places = np.full(int(rows.max(initial=NOTHING)) + 1, NOTHING, dtype=np.intp)
    places[rows] = np.arange(len(rows))
    places = places[places != NOTHING]
    # That was quicker than sorting, but rows that occur twice are in it once.
    return places if len(places) == len(rows) else np.argsort(rows)


def _back(values: NDArray[Any], order: NDArray[np.intp]) -> NDArray[Any]:
    """What was ``values = original[order]``."""
    original = np.empty_like(values)
    original[order] = values
    return original


# ---- levels


@_jit
def _along(
    features: NDArray[np.float32],
    objects: NDArray[np.int32],
    sensor: NDArray[np.int32],
    loading: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Write the levels [C] of ``objects [C]`` along one ``loading [m]``."""
    n, m = len(objects), len(sensor)
    # Four sums at a time: each has to wait for its own last addition, but not for the others'.
    for c in range(0, n - 3, 4):
        r0, r1 = features[objects[c]], features[objects[c + 1]]
        r2, r3 = features[objects[c + 2]], features[objects[c + 3]]
        h0 = h1 = h2 = h3 = np.float32(0)
        for j in range(m):
            at, weight = np.uintp(sensor[j]), loading[j]
            h0 += r0[at] * weight
            h1 += r1[at] * weight
            h2 += r2[at] * weight
            h3 += r3[at] * weight
        out[c], out[c + 1], out[c + 2], out[c + 3] = h0, h1, h2, h3
    for c in range(n - n % 4, n, 2):
        # The last one of an odd number twice.
        other = min(c + 1, n - 1)
        r0, r1 = features[objects[c]], features[objects[other]]
        h0 = h1 = np.float32(0)
        for j in range(m):
            at, weight = np.uintp(sensor[j]), loading[j]
            h0 += r0[at] * weight
            h1 += r1[at] * weight
        out[c], out[other] = h0, h1


def _dot(typing_context: Any, x: Any, y: Any, n: Any) -> Any:
    """The sum of ``x[k] * y[k]`` for k under ``n``, a multiple of `LANES`, of two float32 arrays without gaps.

    Left to itself the compiler adds up one product after the other, or, if allowed to choose, as many side by side as
    this machine can. Here there are eight lanes on every machine, so the last digits are the same.
    """

    def build(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> Any:
        def of(place: int, index: Any) -> Any:
            array = context.make_array(signature.args[place])(context, builder, values[place])
            start = builder.bitcast(builder.gep(array.data, [index]), lanes.as_pointer())
            return builder.load(start, align=4)

        def half(first: int, size: int) -> Any:
            places = ir.Constant(ir.VectorType(ir.IntType(32), size), list(range(first, first + size)))
            return builder.shuffle_vector(total, ir.Constant(total.type, ir.Undefined), places)

        lanes, length = ir.VectorType(ir.FloatType(), LANES), values[2]
        sums = _tools.alloca_once_value(builder, ir.Constant(lanes, [0.0] * LANES))
        first, step = ir.Constant(length.type, 0), ir.Constant(length.type, LANES)
        with _tools.for_range_slice(builder, first, length, step, length.type) as (index, _):
            product = builder.fmul(of(0, index), of(1, index))
            builder.store(builder.fadd(builder.load(sums), product), sums)
        total, size = builder.load(sums), LANES
        while size > 1:
            size //= 2
            total = builder.fadd(half(0, size), half(size, size))
        return builder.extract_element(total, ir.Constant(ir.IntType(32), 0))

    return types.float32(x, y, types.intp), build


_dot_in_lanes: Any = intrinsic(_dot)


@_jit
def _along_some(
    features: NDArray[np.float32],
    objects: NDArray[np.int32],
    sensor: NDArray[np.int32],
    loading: NDArray[np.float32],
    slots: NDArray[np.intp],
    n_slots: int,
    sensed: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Write the levels of ``objects [C]`` along the first ``n_slots`` of ``slots`` of ``loading [S, m]``, [C, :].

    ``sensed [m]`` is room for one object.
    """
    m = len(sensor)
    whole = m - m % LANES
    for c in range(len(objects)):
        row = features[objects[c]]
        for j in range(m):
            sensed[j] = row[np.uintp(sensor[j])]
        for e in range(n_slots):
            weights = loading[slots[e]]
            height = _dot_in_lanes(sensed, weights, whole)
            for j in range(whole, m):
                height += sensed[j] * weights[j]
            out[c, e] = height


@_jit
def _levels(
    start: int,
    stop: int,
    features: NDArray[np.float32],
    sensor: NDArray[np.int32],
    loading: NDArray[np.float32],
    rows: NDArray[np.intp],
    objects: NDArray[np.int32],
    out: NDArray[np.float32],
) -> None:
    n_slots = loading.shape[1]
    slots, sensed = np.arange(n_slots), np.empty(sensor.shape[1], np.float32)
    for i in range(start, stop):
        row = rows[i]
        _along_some(features, objects[i], sensor[row], loading[row], slots, n_slots, sensed, out[i])


def levels(
    population: Population, features: NDArray[np.float32], rows: NDArray[np.intp], objects: NDArray[np.int32]
) -> NDArray[np.float32]:
    """`agents.perception.levels`: of ``objects [n, C]`` on each dimension of ``rows [n]``, float32 [n, C, S]."""
    out = np.empty((*objects.shape, population.n_slots), dtype=np.float32)
    objects = np.ascontiguousarray(objects)  # or a kernel for views of other strides would be compiled
    shared_out(_levels, len(rows), features, population.sensor, population.loading, rows, objects, out)
    return out


@_jit
def _heights(
    start: int,
    stop: int,
    features: NDArray[np.float32],
    sensor: NDArray[np.int32],
    loading: NDArray[np.float32],
    rows: NDArray[np.intp],
    slots: NDArray[np.intp],
    objects: NDArray[np.int32],
    out: NDArray[np.float32],
) -> None:
    for i in range(start, stop):
        _along(features, objects[i], sensor[rows[i]], loading[rows[i], slots[i]], out[i])


def heights(
    population: Population,
    features: NDArray[np.float32],
    rows: NDArray[np.intp],
    slots: NDArray[np.intp],
    objects: NDArray[np.int32],
) -> NDArray[np.float32]:
    """`agents.perception.heights`: of ``objects [n, C]`` on the dimension in ``slots [n]``, float32 [n, C]."""
    out = np.empty(objects.shape, dtype=np.float32)
    shared_out(_heights, len(rows), features, population.sensor, population.loading, rows, slots, objects, out)
    return out


# ---- perceive


@_jit
def _perceive(
    start: int,
    stop: int,
    seen: NDArray[np.int32],
    n_seen: NDArray[np.int32],
    rows: NDArray[np.intp],
    objects: NDArray[np.int32],
    luck: NDArray[np.float64],
) -> None:
    capacity = seen.shape[1]
    for i in range(start, stop):
        row, count = rows[i], n_seen[rows[i]]
        for place in range(objects.shape[1]):
            if objects[i, place] == NOTHING:
                continue
            slot = count if count < capacity else np.int32(luck[i, place] * (count + 1))
            if slot < capacity:
                seen[row, slot] = objects[i, place]
            count += 1
        n_seen[row] = count


def perceive(
    population: Population, rows: NDArray[np.intp], objects: NDArray[np.int32], luck: NDArray[np.float64]
) -> None:
    """`agents.perception.perceive`: ``rows [n]`` remember ``objects [n, C]`` by ``luck [n, C]`` in [0, 1)."""
    shared_out(_perceive, len(rows), population.seen, population.n_seen, rows, objects, luck)


# ---- talk


@_jit
def _is_among(word: int, words: NDArray[np.int32]) -> bool:
    count = 0
    for k in range(len(words)):  # all of them, which is quicker than to look where to stop
        count += words[k] == word
    return count > 0


@_jit
def _add_word(inventory: NDArray[np.int32], word: int) -> None:
    """`agents.communication.add_word`, of one inventory [W]."""
    size = (inventory >= 0).sum()
    if size == len(inventory):
        for k in range(size - 1):
            inventory[k] = inventory[k + 1]
        size -= 1
    inventory[size] = word


@_jit
def _keep_only(inventory: NDArray[np.int32], word: int) -> None:
    for k in range(len(inventory)):
        inventory[k] = NOTHING
    inventory[0] = word


@_jit
def _standardise(height: NDArray[np.float32], z: NDArray[np.float64]) -> None:
    """`agents.communication.standardised`, of the levels [C] on one dimension."""
    n, mean, variance = len(height), 0.0, 0.0
    for c in range(n):
        mean += height[c]
    mean /= n
    for c in range(n):
        z[c] = height[c] - mean
        variance += z[c] * z[c]
    spread = np.sqrt(variance / n)
    for c in range(n):
        z[c] = z[c] / spread if spread > 1e-6 else 0.0


@_jit
def _agreement(shown: NDArray[np.float32], own: NDArray[np.float32]) -> float:
    """`agents.communication.agreement`, of the levels [G] of two dimensions."""
    n, mean_a, mean_b = len(shown), 0.0, 0.0
    for g in range(n):
        mean_a += shown[g]
        mean_b += own[g]
    mean_a, mean_b = mean_a / n, mean_b / n
    square_a, square_b, product = 0.0, 0.0, 0.0
    for g in range(n):
        a, b = shown[g] - mean_a, own[g] - mean_b
        square_a += a * a
        square_b += b * b
        product += a * b
    scale = np.sqrt(square_a * square_b)
    return product / scale if scale > 1e-9 else 0.0


@_jit
def _self_esteem(kind: NDArray[np.int8], score: NDArray[np.float32]) -> float:
    """`Population.self_esteem`, of one view [S]."""
    count, total = 0, 0.0
    for s in range(len(kind)):
        if kind[s] != 0:
            count += 1
            total += score[s]
    return total / count if count > 0 else NEUTRAL


@_jit
def _say(
    start: int,
    stop: int,
    features: NDArray[np.float32],
    sensor: NDArray[np.int32],
    loading: NDArray[np.float32],
    kind: NDArray[np.int8],
    words: NDArray[np.int32],
    speaker: NDArray[np.intp],
    hearer: NDArray[np.intp],
    scene: NDArray[np.int32],
    topic: NDArray[np.intp],
    pointed: NDArray[np.int32],
    choice: NDArray[np.float64],
    audience: bool,
    slot: NDArray[np.intp],
    word: NDArray[np.int32],
    gesture: NDArray[np.float64],
    shown: NDArray[np.float32],
) -> None:
    n_slots, n_places = words.shape[1:]
    n_scene = scene.shape[1]
    lexicons, said = np.empty((AHEAD, n_slots * n_places), np.int32), np.empty(n_places, np.int32)
    eligible = np.empty(n_slots, np.intp)
    height, z = np.empty((n_scene, n_slots), np.float32), np.empty(n_scene, np.float64)
    sensed = np.empty(sensor.shape[1], np.float32)
    for i in range(start, stop):
        row, ours = speaker[i], words[speaker[i]]
        if (i - start) % AHEAD == 0:
            for k in range(min(AHEAD, stop - i)):
                lexicons[k] = words[hearer[i + k]].reshape(n_slots * n_places)
        lexicon = lexicons[(i - start) % AHEAD]

        # Which dimensions come into question: those with a word that the hearer knows, or else all that are held.
        n_eligible, preferred = 0, False
        for s in range(n_slots):
            if kind[row, s] == 0:
                continue
            shared = False
            for k in range(n_places):
                shared = shared or (audience and ours[s, k] >= 0 and _is_among(ours[s, k], lexicon))
            if shared and not preferred:
                n_eligible, preferred = 0, True
            if shared == preferred:
                eligible[n_eligible] = s
                n_eligible += 1
        slot[i], word[i], gesture[i] = NOTHING, NOTHING, 0.0
        if n_eligible == 0:
            continue

        # Along which of them the topic stands apart most from its nearest rival.
        _along_some(features, scene[i], sensor[row], loading[row], eligible, n_eligible, sensed, height)
        widest = -1.0
        for e in range(n_eligible):
            _standardise(height[:, e], z)
            margin = np.inf
            for c in range(n_scene):
                if c != topic[i]:
                    margin = min(margin, abs(z[c] - z[topic[i]]))
            if margin > widest:
                widest, slot[i], gesture[i] = margin, eligible[e], z[topic[i]]

        # Which word for it: one that the hearer knows, or else any; or none.
        n_said = 0
        for k in range(n_places):
            own = ours[slot[i], k]
            if own >= 0 and (not preferred or _is_among(own, lexicon)):
                said[n_said] = own
                n_said += 1
        if n_said > 0:
            word[i] = said[int(choice[i] * n_said)]

        # To whoever does not know the word it is shown what it means.
        if n_said == 0 or not _is_among(word[i], lexicon):
            _along(features, scene[i], sensor[row], loading[row, slot[i]], shown[i, :n_scene])
            _along(features, pointed[i], sensor[row], loading[row, slot[i]], shown[i, n_scene:])


class Said(NamedTuple):
    """What the speakers of B pairs say, and show.

    ``slot [B]`` is the dimension, -1 for a speaker without any; ``word [B]`` the word for it, -1 where there is none
    yet; ``gesture [B]`` how high the topic stands; ``shown [B, C + G]`` how high all that can be pointed at stands, if
    the hearer does not know the word (else anything).
    """

    slot: NDArray[np.intp]
    word: NDArray[np.int32]
    gesture: NDArray[np.float64]
    shown: NDArray[np.float32]


def say(
    population: Population,
    features: NDArray[np.float32],
    meeting: Meeting,
    pointed: NDArray[np.int32],
    choice: NDArray[np.float64],
    *,
    audience: bool,
) -> Said:
    """`agents.communication.choose_dimension` on standardised levels, `pick_word`, and what a demonstration shows."""
    n, order = len(meeting), in_order(meeting.speaker)
    said = Said(
        slot=np.empty(n, dtype=np.intp),
        word=np.empty(n, dtype=np.int32),
        gesture=np.empty(n, dtype=np.float64),
        shown=np.empty((n, meeting.scene.shape[1] + pointed.shape[1]), dtype=np.float32),
    )
    pairs = (meeting.speaker, meeting.hearer, meeting.scene, meeting.topic, pointed, choice)
    shared_out(
        _say,
        n,
        features,
        population.sensor,
        population.loading,
        population.kind,
        population.words,
        *(array[order] for array in pairs),
        audience,
        *said,
    )
    return Said(*(_back(array, order) for array in said))


@_jit
def _hear(
    start: int,
    stop: int,
    features: NDArray[np.float32],
    sensor: NDArray[np.int32],
    loading: NDArray[np.float32],
    kind: NDArray[np.int8],
    score: NDArray[np.float32],
    contests: NDArray[np.int32],
    words: NDArray[np.int32],
    speaker: NDArray[np.intp],
    hearer: NDArray[np.intp],
    scene: NDArray[np.int32],
    topic: NDArray[np.intp],
    pointed: NDArray[np.int32],
    slot: NDArray[np.intp],
    word: NDArray[np.int32],
    gesture: NDArray[np.float64],
    shown: NDArray[np.float32],
    meaning: NDArray[np.intp],
    picked: NDArray[np.intp],
) -> None:
    n_slots, n_scene, n_shown = words.shape[1], scene.shape[1], shown.shape[1]
    objects, own = np.empty(n_shown, np.int32), np.empty((n_shown, n_slots), np.float32)
    held, sensed = np.empty(n_slots, np.intp), np.empty(sensor.shape[1], np.float32)
    height, z = np.empty(n_scene, np.float32), np.empty(n_scene, np.float64)
    for i in range(start, stop):
        meaning[i] = picked[i] = NOTHING
        if slot[i] < 0:
            continue
        row, lexicon = hearer[i], words[hearer[i]]
        for s in range(n_slots):
            if _is_among(word[i], lexicon[s]):
                meaning[i] = s
                break

        # A word that it knows: the object that stands nearest to the gesture. On success both keep only that word.
        if meaning[i] >= 0:
            _along(features, scene[i], sensor[row], loading[row, meaning[i]], height)
            _standardise(height, z)
            nearest = np.inf
            for c in range(n_scene):
                if abs(z[c] - gesture[i]) < nearest:
                    nearest, picked[i] = abs(z[c] - gesture[i]), c
            if picked[i] == topic[i]:
                _keep_only(words[speaker[i], slot[i]], word[i])
                _keep_only(lexicon[meaning[i]], word[i])
            continue

        # One that it does not know: the own dimension that orders what is shown most alike takes it over.
        n_held = 0
        for s in range(n_slots):
            if kind[row, s] != 0:
                held[n_held] = s
                n_held += 1
        if n_held == 0:
            continue
        objects[:n_scene], objects[n_scene:] = scene[i], pointed[i]
        _along_some(features, objects, sensor[row], loading[row], held, n_held, sensed, own)
        best, turns = -np.inf, False
        for e in range(n_held):
            r, named = _agreement(shown[i], own[:, e]), lexicon[held[e]].max() >= 0
            fit = r if named else abs(r)
            if fit > best:
                best, meaning[i], turns = fit, held[e], not named and r < 0
        if turns:
            esteem = _self_esteem(kind[row], score[row])
            for j in range(loading.shape[2]):
                loading[row, meaning[i], j] *= -1
            score[row, meaning[i]], contests[row, meaning[i]] = esteem, 0
        _add_word(lexicon[meaning[i]], word[i])


def hear(
    population: Population,
    features: NDArray[np.float32],
    meeting: Meeting,
    pointed: NDArray[np.int32],
    said: Said,
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """What the hearers of B pairs make of it: the dimension ``meaning [B]``, and the place ``picked [B]``.

    `agents.communication.nearest`, after which both sides keep only a word that was understood. Who does not know the
    word picks nothing (-1), is shown, and takes it over (`line_up`, `add_word`).
    """
    n, order = len(meeting), in_order(meeting.hearer)
    meaning, picked = np.empty(n, dtype=np.intp), np.empty(n, dtype=np.intp)
    pairs = (meeting.speaker, meeting.hearer, meeting.scene, meeting.topic, pointed, *said)
    shared_out(
        _hear,
        n,
        features,
        population.sensor,
        population.loading,
        population.kind,
        population.score,
        population.contests,
        population.words,
        *(array[order] for array in pairs),
        meaning,
        picked,
    )
    return _back(meaning, order), _back(picked, order)


# ---- attribute


@_jit
def _standings(
    start: int,
    stop: int,
    features: NDArray[np.float32],
    sensor: NDArray[np.int32],
    loading: NDArray[np.float32],
    seen: NDArray[np.int32],
    rows: NDArray[np.intp],
    slots: NDArray[np.intp],
    bodies: NDArray[np.int32],
    acquaintances: int,
    out: NDArray[np.float64],
) -> None:
    objects, height = np.empty(acquaintances + 2, np.int32), np.empty(acquaintances + 2, np.float32)
    for i in range(start, stop):
        row, n = rows[i], 2
        objects[0], objects[1] = bodies[i]
        for k in range(acquaintances):
            if seen[row, k] >= 0:
                objects[n] = seen[row, k]
                n += 1
        if n == 2:
            out[i] = 0.5
            continue
        _along(features, objects[:n], sensor[row], loading[row, slots[i]], height)
        for body in range(2):
            below = 0.0
            for k in range(2, n):
                difference = np.float64(height[body]) - height[k]
                below += 0.5 if abs(difference) <= LEVEL else np.float64(difference > 0)
            out[i, body] = below / (n - 2)


def standings(
    population: Population,
    features: NDArray[np.float32],
    rows: NDArray[np.intp],
    slots: NDArray[np.intp],
    bodies: NDArray[np.int32],
    *,
    acquaintances: int,
) -> NDArray[np.float64]:
    """`agents.attribution.expected_standings`: of two ``bodies [n, 2]`` each among those remembered, float64 [n, 2]."""
    out = np.empty(bodies.shape)
    shared_out(
        _standings,
        len(rows),
        features,
        population.sensor,
        population.loading,
        population.seen,
        rows,
        slots,
        bodies,
        min(acquaintances, population.seen.shape[1]),
        out,
    )
    return out


# ---- feel, remember


@_jit
def _feed(
    start: int,
    stop: int,
    score: NDArray[np.float32],
    rows: NDArray[np.intp],
    slots: NDArray[np.intp],
    reward: NDArray[np.float64],
    rate_up: float,
    rate_down: float,
    by_steps: bool,
) -> None:
    for i in range(start, stop):
        before = np.float64(score[rows[i], slots[i]])
        error = reward[i] - before
        rate = rate_up if error > 0 else rate_down
        if not by_steps:
            score[rows[i], slots[i]] = before + rate * error
        elif abs(error) > AS_EXPECTED:
            score[rows[i], slots[i]] = min(max(before + (rate if error > 0 else -rate), 0.0), 1.0)


def feed(
    population: Population,
    rows: NDArray[np.intp],
    slots: NDArray[np.intp],
    reward: NDArray[np.float64],
    *,
    rate_up: float,
    rate_down: float,
    by_steps: bool,
) -> None:
    """`agents.superiority.updated`, of the scores in ``slots [n]`` of ``rows [n]``; ``by_steps`` is the quantile."""
    shared_out(_feed, len(rows), population.score, rows, slots, reward, rate_up, rate_down, by_steps)


@_jit
def _remember(
    start: int,
    stop: int,
    success: NDArray[np.float32],
    understood: NDArray[np.float32],
    rows: NDArray[np.intp],
    slots: NDArray[np.intp],
    won: NDArray[np.bool_],
    rate: np.float32,
) -> None:
    for i in range(start, stop):
        row, s, outcome = rows[i], slots[i], np.float32(won[i])
        success[row] += rate * (outcome - success[row])
        if s >= 0:
            understood[row, s] += rate * (outcome - understood[row, s])


def remember(
    population: Population, rows: NDArray[np.intp], slots: NDArray[np.intp], won: NDArray[np.bool_], *, rate: float
) -> None:
    """`agents.communication.remember_success`, of ``rows [n]`` who used the dimension in ``slots [n]`` (or -1)."""
    shared_out(_remember, len(rows), population.success, population.understood, rows, slots, won, np.float32(rate))


# ---- the first generation


@_jit
def _dealt(start: int, stop: int, draws: NDArray[np.float64], high: int, out: NDArray[np.int32]) -> None:
    m = draws.shape[1]
    deck = np.arange(high).astype(np.int32)
    places = np.empty(m, np.intp)
    for i in range(start, stop):
        for k in range(m):
            places[k] = k + int(draws[i, k] * (high - k))
            deck[k], deck[places[k]] = deck[places[k]], deck[k]
            out[i, k] = deck[k]
        # The deck as it was, for the next one.
        for k in range(m - 1, -1, -1):
            deck[k], deck[places[k]] = deck[places[k]], deck[k]


def dealt(draws: NDArray[np.float64], high: int) -> NDArray[np.int32]:
    """`agents.population.dealt`: the first m of the numbers under ``high`` as ``draws [n, m]`` shuffle them."""
    out = np.empty(draws.shape, dtype=np.int32)
    shared_out(_dealt, len(draws), draws, high, out)
    return out


@_jit
def _first_exemplars(
    start: int,
    stop: int,
    features: NDArray[np.float32],
    n_slots: int,
    sensor: NDArray[np.int32],
    body: NDArray[np.int32],
    seen: NDArray[np.int32],
    loading: NDArray[np.float32],
    kind: NDArray[np.int8],
    exemplar: NDArray[np.int32],
    score: NDArray[np.float32],
    born: NDArray[np.int32],
    origin: NDArray[np.int8],
) -> None:
    m = sensor.shape[1]
    for i in range(start, stop):
        for s in range(n_slots):
            obj = body[i] if s == 0 else seen[i, s - 1]
            if _is_among(obj, exemplar[i, :s]):
                continue
            square = np.float32(0)
            for j in range(m):
                x = features[obj, sensor[i, j]]
                loading[i, s, j] = x
                square += x * x
            norm, even = np.sqrt(square), np.float32(1.0 / np.sqrt(m))
            for j in range(m):
                loading[i, s, j] = loading[i, s, j] / norm if norm > 0 else even
            kind[i, s], exemplar[i, s], origin[i, s] = RAW, obj, EXEMPLAR
            score[i, s], born[i, s] = NEUTRAL, 0


def first_exemplars(population: Population, features: NDArray[np.float32], n_slots: int) -> None:
    """`agents.population.first_exemplars`: fill the first ``n_slots`` of a population without dimensions or success."""
    columns = ("sensor", "body", "seen", "loading", "kind", "exemplar", "score", "born", "origin")
    arrays = (getattr(population, name) for name in columns)
    shared_out(_first_exemplars, len(population), features, n_slots, *arrays)
