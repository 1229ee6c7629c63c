"""What an answer tells of opened sums: a load's energies, or a bill's total and each of its sums. Pure."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

from .batches import Opened
from .gate import Permit
from .messages import RELEASED


class Proof(NamedTuple):
    """Where a sum is proved: the id of its release batch, the key's fingerprint, and its own root (base64url)."""

    batch: str
    paillier_key: str
    root: str


def told_of(opened: Sequence[tuple[Opened, Proof | None]]) -> dict[str, Any]:
    """Return what is told of everything that one permit opened, in its order; energies in mWh.

    A bill has one entry in ``sums`` for each sum that is told by itself. Parts without a proof of their own are added
    here, in clear, and only the total of their group leaves.
    """
    permit = opened[0][0].permit
    told = {"status": RELEASED, **_energies([one for one, _ in opened])}
    if permit.interval_start is not None:
        (proof,) = (proof for _, proof in opened)
        assert proof is not None, "a load is always proved"
        return told | {"batch": proof.batch, "root": proof.root}
    return told | {"tariff": permit.tariff, "adjusted": permit.adjusted, "sums": _sums(permit, opened)}


def _sums(permit: Permit, opened: Sequence[tuple[Opened, Proof | None]]) -> list[dict[str, Any]]:
    sums: list[dict[str, Any]] = []
    for group, several in groupby(opened, key=lambda one: one[0].part.group):
        parts = list(several)
        if any(proof is None for _, proof in parts):
            sums.append(_sum(group, [one for one, _ in parts]))
        else:
            sums += [_sum(group, [one]) | (proof._asdict() if proof else {}) for one, proof in parts]
    return sums


def _sum(group: int, parts: Sequence[Opened]) -> dict[str, Any]:
    bands: dict[str, int] = {}
    for one in parts:
        for band in one.part.bands:
            bands[band.name] = bands.get(band.name, 0) + band.windows
    return {
        "group": group,
        "bands": [{"name": name, "windows": windows} for name, windows in bands.items()],
        "windows": sum(one.part.windows for one in parts),
        "filled": sum(len(one.part.documents) for one in parts),
        **_energies(parts),
    }


def _energies(parts: Sequence[Opened]) -> dict[str, int]:
    return {
        "import_mwh": sum(one.import_mwh for one in parts),
        "export_mwh": sum(one.export_mwh for one in parts),
    }
