"""What a run has found: one sum of counts, and the first words about what is off."""

from dataclasses import dataclass, field, fields

MOST_WORDS = 20


@dataclass
class Tally:
    """Counts of what was done and of what must be 0. ``words`` says what is off, and how to see it again."""

    kills: int = 0
    cuts: int = 0
    frames: int = 0
    failures: int = 0
    acknowledged: int = 0
    mwh_off: int = 0
    lost: int = 0
    twice: int = 0
    mutated: int = 0
    shut_out: int = 0
    broken: int = 0
    words: list[str] = field(default_factory=list)

    @property
    def off(self) -> bool:
        """Say whether anything is not as it must be."""
        return any((self.mwh_off, self.lost, self.twice, self.mutated, self.shut_out, self.broken))

    def add(self, other: "Tally") -> None:
        """Take another's counts in."""
        for each in fields(self):
            if each.name != "words":
                setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))
        self.words = (self.words + other.words)[:MOST_WORDS]

    def breaks(self, word: str) -> None:
        """Note that something ended which must not."""
        self.broken += 1
        self.words.append(word)

    def line(self) -> str:
        """Return the totals as one line."""
        done = (
            f"{self.kills} kills, {self.cuts} power cuts, {self.frames} replayed or mutated frames,"
            f" {self.failures} I/O failures, {self.acknowledged} acknowledged"
        )
        found = (
            f"{self.mwh_off} mWh off, {self.lost} acknowledged lost, {self.twice} counted twice,"
            f" {self.mutated} mutated counted, {self.shut_out} shut out, {self.broken} broken"
        )
        return f"{done}: {found}"
