"""Phase 3, talk: the language game and the gesture game.

A speaker means an object of the scene (the topic), picks the own dimension along which it stands apart most, says a
word for that dimension and shows by gesture how high the topic stands among what is there. The hearer maps the word
to a dimension of its own and picks the object that stands nearest to the gesture. Not knowing the word, it is shown:
the speaker points at things one after the other and shows how high each stands; the hearer takes the own dimension
that orders them most alike, and takes the word over. After success both keep only that word (the naming game of
Steels 1995, minimal form of Baronchelli et al. 2006, which this is with one object, one dimension and no audience).

In the gesture game there are no words: the speaker points at common ground and shows its levels, the hearer lines
its dimensions up with them, and then the topic's level is shown.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from agents.config import SocietyConfig
from agents.meeting import Meeting
from agents.perception import levels
from agents.population import MANY, NOTHING, Population
from agents.world import World

MEMORY_OF_SUCCESS = 0.05
"""Rate of the running means of communicative success."""

CONSONANTS, VOWELS = "kptmnslrvdbgz", "aeiou"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Talk:
    """What came of B conversations.

    Attributes
    ----------
    success : bool [B]
    word : int32 [B], the word said, -1 for none (gesture game, or a speaker without dimensions)
    known : bool [B], whether the hearer knew the word (in the gesture game: whether it had a dimension to line up)
    speaker_slot, hearer_slot : int [B], the dimension each side used, -1 for none
    picked : int [B], the place in the scene that the hearer picked, -1 where it did not know the word
    n_words : how many words exist in the society afterwards
    """

    success: NDArray[np.bool_]
    word: NDArray[np.int32]
    known: NDArray[np.bool_]
    speaker_slot: NDArray[np.intp]
    hearer_slot: NDArray[np.intp]
    picked: NDArray[np.intp]
    n_words: int


def talk(
    population: Population,
    world: World,
    meeting: Meeting,
    config: SocietyConfig,
    n_words: int,
    rng: np.random.Generator,
) -> Talk:
    """Play one game per pair, and let both sides learn from it."""
    # All draws come first and whole, so that who plays which branch changes no one else's luck.
    choice = rng.random(len(meeting))
    pointed = world.probe[rng.integers(len(world.probe), size=(len(meeting), config.common_ground))]
    if config.game == "gesture":
        return _gesture_game(population, world, meeting, pointed, n_words)
    return _language_game(population, world, meeting, pointed, choice, config, n_words)


def _language_game(
    population: Population,
    world: World,
    meeting: Meeting,
    pointed: NDArray[np.int32],
    choice: NDArray[np.float64],
    config: SocietyConfig,
    n_words: int,
) -> Talk:
    said = say(population, world, meeting, pointed, choice, audience=config.audience)
    word, n_words = coin(population, meeting.speaker, said, n_words)
    said = dataclasses.replace(said, word=word)
    meaning, picked = hear(population, world, meeting, pointed, said)
    success = picked == meeting.topic
    keep_only(population, meeting.speaker[success], said.slot[success], word[success])
    return Talk(
        success=success,
        word=word,
        known=picked >= 0,
        speaker_slot=said.slot,
        hearer_slot=meaning,
        picked=picked,
        n_words=n_words,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Said:
    """What the speakers of B pairs say, and show.

    Attributes
    ----------
    slot : int [B], the dimension it is about, -1 for a speaker without any
    word : int32 [B], the word for it, -1 where there is none yet
    gesture : float64 [B], how high the topic stands among the scene
    shown : float32 [B, C + G], how high all that can be pointed at stands, where the hearer does not know the word, or
        where nobody knows what the hearer knows; elsewhere anything
    """

    slot: NDArray[np.intp]
    word: NDArray[np.int32]
    gesture: NDArray[np.float64]
    shown: NDArray[np.float32]


def say(
    population: Population,
    world: World,
    meeting: Meeting,
    pointed: NDArray[np.int32],
    choice: NDArray[np.float64],
    *,
    audience: bool,
) -> Said:
    """The speaker's part: which dimension, which word (by ``choice [B]`` in [0, 1)), and what it shows by gesture.

    Nothing is written to. Hearers of row -1 are strangers, of whom nobody knows what words they have.
    """
    if len(meeting) >= MANY:
        from agents import kernels

        said = kernels.say(population, world.features, meeting, pointed, choice, audience=audience)
        return Said(slot=said[0], word=said[1], gesture=said[2], shown=said[3])
    speaker, hearer, pairs = meeting.speaker, meeting.hearer, np.arange(len(meeting))
    spoken = standardised(levels(population, world, speaker, meeting.scene))
    lexicon = np.where(hearer[:, None, None] == NOTHING, NOTHING, population.words[hearer])
    shared = np.zeros(lexicon.shape, dtype=bool)
    if audience:
        shared = understood_words(population.words[speaker], lexicon)
    slot = choose_dimension(spoken, meeting.topic, population.held[speaker], np.asarray(shared.any(axis=2)))
    own = population.words[speaker, slot]
    common = shared[pairs, slot]
    candidates = np.where(common.any(axis=1, keepdims=True), common, own >= 0)
    word = pick_word(own, candidates, choice)
    word[slot < 0] = NOTHING

    known = (word >= 0) & (lexicon == word[:, None, None]).any(axis=(1, 2))
    showing = np.flatnonzero(~known & (slot >= 0))
    shown = np.zeros((len(meeting), meeting.scene.shape[1] + pointed.shape[1]), dtype=np.float32)
    objects = np.concatenate([meeting.scene[showing], pointed[showing]], axis=1)
    shown[showing] = levels(population, world, speaker[showing], objects)[np.arange(len(showing)), :, slot[showing]]
    return Said(slot=slot, word=word, gesture=spoken[pairs, meeting.topic, slot], shown=shown)


def coin(population: Population, speaker: NDArray[np.intp], said: Said, n_words: int) -> tuple[NDArray[np.int32], int]:
    """The words [B], with new ones, by number, for dimensions that had none; and how many there are now in all."""
    word = said.word.copy()
    coined = np.flatnonzero((word < 0) & (said.slot >= 0))
    word[coined] = n_words + np.arange(len(coined))
    population.words[speaker[coined], said.slot[coined], 0] = word[coined]  # there were none
    return word, n_words + len(coined)


def hear(
    population: Population, world: World, meeting: Meeting, pointed: NDArray[np.int32], said: Said
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The hearer's part: the dimension ``meaning [B]`` that it takes the word for, and the place ``picked [B]``.

    Who knows the word picks, and after success keeps only that word for the dimension. Who does not picks nothing (-1):
    it is shown, and the dimension that orders alike what is shown takes the word over. Speakers are not looked at.
    """
    if len(meeting) >= MANY:
        from agents import kernels

        return kernels.hear(population, world.features, meeting, pointed, **vars(said))
    hearer, pairs, word = meeting.hearer, np.arange(len(meeting)), said.word
    mute = said.slot < 0
    meaning = _first((population.words[hearer] == word[:, None, None]).any(axis=2) & ~mute[:, None])
    known = meaning >= 0
    heard = standardised(levels(population, world, hearer, meeting.scene))
    picked = np.where(known, nearest(heard[pairs, :, meaning], said.gesture), NOTHING)
    success = picked == meeting.topic

    lost = np.flatnonzero(~known & ~mute)
    shown = np.concatenate([meeting.scene[lost], pointed[lost]], axis=1)
    lined_up = line_up(population, world, hearer[lost], shown, said.shown[lost])
    taker = lined_up >= 0
    add_word(population.words, hearer[lost[taker]], lined_up[taker], word[lost[taker]])
    meaning[lost] = lined_up
    keep_only(population, hearer[success], meaning[success], word[success])
    return meaning, picked


def keep_only(population: Population, rows: NDArray[np.intp], slots: NDArray[np.intp], word: NDArray[np.int32]) -> None:
    """Let ``word [n]`` be the only one for the dimension in ``slots [n]`` of ``rows [n]``."""
    population.words[rows, slots] = NOTHING
    population.words[rows, slots, 0] = word


def _gesture_game(
    population: Population,
    world: World,
    meeting: Meeting,
    pointed: NDArray[np.int32],
    n_words: int,
) -> Talk:
    speaker, hearer, pairs = meeting.speaker, meeting.hearer, np.arange(len(meeting))
    spoken = standardised(levels(population, world, speaker, meeting.scene))
    heard = standardised(levels(population, world, hearer, meeting.scene))
    nobody = np.zeros((len(meeting), population.n_slots), dtype=bool)
    slot = choose_dimension(spoken, meeting.topic, population.held[speaker], nobody)
    shown = levels(population, world, speaker, pointed)[pairs, :, slot]
    r = agreement(shown, levels(population, world, hearer, pointed))
    meaning = np.where(population.held[hearer], np.abs(r), -1.0).argmax(axis=1)
    direction = np.where(r[pairs, meaning] < 0, -1.0, 1.0)
    known = population.held[hearer].any(axis=1) & (slot >= 0)
    gesture = spoken[pairs, meeting.topic, slot]
    picked = nearest(direction[:, None] * heard[pairs, :, meaning], gesture)
    return Talk(
        success=known & (picked == meeting.topic),
        word=np.full(len(meeting), NOTHING, dtype=np.int32),
        known=known,
        speaker_slot=slot,
        hearer_slot=np.where(known, meaning, NOTHING),
        picked=np.where(known, picked, NOTHING),
        n_words=n_words,
    )


def standardised(height: NDArray[np.float32]) -> NDArray[np.float64]:
    """Levels [B, C, S] relative to what is there: mean 0 and variance 1 over the scene (0 where all are level).

    A gesture shows "this high among these", so it needs no common unit between two minds.
    """
    z = height - height.mean(axis=1, keepdims=True, dtype=np.float64)
    spread = np.sqrt((z**2).mean(axis=1, keepdims=True))
    scaled: NDArray[np.float64] = np.divide(z, spread, out=np.zeros_like(z), where=spread > 1e-6)
    return scaled


def understood_words(ours: NDArray[np.int32], theirs: NDArray[np.int32]) -> NDArray[np.bool_]:
    """bool [B, S, W]: which of our words ([B, S, W]) are anywhere among theirs."""
    b, s, w = theirs.shape
    known = np.zeros(ours.shape, dtype=bool)
    for column in theirs.reshape(b, s * w).T:
        known |= ours == column[:, None, None]
    return known & (ours >= 0)


def choose_dimension(
    spoken: NDArray[np.float64],
    topic: NDArray[np.intp],
    held: NDArray[np.bool_],
    preferred: NDArray[np.bool_],
) -> NDArray[np.intp]:
    """The slot [B] along which the topic stands apart most from its nearest rival; -1 for a speaker without any.

    ``spoken [B, C, S]`` are standardised levels; preferred slots [B, S], where there are any, come before others.
    """
    pairs = np.arange(len(topic))
    gap = np.abs(spoken - spoken[pairs, topic][:, None, :])
    gap[pairs, topic] = np.inf
    margin = gap.min(axis=1)
    margin[~held] = -1.0
    allowed = preferred & held
    margin[allowed.any(axis=1, keepdims=True) & ~allowed] = -1.0
    return np.where(held.any(axis=1), margin.argmax(axis=1), NOTHING)


def pick_word(
    words: NDArray[np.int32], candidates: NDArray[np.bool_], choice: NDArray[np.float64]
) -> NDArray[np.int32]:
    """One of the candidate words [B, W], uniformly by ``choice`` in [0, 1); -1 where there is none."""
    count = candidates.sum(axis=1)
    nth = (choice * count).astype(np.intp)
    at = (candidates.cumsum(axis=1) > nth[:, None]).argmax(axis=1)
    return np.where(count > 0, words[np.arange(len(words)), at], NOTHING).astype(np.int32)


def nearest(heard: NDArray[np.float64], gesture: NDArray[np.float64]) -> NDArray[np.intp]:
    """The place in the scene [B] whose level ``heard [B, C]`` is nearest to the gesture [B]."""
    place: NDArray[np.intp] = np.abs(heard - gesture[:, None]).argmin(axis=1)
    return place


def agreement(shown: NDArray[np.float32], own: NDArray[np.float32]) -> NDArray[np.float64]:
    """Correlation [B, S] of the levels shown [B, G] with the own levels [B, G, S]; 0 where one does not vary."""
    a = shown - shown.mean(axis=1, keepdims=True, dtype=np.float64) if shown.shape[1] else shown.astype(np.float64)
    b = own - own.mean(axis=1, keepdims=True, dtype=np.float64) if own.shape[1] else own.astype(np.float64)
    scale = np.sqrt((a**2).sum(axis=1)[:, None] * (b**2).sum(axis=1))
    product = np.einsum("bg,bgs->bs", a, b)
    found: NDArray[np.float64] = np.divide(product, scale, out=np.zeros_like(scale), where=scale > 1e-9)
    return found


def line_up(
    population: Population,
    world: World,
    rows: NDArray[np.intp],
    shown: NDArray[np.int32],
    demonstrated: NDArray[np.float32],
) -> NDArray[np.intp]:
    """The slot [n] that orders the shown objects most like the demonstration; -1 for a hearer without dimensions.

    A dimension without a name has no direction yet and turns round if that agrees better; a named one keeps its own.
    """
    r = agreement(demonstrated, levels(population, world, rows, shown))
    named = np.asarray((population.words[rows] >= 0).any(axis=2))
    fit = np.where(named, r, np.abs(r))
    fit[~population.held[rows]] = -np.inf
    slot = fit.argmax(axis=1)
    turned = ~named[np.arange(len(rows)), slot] & (r[np.arange(len(rows)), slot] < 0)
    turn_round(population, rows[turned], slot[turned])
    return np.where(population.held[rows].any(axis=1), slot, NOTHING)


def turn_round(population: Population, rows: NDArray[np.intp], slots: NDArray[np.intp]) -> None:
    """Reverse the direction of dimensions.

    What was felt along the old direction says little about the new one, as gains and losses are not learned at one
    rate: so it is felt as the agent feels in general, like a new dimension.
    """
    population.loading[rows, slots] *= -1
    population.score[rows, slots] = population.self_esteem(rows)
    population.contests[rows, slots] = 0


def add_word(
    words: NDArray[np.int32],
    rows: NDArray[np.intp],
    slots: NDArray[np.intp],
    word: NDArray[np.int32],
) -> None:
    """Append a word to inventories (in place); a full one forgets its oldest. Each (row, slot) at most once."""
    inventory = words[rows, slots]
    size = (inventory >= 0).sum(axis=1)
    full = size == words.shape[2]
    inventory[full] = np.roll(inventory[full], -1, axis=1)
    inventory[np.arange(len(rows)), np.where(full, size - 1, size)] = word
    words[rows, slots] = inventory


def _first(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The first true place in each row, -1 for none."""
    return np.where(mask.any(axis=1), mask.argmax(axis=1), NOTHING)


def remember_success(population: Population, meeting: Meeting, outcome: Talk) -> None:
    """Let both sides get used to how well they understand each other: running means, by dimension and in all."""
    slots = np.concatenate([outcome.speaker_slot, outcome.hearer_slot])
    get_used(population, meeting.participants, slots, np.concatenate([outcome.success, outcome.success]))


def get_used(population: Population, rows: NDArray[np.intp], slots: NDArray[np.intp], won: NDArray[np.bool_]) -> None:
    """Let ``rows [n]``, each once, get used to being understood (or not) on the dimension in ``slots [n]`` (or -1)."""
    if len(rows) >= 2 * MANY:  # from as many pairs on
        from agents import kernels

        kernels.remember(population, rows, slots, won, rate=MEMORY_OF_SUCCESS)
        return
    outcome = won.astype(np.float32)
    population.success[rows] += MEMORY_OF_SUCCESS * (outcome - population.success[rows])
    used = slots >= 0
    before = population.understood[rows[used], slots[used]]
    population.understood[rows[used], slots[used]] = before + MEMORY_OF_SUCCESS * (outcome[used] - before)


def spelled(word: int) -> str:
    """A pronounceable form of a word's number, two syllables or more, different for different words.

    Raises
    ------
    ValueError
        If the number is negative, which is no word.
    """
    if word < 0:
        raise ValueError(f"{word} is no word; they are numbered from 0")
    syllables = [c + v for c in CONSONANTS for v in VOWELS]
    base = len(syllables)
    # Scatter successive numbers over the two-syllable words, so that neighbours do not sound alike.
    block, rest = divmod(word, base * base)
    rest = (rest * 1237 + 1000) % (base * base)
    text = syllables[rest // base] + syllables[rest % base]
    while block:
        block, rest = divmod(block - 1, base)
        text += syllables[rest]
    return text
