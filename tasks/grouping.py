"""Group many faults, so that a different one among them is seen.

Faults that are alike are counted; a few examples of each group are shown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

from tasks.faults import Fault

WHOLE = 20  # at most so many faults are all listed
PLACES = 3  # files, or else folders, in which faults of a kind are counted apart
GROUPS = 40
EXAMPLES = ((5, 3), (10, 2), (GROUPS, 1))  # of at most so many groups that many examples each

Group = list[str]


def told(faults: Sequence[str]) -> list[str]:
    """Return all lines if there are few, else examples of each kind and the number of others.

    Faults are of one kind that one check found, and in one file or folder if there are few of
    these. Lines of other sources are of one kind where they differ in names, paths and numbers
    alone.
    """
    if len(faults) <= WHOLE:
        return list(faults)
    groups = grouped(faults)
    each = next((count for most, count in EXAMPLES if len(groups) <= most), 1)
    lines = [line for group in groups[:GROUPS] for line in _shortened(group, each)]
    left = groups[GROUPS:]
    if left:
        lines.append(f"... and {sum(map(len, left)):,} more of {len(left):,} other kinds")
    return lines


def grouped(faults: Sequence[str]) -> list[Group]:
    """Group faults of one kind; the groups are in the order of their first faults."""
    kinds: dict[str, Group] = {}
    for fault in faults:
        kinds.setdefault(_kind(fault), []).append(fault)
    groups: list[Group] = []
    for kind in kinds.values():
        groups += _by_place(kind)
    first = {id(fault): place for place, fault in enumerate(faults)}
    return sorted(groups, key=lambda group: first[id(group[0])])


def _kind(fault: str) -> str:
    if isinstance(fault, Fault):
        return fault.kind
    return re.sub(r"'[^']*'|\"[^\"]*\"|\S*[/\\]\S*|\d+(\.\d+)?", "*", fault)


def _by_place(kind: Group) -> list[Group]:
    """Split a kind by file, or by folder if files are many; keep it whole if both are."""
    for place in (_file, _folder):
        places: dict[str, Group] = {}
        for fault in kind:
            places.setdefault(place(fault), []).append(fault)
        if len(places) <= PLACES:
            return list(places.values())
    return [kind]


def _file(fault: str) -> str:
    if not isinstance(fault, Fault):
        return ""
    return fault.where.partition(", ")[0]


def _folder(fault: str) -> str:
    return str(PurePath(_file(fault)).parent)


def _shortened(group: Group, count: int) -> list[str]:
    """The first examples, different ones before equal ones, and the number of others."""
    chosen = _examples(group, count)
    left = len(group) - len(chosen)
    if not left:
        return chosen
    if isinstance(group[0], Fault):
        kind = f" of the kind {group[0].kind!r}{_where(group)}"
    else:
        kind = " like that"
    return [*chosen, f"... and {left:,} more{kind}"]


def _examples(group: Group, count: int) -> Group:
    first: dict[str, int] = {}
    for place, fault in enumerate(group):
        value = fault.came if isinstance(fault, Fault) else fault
        first.setdefault(value, place)
        if len(first) == count:
            break
    places = list(first.values())
    places += [place for place in range(min(count, len(group))) if place not in places]
    return [group[place] for place in sorted(places[:count])]


def _where(group: Group) -> str:
    files = {_file(fault) for fault in group}
    if len(files) == 1:
        return f" in {files.pop()}"
    folders = {_folder(fault) for fault in group}
    if len(folders) == 1:
        return f" in {folders.pop()}"
    return f" in {len(folders):,} folders"
