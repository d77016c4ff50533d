"""The places of a text that are read, since what begins in them may reach further, and shown nowhere."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Unseen(NamedTuple):
    """Such a place, the kind it counts as, and our words in its stead."""

    begin: int
    end: int
    kind: str = ""
    said: str = ""


class Veil:
    """All such places of one text."""

    def __init__(self, places: Iterable[Unseen]) -> None:
        self._places: list[Unseen] = []
        for place in sorted(places):
            if self._places and place.begin <= self._places[-1].end:
                last = self._places[-1]
                self._places[-1] = last._replace(end=max(last.end, place.end))
            else:
                self._places.append(place)
        self._begins = [place.begin for place in self._places]
        self._ends = [place.end for place in self._places]

    def touches(self, begin: int, end: int) -> bool:
        index = bisect_right(self._ends, begin)
        return index < len(self._places) and self._begins[index] < end

    def over(self, text: str, begin: int, end: int) -> Iterator[str]:
        """What is seen of text[begin:end], with our words where a place begins."""
        for index in range(bisect_right(self._ends, begin), bisect_left(self._begins, end)):
            place = self._places[index]
            yield text[begin:max(begin, place.begin)]
            if begin <= place.begin:
                yield place.said
            begin = min(end, place.end)
        yield text[begin:end]
