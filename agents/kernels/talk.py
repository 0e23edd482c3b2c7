"""The language game for many pairs, and how well they are used to understand each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agents.kernels.lanes import FOUR, LANES, along, fetch, in_view, room_for, side_by_side
from agents.kernels.one_pair import add_word, agree, is_known, nearest, place_of, self_esteem, standardise
from agents.kernels.seeing import check_objects
from agents.kernels.threads import in_order, jit, shared_out
from agents.population import NOTHING

if TYPE_CHECKING:
    from agents.meeting import Meeting
    from agents.population import Population

AHEAD = 16
"""Pairs for whom one thing is done after the other. Where it hangs on what was found what comes next, a processor
guesses; a wrong guess costs all that it had begun to fetch for the next pairs, so what is to be fetched comes first."""


# ---- say


@jit
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
    room = n_scene + FOUR
    lexicons, said = np.empty((AHEAD, n_slots * n_places), np.int32), np.empty(n_places, np.int32)
    height, showing = room_for(AHEAD * room), np.empty(AHEAD, np.bool_)
    eligible, weights = np.empty(n_slots, np.bool_), np.zeros((sensor.shape[1], LANES), np.float32)
    z, unused, moment = np.empty((n_scene, LANES)), np.zeros(n_scene), np.empty((3, LANES))
    for first in range(start, stop, AHEAD):
        some = min(AHEAD, stop - first)
        for i in range(first + AHEAD, min(first + 2 * AHEAD, stop)):
            fetch(words, max(hearer[i], 0), n_slots * n_places)
        for k in range(some):
            partner = hearer[first + k]
            for s in range(n_slots):
                for p in range(n_places):
                    lexicons[k, s * n_places + p] = words[partner, s, p] if partner >= 0 else np.int32(NOTHING)
        for k in range(some):
            row = speaker[first + k]
            side_by_side(loading, row, weights)
            in_view(features, scene, first + k, sensor, row, weights, height, k * room)

        for k in range(some):
            i, row = first + k, speaker[first + k]
            slot[i], word[i], gesture[i], showing[k] = NOTHING, NOTHING, 0.0, False

            # Which dimensions come into question: those with a word that the hearer knows, or else all that are held.
            preferred, held = False, False
            for s in range(n_slots):
                eligible[s] = False
                for p in range(n_places):
                    own = words[row, s, p]
                    eligible[s] |= audience and own >= 0 and is_known(own, lexicons, k)
                eligible[s] &= kind[row, s] != 0
                preferred, held = preferred or eligible[s], held or kind[row, s] != 0
            if not held:
                continue

            # Along which of them the topic stands apart most from its nearest rival.
            standardise(height, k * room, n_scene, z, unused, moment)
            widest = -1.0
            for s in range(n_slots):
                if not (eligible[s] if preferred else kind[row, s] != 0):
                    continue
                margin = np.inf
                for c in range(n_scene):
                    if c != topic[i]:
                        margin = min(margin, abs(z[c, s] - z[topic[i], s]))
                if margin > widest:
                    widest, slot[i], gesture[i] = margin, s, z[topic[i], s]

            # Which word for it: one that the hearer knows, or else any; or none.
            n_said = 0
            for p in range(n_places):
                own = words[row, slot[i], p]
                if own >= 0 and (not preferred or is_known(own, lexicons, k)):
                    said[n_said] = own
                    n_said += 1
            if n_said > 0:
                word[i] = said[int(choice[i] * n_said)]
            showing[k] = n_said == 0 or not is_known(word[i], lexicons, k)

        # To whoever does not know the word it is shown what it means.
        for k in range(some):
            if showing[k]:
                i, used = first + k, slot[first + k]
                for c in range(n_scene):
                    shown[i, c] = height[k * room + c, used]
                along(features, pointed, i, pointed.shape[1], sensor, speaker[i], loading, used, shown, i, n_scene)


def say(
    population: Population,
    features: NDArray[np.float32],
    meeting: Meeting,
    pointed: NDArray[np.int32],
    choice: NDArray[np.float64],
    *,
    audience: bool,
) -> tuple[NDArray[np.intp], NDArray[np.int32], NDArray[np.float64], NDArray[np.float32]]:
    """`agents.communication.say`: slots, words, gestures, and what is shown."""
    check_objects(meeting.scene, features)
    check_objects(pointed, features)
    n = len(meeting)
    said = (
        np.empty(n, dtype=np.intp),
        np.empty(n, dtype=np.int32),
        np.empty(n, dtype=np.float64),
        np.empty((n, meeting.scene.shape[1] + pointed.shape[1]), dtype=np.float32),
    )
    shared_out(
        _say,
        n,
        features,
        population.sensor,
        population.loading,
        population.kind,
        population.words,
        meeting.speaker,
        meeting.hearer,
        meeting.scene,
        meeting.topic,
        pointed,
        choice,
        audience,
        *said,
    )
    return said


# ---- hear


@jit
def _hear(
    start: int,
    stop: int,
    order: NDArray[np.intp],
    features: NDArray[np.float32],
    sensor: NDArray[np.int32],
    loading: NDArray[np.float32],
    kind: NDArray[np.int8],
    score: NDArray[np.float32],
    contests: NDArray[np.int32],
    words: NDArray[np.int32],
    lexicon: NDArray[np.int32],
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
    n_slots, n_places = words.shape[1:]
    n_scene, n_shown = scene.shape[1], shown.shape[1]
    room = n_shown + FOUR
    height, own, lost = np.empty((1, n_scene), np.float32), room_for(AHEAD * room), np.empty(AHEAD, np.intp)
    known, weights = np.empty(AHEAD, np.intp), np.zeros((sensor.shape[1], LANES), np.float32)
    a, moment, r = np.empty(n_shown), np.empty((3, LANES)), np.empty(LANES)
    for first in range(start, stop, AHEAD):
        some, n_lost = min(AHEAD, stop - first), 0
        for place in range(first + AHEAD, min(first + 2 * AHEAD, stop)):
            i = order[place]
            fetch(hearer, i, 1), fetch(word, i, 1), fetch(slot, i, 1), fetch(gesture, i, 1)
            fetch(scene, i, n_scene), fetch(pointed, i, n_shown - n_scene), fetch(shown, i, n_shown)
        for k in range(some):
            i = order[first + k]
            known[k] = place_of(word[i], lexicon, hearer[i]) // n_places
        for k in range(some):
            i = order[first + k]
            row = hearer[i]
            meaning[i] = picked[i] = NOTHING
            if slot[i] < 0:
                continue
            if known[k] == n_slots:
                lost[n_lost] = i
                n_lost += 1
                continue
            # A word that it knows: the object that stands nearest to the gesture. If that is meant, it keeps only that.
            meaning[i] = known[k]
            along(features, scene, i, n_scene, sensor, row, loading, meaning[i], height, 0, 0)
            picked[i] = nearest(height, gesture[i])
            if picked[i] == topic[i]:
                for p in range(n_places):
                    words[row, meaning[i], p] = word[i] if p == 0 else np.int32(NOTHING)

        # One that it does not know: the own dimension that orders what is shown most alike takes it over.
        for k in range(n_lost):
            i = lost[k]
            side_by_side(loading, hearer[i], weights)
            in_view(features, scene, i, sensor, hearer[i], weights, own, k * room)
            in_view(features, pointed, i, sensor, hearer[i], weights, own, k * room + n_scene)
        for k in range(n_lost):
            i, row = lost[k], hearer[lost[k]]
            agree(shown, i, own, k * room, a, moment, r)
            best, turns = -np.inf, False
            for s in range(n_slots):
                if kind[row, s] == 0:
                    continue
                named = words[row, s, 0] >= 0
                fit = r[s] if named else abs(r[s])
                if fit > best:
                    best, meaning[i], turns = fit, s, not named and r[s] < 0
            if meaning[i] < 0:
                continue
            if turns:
                esteem = self_esteem(kind, score, row)
                for j in range(loading.shape[2]):
                    loading[row, meaning[i], j] *= -1
                score[row, meaning[i]], contests[row, meaning[i]] = esteem, 0
            add_word(words, row, meaning[i], word[i])


def hear(
    population: Population,
    features: NDArray[np.float32],
    meeting: Meeting,
    pointed: NDArray[np.int32],
    *,
    slot: NDArray[np.intp],
    word: NDArray[np.int32],
    gesture: NDArray[np.float64],
    shown: NDArray[np.float32],
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """`agents.communication.hear`: the dimension ``meaning [B]``, and the place ``picked [B]``."""
    n = len(meeting)
    meaning, picked = np.empty(n, dtype=np.intp), np.empty(n, dtype=np.intp)
    shared_out(
        _hear,
        n,
        in_order(meeting.hearer),
        features,
        population.sensor,
        population.loading,
        population.kind,
        population.score,
        population.contests,
        population.words,
        population.words.reshape(len(population), -1),
        meeting.hearer,
        meeting.scene,
        meeting.topic,
        pointed,
        slot,
        word,
        gesture,
        shown,
        meaning,
        picked,
    )
    return meaning, picked


# ---- remember


@jit
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
    shared_out(
        _remember, len(rows), population.success, population.understood, rows, slots, won, np.float32(rate), easy=True
    )
