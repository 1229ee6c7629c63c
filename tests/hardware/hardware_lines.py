"""What a drawing connects, worked out from its lines alone: sets of pins."""


def groups(ends, wires):
    """Return the sets of pins that wires join. ends: {pin: place}; wires: the places that each joins."""
    joined = {}

    def root(place):
        while joined.setdefault(place, place) != place:
            place = joined[place]
        return place

    for first, *others in wires:
        for place in others:
            joined[root(place)] = root(first)
    found = {}
    for pin, place in ends.items():
        found.setdefault(root(place), set()).add(pin)
    return {frozenset(pins) for pins in found.values()}


def drawn_groups(sheet):
    """Return the same for a schematic: a place on a line is joined with it, flags of one name with each other."""
    ends = {pin: rounded(place) for pin, place in sheet.ends.items()}
    lines = [(rounded(start), rounded(end)) for start, end in sheet.wires]
    flags = [(rounded(place), name) for place, name in sheet.flags]
    places = {*ends.values(), *(place for line in lines for place in line), *(place for place, _ in flags)}
    wires = [[place for place in places if is_on(place, line)] for line in lines]
    wires += [[place for place, other in flags if other == name] for name in {name for _, name in flags}]
    # a flag GPIO34 is the pin of that number
    wires += [(ends[f"U1.{name.removeprefix('GPIO')}"], place) for place, name in flags if name.startswith("GPIO")]
    return groups(ends, wires)


def rounded(place):
    return round(place[0], 3), round(place[1], 3)


def is_on(place, line):
    (x, y), ((left, low), (right, high)) = place, line
    across = (x - left) * (high - low) - (y - low) * (right - left)
    within = min(left, right) <= x <= max(left, right) and min(low, high) <= y <= max(low, high)
    return abs(across) < 1e-3 and within
