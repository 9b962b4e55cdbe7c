"""Which message of the old version is which message of the new one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from .spec import canonical_message_key
from .words import words_of

# Messages that share less of their words than this are different messages, not a changed one.
_SIMILAR = 0.4
# A message that stands elsewhere is only called moved when it is nearly the same.
_NEARLY_SAME = 0.8
# Words that are compared: enough to recognise a message, and a bound for 200 long ones.
_COMPARED_CHARS = 4_000

Pair = tuple[int, int]


def align(old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> tuple[list[Pair], list[Pair]]:
    """Pairs of (old index, new index): those that kept their order, and those that moved. A message in no pair was
    removed or added.
    """
    scores = _scores(old, new)
    kept = _best_in_order(scores, len(old), len(new))
    old_left = set(range(len(old))) - {pair[0] for pair in kept}
    new_left = set(range(len(new))) - {pair[1] for pair in kept}
    candidates = sorted(
        (-score, old_index, new_index)
        for (old_index, new_index), score in scores.items()
        if score >= _NEARLY_SAME and old_index in old_left and new_index in new_left
    )
    moved: list[Pair] = []
    for _, old_index, new_index in candidates:
        if old_index in old_left and new_index in new_left:
            moved.append((old_index, new_index))
            old_left.remove(old_index)
            new_left.remove(new_index)
    return kept, sorted(moved, key=lambda pair: pair[1])


def _scores(old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> dict[Pair, float]:
    """How alike two messages are, from 0 to 1, for all pairs that are similar at all."""
    old_words, new_words = [_word_counts(message) for message in old], [_word_counts(message) for message in new]
    old_keys, new_keys = list(map(canonical_message_key, old)), list(map(canonical_message_key, new))
    # A message that stands on the other side as it is, is no changed one: of 200 messages, few are left to compare.
    both = set(old_keys) & set(new_keys)
    scores: dict[Pair, float] = {}
    for i, old_message in enumerate(old):
        for j, new_message in enumerate(new):
            if old_keys[i] == new_keys[j]:
                # Above everything that is only similar; the same place breaks ties between repeated messages.
                scores[i, j] = 2.0 + (0.001 if i == j else 0)
            elif old_keys[i] in both or new_keys[j] in both:
                continue
            elif old_message.get("type") == new_message.get("type"):
                alike = _overlap(old_words[i], new_words[j])
                if alike >= _SIMILAR:
                    scores[i, j] = alike * (1.0 if old_message.get("role") == new_message.get("role") else 0.9)
    # One message each: it is the same message, however much was rewritten.
    if len(old) == len(new) == 1 and not scores:
        scores[0, 0] = _SIMILAR
    return scores


def _best_in_order(scores: dict[Pair, float], old_count: int, new_count: int) -> list[Pair]:
    """The pairs in order with the highest total score (as in Needleman and Wunsch, without a penalty for gaps)."""
    best = [[0.0] * (new_count + 1) for _ in range(old_count + 1)]
    for i in range(old_count - 1, -1, -1):
        for j in range(new_count - 1, -1, -1):
            paired = scores.get((i, j))
            best[i][j] = max(best[i + 1][j], best[i][j + 1], 0.0 if paired is None else paired + best[i + 1][j + 1])
    pairs: list[Pair] = []
    i = j = 0
    while i < old_count and j < new_count:
        paired = scores.get((i, j))
        if paired is not None and best[i][j] == paired + best[i + 1][j + 1]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs


def _word_counts(message: dict[str, Any]) -> Counter[str]:
    content = message.get("content")
    text = content if isinstance(content, str) else str(content or message.get("name") or "")
    return Counter(word for word in words_of(text[:_COMPARED_CHARS]) if not word.isspace())


def _overlap(old: Counter[str], new: Counter[str]) -> float:
    fewer, more = (old, new) if len(old) <= len(new) else (new, old)
    total = old.total() + new.total()
    shared = sum([min(count, more[word]) for word, count in fewer.items() if word in more])
    return 2 * shared / total if total else 1.0
