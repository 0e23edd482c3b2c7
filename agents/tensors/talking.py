"""Phases 2 and 3, perceive and talk, in tensors: the language game, and how well agents are used to understand it."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from agents.communication import MEMORY_OF_SUCCESS, Talk
from agents.population import NOTHING
from agents.tensors.columns import Columns, along, in_parts, levels
from agents.tensors.drawing import Encounters


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spoken:
    """`agents.communication.Talk` in tensors."""

    success: Tensor
    word: Tensor
    known: Tensor
    speaker_slot: Tensor
    hearer_slot: Tensor
    picked: Tensor
    n_words: int

    def as_talk(self) -> Talk:
        """The same in arrays."""
        return self.some(slice(None))

    def some(self, places: Tensor | slice) -> Talk:
        """That of the pairs at ``places [k]``, in arrays."""
        told = {name: value[places].cpu().numpy() for name, value in vars(self).items() if name != "n_words"}
        return Talk(**told, n_words=self.n_words)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Said:
    """`agents.communication.Said` in tensors; ``shown`` is there for all pairs."""

    slot: Tensor
    word: Tensor
    gesture: Tensor
    shown: Tensor


def perceive(columns: Columns, rows: Tensor, objects: Tensor, luck: Tensor) -> None:
    """`agents.perception.perceive`: ``rows [n]`` remember ``objects [n, C]`` by ``luck [n, C]`` in [0, 1)."""
    capacity = columns.seen.shape[1]
    memory = columns.seen.flatten()
    count = columns.n_seen[rows].long()
    for place in range(objects.shape[1]):
        slot = torch.where(count < capacity, count, (luck[:, place] * (count + 1)).long())
        at = rows * capacity + slot.clamp(max=capacity - 1)
        memory[at] = torch.where(slot < capacity, objects[:, place].to(memory.dtype), memory[at])
        count = count + 1
    columns.n_seen[rows] = count.to(columns.n_seen.dtype)


def talk(
    columns: Columns,
    features: Tensor,
    met: Encounters,
    pointed: Tensor,
    choice: Tensor,
    *,
    n_words: int,
    audience: bool,
) -> Spoken:
    """`agents.communication.talk`, the language game; ``choice [B]`` and ``pointed [B, G]`` are what it draws."""
    said = say(columns, features, met, pointed, choice, audience=audience)
    word, n_words = coin(columns, met.speaker, said, n_words)
    said = dataclasses.replace(said, word=word)
    meaning, picked = hear(columns, features, met, pointed, said)
    success = picked == met.topic
    keep_only(columns, columns.at(met.speaker, said.slot), word, success)
    return Spoken(
        success=success,
        word=word,
        known=picked >= 0,
        speaker_slot=said.slot,
        hearer_slot=meaning,
        picked=picked,
        n_words=n_words,
    )


def say(
    columns: Columns, features: Tensor, met: Encounters, pointed: Tensor, choice: Tensor, *, audience: bool
) -> Said:
    """`agents.communication.say`: the speaker's part. Nothing is written to."""
    n_scene = met.scene.shape[1]

    def part(some: slice) -> tuple[Tensor, ...]:
        speaker, topic = met.speaker[some], met.topic[some]
        height = levels(columns, features, speaker, torch.cat([met.scene[some], pointed[some]], dim=1))
        spoken = standardised(height[:, :n_scene])
        words, held = columns.words[speaker], columns.held(speaker)
        if audience:
            lexicon = columns.words[met.hearer[some]].flatten(1)
            shared = (words[..., None] == lexicon[:, None, None, :]).any(dim=3) & (words >= 0)
        else:
            shared = torch.zeros_like(words, dtype=torch.bool)
        slot = choose_dimension(spoken, topic, held, shared.any(dim=2))
        own = along(words.transpose(1, 2), slot)
        common = along(shared.transpose(1, 2), slot)
        candidates = torch.where(common.any(dim=1, keepdim=True), common, own >= 0)
        word = torch.where(slot >= 0, pick_word(own, candidates, choice[some]), NOTHING)
        return slot, word, along(of_topic(spoken, topic), slot), along(height, slot)

    slot, word, gesture, shown = in_parts(part, len(met), room_for_a_pair(columns, met, pointed), columns.device)
    return Said(slot=slot, word=word, gesture=gesture, shown=shown)


def room_for_a_pair(columns: Columns, met: Encounters, pointed: Tensor) -> int:
    """Bytes that one pair's talk takes: features, levels of both precisions, words held against words."""
    objects, words = met.scene.shape[1] + pointed.shape[1], columns.words[0].numel()
    return 4 * objects * columns.n_sensors + 28 * objects * columns.n_slots + words**2 + 32 * words


def coin(columns: Columns, speaker: Tensor, said: Said, n_words: int) -> tuple[Tensor, int]:
    """`agents.communication.coin`: the words [B], and how many there are now, for which the device is waited for."""
    coined = (said.word < 0) & (said.slot >= 0)
    number = coined.cumsum(dim=0)
    word = torch.where(coined, (n_words - 1 + number).to(said.word.dtype), said.word)
    first, places = columns.flat("words")[:, 0], columns.at(speaker, said.slot)
    first[places] = torch.where(coined, word, first[places])
    return word, n_words + int(number[-1])


def hear(columns: Columns, features: Tensor, met: Encounters, pointed: Tensor, said: Said) -> tuple[Tensor, Tensor]:
    """`agents.communication.hear`: the hearer's part, the dimensions ``meaning [B]`` and places ``picked [B]``."""
    n_scene = met.scene.shape[1]

    def part(some: slice) -> tuple[Tensor, ...]:
        hearer, word, mute = met.hearer[some], said.word[some], said.slot[some] < 0
        words, held = columns.words[hearer], columns.held(hearer)
        height = levels(columns, features, hearer, torch.cat([met.scene[some], pointed[some]], dim=1))
        there = (words == word[:, None, None]).any(dim=2) & ~mute[:, None]
        known, place = there.any(dim=1), there.byte().argmax(dim=1)
        heard = standardised(along(height[:, :n_scene], place)[:, :, None])[:, :, 0]
        picked = torch.where(known, (heard - said.gesture[some][:, None]).abs().argmin(dim=1), NOTHING)
        success = picked == met.topic[some]

        # A word that it does not know: the own dimension that orders what is shown most alike takes it over.
        r, named = agreement(said.shown[some], height), (words >= 0).any(dim=2)
        fit = torch.where(held, torch.where(named, r, r.abs()), -torch.inf)
        best, takes = fit.argmax(dim=1), held.any(dim=1) & ~known & ~mute
        turn_round(columns, hearer, best, takes & ~along(named, best) & (along(r, best) < 0))
        meaning = torch.where(known, place, torch.where(takes, best, NOTHING))
        places = columns.at(hearer, meaning)
        add_word(columns, places, word, takes)
        keep_only(columns, places, word, success)
        return meaning, picked

    meaning, picked = in_parts(part, len(met), room_for_a_pair(columns, met, pointed), columns.device)
    return meaning, picked


def keep_only(columns: Columns, places: Tensor, word: Tensor, who: Tensor) -> None:
    """`agents.communication.keep_only`, of those for whom ``who [n]`` is true."""
    words = columns.flat("words")
    only = torch.full((len(places), words.shape[1]), NOTHING, dtype=words.dtype, device=words.device)
    only[:, 0] = word
    words[places] = torch.where(who[:, None], only, words[places])


def add_word(columns: Columns, places: Tensor, word: Tensor, who: Tensor) -> None:
    """`agents.communication.add_word`, of those for whom ``who [n]`` is true."""
    words = columns.flat("words")
    inventory = words[places]
    size = (inventory >= 0).sum(dim=1)
    full = size == inventory.shape[1]
    last = torch.where(full, size - 1, size)
    added = torch.where(full[:, None], inventory.roll(-1, dims=1), inventory)
    new = torch.arange(inventory.shape[1], device=words.device) == last[:, None]
    words[places] = torch.where(who[:, None], torch.where(new, word[:, None], added), inventory)


def turn_round(columns: Columns, rows: Tensor, slots: Tensor, who: Tensor) -> None:
    """`agents.communication.turn_round`, of those for whom ``who [n]`` is true."""
    places = columns.at(rows, slots)
    loading, score, contests = (columns.flat(name) for name in ("loading", "score", "contests"))
    weights, felt = loading[places], score[places]
    esteem = columns.self_esteem(rows)
    loading[places] = torch.where(who[:, None], -weights, weights)
    score[places] = torch.where(who, esteem, felt)
    contests[places] = torch.where(who, 0, contests[places])


def standardised(height: Tensor) -> Tensor:
    """`agents.communication.standardised`: levels [B, C, S] relative to the scene, float64."""
    z = height.double()
    z = z - z.mean(dim=1, keepdim=True)
    spread = (z**2).mean(dim=1, keepdim=True).sqrt()
    return torch.where(spread > 1e-6, z / spread, 0.0)


def choose_dimension(spoken: Tensor, topic: Tensor, held: Tensor, preferred: Tensor) -> Tensor:
    """`agents.communication.choose_dimension`: the slot [B], int64, -1 for a speaker without any."""
    gap = (spoken - of_topic(spoken, topic)[:, None, :]).abs()
    is_topic = torch.arange(spoken.shape[1], device=spoken.device) == topic[:, None]
    margin = torch.where(is_topic[:, :, None], torch.inf, gap).amin(dim=1)
    allowed = preferred & held
    eligible = torch.where(allowed.any(dim=1, keepdim=True), allowed, held)
    return torch.where(held.any(dim=1), torch.where(eligible, margin, -1.0).argmax(dim=1), NOTHING)


def of_topic(values: Tensor, topic: Tensor) -> Tensor:
    """Of ``values [B, C, S]`` those of the topic: [B, S]."""
    return along(values.transpose(1, 2), topic)


def pick_word(words: Tensor, candidates: Tensor, choice: Tensor) -> Tensor:
    """`agents.communication.pick_word`: one of the candidates [B, W], by ``choice [B]`` in [0, 1), or -1."""
    count = candidates.sum(dim=1)
    nth = (choice * count).long()
    at = (candidates.cumsum(dim=1) > nth[:, None]).byte().argmax(dim=1)
    return torch.where(count > 0, along(words, at), NOTHING)


def agreement(shown: Tensor, own: Tensor) -> Tensor:
    """`agents.communication.agreement`: correlation [B, S] of levels [B, G] with own ones [B, G, S], float64."""
    a, b = shown.double(), own.double()
    a, b = a - a.mean(dim=1, keepdim=True), b - b.mean(dim=1, keepdim=True)
    scale = ((a**2).sum(dim=1)[:, None] * (b**2).sum(dim=1)).sqrt()
    return torch.where(scale > 1e-9, (a[:, :, None] * b).sum(dim=1) / scale, 0.0)


def remember_success(columns: Columns, met: Encounters, spoken: Spoken) -> None:
    """`agents.communication.remember_success`."""
    rows, slots = met.participants, torch.cat([spoken.speaker_slot, spoken.hearer_slot])
    won = torch.cat([spoken.success, spoken.success]).float()
    before = columns.success[rows]
    columns.success[rows] = before + MEMORY_OF_SUCCESS * (won - before)
    understood, places = columns.flat("understood"), columns.at(rows, slots)
    before = understood[places]
    understood[places] = torch.where(slots >= 0, before + MEMORY_OF_SUCCESS * (won - before), before)
