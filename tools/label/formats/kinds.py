"""The names of what can be wrong with labels that came back, for messages and for counting."""

from __future__ import annotations

# of a file as a whole: nothing of it is taken
MISSING = "missing file"
UNREADABLE = "unreadable file"
TOO_LARGE = "file too large"
LEADS_OUT = "path leads out"
BROKEN_JSON = "broken json"
BROKEN_XML = "broken XML"
REFUSED_XML = "refused XML"
BROKEN_TABLE = "broken csv"
BROKEN_YAML = "broken yaml"
WRONG_FORM = "another form"
NO_NAMES = "no names"
UNKNOWN_FORMAT = "unknown format"
SEVERAL_FORMATS = "several formats"
KIND = "kind of format"

# of an image
UNKNOWN_IMAGE = "unknown image"
AMBIGUOUS_IMAGE = "ambiguous image"
TWICE = "image twice"
NO_IMAGE = "no image name"
BROKEN_RECORD = "broken record"
CHANGED_IMAGE = "changed image"
WRONG_SIZE = "wrong size"
TURNED_IMAGE = "turned image"
TWO_PERSONS = "two persons"
NOT_IN_FILE = "done, not in file"
BAD_STATE = "unknown state"
BAD_SECONDS = "seconds"
NO_CLASS = "no class"
SEVERAL_CLASSES = "several classes"

# of a shape
SHAPE = "kind of shape"
COORDINATE = "coordinate"
SCALE = "scale"
ROTATED = "rotated box"
BOX_OUTSIDE = "box outside"
SMALL_BOX = "small box"
WRONG_CLASS = "wrong class"
JOINT_OUTSIDE = "joint outside"
JOINT_NAME = "joint name"
JOINT_TWICE = "joint twice"
JOINT_COUNT = "joint count"
JOINT_ALONE = "joint alone"
JOINTS_ASTRAY = "joints elsewhere"
VISIBILITY = "visibility"
CROWD = "crowd"

# With these the good shapes of an image can be taken all the same, if the user wants that.
OF_SHAPES = frozenset(
    (
        *(SHAPE, COORDINATE, SCALE, ROTATED, BOX_OUTSIDE, SMALL_BOX, WRONG_CLASS),
        *(JOINT_OUTSIDE, JOINT_NAME, JOINT_TWICE, JOINT_COUNT, JOINT_ALONE, JOINTS_ASTRAY),
        *(VISIBILITY, CROWD),
        *(TWO_PERSONS, BAD_SECONDS, NO_CLASS, SEVERAL_CLASSES),
    )
)
